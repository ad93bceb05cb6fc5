"""`gemma-setup install`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import INTO_OLLAMA, RUN, TRANSFER, WRITING, model_argument
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell
from setup_manager.errors import SetupError

if TYPE_CHECKING:
    from setup_manager.app import install, runtime


@gemma_command(
    "install",
    model_argument(required=False),
    "prefer",
    *RUN,
    *WRITING,
    "latest",
    *TRANSFER,
    "no_recover",
    *INTO_OLLAMA,
    "models_dir",
    "catalog",
    examples=(
        "gemma-setup install",
        "gemma-setup install e4b --yes",
        "gemma-setup install 12b:UD-Q5_K_XL --runtime ollama",
        "gemma-setup install --prefer speed --dry-run",
    ),
)
def command(shell: Shell, **asked: Any) -> Outcome:
    """Check, choose, download, register and test a model.

    Without MODEL, the best one for this machine. Run the same command again after any
    interruption; it continues where it stopped.
    """
    from setup_manager.app import install
    from setup_manager.cli.render.install_text import NOTHING_DONE, install_plan_text, install_text
    from setup_manager.cli.render.runtime_text import build_text

    def offer(build: runtime.Plan) -> bool:
        shell.note(f"Nothing here can run Gemma 4 yet. The official build: {build_text(build)}.")
        return shell.offer("Install it?")

    session = shell.session
    plan = install.plan(session, install.Request(**asked), None if shell.dry_run else offer)
    text = install_plan_text(plan)
    if shell.dry_run:
        return Outcome(plan.unstarted.document(), f"{text}\n\n{NOTHING_DONE}")
    shell.note(text)
    _confirm(shell, plan)
    result = install.run(session, plan)
    return Outcome(result.document(), install_text(result, shell.program, shell.terminal))


def _confirm(shell: Shell, plan: install.Plan) -> None:
    """Ask whether to carry out a plan; the error has what was done so far."""
    try:
        shell.require_consent()
    except SetupError as error:
        error.partial = plan.progress
        raise
