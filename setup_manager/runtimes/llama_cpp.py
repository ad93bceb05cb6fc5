"""llama.cpp: finding llama-server, judging what it can do, giving it models, starting it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from setup_manager.errors import RegistrationFailedError
from setup_manager.fit import Settings
from setup_manager.library import InstalledModel, Registration
from setup_manager.runtimes.base import (
    ModelFiles,
    Observer,
    Opening,
    RegisterOptions,
    Runtime,
    files_of,
)
from setup_manager.runtimes.options import DRAFTER_TYPE, StartOptions, server_arguments
from setup_manager.runtimes.presets import Preset, Presets, preset_name, router_command
from setup_manager.runtimes.releases import PROGRAM
from setup_manager.runtimes.server import HOST, USUAL_PORT, Launch, ServerProcess
from setup_manager.runtimes.status import RuntimeStatus
from setup_manager.units import MIB

if TYPE_CHECKING:
    from setup_manager.runtimes.llama_builds import LlamaBuilds

NAME = "llama.cpp"
USUAL_FOLDERS = (
    "/opt/homebrew/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/usr/local/bin",
    "/usr/bin",
    "~/.local/bin",
    "~/llama.cpp/build/bin",
    "~/.docker/bin/inference",
)
UPDATE_HINT = "Get a current build with `gemma-setup runtime install llama.cpp`."
# A server without these cannot be started in the way that this package starts one.
_NEEDED_FLAGS = frozenset({"model", "ctx-size", "parallel", "cache-type-k", "alias", "jinja"})
_VERSION = re.compile(r"version:\s*(\S+)(?:\s*\(([^)]*)\))?")
_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]+)")
_PROBE_SECONDS = 20.0
_ARCHITECTURE = b"gemma4"
_BLOCK_BYTES = MIB


class LlamaCpp(Runtime):
    """llama-server: started for one model, or as a router over a preset file of ours."""

    name = NAME
    title = "llama.cpp"
    program_bytes = 140 * MIB
    installable = True
    reason = "it reads the downloaded file directly, without a second copy"

    @classmethod
    def how_to_get(cls) -> str:
        """Return what installs it."""
        return "Run `gemma-setup runtime install llama.cpp`."

    @property
    def builds(self) -> LlamaBuilds:
        """The official builds that this tool installed."""
        from setup_manager.runtimes.llama_builds import LlamaBuilds

        return LlamaBuilds(self.at.paths.data.path / "llama.cpp" / "builds", inspect)

    @property
    def presets(self) -> Presets:
        """The preset file for llama-server's router mode."""
        return Presets(self.at.paths.data.path / "llama.cpp" / "presets.ini")

    def find(self) -> RuntimeStatus:
        """Look on PATH, among the builds of this tool, and in the usual folders."""
        home = self.at.home or Path("/")
        installed = self.builds.program_folders()
        return find(self.at.environment.get("PATH", ""), home, installed)

    def register(
        self,
        model: InstalledModel,
        status: RuntimeStatus,
        settings: Settings,
        options: RegisterOptions,
        observer: Observer,
        *,
        exact: bool,
    ) -> Registration:
        """Write a section of the preset file; llama.cpp knows the hub cache itself already."""
        del options, observer, exact
        started = StartOptions.of(settings)
        files, name = files_of(model, started), self._section(model)
        made = Registration(NAME, name, self._details(model, status))
        if model.registration(NAME, name) is None and name in self.presets.names():
            raise RegistrationFailedError(
                f"The preset file has a section {name} that this tool did not write.",
                context=(str(self.presets.path),),
                hint="Rename that section, or remove it.",
            )
        self.at.inventory.update(model, lambda kept: kept.with_registration(made))
        self.presets.put(Preset(name, files, started), help_flags(Path(status.path)))
        return made

    def _details(self, model: InstalledModel, status: RuntimeStatus) -> dict[str, Any]:
        in_cache = self.at.paths.models is None and self.at.layout.leads_to(model.weights.artifact)
        return {
            "preset_file": str(self.presets.path),
            "program": status.path,
            "hub_cache": in_cache,
        }

    def _section(self, model: InstalledModel) -> str:
        """Name a model's section; two repositories of one name are told apart by their owners."""
        name = preset_name(model.variant, model.repository, model.quantization)
        others = (other for other in self.at.inventory.models() if other.name != model.name)
        if any(other.registration(NAME, name) for other in others):
            return preset_name(None, model.repository.replace("/", "-"), model.quantization)
        return name

    def unregister(self, registration: Registration) -> bool:
        """Take the section out."""
        return self.presets.remove(registration.name)

    def start_line(self, registration: Registration, model: str, program: str) -> str:
        """Return the command that serves every registered model."""
        del model, program
        server = str(registration.details.get("program", PROGRAM))
        return f"{router_command(server, self.presets.path)} --port {USUAL_PORT}"

    def endpoint_of(self, registration: Registration) -> str:
        """Return the address of the router."""
        del registration
        return f"http://{HOST}:{USUAL_PORT}"

    def open(
        self,
        model: InstalledModel,
        status: RuntimeStatus,
        options: StartOptions,
        opening: Opening,
    ) -> ServerProcess:
        """Prepare a llama-server for the model."""
        program = Path(status.path)
        launch = server_launch(program, help_flags(program), files_of(model, options), options)
        return ServerProcess(launch, opening)


