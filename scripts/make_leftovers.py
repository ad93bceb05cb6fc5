"""Leave half a model behind with the real tools, interrupted for real.

    python -m scripts.make_leftovers FOLDER [--tool NAME] [--size 320M]

Each tool downloads a GGUF file with random weights from a loopback hub, at a pace, and is stopped
in the middle: by kill -9, by Ctrl-C, or because the connection is reset and stays refused. What
is then on disk is what `gemma-setup recover` has to deal with. Tools that are not installed are
passed over; their paths may be given by environment variables named in `TOOLS`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from setup_manager.catalog.artifact import Artifact
from setup_manager.units import format_size, parse_size
from tests.support.exchange import Answer, Request
from tests.support.faults import always, trickle
from tests.support.loopback import LoopbackHub

REPOSITORY = "loopback/gemma-4-tiny-it-GGUF"
FILE = "gemma-4-tiny-it-Q8_0.gguf"
_PACE_BYTES_PER_SECOND = 80e6
_PATIENCE_SECONDS = 60.0
_GRACE_SECONDS = 4.0


class ToolMissingError(Exception):
    """The tool is not on this machine."""


@dataclass(frozen=True)
class Job:
    """One download by one tool.

    Attributes:
        hub: The hub that it comes from.
        artifact: The file.
        folder: The tool's own, empty.
        environment: For the tool.
    """

    hub: LoopbackHub
    artifact: Artifact
    folder: Path
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where a person would take the file from."""
        artifact = self.artifact
        return f"{self.hub.endpoint}/{artifact.repository}/resolve/main/{artifact.path}"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start the tool in its folder, in a session of its own."""
        log = (self.folder.parent / f"{self.folder.name}.log").open("wb")
        with log:
            return subprocess.Popen(
                arguments,
                cwd=self.folder,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


Starter = Callable[[Job], contextlib.AbstractContextManager[subprocess.Popen[bytes]]]
_TOOLS: dict[str, Starter] = {}


def _tool(name: str) -> Callable[[Callable[[Job], Iterator[subprocess.Popen[bytes]]]], Starter]:
    def register(function: Callable[[Job], Iterator[subprocess.Popen[bytes]]]) -> Starter:
        _TOOLS[name] = contextlib.contextmanager(function)
        return _TOOLS[name]

    return register


def tools() -> tuple[str, ...]:
    """Name the tools."""
    return tuple(_TOOLS)


def _program(variable: str, *names: str) -> str:
    given = os.environ.get(variable)
    folders = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    paths = (shutil.which(name, path=folders) for name in names)
    found = given or next((path for path in paths if path), None)
    if not found or not Path(found).exists():
        raise ToolMissingError(f"{names[0]} is not installed (or name it in {variable})")
    return found


def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _hf(job: Job, program: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    artifact = job.artifact
    return _ended(
        job.start(
            program,
            "download",
            artifact.repository,
            artifact.path,
            *options,
            HF_ENDPOINT=job.hub.endpoint,
            HF_HUB_CACHE=str(job.folder),
            HF_HOME=str(job.folder.parent / "home"),
            HF_HUB_DISABLE_XET="1",
        )
    )


@_tool("hf")
def _hf_current(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    yield from _hf(job, _program("LEFTOVERS_HF", "hf"))


@_tool("hf --local-dir")
def _hf_local(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    yield from _hf(job, _program("LEFTOVERS_HF", "hf"), "--local-dir", str(job.folder))


@_tool("hf before 1.18")
def _hf_old(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    yield from _hf(job, _program("LEFTOVERS_HF_OLD", "hf-1.17"))


def _aria2(job: Job, allocation: str) -> Iterator[subprocess.Popen[bytes]]:
    options = ["-x4", "-s4", "-k1M", "-m2", "--retry-wait=1", "--no-conf", "--enable-dht=false"]
    program = _program("LEFTOVERS_ARIA2", "aria2c")
    allocate = f"--file-allocation={allocation}"
    return _ended(job.start(program, *options, allocate, "-o", FILE, job.url))


@_tool("aria2 (sparse)")
def _aria2_sparse(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    yield from _aria2(job, "none")


@_tool("aria2 (zero-filled)")
def _aria2_filled(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    yield from _aria2(job, "prealloc")


@_tool("curl")
def _curl(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    yield from _ended(job.start(_program("LEFTOVERS_CURL", "curl"), "-sSL", "-o", FILE, job.url))


@_tool("wget")
def _wget(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    program = _program("LEFTOVERS_WGET", "wget")
    yield from _ended(job.start(program, "-nv", "--tries=2", "-O", FILE, job.url))


@_tool("llama-server -hf")
def _llama(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    yield from _ended(
        job.start(
            _program("LEFTOVERS_LLAMA_SERVER", "llama-server"),
            "-hf",
            f"{job.artifact.repository}:Q8_0",
            "--no-mmproj",
            "--port",
            "0",
            HF_ENDPOINT=job.hub.endpoint,
            MODEL_ENDPOINT=job.hub.endpoint,
            HF_HUB_CACHE=str(job.folder),
            LLAMA_CACHE=str(job.folder),
        )
    )


@_tool("Chromium")
def _chromium(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    program = _program("LEFTOVERS_CHROMIUM", "chromium", "chromium-browser", "google-chrome")
    profile = job.folder.parent / f"{job.folder.name}.profile"
    (profile / "Default").mkdir(parents=True)
    preferences = {
        "download": {"default_directory": str(job.folder), "prompt_for_download": False},
        "safebrowsing": {"enabled": False},
    }
    (profile / "Default" / "Preferences").write_text(json.dumps(preferences))
    yield from _ended(
        job.start(
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            f"--user-data-dir={profile}",
            job.url,
        )
    )


@_tool("Firefox")
def _firefox(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    program = _program("LEFTOVERS_FIREFOX", "firefox", "firefox-esr")
    profile = job.folder.parent / f"{job.folder.name}.profile"
    profile.mkdir()
    preferences = {
        "browser.download.folderList": 2,
        "browser.download.dir": str(job.folder),
        "browser.download.always_ask_before_handling_new_types": False,
        "browser.shell.checkDefaultBrowser": False,
        "datareporting.policy.dataSubmissionEnabled": False,
        "app.update.enabled": False,
    }
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in preferences.items()]
    (profile / "user.js").write_text("\n".join(lines))
    yield from _ended(job.start(program, "--headless", "--profile", str(profile), job.url))


@_tool("ollama pull")
def _ollama(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    program = _program("LEFTOVERS_OLLAMA", "ollama")
    port = _free_port()
    with _registry(job) as registry:
        environment = {
            "OLLAMA_HOST": f"127.0.0.1:{port}",
            "OLLAMA_MODELS": str(job.folder),
            "HOME": str(job.folder.parent),
        }
        model = f"http://127.0.0.1:{registry}/library/tiny:latest"
        for process in _ended(job.start(program, "serve", **environment)):
            _wait_for_port(port)
            pull = job.start(program, "pull", "--insecure", model, **environment)
            try:
                yield process
            finally:
                pull.kill()
                pull.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for_port(port: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError("the Ollama server does not start")


@contextlib.contextmanager
def _registry(job: Job) -> Iterator[int]:
    """Serve one model as registry.ollama.ai does: a manifest, and blobs by redirect."""
    digest = f"sha256:{job.artifact.sha256}"
    config = json.dumps({"model_format": "gguf", "model_family": "gemma4"}).encode()
    config_digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    kind = "application/vnd.docker"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.distribution.manifest.v2+json",
        "config": {
            "mediaType": f"{kind}.container.image.v1+json",
            "digest": config_digest,
            "size": len(config),
        },
        "layers": [
            {
                "mediaType": "application/vnd.ollama.image.model",
                "digest": digest,
                "size": job.artifact.size_bytes,
            }
        ],
    }
    elsewhere = job.url.replace("127.0.0.1", "localhost")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "/manifests/" in self.path:
                self._send(200, json.dumps(manifest).encode())
            elif self.path.endswith(config_digest):
                self._send(200, config)
            elif self.path.endswith(digest):
                self.send_response(307)
                self.send_header("Location", elsewhere)
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self._send(404, b"{}")

        def do_HEAD(self) -> None:
            size = len(config) if self.path.endswith(config_digest) else job.artifact.size_bytes
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


INTERRUPTIONS = ("kill -9", "Ctrl-C", "reset")


def leave(
    tool: str,
    interruption: str,
    hub: LoopbackHub,
    artifact: Artifact,
    folder: Path,
    *,
    share: float = 0.6,
) -> None:
    """Let a tool download a file into a folder and stop it when a share of it was sent.

    Args:
        tool: One of `tools`.
        interruption: One of `INTERRUPTIONS`.
        hub: Serves the file; its faults are replaced.
        artifact: The file.
        folder: Made here; the tool's own.
        share: Of the bytes, when the tool is stopped.

    Raises:
        ToolMissingError: If the tool is not on this machine.
        TimeoutError: If nothing comes.
    """
    folder.mkdir(parents=True)
    keep = ("PATH", "LANG", "TMPDIR")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    environment |= {"HOME": str(folder.parent), "NO_PROXY": "*", "NO_COLOR": "1"}
    slow = always(trickle(_PACE_BYTES_PER_SECOND))
    enough = hub.served_bytes + share * artifact.size_bytes

    def cut(_: Request, answer: Answer) -> Answer:
        reset_after = 0 if hub.served_bytes >= enough else int((share + 0.02) * answer.body_bytes)
        return replace(answer, reset_after=reset_after, fault="connection reset")

    hub.faults = (slow, always(cut)) if interruption == "reset" else (slow,)
    with _TOOLS[tool](Job(hub, artifact, folder, environment)) as process:
        _wait_until(lambda: hub.served_bytes >= enough, process)
        if interruption == "kill -9":
            os.killpg(process.pid, signal.SIGKILL)
        elif interruption == "Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    hub.faults = ()


def _wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > until or process.poll() is not None:
            if condition():
                return
            raise TimeoutError(f"{process.args!r} brought too little (code {process.poll()})")
        time.sleep(0.01)


def main() -> None:
    """Make the leftovers that are asked for and list what is there."""
    from tests.gguf.files import write_model

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tool", choices=tools(), action="append")
    parser.add_argument("--size", default="48M", help="of the file, about")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    rows = parse_size(options.size) // (24 * 512)
    model = write_model(options.folder / FILE, rows=rows, tensors=24, tokens=4096)
    for tool in options.tool or tools():
        for interruption in INTERRUPTIONS:
            folder = options.folder / f"{tool} {interruption}".replace(" ", "-")
            with LoopbackHub({REPOSITORY: {FILE: model}}) as hub:
                artifact = hub.artifact(REPOSITORY, FILE)
                try:
                    leave(tool, interruption, hub, artifact, folder)
                except (ToolMissingError, TimeoutError) as problem:
                    print(f"{tool}, {interruption}: {problem}")
                    continue
            print(f"{tool}, {interruption}:")
            _list(folder)


def _list(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        status = path.stat()
        if path.is_file() and status.st_size > 0:
            there = format_size(status.st_blocks * 512)
            print(f"    {path.relative_to(folder)}  {status.st_size} bytes, {there} on disk")


if __name__ == "__main__":
    main()
