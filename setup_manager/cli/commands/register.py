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
    from setup_manager.app.planning import installed_settings
    from setup_manager.app.start import start_commands
    from setup_manager.app.verbs.register import OllamaWay, register
    from setup_manager.app.verbs.runtime import choose_runtime, find_runtimes
    from setup_manager.cli.commands.install import refuse_other_machine
    from setup_manager.cli.models import installed_subject
    from setup_manager.cli.plans import planning_of, wanted_of

    refuse_other_machine(planning)
    session = shell.open_session(storage)
    installed, subject = installed_subject(session, model, wanted_of(files))
    chosen = choose_runtime(find_runtimes(session), planning.runtime)
    asked = planning_of(planning, files)
    settings = installed_settings(session, subject, asked, chosen.name)
    if writing.dry_run:
        text = f"{installed.name} would be registered with {chosen.name}: {chosen.reason}."
        return Outcome({"model": installed.name, "runtime": chosen.name}, text)
    way = OllamaWay(ollama_link, pull, name)
    exact = asked.context is not None
    result = register(session, installed, chosen.status, settings, way, exact=exact)
    commands = start_commands(session, result.model, result.registration, shell.program)
    known = "knew it already" if result.already else "knows it now"
    return Outcome(
        {**result.document(), "start": commands.start, "ask": commands.ask},
        f"{chosen.name} {known} as {result.registration.name}. To start it:\n  {commands.start}",
    )
