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
from setup_manager.errors import UsageError

if TYPE_CHECKING:
    from setup_manager.runtimes.llama_builds import InstalledBuild, LlamaBuilds


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
        return _list(session.builds.installed())
    if action == "remove":
        return _remove(shell, writing, session.builds, build_name)
    from setup_manager.app.verbs.runtime import install_build, offered_build
    from setup_manager.cli.render.install_text import NOTHING_DONE
    from setup_manager.cli.render.runtime_text import build_text

    build = offered_build(session, backend)
    data = {"build": build.name, "bytes": build.size_bytes}
    words = build_text(build)
    if writing.dry_run:
        return Outcome(data, f"{words}\n{NOTHING_DONE}")
    shell.note(words)
    if not writing.yes and not ask_to_go_on(shell):
        raise declined()
    installed, status = install_build(session, build)
    data |= {"program": str(installed.program), "version": status.version}
    return Outcome(data, f"llama.cpp {status.version} is installed:\n{installed.program}")


def _list(builds: tuple[InstalledBuild, ...]) -> Outcome:
    from setup_manager.cli.render.runtime_text import builds_text

    data = {
        "builds": [
            {"name": build.name, "program": str(build.program), "current": build.current}
            for build in builds
        ]
    }
    return Outcome(data, builds_text(builds))


def _remove(
    shell: Shell, writing: WritingOptions, builds: LlamaBuilds, name: str | None
) -> Outcome:
    installed = builds.installed()
    chosen = next((b for b in installed if (b.current if name is None else b.name == name)), None)
    if chosen is None:
        raise UsageError(
            "No such build of llama.cpp was installed by gemma-setup.",
            code="not-installed",
            context=[f"installed: {', '.join(b.name for b in installed) or 'none'}"],
            hint="`gemma-setup runtime list` shows them.",
        )
    data = {"build": chosen.name}
    if writing.dry_run:
        return Outcome(data, f"will delete: {chosen.program.parent}")
    if not writing.yes and not ask_to_go_on(shell):
        raise declined()
    builds.remove(chosen.name)
    return Outcome(data, f"{chosen.name} removed.")
