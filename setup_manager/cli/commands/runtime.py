"""`gemma-setup runtime`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from setup_manager.cli.options import (
    DownloadingOptions,
    StorageOptions,
    WritingOptions,
    gemma_command,
)
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.questions import ask_to_go_on, declined
from setup_manager.cli.shell import Shell

if TYPE_CHECKING:
    from setup_manager.session import Session


@gemma_command(
    "runtime",
    WritingOptions,
    StorageOptions,
    DownloadingOptions,
    examples=(
        "gemma-setup runtime install llama.cpp",
        "gemma-setup runtime remove llama.cpp",
        "gemma-setup runtime list",
    ),
)
@click.argument("action", type=click.Choice(["install", "remove", "list"]))
@click.argument("name", type=click.Choice(["llama.cpp"]), required=False, default="llama.cpp")
@click.option("--backend", help="cpu, vulkan, cuda or metal (default: what fits the machine).")
@click.option("--build", "build_name", help="Which build to remove (default: the one in use).")
def command(
    shell: Shell,
    writing: WritingOptions,
    storage: StorageOptions,
    downloading: DownloadingOptions,
    action: str,
    name: str,
    backend: str | None,
    build_name: str | None,
) -> Outcome:
    """Install or remove the official release build of llama.cpp for this machine."""
    del name  # the only one there is
    session = shell.open_session(storage, downloading)
    if action == "list":
        return _list(session)
    if action == "remove":
        return _remove(shell, writing, session, build_name)
    from setup_manager.app import runtime
    from setup_manager.cli.render.install_text import NOTHING_DONE
    from setup_manager.cli.render.runtime_text import build_text

    plan = runtime.plan(session, runtime.Request(backend=backend))
    words = build_text(plan)
    if writing.dry_run:
        return Outcome(plan.document(), f"{words}\n{NOTHING_DONE}")
    shell.note(words)
    if not writing.yes and not ask_to_go_on(shell):
        raise declined()
    result = runtime.run(session, plan)
    return Outcome(result.document(), f"llama.cpp {result.version} is installed:\n{result.program}")


def _list(session: Session) -> Outcome:
    from setup_manager.app import runtime
    from setup_manager.cli.render.runtime_text import builds_text

    builds = runtime.installed_builds(session)
    data = {
        "builds": [
            {"name": build.name, "program": str(build.program), "current": build.current}
            for build in builds
        ]
    }
    return Outcome(data, builds_text(builds))


def _remove(shell: Shell, writing: WritingOptions, session: Session, name: str | None) -> Outcome:
    from setup_manager.app import runtime

    chosen = runtime.plan_removal(session, runtime.RemovalRequest(build=name))
    data = {"build": chosen.name}
    if writing.dry_run:
        return Outcome(data, f"will delete: {chosen.program.parent}")
    if not writing.yes and not ask_to_go_on(shell):
        raise declined()
    runtime.remove_build(session, chosen)
    return Outcome(data, f"{chosen.name} removed.")
