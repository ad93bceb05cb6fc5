"""`gemma-setup install`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from setup_manager.cli.options import (
    DownloadingOptions,
    ModelOptions,
    PlanningOptions,
    StorageOptions,
    WritingOptions,
    gemma_command,
    model_argument,
    ollama_options,
)
from setup_manager.cli.questions import ask_to_go_on
from setup_manager.cli.result import Outcome
from setup_manager.cli.shell import Shell
from setup_manager.errors import UsageError
from setup_manager.units import format_memory, format_size

if TYPE_CHECKING:
    from setup_manager.app.verbs.install import InstallPlan, InstallResult
    from setup_manager.runtimes.releases import Build
    from setup_manager.session import Session


@gemma_command(
    "install",
    WritingOptions,
    StorageOptions,
    ModelOptions,
    PlanningOptions,
    DownloadingOptions,
    examples=(
        "gemma-setup install",
        "gemma-setup install e4b --yes",
        "gemma-setup install 12b:UD-Q5_K_XL --runtime ollama",
        "gemma-setup install --prefer speed --dry-run",
    ),
)
@model_argument(required=False)
@ollama_options
def command(
    shell: Shell,
    writing: WritingOptions,
    storage: StorageOptions,
    files: ModelOptions,
    planning: PlanningOptions,
    downloading: DownloadingOptions,
    model: str | None,
    *,
    ollama_link: bool,
    pull: bool,
    name: str | None,
) -> Outcome:
    """Do the whole job: check, choose, download, register and try a model.

    Without MODEL the best one for this machine is taken. Run the same command again after any
    interruption; it goes on where it stopped.
    """
    from setup_manager.app.verbs.install import InstallRequest, install
    from setup_manager.app.verbs.register import OllamaWay
    from setup_manager.cli.commands.runtime import build_text
    from setup_manager.cli.plans import planning_of, wanted_of

    session = shell.open_session(storage, downloading)
    request = InstallRequest(
        model=model,
        wanted=wanted_of(files),
        planning=planning_of(planning, files),
        ollama=OllamaWay(ollama_link, pull, name),
        dry_run=writing.dry_run,
    )
    refuse_other_machine(planning)

    def confirm(plan: InstallPlan) -> bool:
        shell.note(plan_text(plan))
        return writing.yes or ask_to_go_on(shell)

    def offer(build: Build) -> bool:
        shell.note(f"Nothing here can run Gemma 4 yet. The official build: {build_text(build)}.")
        return writing.yes or (shell.terminal.can_ask and shell.confirm("Install it?"))

    result = install(session, request, confirm, offer)
    return install_outcome(shell, session, result, dry_run=writing.dry_run)


def refuse_other_machine(planning: PlanningOptions) -> None:
    """Refuse to install on this machine by another one's description.

    Raises:
        UsageError: If --machine was given.
    """
    if planning.machine:
        raise UsageError(
            "--machine plans for another machine; nothing can be installed there from here.",
            hint="Use it with check, recommend or explain.",
        )


def plan_text(plan: InstallPlan) -> str:
    """Say what will be done, in few lines."""
    from setup_manager.cli.explain_text import speed_text

    download = plan.download
    lines = [
        f"  model    {plan.subject.name}, {format_size(plan.subject.model.size_bytes)}"
        + ("" if plan.subject.pinned else " (resolved from the hub just now)"),
        f"  fetch    {format_size(download.fetch_bytes)}"
        + (f", {format_size(download.reuse_bytes)} are here" if download.reuse_bytes else ""),
        f"  disk     {format_size(download.peak_disk_bytes)} at the peak"
        + (
            f", of which {format_size(download.copied_bytes)} for Ollama's copies"
            if download.copied_bytes
            else ""
        ),
        f"  runtime  {plan.runtime.name}: {plan.runtime.reason}",
    ]
    if plan.memory is not None and plan.speed is not None:
        lines.append(
            f"  memory   {format_memory(plan.memory.needed_bytes)} at "
            f"{plan.settings.context:,} tokens of context"
            + (": tight, close other programs first" if plan.verdict == "tight" else "")
        )
        lines.append(f"  speed    {speed_text(plan.speed)}")
    return "\n".join(lines)


def install_outcome(
    shell: Shell, session: Session, result: InstallResult, *, dry_run: bool
) -> Outcome:
    """Turn an installation into a result."""
    if result.error is not None:
        return Outcome(result.document(), "", result.error)
    if dry_run:
        text = plan_text(result.plan) if result.plan else ""
        return Outcome(result.document(), f"{text}\n\nNothing was done; leave out --dry-run.")
    return Outcome(result.document(), _success_text(shell, session, result))


def _success_text(shell: Shell, session: Session, result: InstallResult) -> str:
    from setup_manager.app.start import start_commands

    model = result.installed
    if model is None or result.plan is None:
        return ""
    registration = model.registration(result.plan.runtime.name)
    if registration is None:
        return ""
    commands = start_commands(session, model, registration, shell.program)
    styled = shell.terminal.styled
    lines = [
        f"{styled('Gemma 4 answers.', 'bold')} From now on:",
        f"  {styled(commands.start, 'bold')}",
        f"  {commands.ask}",
    ]
    if model.files:
        lines.append(styled(f"It lies at {model.weights.path}", "dim"))
    lines.append(styled(f"To take it out again: {shell.program} remove {model.name}", "dim"))
    return "\n".join(lines)