def server_launch(
    program: Path, flags: frozenset[str], files: ModelFiles, options: StartOptions
) -> Launch:
    """Say how to start a server child.

    Args:
        program: The executable.
        flags: Long flags that its ``--help`` names, without dashes.
        files: What is loaded.
        options: How.
    """
    argv = [str(program), "--model", str(files.weights)]
    argv += server_arguments(options, flags)
    if files.projector is not None:
        argv += ["--mmproj", str(files.projector)]
    if files.drafter is not None:
        argv += ["--model-draft", str(files.drafter), "--spec-type", DRAFTER_TYPE]
    if "cors-origins" in flags:
        # By default any web page in a browser here could talk to the server.
        argv += ["--cors-origins", "localhost"]
    return Launch(NAME, tuple(argv), UPDATE_HINT)


def candidates(search_path: str, home: Path, installed: Iterable[Path] = ()) -> list[Path]:
    """List the llama-server binaries of this machine, the preferred one first.

    Args:
        search_path: Value of ``PATH``.
        home: The user's home.
        installed: Folders of builds that this tool installed, newest first.
    """
    usual = [Path(folder.replace("~", str(home), 1)) for folder in USUAL_FOLDERS]
    on_path = shutil.which(PROGRAM, path=search_path)
    found = [Path(on_path)] if on_path else []
    found += [folder / PROGRAM for folder in (*installed, *usual)]
    usable = [path for path in found if path.is_file() and os.access(path, os.X_OK)]
    return list(dict.fromkeys(usable))


def find(search_path: str, home: Path, installed: Iterable[Path] = ()) -> RuntimeStatus:
    """Look for a llama-server that can run Gemma 4.

    Of several the first that can is taken; a capable build in a usual folder is better than an old
    one on PATH.

    Args:
        search_path: Value of ``PATH``.
        home: The user's home.
        installed: Folders of builds that this tool installed, newest first.
    """
    statuses = [inspect(program) for program in candidates(search_path, home, installed)]
    if not statuses:
        return RuntimeStatus(
            NAME, found=False, detail="llama-server is not on PATH", hint=UPDATE_HINT
        )
    return next((status for status in statuses if status.gemma4), statuses[0])


def inspect(program: Path) -> RuntimeStatus:
    """Judge one llama-server by what it says of itself and by what it contains."""
    said = _run(program, "--version")
    if said is None:
        return RuntimeStatus(
            NAME,
            found=True,
            gemma4=False,
            path=str(program),
            detail="found, but it cannot be run",
            hint=UPDATE_HINT,
        )
    missing = _NEEDED_FLAGS - help_flags(program)
    knows = knows_gemma4(program)
    detail = ""
    if not knows:
        detail = "too old: it does not know the architecture gemma4"
    elif missing:
        detail = f"too old: it lacks --{', --'.join(sorted(missing))}"
    return RuntimeStatus(
        NAME,
        found=True,
        version=parse_version(said),
        gemma4=knows and not missing,
        path=str(program),
        detail=detail or "llama-server",
        hint=UPDATE_HINT if detail else "",
    )


def parse_version(text: str) -> str:
    """Read the answer to ``--version``.

    Returns:
        ``"b8639"`` for a numbered build, ``"0.6.0-dev"`` where there is none
        (``version: 0.6.0-dev (build 0, commit unknown)``), ``""`` for anything else.
    """
    match = _VERSION.search(text)
    if match is None:
        return ""
    build = re.search(r"build (\d+)", match[2] or "")
    if build and int(build[1]) > 0:
        return f"b{build[1]}"
    return f"b{match[1]}" if match[1].isdecimal() and int(match[1]) > 0 else match[1]


def knows_gemma4(program: Path) -> bool:
    """Say whether a binary, or one of the llama libraries that it loads, contains the name."""
    real = program.resolve()
    folders = (real.parent, real.parent.parent / "lib", real.parent.parent / "lib64")
    libraries = [
        path
        for folder in folders
        for pattern in ("libllama*.so*", "libllama*.dylib", "llama*.dll")
        for path in sorted(folder.glob(pattern))
    ]
    return any(names_gemma4(path) for path in (real, *libraries))


def names_gemma4(path: Path) -> bool:
    """Say whether a binary contains the architecture's name; False if it cannot be read.

    Build numbers may be missing or made up. Compilers fold a name of six letters into instructions,
    so it need not stand alone as a string; but run-time type names (``llama_model_gemma4``, earlier
    ``llm_build_gemma4_iswa``) and longer strings contain it, and nothing was called so before the
    architecture was known.
    """
    try:
        with path.open("rb") as source:
            overlap = b""
            while block := source.read(_BLOCK_BYTES):
                if _ARCHITECTURE in overlap + block:
                    return True
                overlap = block[-(len(_ARCHITECTURE) - 1) :]
    except OSError:
        return False
    return False


@lru_cache(maxsize=16)
def help_flags(program: Path) -> frozenset[str]:
    """Return the long flags that ``--help`` names; empty if it cannot be asked."""
    return frozenset(_FLAG.findall(_run(program, "--help") or ""))


def _run(program: Path, argument: str) -> str | None:
    """Run the binary with one argument; None if that fails or hangs."""
    try:
        answer = subprocess.run(
            [str(program), argument],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode != 0:
        return None
    return (answer.stdout + answer.stderr).decode("utf-8", "replace")
