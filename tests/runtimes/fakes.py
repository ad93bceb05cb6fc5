"""The fake llama-server, placed in a folder and told how to fail."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from setup_manager.library.inventory import InstalledModel
from setup_manager.runtimes.base import ModelFiles, Opening, files_of
from setup_manager.runtimes.llama_cpp import LlamaCpp, server_launch
from setup_manager.runtimes.options import StartOptions
from setup_manager.runtimes.server import Launch, ServerProcess
from setup_manager.runtimes.status import RuntimeStatus
from tests.runtimes.archives import FAKE_SERVER
from tests.runtimes.installed import Place

_SOURCE = Path(__file__).with_name("fake_llama_server.py")


def fake_on_path(folder: Path) -> Path:
    """Put the fake server into a folder for PATH, as a program that says the right of itself."""
    folder.mkdir(parents=True)
    source = folder / "fake_llama_server.py"
    shutil.copyfile(_SOURCE, source)
    (folder / "way").write_text("fine")
    serve = f'*) exec {sys.executable} -I -S {source} "$@" ;;\nesac'
    program = folder / "llama-server"
    program.write_text(FAKE_SERVER.replace("esac", serve))
    program.chmod(0o755)
    return folder


class FakeServer(LlamaCpp):
    """A runtime whose server is the fake one."""

    def __init__(self, folder: Path, way: str) -> None:
        super().__init__(Place(folder))
        self.folder = folder
        self.program = folder / "llama-server"
        shutil.copyfile(_SOURCE, self.program)
        self.program.chmod(0o755)
        (folder / "way").write_text(way)

    def find(self) -> RuntimeStatus:
        return RuntimeStatus(self.name, found=True, gemma4=True, path=str(self.program))

    def launch(self, files: ModelFiles, options: StartOptions) -> Launch:
        real = server_launch(self.program, frozenset(), files, options)
        return replace(real, argv=(sys.executable, "-I", "-S", *real.argv))

    def open(
        self,
        model: InstalledModel,
        status: RuntimeStatus,
        options: StartOptions,
        opening: Opening,
    ) -> ServerProcess:
        return ServerProcess(self.launch(files_of(model, options), options), opening)

    @property
    def starts(self) -> list[list[str]]:
        """The arguments of every start."""
        path = self.folder / "starts"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
