"""`gemma-setup download`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from setup_manager.cli.options import (
    DownloadingOptions,
    ModelOptions,
    StorageOptions,
    WritingOptions,
    gemma_command,
    model_argument,
)
from setup_manager.cli.result import Outcome
from setup_manager.cli.shell import Shell
from setup_manager.units import format_duration, format_rate, format_size

if TYPE_CHECKING:
    from setup_manager.app.verbs.download import DownloadResult
    from setup_manager.download import DownloadPlan


@gemma_command(
    "download",
    WritingOptions,
    StorageOptions,
    ModelOptions,
    DownloadingOptions,
    examples=(
        "gemma-setup download e4b",
        "gemma-setup download 12b --with-projector --limit-rate 5M",
        "gemma-setup download org/repo:Q4_K_M --models-dir ~/models",
    ),
)
@model_argument()
def command(
    shell: Shell,
    writing: WritingOptions,
    storage: StorageOptions,
    files: ModelOptions,
    downloading: DownloadingOptions,
    model: str,
) -> Outcome:
    """Fetch and verify MODEL; run it again after any interruption to go on."""
    from setup_manager.app.record import recorded
    from setup_manager.app.verbs.download import (
        download,
        plan_document,
        plan_download,
    )
    from setup_manager.cli.plans import wanted_of
    from setup_manager.session import Subject

    session = shell.open_session(storage, downloading)
    subject = Subject(session, model, wanted_of(files))
    planned = plan_download(session, subject.model)
    planned.check_room()
    if writing.dry_run:
        return Outcome(plan_document(subject.model, planned), plan_text(planned))
    if planned.fetch_bytes:
        shell.note(plan_text(planned))
    with recorded(session) as record:
        record.model = subject.name
        result = download(session, subject.model, planned)
    return Outcome(result.document(), result_text(result))


def plan_text(planned: DownloadPlan) -> str:
    """Say what a download will do."""
    lines = []
    for file in planned.files:
        state = "is here already" if file.installed else f"{format_size(file.fetch_bytes)} to fetch"
        if file.reuse_bytes and not file.installed:
            state += f", {format_size(file.reuse_bytes)} are here"
        artifact = file.artifact
        lines.append(f"{artifact.name}: {format_size(artifact.size_bytes)}, {state}")
        lines.append(f"  from {artifact.repository} at {artifact.commit[:10]}")
    return "\n".join(lines)


def result_text(result: DownloadResult) -> str:
    """Say what a download brought and where it lies."""
    fetched, reused = result.fetched_bytes, result.reused_bytes
    if not fetched:
        return f"{result.model.name} is here already and verified:\n{result.path}"
    rate = f", {format_rate(fetched / result.seconds)}" if result.seconds > 1 else ""
    kept = f"; {format_size(reused)} were here already" if reused else ""
    return (
        f"{result.model.name} fetched and verified: {format_size(fetched)} in "
        f"{format_duration(result.seconds)}{rate}{kept}\n{result.path}"
    )
