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
    from setup_manager.app import serve
    from setup_manager.cli.commands.install import refuse_other_machine
    from setup_manager.cli.plans import request_of

    refuse_other_machine(planning)
    session = shell.open_session(storage)
    plan = serve.plan(session, request_of(serve.Request, planning, files, model=model, port=port))
    name, chosen = plan.launch.model.name, plan.launch.runtime

    def ready(endpoint: str) -> None:
        shell.note(
            f"{name} is ready at {endpoint} ({chosen.name}; {chosen.reason}).\n"
            f"Ask it from another terminal; Ctrl-C here ends it.\n"
            f"  {serve.ask_command(endpoint, name)}"
        )

    shell.note(f"Loading {name} ...")
    result = serve.run(session, plan, ready)
    return Outcome(result.document(), "The server has ended.")
