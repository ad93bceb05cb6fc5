"""Play the same faults to this program and to hf, aria2c, curl and wget; print what happened.

    python scripts/peers_under_faults.py [--size 64MiB] [--limit 40] [--rows 'kill|stall']

A loopback hub (real HTTP, file content from a second host by signed URLs) serves one file. Every
cell is one run of a tool as its user would start it, in an empty folder, with a hub of its own:
what lies under the final name (hashed here), the exit code, MiB that were served and seconds. After
an interruption it is the second run of the same command that is told about, and only what was
served in it. A tool that is not installed has an empty column; so have rows that cannot be played
here (a full disk needs root on Linux). What does not end within the limit is killed, and so noted.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, model_path
from setup_manager.units import MIB, parse_size
from tests.cli.hub import catalog_file
from tests.support import faults
from tests.support.exchange import Answer, Fault, Request
from tests.support.loopback import Access, LoopbackHub, expired_answer

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "hf_loopback"  # noqa: S105 - opens nothing but the loopback hub
PACE = 8 * MIB
"""Bytes a second on each connection where a run has to be caught half-way."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A way to download.

    Attributes:
        name: Column heading.
        program: Executable, or None where it is not installed.
        version_arguments: Make it tell its version.
        command: What to run, given the play.
        subfolder: Where it puts the file within the folder that it is told.
    """

    name: str
    program: str | None
    version_arguments: tuple[str, ...]
    command: Callable[[Play], list[str]]
    subfolder: str = ""


@dataclass(slots=True)
class Play:
    """One tool before one hub, with a folder for each to itself.

    Attributes:
        tool: Who is tried.
        hub: With the file, and the faults of the row.
        home: The tool's home folder.
        folder: Where the tool is told to put the file.
        digest: SHA-256 that the file has when the play begins.
        limit_seconds: When a run is ended.
        token: Whether the tool is given the token.
    """

    tool: Tool
    hub: LoopbackHub
    home: Path
    folder: Path
    digest: str
    limit_seconds: float
    token: bool = False

    @property
    def target(self) -> Path:
        """The final name."""
        return self.folder / self.tool.subfolder / FILE_NAME

    @property
    def url(self) -> str:
        """Where the hub has the newest version of the file."""
        return f"{self.hub.endpoint}/{REPOSITORY}/resolve/main/{FILE_NAME}"

    @property
    def half(self) -> int:
        """Half of the file, in bytes."""
        return self.hub.artifact(REPOSITORY, FILE_NAME).size_bytes // 2

    def start(self) -> subprocess.Popen[bytes]:
        """Start the tool in a process group of its own."""
        with (self.home / "log").open("ab") as log:
            return subprocess.Popen(
                self.tool.command(self),
                env=_environment(self),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, process: subprocess.Popen[bytes], seconds: float | None = None) -> str:
        """Wait for the end and return the exit code; kill what does not end in time."""
        limit = self.limit_seconds if seconds is None else seconds
        try:
            return f"code {process.wait(limit)}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"**hangs** (killed after {limit:.0f} s)"

    def run(self) -> str:
        """Run the tool to its end and tell what came of it."""
        served, began = self.hub.served_bytes, time.monotonic()
        code = self.wait(self.start())
        return self.told(code, served, time.monotonic() - began)

    def told(self, code: str, served_before: int, seconds: float) -> str:
        """Put a cell together."""
        served = (self.hub.served_bytes - served_before) / MIB
        return f"{self.verdict()}, {code}, {served:.0f} MiB, {seconds:.0f} s"

    def verdict(self) -> str:
        """Say what lies under the final name."""
        if not self.target.is_file():
            return "no file"
        digest = _sha256(self.target)
        if digest == self.digest:
            return "right"
        if digest == self.hub.artifact(REPOSITORY, FILE_NAME).sha256:
            return "new version, whole"
        short = self.target.stat().st_size < 2 * self.half
        return "**short file**" if short else "**wrong bytes**"

    def wait_for_half(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until half of the file was served; False if the tool ended before."""
        deadline = time.monotonic() + self.limit_seconds
        while self.hub.served_bytes < self.half and time.monotonic() < deadline:
            if process.poll() is not None:
                return False
            time.sleep(0.005)
        return process.poll() is None

    def interrupt(self, number: signal.Signals) -> str:
        """Run until half has been served, then send a signal; tell how the tool ended."""
        self.hub.faults = (faults.always(faults.trickle(PACE)),)
        process = self.start()
        if not self.wait_for_half(process):
            return f"never got to half ({self.wait(process)})"
        os.killpg(process.pid, number)
        code = self.wait(process, 15)
        self.hub.faults = ()
        return code


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _environment(play: Play) -> dict[str, str]:
    """Leave out the developer's own settings and whatever would lead away from loopback."""
    prefixes = ("HF_", "HUGGING", "XDG_", "GEMMA_SETUP_", "OLLAMA_", "CURL_", "WGETRC")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(prefixes) and not name.lower().endswith("_proxy")
    }
    own = {
        "HOME": str(play.home),
        "PYTHONPATH": str(ROOT),
        "HF_ENDPOINT": play.hub.endpoint,
        "HF_HOME": str(play.home / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "OLLAMA_HOST": "127.0.0.1:9",
        "GEMMA_SETUP_CATALOG": str(play.home / "catalog.json"),
    }
    return kept | own | ({"HF_TOKEN": TOKEN} if play.token else {})


def _ours(play: Play) -> list[str]:
    folder = str(play.folder)
    command = [sys.executable, "-m", "setup_manager", "download", VARIANT]
    return [*command, "--models-dir", folder, "--no-progress", "--no-input"]


def _hf(play: Play) -> list[str]:
    folder = str(play.folder)
    return [str(play.tool.program), "download", REPOSITORY, FILE_NAME, "--local-dir", folder]


def _aria2(play: Play) -> list[str]:
    place = ["-d", str(play.folder), "-o", play.target.name]
    checksum = f"--checksum=sha-256={play.digest}"
    return ["aria2c", "-q", "-x4", "-c", checksum, *place, *_header(play), play.url]


def _curl(play: Play) -> list[str]:
    options = ["-sS", "-C", "-", "--retry", "5", "--fail", "-L", "-o", str(play.target)]
    return ["curl", *options, *_header(play), play.url]


def _wget(play: Play) -> list[str]:
    return ["wget", "-nv", "-c", *_header(play), play.url]


def _header(play: Play) -> list[str]:
    return ["--header", f"Authorization: Bearer {TOKEN}"] if play.token else []


def kill_at_half(play: Play) -> str:
    """Kill -9 at half, run again."""
    code = play.interrupt(signal.SIGKILL)
    return play.run() if code == "code -9" else code


def interrupt_at_half(play: Play) -> str:
    """Ctrl-C at half, run again."""
    code = play.interrupt(signal.SIGINT)
    return f"{code}; then {play.run()}"


def content_changes(play: Play) -> str:
    """Kill at half, push a new version of the same length, run the same command again."""
    code = play.interrupt(signal.SIGKILL)
    if code != "code -9":
        return code
    play.hub.push(REPOSITORY, {FILE_NAME: _content(2 * play.half, seed=2)})
    return play.run()


def flipped_bit(play: Play) -> str:
    """One bit comes wrong, once."""
    # Near the start: a tool with several connections leaves its first answer off early, and the
    # fault would be spent on bytes that never went out.
    play.hub.faults = (faults.FlippedBit(play.half // 8, times=1),)
    return play.run()


class ResetEvery:
    """Resets a connection after every so many bytes of content, however they were asked for."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._planned = 0

    def __call__(self, request: Request, answer: Answer) -> Answer:
        """Count what will be sent; cut the answer in which the count is full."""
        if not faults.content_requests(request):
            return answer
        if self._planned + answer.body_bytes <= self._size_bytes:
            self._planned += answer.body_bytes
            return answer
        cut, self._planned = self._size_bytes - self._planned, 0
        return replace(answer, reset_after=cut, fault="connection reset")


class ExpireSeen:
    """Once told to, refuses every signed URL that was used before."""

    def __init__(self) -> None:
        self.expired = False
        self._seen: set[str] = set()

    def __call__(self, request: Request, answer: Answer) -> Answer:
        """Remember the URL, or refuse it."""
        if not faults.content_requests(request):
            return answer
        if not self.expired:
            self._seen.add(request.target)
        elif request.target in self._seen:
            return replace(expired_answer(), fault="expired URL")
        return answer


def url_expires(play: Play) -> str:
    """At half the signed URL expires and the connections break."""
    expiry = ExpireSeen()
    play.hub.faults = (faults.always(faults.trickle(PACE)), expiry)
    began = time.monotonic()
    process = play.start()
    if not play.wait_for_half(process):
        return f"never got to half ({play.wait(process)})"
    expiry.expired = True
    play.hub.refuse(0.0)
    code = play.wait(process)
    return play.told(code, 0, time.monotonic() - began)


def two_processes(play: Play) -> str:
    """Two processes fetch the same file to the same place at the same time."""
    play.hub.faults = (faults.always(faults.trickle(PACE)),)
    began = time.monotonic()
    processes = [play.start(), play.start()]
    codes = " and ".join(play.wait(process) for process in processes)
    return play.told(codes, 0, time.monotonic() - began)


def disk_full(play: Play) -> str:
    """The file system of the target holds five eighths of the file."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return ""
    with _small_disk(play.folder, play.half * 5 // 4):
        return play.run()


@contextmanager
def _small_disk(folder: Path, size_bytes: int) -> Iterator[None]:
    options = f"size={size_bytes}"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    subprocess.run(command, check=True, timeout=10)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


def token_at_cdn(play: Play) -> str:
    """Whether the other host sees the token."""
    play.token = True
    cell = play.run()
    headers = [e.request.headers for e in list(play.hub.requests) if e.request.host == "cdn"]
    if not headers:
        return f"never asked the CDN; {cell}"
    seen = any(TOKEN in value for fields in headers for value in fields.values())
    return f"{'**seen**' if seen else 'not seen'}; {cell}"


def with_fault(make: Callable[[], Fault]) -> Callable[[Play], str]:
    """Make a row of a single run under one fault."""

    def row(play: Play) -> str:
        play.hub.faults = (make(),)
        return play.run()

    return row


ROWS: Mapping[str, Callable[[Play], str]] = {
    "kill -9 at half, run again": kill_at_half,
    "Ctrl-C at half, run again": interrupt_at_half,
    "one bit flipped under way": flipped_bit,
    "reset every 8 MiB": with_fault(lambda: ResetEvery(8 * MIB)),
    "one 503 from the CDN": with_fault(lambda: faults.nth(1, faults.status(503))),
    "one 429 from the hub, Retry-After 2": with_fault(
        lambda: faults.nth(1, faults.too_many_requests(2), faults.resolve_requests)
    ),
    "signed URL expires at half, connections break": url_expires,
    "content changes between kill and second run": content_changes,
    "one connection stalls for ever": with_fault(
        lambda: faults.nth(1, faults.stall_in_body(4 * MIB, 3600))
    ),
    "two processes, one target": two_processes,
    "disk full": disk_full,
    "token seen by the CDN's host": token_at_cdn,
}


def tools(hf: str | None) -> tuple[Tool, ...]:
    """Look for the tools."""
    beside = str(Path(sys.executable).with_name("hf"))
    hf = shutil.which(hf or "hf") or shutil.which(beside)
    subfolder = REPOSITORY.replace("/", "--")
    return (
        Tool("ours", sys.executable, ("-m", "setup_manager", "--version"), _ours, subfolder),
        Tool("hf", hf, ("version",), _hf),
        Tool("aria2c -x4 -c, checksum", shutil.which("aria2c"), ("--version",), _aria2),
        Tool("curl -C - --retry 5", shutil.which("curl"), ("--version",), _curl),
        Tool("wget -c", shutil.which("wget"), ("--version",), _wget),
    )


def version(tool: Tool) -> str:
    """Ask an installed tool what it is."""
    command = [str(tool.program), *tool.version_arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    number = re.search(r"\d+(\.\d+)+", run.stdout)
    return f"{tool.name.split()[0]} {number[0] if number else 'of unknown version'}"


def _content(size_bytes: int, seed: int) -> bytes:
    """Begin like a model, so that nobody has a reason to refuse it; the rest is noise."""
    head = model_path().read_bytes()
    return (head + random.Random(seed).randbytes(size_bytes))[:size_bytes]


def play_row(
    row: Callable[[Play], str], tool: Tool, content: bytes, limit_seconds: float, work: Path
) -> str:
    """Try one tool under one fault, from an empty folder."""
    home, out = work / "home", work / "out"
    for folder in (home, out):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    access = {REPOSITORY: Access.GATED} if row is token_at_cdn else {}
    tokens = {TOKEN: frozenset({REPOSITORY})}
    files = {REPOSITORY: {FILE_NAME: content}}
    with LoopbackHub(files, access=access, tokens=tokens) as hub:
        digest = hub.artifact(REPOSITORY, FILE_NAME).sha256
        catalog_file(home, hub)
        return row(Play(tool, hub, home, out, digest, limit_seconds))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every tool under every fault and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=parse_size, default=64 * MIB, help="of the file served")
    parser.add_argument("--limit", type=float, default=40.0, help="seconds that a run may take")
    parser.add_argument("--rows", default="", help="parts of rows' names, separated by |")
    parser.add_argument("--tools", default="", help="parts of tools' names, separated by |")
    parser.add_argument("--hf", help="the hf program, if it is not on PATH")
    options = parser.parse_args(arguments)
    # A job in the background inherits an ignored SIGINT; its children must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chosen = [tool for tool in tools(options.hf) if _named(tool.name, options.tools)]
    content = _content(options.size, seed=1)
    print("| fault | " + " | ".join(tool.name for tool in chosen) + " |")
    print("|---" * (len(chosen) + 1) + "|")
    with tempfile.TemporaryDirectory() as work:
        for name, row in ROWS.items():
            if not _named(name, options.rows):
                continue
            cells = [
                play_row(row, tool, content, options.limit, Path(work)) if tool.program else ""
                for tool in chosen
            ]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print("\n" + "; ".join(version(tool) for tool in chosen if tool.program))


def _named(name: str, parts: str) -> bool:
    return not parts or any(part in name for part in parts.split("|"))


if __name__ == "__main__":
    main()
