"""What a download will do, and what it brought."""

from __future__ import annotations

from setup_manager.app import download
from setup_manager.download import DownloadPlan
from setup_manager.units import format_duration, format_rate, format_size


def download_plan_text(planned: DownloadPlan) -> str:
    """Say for each file what there is to fetch, and from where."""
    lines = []
    for file in planned.files:
        state = "already here" if file.installed else f"{format_size(file.fetch_bytes)} to download"
        if file.reuse_bytes and not file.installed:
            state += f", {format_size(file.reuse_bytes)} already here"
        artifact = file.artifact
        lines.append(f"{artifact.name}: {format_size(artifact.size_bytes)}, {state}")
        lines.append(f"  from {artifact.repository} at {artifact.commit[:10]}")
    return "\n".join(lines)


def download_text(result: download.Result) -> str:
    """Say what was downloaded, and where it is."""
    fetched, reused = result.fetched_bytes, result.reused_bytes
    if not fetched:
        return f"{result.model} is already here and verified:\n{result.path}"
    rate = f", {format_rate(fetched / result.seconds)}" if result.seconds > 1 else ""
    kept = f"; {format_size(reused)} were already here" if reused else ""
    return (
        f"{result.model} downloaded and verified: {format_size(fetched)} in "
        f"{format_duration(result.seconds)}{rate}{kept}\n{result.path}"
    )
