"""Running a model in the foreground until somebody stops it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from setup_manager.app.requests import Run
from setup_manager.app.verbs.runtime import ChosenRuntime, choose_runtime, server_runtime
from setup_manager.app.verbs.smoke import model_files
from setup_manager.fit import Settings
from setup_manager.library import InstalledModel
from setup_manager.runtimes.base import RuntimeStatus
from setup_manager.runtimes.options import start_options
from setup_manager.runtimes.server import LoadProgress, ServerProcess
from setup_manager.session import Session
from setup_manager.smoke import SmokeEvent


@dataclass(frozen=True, kw_only=True)
class Request(Run):
    """What is served.

    Attributes:
        model: MODEL argument of an installed model.
        port: Port on 127.0.0.1, None for a free one.
    """

    model: str
    port: int | None = None


def choose_server(statuses: Sequence[RuntimeStatus], wanted: str) -> ChosenRuntime:
    """Choose what serves: of the runtimes that are started for one model.

    Raises:
        RuntimeMissingError: If there is none, or Ollama was asked for, which serves by itself.
    """
    servers = [
        replace(status, found=False, endpoint="", hint="Ollama serves by itself: `ollama run`.")
        if status.name == "ollama"
        else status
        for status in statuses
    ]
    return choose_runtime(servers, wanted)


def serve(
    session: Session,
    model: InstalledModel,
    runtime: RuntimeStatus,
    settings: Settings,
    *,
    port: int | None,
    ready: Callable[[str], None],
) -> None:
    """Run a model as a server on 127.0.0.1; returns when the server ends by itself.

    Args:
        session: What to work with.
        model: The installed model.
        runtime: What runs it.
        settings: How it is started.
        port: A fixed port, None for a free one.
        ready: Told the endpoint once it answers.

    Raises:
        SetupError: If the engine dies; its last words are in the error.
        KeyboardInterrupt: If the user stops it; the engine is ended first.
    """
    files = model_files(model, with_drafter=settings.drafter)
    launch = server_runtime(runtime).launch(files, start_options(settings))

    def loading(progress: LoadProgress) -> None:
        event = SmokeEvent("load", progress.seconds, progress.last_words)
        session.observer.smoke(event)

    with ServerProcess(launch, alias=model.name, port=port, observer=loading) as server:
        ready(server.endpoint)
        if server.wait() != 0:
            raise server.failure()
