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
from setup_manager.errors import SetupError, UsageError

if TYPE_CHECKING:
    from setup_manager.app import install, runtime


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
    from setup_manager.app import install
    from setup_manager.cli.plans import request_of
    from setup_manager.cli.render.install_text import (
        NOTHING_DONE,
        install_plan_text,
        install_text,
    )
    from setup_manager.cli.render.runtime_text import build_text

    refuse_other_machine(planning)
    session = shell.open_session(storage, downloading)
    way = {"ollama_link": ollama_link, "pull": pull, "name": name}
    request = request_of(install.Request, planning, files, model=model, **way)

    def offer(build: runtime.Plan) -> bool:
        shell.note(f"Nothing here can run Gemma 4 yet. The official build: {build_text(build)}.")
        return writing.yes or (shell.terminal.can_ask and shell.confirm("Install it?"))

    plan = install.plan(session, request, None if writing.dry_run else offer)
    if writing.dry_run:
        text = f"{install_plan_text(plan)}\n\n{NOTHING_DONE}"
        return Outcome(plan.unstarted.document(), text)
    shell.note(install_plan_text(plan))
    if not writing.yes:
        _confirm(shell, plan)
    result = install.run(session, plan)
    return Outcome(result.document(), install_text(result, shell.program, shell.terminal))


def _confirm(shell: Shell, plan: install.Plan) -> None:
    """Ask whether to go on with a plan; an error has what was done so far.

    Raises:
        SetupError: If the answer is no, or nobody can be asked.
    """
    try:
        accepted = ask_to_go_on(shell)
    except SetupError as error:
        error.partial = plan.progress
        raise
    if not accepted:
        refused = SetupError(
            "Nothing was installed.",
            code="declined",
            hint="Run the same command again, or name another MODEL.",
        )
        refused.partial = plan.progress
        raise refused


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
