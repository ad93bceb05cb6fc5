"""Which model to take on a machine, and what keeps the others out.

Every variant and quantization of the catalogue is worked out in full; what does not fit into free
memory is rejected with what is missing and what would make it fit; the rest is ranked by a score of
quality points and speed:

- quality:  points, and 8 less for every halving of the speed below 5 tokens a second
- balanced: points, and 8 less for every halving below 20 tokens a second; a tenth less for every
  gigabyte to fetch, so that twice the download has to be worth it
- speed:    the faster first, by 12 for every doubling; a point of quality decides between equals.
  What loses more than 4 points to its quantization (less than 4 bits) comes after all others

A file that the catalogue does not pin loses half a point: its digest is the hub's word alone.
5 tokens a second is slow reading, 20 is faster than anybody reads. The context chosen when none is
asked for changes neither points nor speed, so that more memory never makes the first choice worse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from setup_manager.catalog import Catalog, CatalogFile, Variant
from setup_manager.errors import UsageError
from setup_manager.fit.headroom import default_headroom
from setup_manager.fit.load import Load
from setup_manager.fit.quality import Task, quality
from setup_manager.fit.quantization import recipe_of
from setup_manager.fit.remedies import Remedy, remedy_of
from setup_manager.fit.results import Fit, Memory, Speed, Verdict
from setup_manager.fit.settings import Settings, check_limits
from setup_manager.fit.speed import Measurement
from setup_manager.fit.weights import Weights
from setup_manager.fit.whole import ContextRule, fit_of
from setup_manager.machine import Machine
from setup_manager.units import GB

Preference = Literal["speed", "quality", "balanced"]

_UNPINNED_POINTS = 0.5
_MOST_LOSS_FOR_SPEED = 4.0
# A choice is called faster from a quarter more on: less is within what a prediction is off.
_FASTER = 1.25


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a recommendation is asked for.

    Attributes:
        settings: How models will be started; its context counts only when it was asked for.
        context_given: Whether the context was asked for; otherwise it is chosen for each model.
        prefer: What to rank by.
        task: What the model is wanted for.
        headroom_bytes: Main memory to leave free, None for the rule in `headroom`.
        download_bytes_per_second: Rate of the line where it is known.

    Raises:
        UsageError: If the headroom is negative.
    """

    settings: Settings = Settings()  # noqa: RUF009 - frozen, so it can be shared
    context_given: bool = False
    prefer: Preference = "balanced"
    task: Task = "chat"
    headroom_bytes: int | None = None
    download_bytes_per_second: float | None = None

    def __post_init__(self) -> None:
        if self.headroom_bytes is not None and self.headroom_bytes < 0:
            raise UsageError(
                "Memory to keep free cannot be negative.",
                hint="Use 0 to keep none, or leave it out for the default.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One model on one machine; field names are those of the document.

    Attributes:
        model: Canonical MODEL argument.
        variant: Key of the variant.
        quantization: Label.
        repo: ``org/name`` on the hub.
        file: File inside the repository.
        size_bytes: Length of the weights file; computed where it is not known.
        confirmed: Whether that length is known and not computed.
        context: Tokens that one conversation may have.
        longest_context: The longest context that fits with the headroom kept, 0 if none does.
        context_length: The longest context that the variant has.
        context_too_long: Whether a longer one than that was asked for.
        settings: How it would be started.
        memory: What it takes.
        available_bytes: Main memory that it can have.
        headroom_bytes: Of it, what should stay free.
        speed: How fast it would be.
        verdict: Whether it works.
        quality: Points; more is better.
        quality_loss: Points that the quantization costs a large model.
        below_floor: Whether that is too much for one that is wanted for its speed, so that it
            comes after all others.
        score: What it was ranked by.
        layers: Blocks and the output, all that a GPU can compute.
        shortfall_bytes: Memory that is missing, 0 when it runs.
        remedy: What would make it fit, where memory is missing.
        download_seconds: Time to fetch it, None where the rate is not known.
    """

    model: str
    variant: str
    quantization: str
    repo: str
    file: str
    size_bytes: int
    confirmed: bool
    context: int
    longest_context: int
    context_length: int
    context_too_long: bool
    settings: Settings
    memory: Memory
    available_bytes: int
    headroom_bytes: int
    speed: Speed
    verdict: Verdict
    quality: float
    quality_loss: float
    below_floor: bool
    score: float
    layers: int
    shortfall_bytes: int
    remedy: Remedy | None
    download_seconds: float | None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What fits, best first, and what does not.

    Attributes:
        choices: The best quantization of every variant that runs, best first; then the others.
            Empty when nothing runs.
        rejected: What does not run, the nearest miss of each variant first, and before all of
            variants that do not run in any quantization.
        faster: The best of the choices that are smaller and faster than the first, if there is one.
        headroom_bytes: Main memory that was left free.
    """

    choices: tuple[Choice, ...]
    rejected: tuple[Choice, ...]
    faster: Choice | None
    headroom_bytes: int


def rank(
    catalog: Catalog,
    machine: Machine,
    criteria: Criteria | None = None,
    *,
    measurements: Sequence[Measurement] = (),
) -> Recommendation:
    """Rank what the catalogue has for a machine.

    Args:
        catalog: Variants and files.
        machine: Where it is to run.
        criteria: What is asked for.
        measurements: Speeds measured on this machine before.

    Raises:
        UsageError: If no variant has the context that is asked for.
    """
    criteria = criteria or Criteria()
    _check(catalog, criteria)
    headroom = criteria.headroom_bytes
    headroom = default_headroom(machine) if headroom is None else headroom
    situation = _Situation(catalog, machine, criteria, headroom, tuple(measurements))
    every = [
        situation.choice(variant, file)
        for variant in catalog.variants.values()
        for file in catalog.weights(variant.key)
    ]
    runs = sorted(
        (c for c in every if c.verdict != "no"),
        key=lambda c: (c.verdict == "tight", c.below_floor, -c.score, c.size_bytes),
    )
    running = {choice.variant for choice in runs}
    misses = sorted(
        (c for c in every if c.verdict == "no"),
        key=lambda c: (c.variant in running, c.shortfall_bytes == 0, c.shortfall_bytes, c.model),
    )
    choices = _best_of_each_first(runs)
    return Recommendation(choices, _best_of_each_first(misses), _faster(choices), headroom)


def _check(catalog: Catalog, criteria: Criteria) -> None:
    """Refuse a context that no variant has."""
    longest = max(
        (variant.architecture for variant in catalog.variants.values()),
        key=lambda architecture: architecture.context_length,
    )
    if criteria.context_given:
        check_limits(replace(criteria.settings, gpu_layers=None), longest)


def _best_of_each_first(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    seen: set[str] = set()
    first: list[Choice] = []
    rest: list[Choice] = []
    for choice in choices:
        (rest if choice.variant in seen else first).append(choice)
        seen.add(choice.variant)
    return (*first, *rest)


def _faster(choices: Sequence[Choice]) -> Choice | None:
    """Find what is smaller and faster than the first choice and no worse than it must be."""
    if not choices:
        return None
    first = choices[0]
    return next(
        (
            choice
            for choice in choices
            if choice.verdict == first.verdict
            and choice.quality_loss <= _MOST_LOSS_FOR_SPEED
            and choice.size_bytes < first.size_bytes
            and choice.speed.tokens_per_second >= _FASTER * first.speed.tokens_per_second
        ),
        None,
    )


@dataclass(frozen=True, slots=True)
class _Situation:
    """What every model is weighed in."""

    catalog: Catalog
    machine: Machine
    criteria: Criteria
    headroom: int
    measurements: tuple[Measurement, ...]

    def choice(self, variant: Variant, file: CatalogFile) -> Choice:
        """Work out one file of the catalogue."""
        criteria, architecture = self.criteria, variant.architecture
        weights = Weights.of_file(self.catalog, file)
        load = Load(architecture, weights, self._settings(variant), self.machine)
        fit = self._fit(load)
        missing = fit.verdict == "no"
        beyond = criteria.context_given and criteria.settings.context > fit.settings.context
        recipe = recipe_of(file.quantization)
        points = quality(variant, recipe, criteria.task)
        rate = criteria.download_bytes_per_second
        return Choice(
            model=f"{variant.key}:{file.quantization}",
            variant=variant.key,
            quantization=file.quantization,
            repo=file.repository,
            file=file.path,
            size_bytes=weights.file_bytes,
            confirmed=weights.confirmed,
            context=fit.settings.context,
            longest_context=fit.longest_context,
            context_length=architecture.context_length,
            context_too_long=beyond,
            settings=fit.settings,
            memory=fit.memory,
            available_bytes=fit.available_bytes,
            headroom_bytes=self.headroom,
            speed=fit.speed,
            verdict="no" if beyond else fit.verdict,
            quality=points,
            quality_loss=recipe.loss,
            below_floor=criteria.prefer == "speed" and recipe.loss > _MOST_LOSS_FOR_SPEED,
            score=score(points, fit.speed, weights.file_bytes, criteria.prefer)
            - (0.0 if file.pinned else _UNPINNED_POINTS),
            layers=architecture.layers + 1,
            shortfall_bytes=fit.shortfall_bytes,
            remedy=remedy_of(load, fit, self.headroom) if missing else None,
            download_seconds=weights.file_bytes / rate if rate else None,
        )

    def _settings(self, variant: Variant) -> Settings:
        """Take what was asked for, as far as the variant has it; pictures need the projector."""
        settings = self.criteria.settings
        if self.criteria.task == "vision":
            settings = replace(settings, projector=True)
        context = min(settings.context, variant.architecture.context_length)
        return replace(settings, context=context)

    def _fit(self, load: Load) -> Fit:
        rule: ContextRule = "long" if self.criteria.task == "long documents" else "usual"
        return fit_of(
            load,
            context="as asked" if self.criteria.context_given else rule,
            headroom_bytes=self.headroom,
            measurements=self.measurements,
        )


def score(points: float, speed: Speed, download_bytes: int, preference: Preference) -> float:
    """Weigh quality against speed; the rule stands at the top of this module."""
    rate = max(speed.tokens_per_second, 0.01)
    if preference == "speed":
        return 12 * math.log2(rate) + points / 100
    if preference == "quality":
        return points + 8 * math.log2(min(rate, 5.0) / 5.0)
    return points + 8 * math.log2(min(rate, 20.0) / 20.0) - download_bytes / GB / 10
