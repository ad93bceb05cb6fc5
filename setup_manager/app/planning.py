"""Settings for a run: what was asked for, and what is left to choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from setup_manager.app.installed import find_installed
from setup_manager.app.requests import Run, settings_for
from setup_manager.app.verbs.runtime import ChosenRuntime, choose_runtime, find_runtimes
from setup_manager.fit import Settings
from setup_manager.library import InstalledModel
from setup_manager.runtimes import RuntimeStatus
from setup_manager.session import Session, Subject


@dataclass(frozen=True, slots=True)
class Launch:
    """An installed model, and how it is started.

    Attributes:
        model: The model.
        subject: What the catalogue knows of it, None where it knows nothing.
        runtime: What will run it.
        settings: How.
    """

    model: InstalledModel
    subject: Subject | None
    runtime: ChosenRuntime
    settings: Settings


def plan_launch(
    session: Session,
    text: str,
    asked: Run,
    choose: Callable[[Sequence[RuntimeStatus], str, str | None], ChosenRuntime] = choose_runtime,
) -> Launch:
    """Say how an installed model is started.

    Args:
        session: What to work with.
        text: MODEL argument.
        asked: What was asked for.
        choose: Chooses what runs it.

    Raises:
        UsageError: If the model is not installed, or a number is out of range for it.
        RuntimeMissingError: If nothing here can run it.
    """
    model, subject = find_installed(session, text, asked)
    runtime = choose(find_runtimes(session), asked.runtime, model.variant)
    if subject is None:
        return Launch(model, None, runtime, asked.settings(runtime.name))
    settings = settings_for(subject, asked, session.machine, runtime.name)
    return Launch(model, subject, runtime, settings)
