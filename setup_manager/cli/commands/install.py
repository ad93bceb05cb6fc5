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
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.questions import ask_to_go_on
from setup_manager.cli.shell import Shell
from setup_manager.errors import UsageError

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
    from setup_manager.cli.plans import planning_of, wanted_of
    from setup_manager.cli.render.install_text import install_plan_text
    from setup_manager.cli.render.runtime_text import build_text

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
        shell.note(install_plan_text(plan))
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


def install_outcome(
    shell: Shell, session: Session, result: InstallResult, *, dry_run: bool
) -> Outcome:
    """Turn an installation into a result."""
    if result.error is not None:
        return Outcome(result.document(), "", result.error)
    if dry_run:
        from setup_manager.cli.render.install_text import NOTHING_DONE, install_plan_text

        text = install_plan_text(result.plan) if result.plan else ""
        return Outcome(result.document(), f"{text}\n\n{NOTHING_DONE}")
    return Outcome(result.document(), _success_text(shell, session, result))


def _success_text(shell: Shell, session: Session, result: InstallResult) -> str:
    from setup_manager.app.start import start_commands
    from setup_manager.cli.render.install_text import install_text

    model = result.installed
    if model is None or result.plan is None:
        return ""
    registration = model.registration(result.plan.runtime.name)
    if registration is None:
        return ""
    commands = start_commands(session, model, registration, shell.program)
    return install_text(model, commands, shell.program, shell.terminal)
