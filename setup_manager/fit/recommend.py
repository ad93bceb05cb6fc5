"""Which model to take on a machine, why, and why not the others.

Every variant and quantization of the catalogue is worked out in full; what does not fit into free
memory is rejected with what is missing and what would make it fit; the rest is ranked by a score of
quality points and speed:

- quality:  points, and 8 less for every halving of the speed below 5 tokens a second
- balanced: points, and 8 less for every halving below 20 tokens a second; a tenth less for every
  gigabyte to fetch, so that twice the download has to be worth it
- speed:    half of the points, and 12 more for every doubling of the speed

A file that the catalogue does not pin loses half a point: its digest is the hub's word alone.
5 tokens a second is slow reading, 20 is faster than anybody reads. The context chosen when none is
asked for changes neither points nor speed, so that more memory never makes the first choice worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from setup_manager.catalog import Catalog, CatalogFile, Role, Variant, weight_files
from setup_manager.errors import InsufficientMemoryError, UsageError
from setup_manager.fit.headroom import Fit, available_bytes, compare, default_headroom
from setup_manager.fit.memory import memory_use
from setup_manager.fit.quality import Task, quality
from setup_manager.fit.quantization import recipe_of
from setup_manager.fit.results import MemoryUse, Speed, Verdict
from setup_manager.fit.settings import KvType, Preference, Settings, check_settings
from setup_manager.fit.speed import Measurement, predict_speed
from setup_manager.fit.weights import WeightsFacts, estimated_weights
from setup_manager.machine import Machine, MemoryUser
from setup_manager.units import GB, format_duration, format_memory

# Contexts to choose from when none is asked for, the best first. 32,768 tokens hold a long
# conversation or a hundred pages; below 4,096 a chat forgets its beginning.
USUAL_CONTEXTS = (32768, 16384, 8192, 4096)
LONG_CONTEXTS = (131072, 65536, *USUAL_CONTEXTS)
_CONTEXT_STEP = 1024
_UNPINNED_POINTS = 0.5


@dataclass(frozen=True, slots=True)
class Request:
    """What a recommendation is asked for.

    Attributes:
        settings: How models will be started; its context counts only when it was asked for.
        context_given: Whether the context was asked for; otherwise it is chosen for each model.
        preference: What to rank by.
        task: What the model is wanted for.
        headroom_bytes: Main memory to leave free, None for the rule in `headroom`.
        download_bytes_per_second: Rate of the line where it is known.
    """

    settings: Settings = Settings()  # noqa: RUF009 - frozen, so it can be shared
    context_given: bool = False
    preference: Preference = Preference.BALANCED
    task: Task = Task.CHAT
    headroom_bytes: int | None = None
    download_bytes_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One model on one machine.

    Attributes:
        model: Canonical MODEL argument.
        variant: Key of the variant.
        quantization: Label.
        repository: ``org/name`` on the hub.
        path: File inside the repository.
        size_bytes: Length of the weights file; computed where it is not known.
        settings: How it would be started.
        memory: What it takes.
        speed: How fast it would be.
        verdict: Whether it works.
        reasons: Short true sentences, the most important first.
        quality: Points; more is better.
        score: What it was ranked by.
        longest_context: The longest context that fits with the headroom kept, 0 if none does.
        shortfall_bytes: Memory that is missing, 0 when it runs.
        download_seconds: Time to fetch it, None where the rate is not known.
    """

    model: str
    variant: str
    quantization: str
    repository: str
    path: str
    size_bytes: int
    settings: Settings
    memory: MemoryUse
    speed: Speed
    verdict: Verdict
    reasons: tuple[str, ...]
    quality: float
    score: float
    longest_context: int
    shortfall_bytes: int
    download_seconds: float | None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What fits, best first, and what does not.

    Attributes:
        choices: The best quantization of every variant that runs, best first; then the others.
        rejected: What does not run, the nearest miss of each variant first, and before all of
            variants that do not run in any quantization.
        headroom_bytes: Main memory that was left free.
    """

    choices: tuple[Choice, ...]
    rejected: tuple[Choice, ...]
    headroom_bytes: int


def rank_choices(
    catalog: Catalog,
    machine: Machine,
    request: Request | None = None,
    *,
    measurements: Sequence[Measurement] = (),
) -> Recommendation:
    """Rank what the catalogue has for a machine.

    Args:
        catalog: Variants and files.
        machine: Where it is to run.
        request: What is asked for.
        measurements: Speeds measured on this machine before.

    Raises:
        UsageError: If the settings are out of range.
        InsufficientMemoryError: If nothing fits.
    """
    request = request or Request()
    _check(catalog, request)
    headroom = request.headroom_bytes
    headroom = default_headroom(machine) if headroom is None else headroom
    situation = _Situation(catalog, machine, request, headroom, tuple(measurements))
    every = [
        situation.choice(variant, file)
        for variant in catalog.variants.values()
        for file in weight_files(catalog, variant.key)
    ]
    runs = sorted(
        (c for c in every if c.verdict is not Verdict.NO),
        key=lambda c: (c.verdict is Verdict.TIGHT, -c.score, c.size_bytes),
    )
    running = {choice.variant for choice in runs}
    misses = sorted(
        (c for c in every if c.verdict is Verdict.NO),
        key=lambda c: (c.variant in running, c.shortfall_bytes == 0, c.shortfall_bytes, c.model),
    )
    if not runs:
        raise nothing_fits(misses, machine)
    return Recommendation(_best_of_each_first(runs), _best_of_each_first(misses), headroom)


def _check(catalog: Catalog, request: Request) -> None:
    """Refuse a context that no variant has, and whatever is wrong for every one."""
    longest = max(
        (variant.architecture for variant in catalog.variants.values()),
        key=lambda architecture: architecture.context_length,
    )
    check_settings(request.settings)
    if request.context_given:
        check_settings(replace(request.settings, gpu_layers=None), longest)
    if request.headroom_bytes is not None and request.headroom_bytes < 0:
        raise UsageError(
            "Memory to leave free cannot be less than nothing.",
            hint="Use 0 to leave none, or leave it out for the rule.",
        )


def _best_of_each_first(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    seen: set[str] = set()
    first: list[Choice] = []
    rest: list[Choice] = []
    for choice in choices:
        (rest if choice.variant in seen else first).append(choice)
        seen.add(choice.variant)
    return (*first, *rest)


def weights_of(catalog: Catalog, file: CatalogFile, variant: Variant) -> WeightsFacts:
    """Work out a catalogue file's content; projector and drafter are those of its variant."""
    weights = estimated_weights(variant.architecture, file.quantization, file.size_bytes)
    return replace(
        weights,
        projector_file_bytes=_companion_bytes(catalog, file, Role.PROJECTOR),
        drafter_file_bytes=_companion_bytes(catalog, file, Role.DRAFTER),
    )


