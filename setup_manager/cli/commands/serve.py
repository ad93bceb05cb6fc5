"""`gemma-setup serve`."""

from __future__ import annotations

import click

from setup_manager.cli.options import (
    ModelOptions,
    PlanningOptions,
    StorageOptions,
    gemma_command,
    model_argument,
)
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "serve",
    StorageOptions,
    PlanningOptions,
    ModelOptions,
    examples=("gemma-setup serve e4b", "gemma-setup serve e4b --port 8080 --context 16384"),
)
@model_argument(installed=True)
@click.option("--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1 (a free one).")
def command(
    shell: Shell,
    storage: StorageOptions,
    planning: PlanningOptions,
    files: ModelOptions,
    model: str,
    port: int | None,
) -> Outcome:
    """Run MODEL in the foreground as an OpenAI-compatible server on 127.0.0.1.

    Ctrl-C ends it.
    """
    from setup_manager.app.planning import installed_settings
    from setup_manager.app.start import ask_command
    from setup_manager.app.verbs.runtime import find_runtimes
    from setup_manager.app.verbs.serve import choose_server, serve
    from setup_manager.cli.commands.install import refuse_other_machine
    from setup_manager.cli.models import installed_subject
    from setup_manager.cli.plans import planning_of, wanted_of

    refuse_other_machine(planning)
    session = shell.open_session(storage)
    installed, subject = installed_subject(session, model, wanted_of(files))
    chosen = choose_server(find_runtimes(session), planning.runtime)
    settings = installed_settings(session, subject, planning_of(planning, files), chosen.name)

    def ready(endpoint: str) -> None:
        shell.note(
            f"{installed.name} is ready at {endpoint} ({chosen.name}; {chosen.reason}).\n"
            f"Ask it from another terminal; Ctrl-C here ends it.\n"
            f"  {ask_command(endpoint, installed.name)}"
        )

    shell.note(f"Loading {installed.name} ...")
    serve(session, installed, chosen.status, settings, port=port, ready=ready)
    return Outcome({"model": installed.name}, "The server has ended.")
