"""Run full-size, data-less models for real and compare with what was predicted.

Starts llama-server on each variant with the flags this project starts it with, lets it answer, and
prints predicted beside measured: anonymous memory (which must be there), mapped memory (which the
system may take back in part) and tokens per second. Zero weights cost the same arithmetic and the
same memory as trained ones. A variant is skipped when the machine has too little memory free.

    python scripts/measure_full_size.py --binary llama-server --variant e2b --variant e4b
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.full_size_gguf import QUANTIZATIONS, architecture_of, write_full_size
from setup_manager.fit.load import Load
from setup_manager.fit.memory import memory_of
from setup_manager.fit.settings import Settings
from setup_manager.fit.speed import speed_of
from setup_manager.fit.weights import estimated_weights
from setup_manager.machine.facts import Machine
from setup_manager.machine.probe.machine import read_machine
from setup_manager.runtimes.options import StartOptions, server_arguments
from setup_manager.units import MIB

_PROMPT_TOKENS = 600
_ANSWER_TOKENS = 24


@dataclass(frozen=True, slots=True)
class Outcome:
    """Predicted beside measured, in MiB and tokens per second."""

    variant: str
    quantization: str
    context: int
    predicted_anonymous: float
    measured_anonymous: float
    predicted_mapped: float
    measured_mapped: float
    predicted_speed: float
    predicted_low: float
    predicted_high: float
    measured_speed: float
    measured_prompt_speed: float
    load_seconds: float


class PeakWatch:
    """Keeps the highest anonymous and mapped memory of a process."""

    def __init__(self, process_id: int) -> None:
        self.anonymous = 0
        self.mapped = 0
        self._status = Path(f"/proc/{process_id}/status")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            try:
                fields = dict(line.split(":", 1) for line in self._status.read_text().splitlines())
                self.anonymous = max(self.anonymous, int(fields["RssAnon"].split()[0]) * 1024)
                self.mapped = max(self.mapped, int(fields["RssFile"].split()[0]) * 1024)
            except (OSError, KeyError):
                return

    def stop(self) -> None:
        """End watching."""
        self._done.set()
        self._thread.join()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ask(port: int, path: str, body: dict[str, Any] | None, timeout: float) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    address = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310 - http, above
        result: dict[str, Any] = json.load(answer)
        return result


def _wait_until_ready(port: int, server: subprocess.Popen[bytes], deadline_seconds: float) -> None:
    end = time.monotonic() + deadline_seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            sys.exit(f"the server ended with {server.returncode}")
        try:
            _ask(port, "/health", None, 2)
        except OSError:
            time.sleep(0.3)
        else:
            return
    sys.exit("the server was not ready in time")


def run(binary: str, model: Path, settings: Settings) -> tuple[PeakWatch, dict[str, Any], float]:
    """Start a server, ask it twice, and give its peaks, the second timings and the load time."""
    port = _free_port()
    flags = server_arguments(StartOptions.of(settings))
    command = [binary, "--model", str(model), "--host", "127.0.0.1", "--port", str(port), *flags]
    started = time.monotonic()
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
        watch = PeakWatch(server.pid)
        try:
            _wait_until_ready(port, server, 600)
            load_seconds = time.monotonic() - started
            body = {"ignore_eos": True, "temperature": 0, "cache_prompt": False}
            words = " ".join("abcdefgh"[index % 8] for index in range(_PROMPT_TOKENS // 2))
            _ask(port, "/completion", {**body, "prompt": "a b c", "n_predict": 4}, 600)
            answer = _ask(
                port, "/completion", {**body, "prompt": words, "n_predict": _ANSWER_TOKENS}, 1200
            )
        finally:
            server.terminate()
            server.wait(30)
            watch.stop()
    return watch, answer["timings"], load_seconds


def measure(
    binary: str, variant: str, folder: Path, settings: Settings, machine: Machine
) -> Outcome | None:
    """Write, predict, run and compare one variant; None where memory is too scarce."""
    architecture = architecture_of(variant)
    model = folder / f"{variant}.gguf"
    try:
        size = write_full_size(model, architecture, QUANTIZATIONS[variant])
        weights = estimated_weights(architecture, QUANTIZATIONS[variant], size)
        use = memory_of(Load(architecture, weights, settings, machine))
        if use.needed_bytes + 1024 * MIB > machine.memory.available_bytes:
            print(f"{variant}: skipped, needs {use.needed_bytes / MIB:.0f} MiB", file=sys.stderr)
            return None
        watch, timings, load_seconds = run(binary, model, settings)
    finally:
        model.unlink(missing_ok=True)
    rate = speed_of(Load(architecture, weights, settings, machine), depth=_PROMPT_TOKENS)
    return Outcome(
        variant=variant,
        quantization=QUANTIZATIONS[variant],
        context=settings.context,
        predicted_anonymous=(use.total_bytes - weights.file_bytes - use.untouched_bytes) / MIB,
        measured_anonymous=watch.anonymous / MIB,
        predicted_mapped=weights.file_bytes / MIB,
        measured_mapped=watch.mapped / MIB,
        predicted_speed=rate.tokens_per_second,
        predicted_low=rate.low,
        predicted_high=rate.high,
        measured_speed=timings["predicted_per_second"],
        measured_prompt_speed=timings["prompt_per_second"],
        load_seconds=load_seconds,
    )


def main() -> None:
    """Measure the variants that were asked for and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--binary", default="llama-server")
    parser.add_argument("--variant", action="append", choices=tuple(QUANTIZATIONS))
    parser.add_argument("--context", type=int, default=8192)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--json", action="store_true", help="one JSON line for each variant")
    arguments = parser.parse_args()
    for variant in arguments.variant or QUANTIZATIONS:
        machine = replace(read_machine(), gpus=())
        settings = Settings(context=arguments.context, gpu_layers=0)
        outcome = measure(arguments.binary, variant, arguments.folder, settings, machine)
        if outcome is None:
            continue
        if arguments.json:
            print(json.dumps(asdict(outcome)), flush=True)
            continue
        print(
            f"{variant:5} anonymous {outcome.predicted_anonymous:7.0f} predicted "
            f"{outcome.measured_anonymous:7.0f} measured MiB; mapped "
            f"{outcome.predicted_mapped:7.0f} / {outcome.measured_mapped:7.0f}; "
            f"{outcome.predicted_speed:5.2f} ({outcome.predicted_low:.2f}-"
            f"{outcome.predicted_high:.2f}) / {outcome.measured_speed:5.2f} tokens/s; "
            f"loaded in {outcome.load_seconds:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
