"""`gemma-setup register`."""

from __future__ import annotations

from setup_manager.cli.options import (
    ModelOptions,
    PlanningOptions,
    StorageOptions,
    WritingOptions,
    gemma_command,
    model_argument,
    ollama_options,
)
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "register",
    WritingOptions,
    StorageOptions,
    PlanningOptions,
    ModelOptions,
    examples=(
        "gemma-setup register e4b",
        "gemma-setup register e4b --runtime ollama",
        "gemma-setup register e4b --runtime llama.cpp --context 32768",
    ),
)
@model_argument(installed=True)
@ollama_options
def command(
    shell: Shell,
    writing: WritingOptions,
    storage: StorageOptions,
    planning: PlanningOptions,
    files: ModelOptions,
    model: str,
    *,
    ollama_link: bool,
    pull: bool,
    name: str | None,
) -> Outcome:
    """Make --runtime know MODEL, which was downloaded before."""
    from setup_manager.app import register
    from setup_manager.cli.commands.install import refuse_other_machine
    from setup_manager.cli.plans import request_of

    refuse_other_machine(planning)
    session = shell.open_session(storage)
    way = {"ollama_link": ollama_link, "pull": pull, "name": name}
    request = request_of(register.Request, planning, files, model=model, **way)
    plan = register.plan(session, request)
    chosen = plan.launch.runtime
    if writing.dry_run:
        model_name = plan.launch.model.name
        text = f"{model_name} would be registered with {chosen.name}: {chosen.reason}."
        return Outcome(plan.document(), text)
    result = register.run(session, plan)
    known = "knew it already" if result.already else "knows it now"
    return Outcome(
        result.document(),
        f"{chosen.name} {known} as {result.registration.name}. To start it:\n"
        f"  {result.commands.start}",
    )
