"""Pre-flight: the machine, the hub, the runtimes, and whether one model will work here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from setup_manager.app.reasons import shorter_context
from setup_manager.app.requests import OnMachine, Run, settings_for
from setup_manager.app.transfer import plan_transfer
from setup_manager.app.verbs.runtime import (
    choose_runtime,
    find_runtimes,
    ways_to_get_one,
)
from setup_manager.codec import to_plain
from setup_manager.download import DownloadPlan
from setup_manager.errors import InsufficientDiskError, SetupError
from setup_manager.fit import Fit, Settings, fit_of
from setup_manager.machine import (
    Check,
    Live,
    Machine,
    Status,
    machine_checks,
)
from setup_manager.net import Hub
from setup_manager.privacy import mask, mask_document
from setup_manager.runtimes import RuntimeStatus
from setup_manager.session import Session, Subject
from setup_manager.units import format_memory, format_rate, format_size

_CLOCK_SKEW_SECONDS = 300.0
_SLOW_DISK_BYTES_PER_SECOND = 20_000_000  # an SD card; loading 5 GB from it takes minutes


@dataclass(frozen=True, kw_only=True)
class Request(Run, OnMachine):
    """What is checked.

    Attributes:
        model: MODEL argument, None for the machine alone.
        disk_speed: Also measure how fast the models folder takes a file; writes 256 MB there and
            removes them.
    """

    model: str | None = None
    disk_speed: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What a pre-flight found.

    Attributes:
        machine: The machine.
        runtimes: Every runtime, found or not.
        checks: One line each, by group.
        private_words: Names to be masked in the document.
    """

    machine: Machine
    runtimes: tuple[RuntimeStatus, ...]
    checks: tuple[Check, ...]
    private_words: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[Check, ...]:
        """What really stops."""
        return tuple(check for check in self.checks if check.status is Status.FAIL)

    @property
    def error(self) -> SetupError | None:
        """The error for what stops, None if nothing does."""
        if not self.failures:
            return None
        names = ", ".join(check.name for check in self.failures)
        return SetupError(
            f"This machine is not ready: {names}.",
            code="check-failed",
            context=[f"{check.name}: {check.detail}" for check in self.failures],
            hint=" ".join(dict.fromkeys(check.advice for check in self.failures if check.hint))
            or "See the lines marked ✗ above.",
        )

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `check`, without the names of its user and its host."""
        return {
            "machine": mask_document(to_plain(self.machine), self.private_words),
            "runtimes": [self._masked(to_plain(status)) for status in self.runtimes],
            "checks": [self._masked(to_plain(check)) for check in self.checks],
        }

    def _masked(self, document: dict[str, Any]) -> dict[str, Any]:
        return {
            key: mask(value, self.private_words) if isinstance(value, str) else value
            for key, value in document.items()
        }


def run(session: Session, request: Request) -> Result:
    """Check a machine, and with a model whether that one will work there.

    Raises:
        UsageError: If it is no model, or a number is out of range for it.
    """
    subject = Subject(session, request.model, request) if request.model is not None else None
    if request.machine is not None:
        result = _described(request.machine_in(session))
    else:
        result = _here(session)
        if request.disk_speed:
            result = replace(result, checks=_with_disk_speed(session, result.checks))
    if subject is None:
        return result
    return replace(
        result, checks=(*result.checks, *_model_checks(session, result, subject, request))
    )


def _here(session: Session) -> Result:
    """Check this machine; hub, runtimes and probes are asked side by side."""
    with ThreadPoolExecutor(2) as pool:
        hub = pool.submit(_hub_checks, Hub(session.hub, session.network))
        runtimes = pool.submit(find_runtimes, session)
        machine = session.machine
        found = runtimes.result()
        checks = (
            *machine_checks(machine),
            *_runtime_checks(found),
            *hub.result(),
        )
    return Result(machine, found, checks, session.private_words)


def _described(machine: Machine) -> Result:
    """Judge a machine that was described; nothing here is looked at."""
    return Result(machine, (), machine_checks(machine))


def _with_disk_speed(session: Session, checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """Add the measurement behind the other checks of the disk."""
    last = max((i for i, check in enumerate(checks) if check.group == "disk"), default=-1) + 1
    return (*checks[:last], _disk_speed_check(session), *checks[last:])


def _disk_speed_check(session: Session) -> Check:
    """Measure how fast the models folder takes a file; writes 256 MB there and removes them."""
    folder = session.paths.download_root
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        rate = Live.measure_writing(folder)
    except OSError as error:
        detail = f"{folder} cannot be written: {error.strerror or error}"
        hint = "Choose another folder with --models-dir, or fix its permissions."
        return Check("disk-speed", Status.WARN, detail, hint, "disk")
    detail = f"{folder} takes {format_rate(rate)}, synced"
    if rate >= _SLOW_DISK_BYTES_PER_SECOND:
        return Check("disk-speed", Status.OK, detail, group="disk")
    hint = "Loading a model from it takes minutes: choose a faster disk with --models-dir."
    return Check("disk-speed", Status.WARN, detail, hint, "disk")


def _runtime_checks(statuses: Sequence[RuntimeStatus]) -> Iterator[Check]:
    """Judge the runtimes: one that works is enough."""
    works = any(status.usable for status in statuses)
    for status in statuses:
        if status.usable:
            where = status.endpoint or status.path
            detail = " ".join(filter(None, (status.version, status.detail, where)))
            yield Check(f"runtime {status.name}", Status.OK, detail, status.hint, "runtimes")
        else:
            level = Status.WARN if status.found else Status.SKIP
            detail = status.detail or "not found"
            yield Check(f"runtime {status.name}", level, detail, status.hint, "runtimes")
    if not works:
        yield Check(
            "runtimes",
            Status.FAIL,
            "nothing here can run Gemma 4",
            ways_to_get_one(),
            "runtimes",
        )


def _hub_checks(hub: Hub) -> tuple[Check, ...]:
    try:
        pulse = hub.probe()
    except SetupError as error:
        problem = f"{error.message.rstrip('.')} ({'; '.join(error.context)})"
        detail = f"{hub.endpoint} cannot be used: {problem}"
        return (Check("hub", Status.WARN, detail, error.hint, "network"),)
    detail = f"{hub.endpoint} answers in {1000 * pulse.seconds:.0f} ms"
    answers = Check("hub", Status.OK, detail, group="network")
    skew = pulse.clock_skew_seconds
    if skew is None or abs(skew) <= _CLOCK_SKEW_SECONDS:
        return (answers,)
    clock = Check(
        "clock",
        Status.WARN,
        f"this clock is {abs(skew) / 60:.0f} minutes {'ahead of' if skew > 0 else 'behind'} "
        "the hub's",
        "Set the clock: signed addresses and certificates depend on it.",
        "network",
    )
    return (answers, clock)


def _model_checks(
    session: Session, result: Result, subject: Subject, request: Request
) -> tuple[Check, ...]:
    """Judge one model on the machine of a result: its memory, its disk, its runtime."""
    machine = result.machine
    checks = [_runtime_check(result.runtimes, request.runtime, subject)] if result.runtimes else []
    settings = settings_for(subject, request, machine, request.planned_runtime)
    checks.append(_memory_check(subject, settings, machine))
    if machine is session.machine:
        checks.append(_disk_check(session, subject))
    return tuple(checks)


def _runtime_check(statuses: Sequence[RuntimeStatus], wanted: str, subject: Subject) -> Check:
    try:
        chosen = choose_runtime(statuses, wanted, subject.variant_key)
    except SetupError as error:
        return Check("model runtime", Status.FAIL, error.message, error.hint, "model")
    return Check("model runtime", Status.OK, f"{chosen.name}: {chosen.reason}", group="model")


def _memory_check(subject: Subject, settings: Settings, machine: Machine) -> Check:
    """Judge whether a model fits into the memory that is free now."""
    if subject.variant is None:
        detail = "unknown: this repository is not in the catalogue"
        return Check("model memory", Status.SKIP, detail, group="model")
    fit = fit_of(subject.load(settings, machine))
    detail = f"{_needs(fit)} at {settings.context:,} tokens of context"
    if fit.verdict == "no":
        return Check(
            "model memory",
            Status.FAIL,
            f"{detail}; {format_memory(fit.shortfall_bytes)} are missing",
            f"Close programs, {shorter_context(fit)}or see `gemma-setup recommend`.",
            "model",
        )
    if fit.verdict == "tight":
        hint = "It runs, but close other programs first."
        return Check("model memory", Status.WARN, f"{detail}: tight", hint, "model")
    return Check("model memory", Status.OK, detail, group="model")


def _needs(fit: Fit) -> str:
    main = f"needs {format_memory(fit.memory.needed_bytes)} of main memory"
    if vram := fit.memory.by_place.vram_bytes:
        return f"{main} and {format_memory(vram)} of the GPU's"
    return main


def _disk_check(session: Session, subject: Subject) -> Check:
    """Judge the disk; a model whose files are not pinned counts with the catalogue's size."""
    if not subject.pinned:
        detail = f"about {format_size(subject.weights.file_bytes)} to download (estimated)"
        return Check("model disk", Status.OK, detail, group="model")
    planned = plan_transfer(session, subject.model)
    try:
        planned.check_room()
    except InsufficientDiskError as error:
        detail = "; ".join(error.context)
        return Check("model disk", Status.FAIL, detail, error.hint, "model")
    return Check("model disk", Status.OK, _disk_detail(planned), group="model")


def _disk_detail(planned: DownloadPlan) -> str:
    if not planned.fetch_bytes:
        return f"all {format_size(planned.reuse_bytes)} already here"
    here = f", {format_size(planned.reuse_bytes)} are here" if planned.reuse_bytes else ""
    return f"{format_size(planned.fetch_bytes)} to fetch{here}; enough space"