def _companion_bytes(catalog: Catalog, file: CatalogFile, role: Role) -> int:
    sizes = [
        (other.repository != file.repository, other.size_bytes)
        for other in catalog.files
        if other.variant == file.variant and other.role is role and other.size_bytes
    ]
    return min(sizes, default=(True, 0))[1] or 0


@dataclass(frozen=True, slots=True)
class _Situation:
    """What every model is weighed in."""

    catalog: Catalog
    machine: Machine
    request: Request
    headroom: int
    measurements: tuple[Measurement, ...]

    def choice(self, variant: Variant, file: CatalogFile) -> Choice:
        """Work out one file of the catalogue."""
        request = self.request
        weights = weights_of(self.catalog, file, variant)
        plan = _Plan(variant, weights, self.machine, self.headroom)
        settings = plan.settings(request)
        use = plan.use(settings)
        fit = compare(use, self.machine, self.headroom)
        rate = predict_speed(
            variant.architecture, weights, settings, self.machine, measurements=self.measurements
        )
        points = quality(variant, recipe_of(file.quantization), request.task)
        longest = plan.longest_context(settings)
        seconds = None
        if request.download_bytes_per_second:
            seconds = weights.file_bytes / request.download_bytes_per_second
        reasons = _reasons(plan, settings, use, fit, longest, seconds)
        verdict, shortfall = fit.verdict, fit.shortfall_bytes
        if request.context_given and request.settings.context > settings.context:
            reasons = (f"its longest context is {settings.context:,} tokens", *reasons)
            verdict = Verdict.NO
        return Choice(
            model=f"{variant.key}:{file.quantization}",
            variant=variant.key,
            quantization=file.quantization,
            repository=file.repository,
            path=file.path,
            size_bytes=weights.file_bytes,
            settings=settings,
            memory=use,
            speed=rate,
            verdict=verdict,
            reasons=reasons,
            quality=points,
            score=score(points, rate.tokens_per_second, weights.file_bytes, request.preference)
            - (0.0 if file.pinned else _UNPINNED_POINTS),
            longest_context=longest,
            shortfall_bytes=shortfall,
            download_seconds=seconds,
        )


