"""Run a smoke test inside a memory control group; the test starts this as a program.

Usage: in_group.py GROUP_FOLDER (fake FOLDER | embedded MODEL CONTEXT)
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from setup_manager.errors import SetupError
from setup_manager.machine.live import machine_reader, process_reader
from setup_manager.machine.probe.system import LocalCommands, System
from setup_manager.platforms import this_platform
from setup_manager.runtimes.base import Runtime
from setup_manager.runtimes.embedded import Embedded
from setup_manager.runtimes.options import StartOptions
from setup_manager.smoke import run as smoke_run
from setup_manager.smoke.request import SmokeRequest, Watch
from tests.runtimes.fakes import FakeServer
from tests.runtimes.installed import Place, installed


def main(group: Path, kind: str, path: Path, context: int) -> int:
    (group / "cgroup.procs").write_text(str(os.getpid()))
    system = System(Path("/"), LocalCommands(os.environ), this_platform())
    watch = Watch(machine_reader(system), process_reader(system))
    real = kind == "embedded"
    runtime: Runtime = Embedded(Place(group)) if real else FakeServer(path, kind)
    # With a GPU the kernel's limit is left out, and the guard is alone.
    request = SmokeRequest(
        installed(path if real else Path("/m.gguf")),
        runtime.find(),
        StartOptions(context=context),
        has_gpu=not real,
    )
    smoke_run.SMOKE_CONTEXT = context  # the test's own would fit
    try:
        document = smoke_run.run_smoke(runtime, request, watch).document()
        status = 0
    except SetupError as error:
        document = {"message": error.message, "context": error.context}
        status = error.exit_code
    sys.stdout.write(json.dumps(document))
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))
