"""Fit the constants of the speed model and validate them on machines that it has not seen.

Reads published decode speeds, fits the constants with a weak pull towards a common prior (so that a
family with one machine is not taken at its word), prints the table for `fit/speed_constants.py`,
and leaves out one whole machine after the other: constants and ranges are then fitted on the
others alone. Rows of one machine and model share one weight, however often it was measured.

    python scripts/fit_speed.py
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from setup_manager.catalog.architecture import Architecture
from setup_manager.catalog.load import load_catalog
from setup_manager.fit.load import Load
from setup_manager.fit.settings import Settings
from setup_manager.fit.speed import cpu_family, gpu_family, speed_of
from setup_manager.fit.speed_constants import FITTED, CpuRates, GpuRates, SpeedModel
from setup_manager.fit.weights import Weights, estimated_weights
from setup_manager.machine.facts import (
    Bandwidth,
    Basis,
    Gpu,
    Machine,
    Memory,
    Processor,
    Vendor,
)
from setup_manager.units import GIB

DATA = Path(__file__).resolve().parent.parent / "tests" / "fit" / "data" / "measured_speeds.json"
Vector = npt.NDArray[np.float64]

# Prior of each constant: centre, and spread as a factor. It is wide and the same for all families
# but Apple's, whose centre is the published fit of an M3 Max (0.80, 4.4 ms a token of 40 blocks).
_COMMON_PRIOR = ((0.70, 1.25), (100e-6, 2.5))
_SHARED_PRIORS = {
    "cache_efficiency": (0.45, 1.4),
    "expert_layer_factor": (1.5, 1.3),
    "weights_per_product": (0.055, 1.5),
}
_FAMILY_PRIORS = {
    "nvidia": _COMMON_PRIOR,
    "nvidia-old": _COMMON_PRIOR,
    "nvidia-unified": _COMMON_PRIOR,
    "apple": ((0.80, 1.1), (110e-6, 1.6)),
}
_COVERED = 0.9


@dataclass(frozen=True, slots=True)
class Row:
    """One published speed, with the machine it was measured on."""

    name: str
    variant: str
    architecture: Architecture
    weights: Weights
    machine: Machine
    depth: int
    measured: float

    @property
    def family(self) -> str:
        """Family of GPUs or instruction set that it tells about."""
        if self.machine.gpus:
            return gpu_family(self.machine.gpus[0])
        return cpu_family(self.machine)

    def predict(self, model: SpeedModel) -> float:
        """Give the central prediction."""
        settings = Settings(context=max(4096, min(self.depth, self.architecture.context_length)))
        return speed_of(
            Load(self.architecture, self.weights, settings, self.machine),
            depth=self.depth,
            model=model,
        ).tokens_per_second


def load_rows(path: Path = DATA) -> list[Row]:
    """Read the published rows; weights are the catalogue's where it has the file."""
    catalog = load_catalog()
    rows = []
    for entry in json.loads(path.read_text("utf-8"))["rows"]:
        variant = catalog.variants[entry["variant"]]
        known = {file.quantization: file for file in catalog.weights(variant.key)}
        file = known.get(entry["quantization"])
        weights = (
            Weights.of_file(catalog, file)
            if file
            else estimated_weights(variant.architecture, entry["quantization"])
        )
        rows.append(
            Row(
                entry["machine"], variant.key, variant.architecture, weights, _machine(entry),
                entry["depth"], entry["tokens_per_second"],
            )
        )  # fmt: skip
    return rows


