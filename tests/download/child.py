"""A process that fetches one file: `python -m tests.download.child JSON`; killed by the tests.

Prints one line of JSON at the end. With `kill_at` or `kill_on`, it kills itself (SIGKILL) before
the step of the disk with that number or name; with `say`, it prints a line when that many bytes
are there and goes on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from setup_manager.catalog.artifact import Artifact
from setup_manager.download.engine import Ports
from setup_manager.download.events import DownloadEvent
from setup_manager.errors import SetupError
from tests.download.disks import SteppingDisk
from tests.download.rig import QUICK, QUICK_NETWORK, Rig


class _Hub:
    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(order: dict[str, Any]) -> None:
    left = order.get("kill_at", -1)

    def before(step: str) -> None:
        nonlocal left
        if left == 0 or step == order.get("kill_on"):
            _die()
        left -= 1

    disk = SteppingDisk(before)
    rig = Rig(
        Path(order["folder"]),
        _Hub(order["endpoint"]),  # type: ignore[arg-type]
        Artifact(**order["artifact"]),
        options=QUICK,
        network=QUICK_NETWORK,
        ports=Ports(disk=lambda: disk),
    )
    say = order.get("say")

    class Events(list[DownloadEvent]):
        def append(self, event: DownloadEvent) -> None:
            nonlocal say
            if say is not None and event.bytes >= say:
                say = None
                sys.stdout.write("there\n")
                sys.stdout.flush()

    rig.events = Events()
    try:
        file = rig.fetch(**order.get("options", {}))
        result: dict[str, Any] = {"fetched": file.fetched_bytes, "reused": file.reused_bytes}
    except SetupError as error:
        result = {"error": error.code, "exit": error.exit_code}
    sys.stdout.write(json.dumps(result | {"steps": disk.steps}) + "\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
