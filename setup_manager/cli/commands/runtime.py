"""`gemma-setup runtime`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import WRITING, Option
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell

if TYPE_CHECKING:
    from setup_manager.session import Session


@gemma_command(
    "runtime",
    click.Argument(["action"], type=click.Choice(["install", "remove", "list"])),
    click.Argument(["name"], type=click.Choice(["llama.cpp"]), required=False, default="llama.cpp"),
    Option("--backend", help="cpu, vulkan, cuda or metal (default: what suits this machine)."),
    Option("--build", help="Build to remove (default: the one in use)."),
    *WRITING,
    "connections",
    "limit_rate",
    "no_wait",
    "gentle",
    examples=(
        "gemma-setup runtime install llama.cpp",
        "gemma-setup runtime remove llama.cpp",
        "gemma-setup runtime list",
    ),
)
def command(
    shell: Shell, action: str, name: str, backend: str | None, build: str | None
) -> Outcome:
    """Install or remove the official build of llama.cpp for this machine."""
    del name  # the only one there is
    if action == "list":
        return _list(shell.session)
    if action == "remove":
        return _remove(shell, build)
    return _install(shell, backend)


def _install(shell: Shell, backend: str | None) -> Outcome:
    from setup_manager.app import runtime
    from setup_manager.cli.render.install_text import NOTHING_DONE
    from setup_manager.cli.render.runtime_text import build_text

    session = shell.session
    plan = runtime.plan(session, runtime.Request(backend=backend))
    words = build_text(plan)
    if shell.dry_run:
        return Outcome(plan.document(), f"{words}\n{NOTHING_DONE}")
    shell.note(words)
    shell.require_consent("Install it?")
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


def _remove(shell: Shell, build: str | None) -> Outcome:
    from setup_manager.app import runtime

    session = shell.session
    chosen = runtime.plan_removal(session, runtime.RemovalRequest(build=build))
    data = {"build": chosen.name}
    words = f"will delete: {chosen.program.parent}"
    if shell.dry_run:
        return Outcome(data, words)
    shell.note(words)
    shell.require_consent("Remove it?", default=False)
    runtime.remove_build(session, chosen)
    return Outcome(data, f"{chosen.name} removed.")