def _machine(entry: dict[str, Any]) -> Machine:
    memory = int(entry["memory_gb"] * GIB)
    bandwidth = entry["bandwidth_gb_per_second"] * 1e9
    gpus: tuple[Gpu, ...] = ()
    if "gpu" in entry:
        gpus = (
            Gpu(
                vendor=Vendor(entry["gpu"]), name=entry["machine"], total_bytes=memory,
                free_bytes=memory, unified=entry["unified"], driver="", source="published",
                bandwidth_bytes_per_second=bandwidth, integrated=entry["unified"],
            ),
        )  # fmt: skip
    cores = entry.get("cores", 8)
    return Machine(
        os="linux",
        os_version="",
        arch="arm64" if "neon" in entry.get("features", ()) else "x86_64",
        cpu=Processor("", cores, cores, float(cores), frozenset(entry.get("features", ("avx2",)))),
        memory=Memory(max(memory, 128 * GIB), None, 128 * GIB, "published"),
        memory_bandwidth_bytes_per_second=Bandwidth(bandwidth if not gpus else 50e9, Basis.VENDOR),
        gpus=gpus,
    )


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A constant that is fitted, in logarithms."""

    name: str
    centre: float
    factor: float


def _parameters(rows: Sequence[Row]) -> list[_Parameter]:
    found = [_Parameter(name, *prior) for name, prior in _SHARED_PRIORS.items()]
    for family, (efficiency, latency) in _FAMILY_PRIORS.items():
        if any(row.family == family for row in rows):
            found.append(_Parameter(f"{family}.efficiency", *efficiency))
            found.append(_Parameter(f"{family}.layer_seconds", *latency))
    return found


def _model(parameters: Sequence[_Parameter], logs: Vector) -> SpeedModel:
    values = {
        p.name: p.centre * math.exp(float(log)) for p, log in zip(parameters, logs, strict=True)
    }
    gpu = dict(FITTED.gpu)
    for family, (efficiency, latency) in _FAMILY_PRIORS.items():
        gpu[family] = replace(
            gpu[family],
            efficiency=values.get(f"{family}.efficiency", efficiency[0]),
            layer_seconds=values.get(f"{family}.layer_seconds", latency[0]),
        )
    return replace(
        FITTED,
        gpu=gpu,
        cache_efficiency=values["cache_efficiency"],
        expert_layer_factor=values["expert_layer_factor"],
        weights_per_product=values["weights_per_product"],
    )


def row_weights(rows: Sequence[Row]) -> Vector:
    """Weigh rows so that each machine and model counts once, however often it was measured."""
    counts = Counter((row.name, row.variant) for row in rows)
    return np.array([1 / math.sqrt(counts[row.name, row.variant]) for row in rows])


def fit(rows: Sequence[Row]) -> SpeedModel:
    """Fit the constants by least squares on logarithms, with the prior as further rows."""
    parameters = _parameters(rows)
    weights = row_weights(rows)
    noise = 0.12

    def residuals(logs: Vector) -> Vector:
        model = _model(parameters, logs)
        data = [math.log(row.predict(model) / row.measured) / noise for row in rows]
        prior = [float(log) / math.log(p.factor) for p, log in zip(parameters, logs, strict=True)]
        return np.concatenate([np.array(data) * weights, np.array(prior)])

    logs = np.zeros(len(parameters))
    for _ in range(6):
        at = residuals(logs)
        columns = []
        for index in range(len(parameters)):
            moved = logs.copy()
            moved[index] += 1e-3
            columns.append((residuals(moved) - at) / 1e-3)
        step = np.linalg.lstsq(np.stack(columns, axis=1), -at, rcond=None)[0]
        logs = logs + np.clip(step, -0.5, 0.5)
        if float(np.abs(step).max()) < 1e-3:
            break
    return _model(parameters, logs)


def log_errors(rows: Iterable[Row], model: SpeedModel) -> list[float]:
    """Give log(measured / predicted) of every row."""
    return [math.log(row.measured / row.predict(model)) for row in rows]


def spread_of(errors: Sequence[float]) -> float:
    """Give the factor that covers nine of ten errors, at least 1.2."""
    ordered = sorted(abs(error) for error in errors)
    index = min(len(ordered) - 1, math.ceil(_COVERED * len(ordered)) - 1)
    return max(1.2, math.exp(ordered[index]))


@dataclass(frozen=True, slots=True)
class Held:
    """A machine that was left out.

    Attributes:
        name: The machine.
        rows: Its rows.
        errors: log(measured / predicted) of each.
        spread: Range that was stated for it.
    """

    name: str
    rows: tuple[Row, ...]
    errors: tuple[float, ...]
    spread: float


def leave_one_out(rows: Sequence[Row]) -> list[Held]:
    """Predict every machine from the others."""
    held = []
    for name in dict.fromkeys(row.name for row in rows):
        own = tuple(row for row in rows if row.name == name)
        model = fit([row for row in rows if row.name != name])
        held.append(Held(name, own, tuple(log_errors(own, model)), _stated_spread(own[0])))
    return held


def _stated_spread(row: Row) -> float:
    rates: GpuRates | CpuRates
    rates = FITTED.gpu[row.family] if row.machine.gpus else FITTED.cpu[row.family]
    return rates.spread


def pooled(held: Sequence[Held]) -> list[Held]:
    """State for every machine the range that the others' errors ask for, and no other.

    A check on the ranges of the table, which were set by people who saw all the rows.
    """
    return [
        replace(
            h,
            spread=spread_of([statistics.median(o.errors) for o in held if o is not h]),
        )
        for h in held
    ]


@dataclass(frozen=True, slots=True)
class Score:
    """How well unseen machines were predicted."""

    median_error: float
    median_error_of_machines: float
    inside: float
    median_range: float


def score(held: Sequence[Held]) -> Score:
    """Sum up: errors as shares of what was measured, by row and by machine."""
    errors = [abs(math.exp(-e) - 1) for h in held for e in h.errors]
    inside = [abs(e) <= math.log(h.spread) for h in held for e in h.errors]
    return Score(
        median_error=statistics.median(errors),
        median_error_of_machines=statistics.median(
            statistics.median(abs(math.exp(-e) - 1) for e in h.errors) for h in held
        ),
        inside=sum(inside) / len(inside),
        median_range=statistics.median(h.spread**2 for h in held for _ in h.errors),
    )


def main() -> None:
    """Fit on everything, print the table, and validate."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    rows = load_rows(parser.parse_args().data)
    model = fit(rows)
    print(f"fitted on {len(rows)} rows of {len({row.name for row in rows})} machines")
    for family in _FAMILY_PRIORS:
        rates = model.gpu[family]
        print(f"  {family:15} {rates.efficiency:.3f} {rates.layer_seconds * 1e6:6.1f} us a block")
    for name in _SHARED_PRIORS:
        print(f"  {name:22} {getattr(model, name):.4f}")
    held = leave_one_out(rows)
    print(f"{'left out':28}{'rows':>5}{'median measured/predicted':>27}{'worst':>8}{'range':>7}")
    for h in held:
        middle, worst = statistics.median(h.errors), max(h.errors, key=abs)
        print(
            f"{h.name:28}{len(h.rows):5}{math.exp(middle):27.2f}{math.exp(worst):8.2f}"
            f"{h.spread**2:7.2f}"
        )
    for label, ranges in (("ranges of the table", held), ("ranges from the others", pooled(held))):
        total = score(ranges)
        print(
            f"{label}: median error {total.median_error:.1%} of rows, "
            f"{total.median_error_of_machines:.1%} of machines; {total.inside:.0%} inside; "
            f"median range {total.median_range:.2f}"
        )


if __name__ == "__main__":
    main()