def score(
    points: float, tokens_per_second: float, download_bytes: int, preference: Preference
) -> float:
    """Weigh quality against speed; the rule stands at the top of this module."""
    rate = max(tokens_per_second, 0.01)
    if preference is Preference.SPEED:
        return points / 2 + 12 * math.log2(rate)
    if preference is Preference.QUALITY:
        return points + 8 * math.log2(min(rate, 5.0) / 5.0)
    return points + 8 * math.log2(min(rate, 20.0) / 20.0) - download_bytes / GB / 10


@dataclass(frozen=True, slots=True)
class _Plan:
    """A model and a machine, to be tried with settings."""

    variant: Variant
    weights: WeightsFacts
    machine: Machine
    headroom: int

    def use(self, settings: Settings) -> MemoryUse:
        """Work out what it takes."""
        return memory_use(self.variant.architecture, self.weights, settings, self.machine)

    def fit(self, settings: Settings) -> Fit:
        """Compare that with what is free."""
        return compare(self.use(settings), self.machine, self.headroom)

    def settings(self, request: Request) -> Settings:
        """Take the context that was asked for, or the longest usual one that fits easily.

        A variant whose context ends earlier is worked out with what it has. For pictures the
        projector is counted.
        """
        settings = request.settings
        if request.task is Task.VISION:
            settings = replace(settings, projector=True)
        longest = self.variant.architecture.context_length
        if request.context_given:
            return replace(settings, context=min(settings.context, longest))
        usual = LONG_CONTEXTS if request.task is Task.LONG_DOCUMENTS else USUAL_CONTEXTS
        possible = [context for context in usual if context <= longest]
        return default_context(possible or [longest], settings, self.fit)

    def longest_context(self, settings: Settings) -> int:
        """Find the longest context that fits, by halving; in steps of 1,024 tokens."""
        low, high = 0, self.variant.architecture.context_length // _CONTEXT_STEP
        while low < high:
            middle = (low + high + 1) // 2
            tried = replace(settings, context=middle * _CONTEXT_STEP)
            if self.fit(tried).verdict is Verdict.FITS:
                low = middle
            else:
                high = middle - 1
        return low * _CONTEXT_STEP


def default_context(
    usual: Iterable[int], settings: Settings, fit: Callable[[Settings], Fit]
) -> Settings:
    """Choose the first of the usual contexts that leaves the headroom alone; else the last."""
    tried = settings
    for context in usual:
        tried = replace(settings, context=context)
        if fit(tried).verdict is Verdict.FITS:
            return tried
    return tried


