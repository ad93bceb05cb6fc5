"""The fake llama-server, placed in a folder and told how to fail."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from setup_manager.runtimes.base import Launch, ModelFiles
from setup_manager.runtimes.llama_cpp import LlamaServer
from setup_manager.runtimes.options import StartOptions

_SOURCE = Path(__file__).with_name("fake_llama_server.py")


class FakeServer:
    """A runtime whose server is the fake one."""

    def __init__(self, folder: Path, way: str) -> None:
        self.folder = folder
        self.program = folder / "llama-server"
        shutil.copyfile(_SOURCE, self.program)
        self.program.chmod(0o755)
        (folder / "way").write_text(way)

    @property
    def name(self) -> str:
        return "llama.cpp"

    def launch(self, files: ModelFiles, options: StartOptions) -> Launch:
        real = LlamaServer(self.program).launch(files, options)
        return Launch(real.name, (sys.executable, "-I", "-S", *real.argv))

    @property
    def starts(self) -> list[list[str]]:
        """The arguments of every start."""
        path = self.folder / "starts"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
