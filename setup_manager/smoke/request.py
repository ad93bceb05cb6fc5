"""What a smoke test is told: the model, the limits, and the ways to look at the machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from setup_manager.library import InstalledModel
from setup_manager.machine import ProcessMemory, Reading
from setup_manager.runtimes import RuntimeEvent, RuntimeStatus, StartOptions
from setup_manager.smoke.guard import Limits
from setup_manager.smoke.report import Prediction


@dataclass(frozen=True, slots=True)
class SmokeRequest:
    """What is tested, and how far.

    Attributes:
        model: The installed model.
        status: The runtime as it was found.
        options: How it is started for use; the test takes a short context of it.
        predicted: What was computed beforehand.
        image: Whether a picture is asked about instead (needs the projector).
        has_gpu: Whether the model may run on a GPU, so that a failure is tried on the CPU.
        load_seconds: Longest loading.
        total_seconds: Longest test.
        long_minutes: How long generation is repeated, to see what heat does; 0 for once.
    """

    model: InstalledModel
    status: RuntimeStatus
    options: StartOptions
    predicted: Prediction | None = None
    image: bool = False
    has_gpu: bool = False
    load_seconds: float = 600.0
    total_seconds: float = 1200.0
    long_minutes: float = 0.0


@dataclass(frozen=True, slots=True)
class Watch:
    """The ways in which a test looks at the machine.

    Attributes:
        read: Reads the machine.
        read_process: Reads the memory of a process.
        used_vram_bytes: Reads the used GPU memory, None where there is none to read.
        limits: When the guard ends the model.
    """

    read: Callable[[], Reading]
    read_process: Callable[[int], ProcessMemory | None] = lambda _: None
    used_vram_bytes: Callable[[], int] | None = None
    limits: Limits = field(default_factory=Limits)


Observer = Callable[[RuntimeEvent], None]