def _reasons(
    plan: _Plan,
    settings: Settings,
    use: MemoryUse,
    fit: Fit,
    longest: int,
    download_seconds: float | None,
) -> tuple[str, ...]:
    free = available_bytes(use, plan.machine)
    reasons = []
    if fit.verdict is Verdict.NO:
        reasons.append(
            f"needs {format_memory(use.needed_bytes)} of main memory, "
            f"{format_memory(free)} are available: {format_memory(fit.shortfall_bytes)} short"
        )
        reasons += remedies(plan, settings, fit)
        return tuple(reasons)
    reasons.append(
        f"takes {format_memory(use.needed_bytes)} of the {format_memory(free)} "
        "main memory that is available"
    )
    if use.devices:
        reasons.append(_card_reason(plan, use))
    if fit.verdict is Verdict.TIGHT:
        reasons.append(
            f"leaves {format_memory(free - use.needed_bytes)} free where "
            f"{format_memory(plan.headroom)} should stay: close programs first"
        )
    elif longest > settings.context:
        reasons.append(f"would hold up to {longest:,} tokens of context")
    if not use.confirmed:
        reasons.append("its size is computed, not confirmed by the hub")
    if download_seconds is not None:
        reasons.append(f"fetched in about {format_duration(download_seconds)}")
    return tuple(reasons)


def _card_reason(plan: _Plan, use: MemoryUse) -> str:
    whole = plan.variant.architecture.layers + 1
    names = " and ".join(device.name for device in use.devices)
    used = format_memory(use.vram_bytes)
    if use.gpu_layers >= whole:
        return f"runs entirely on {names}: {used} of its memory"
    return f"{use.gpu_layers} of {whole} layers fit on {names}; the CPU computes the rest"


def remedies(plan: _Plan, settings: Settings, fit: Fit) -> list[str]:
    """Say what would make a model fit: less context, a smaller cache, closed programs, memory."""
    found = []
    for changed, said in _smaller(settings):
        if plan.fit(changed).verdict is not Verdict.NO:
            found.append(f"fits with {said}")
            break
    closing = _programs_to_close(plan.machine.memory.users, fit.shortfall_bytes)
    if closing:
        found.append(f"fits after closing {closing}")
    if not found:
        found.append(f"would fit with {format_memory(fit.shortfall_bytes)} more memory")
    return found


def _smaller(settings: Settings) -> Iterable[tuple[Settings, str]]:
    quantized = replace(settings, key_type=KvType.Q8_0, value_type=KvType.Q8_0)
    if settings.flash_attention and settings.key_type is KvType.F16:
        yield quantized, "--kv-type q8_0"
    context = settings.context
    while context > 2 * _CONTEXT_STEP:
        context //= 2
        yield replace(settings, context=context), f"--context {context}"
        if settings.flash_attention:
            yield (
                replace(quantized, context=context),
                f"--context {context} --kv-type q8_0",
            )
    if settings.projector:
        yield replace(settings, projector=False), "no projector"


def _programs_to_close(users: Sequence[MemoryUser], shortfall: int) -> str:
    """Name the fewest of the biggest programs that hold what is missing."""
    taken, held = [], 0
    for user in users[:3]:
        taken.append(f"{user.name} ({format_memory(user.resident_bytes)})")
        held += user.resident_bytes
        if held >= shortfall:
            return " and ".join(taken)
    return ""


def nothing_fits(misses: Sequence[Choice], machine: Machine) -> InsufficientMemoryError:
    """Make the error for a machine on which nothing runs, with the nearest miss."""
    free = format_memory(machine.memory.available_bytes)
    nearest = misses[0]
    return InsufficientMemoryError(
        f"No Gemma 4 model fits into the {free} of memory that are available.",
        context=[f"nearest: {nearest.model} {nearest.reasons[0]}"],
        hint="Make room and run `gemma-setup recommend` again: "
        f"{nearest.model} {'; or '.join(nearest.reasons[1:])}.",
    )
