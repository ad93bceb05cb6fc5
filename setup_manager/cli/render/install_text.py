"""What `install` will do, and how the model is started afterwards."""

from __future__ import annotations

from setup_manager.app import install, recommend
from setup_manager.cli.render.explain_text import speed_text
from setup_manager.cli.render.recommend_text import faster_lines
from setup_manager.cli.terminal import Terminal
from setup_manager.units import format_duration, format_memory, format_rate, format_size

NOTHING_DONE = "Nothing was done; run again without --dry-run."


def install_plan_text(plan: install.Plan) -> str:
    """Say in few lines what will be done."""
    download = plan.download.files
    lines = [
        f"  model    {plan.subject.name}, {format_size(plan.subject.model.size_bytes)}"
        + ("" if plan.subject.pinned else " (size checked online)"),
        f"  download {format_size(download.fetch_bytes)}"
        + (f", {format_size(download.reuse_bytes)} already here" if download.reuse_bytes else "")
        + _time_words(plan),
        f"  disk     {format_size(download.peak_disk_bytes)} at the peak"
        + (
            f", of which {format_size(download.copied_bytes)} for Ollama's copies"
            if download.copied_bytes
            else ""
        ),
        f"  runtime  {plan.runtime.name}: {plan.runtime.reason}",
    ]
    if plan.fit is not None:
        lines.append(
            f"  memory   {format_memory(plan.fit.memory.needed_bytes)} at "
            f"{plan.settings.context:,} tokens of context"
            + (": tight, close other programs first" if plan.fit.verdict == "tight" else "")
        )
        lines.append(f"  speed    {speed_text(plan.fit)}")
    return "\n".join([*lines, *_faster_lines(plan)])


def _time_words(plan: install.Plan) -> str:
    if not plan.line_rate or not plan.download_seconds:
        return ""
    return f", about {format_duration(plan.download_seconds)} at {format_rate(plan.line_rate)}"


def _faster_lines(plan: install.Plan) -> list[str]:
    chosen = [stage.data for stage in plan.stages if isinstance(stage.data, recommend.Result)]
    return [f"  {line}" for result in chosen for line in faster_lines(result)]


def install_text(result: install.Result, program: str, terminal: Terminal) -> str:
    """Say how the model is started from now on, where it is, and how to remove it."""
    model, commands, styled = result.model, result.commands, terminal.styled
    lines = [
        f"{styled('Gemma 4 is ready.', 'bold')} To start it:",
        f"  {styled(commands.start, 'bold')}",
        f"  {commands.ask}",
    ]
    if model.files:
        lines.append(styled(f"Model file: {model.weights.path}", "dim"))
    lines.append(styled(f"To remove it: {program} remove {model.name}", "dim"))
    return "\n".join(lines)
