"""Ask llama.cpp itself what a Gemma 4 model takes, and print how far our arithmetic is off.

Writes a full-size, data-less GGUF of each variant and runs `llama-fit-params --fit-print on` over a
grid of contexts, KV types, slots and batch sizes: no byte of weights is loaded. The answers can be
saved as a table, which `tests/fit/` holds our arithmetic against.

    python scripts/memory_oracle.py --binary llama-fit-params --save tests/fit/data/oracle.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.full_size_gguf import QUANTIZATIONS, architecture_of, write_full_size
from setup_manager.fit.cache import kv_cache_bytes
from setup_manager.fit.compute import cpu_compute_bytes
from setup_manager.fit.settings import CacheType, KvType, Settings
from setup_manager.units import MIB

_CONTEXTS = (2048, 4096, 8192, 32768, 131072, 262144)


@dataclass(frozen=True, slots=True)
class Answer:
    """What llama.cpp says one combination takes on the CPU, in MiB, rounded down.

    `context` is that of all slots together, as `-c` has it.
    The tool has no option for a unified cache; that rule is tested on printed server logs.
    """

    variant: str
    context: int
    key_type: CacheType
    value_type: CacheType
    slots: int
    ubatch: int
    flash_attention: bool
    kv_mib: int
    compute_mib: int

    @property
    def settings(self) -> Settings:
        """The combination in our own terms."""
        return Settings(
            context=self.context // self.slots,
            kv_type=KvType(self.key_type, self.value_type),
            slots=self.slots,
            ubatch=self.ubatch,
            flash_attention=self.flash_attention,
        )


def grid() -> Iterator[Settings]:
    """Yield the combinations to ask for."""
    for context, ubatch, kind in itertools.product(
        _CONTEXTS, (128, 512, 1024, 2048), get_args(CacheType)
    ):
        yield Settings(context=context, kv_type=KvType(kind, kind), ubatch=ubatch)
    for context, ubatch, kind, slots in itertools.product(
        (8192, 131072), (512, 2048), get_args(CacheType)[:2], (2, 4)
    ):
        yield Settings(
            context=context // slots, kv_type=KvType(kind, kind), slots=slots, ubatch=ubatch
        )
    for mixed in (
        KvType("q8_0", "f16"), KvType("q8_0", "q4_0"), KvType("f16", "q8_0"),
        KvType("q4_0", "q8_0"),
    ):  # fmt: skip
        yield Settings(context=32768, kv_type=mixed)
    for context, ubatch in itertools.product((2048, 8192, 32768, 131072), (512, 1024)):
        yield Settings(context=context, ubatch=ubatch, flash_attention=False)


def ask(binary: str, model: Path, settings: Settings) -> tuple[int, int] | None:
    """Run the oracle once: MiB of KV cache and of compute buffers, None where it refuses."""
    command = [
        binary, "-m", str(model), "--fit-print", "on", "-ngl", "0",
        "-c", str(settings.context * settings.slots), "-ub", str(settings.ubatch),
        "-b", str(max(2048, settings.ubatch)), "-np", str(settings.slots),
        "-ctk", settings.kv_type.keys, "-ctv", settings.kv_type.values,
        "-fa", "on" if settings.flash_attention else "off",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    hosts = [line.split() for line in done.stdout.splitlines() if line.startswith("Host ")]
    return (int(hosts[-1][2]), int(hosts[-1][3])) if hosts else None


def collect(binary: str, variant: str, folder: Path) -> list[Answer]:
    """Ask for the whole grid of one variant."""
    architecture = architecture_of(variant)
    model = folder / f"{variant}.gguf"
    write_full_size(model, architecture, QUANTIZATIONS[variant])
    answers = []
    for settings in grid():
        if settings.context > architecture.context_length:
            continue
        answer = ask(binary, model, settings)
        if answer is None:
            sys.exit(f"{binary} gave no answer for {variant} with {settings}")
        kv_mib, compute_mib = answer
        answers.append(
            Answer(
                variant=variant,
                context=settings.context * settings.slots,
                key_type=settings.kv_type.keys,
                value_type=settings.kv_type.values,
                slots=settings.slots,
                ubatch=settings.ubatch,
                flash_attention=settings.flash_attention,
                kv_mib=kv_mib,
                compute_mib=compute_mib,
            )
        )
    model.unlink()
    return answers


def report(answers: list[Answer]) -> None:
    """Print our error against the oracle's answers, one line a variant."""
    print(f"{'variant':8}{'rows':>6}{'KV wrong':>10}{'KV+compute: median':>20}{'largest':>9}")
    for variant in QUANTIZATIONS:
        rows = [a for a in answers if a.variant == variant]
        if not rows:
            continue
        architecture = architecture_of(variant)
        wrong, errors = 0, []
        for row in rows:
            kv = kv_cache_bytes(architecture, row.settings)
            ours = (kv + cpu_compute_bytes(architecture, row.settings)) / MIB
            wrong += int(kv // MIB != row.kv_mib)
            errors.append(abs(ours / (row.kv_mib + row.compute_mib) - 1))
        print(
            f"{variant:8}{len(rows):6}{wrong:10}{statistics.median(errors):20.2%}{max(errors):9.2%}"
        )


def load(path: Path) -> list[Answer]:
    """Read a saved table."""
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return [Answer(*row) for row in document["rows"]]


def save(path: Path, build: str, answers: list[Answer]) -> None:
    """Write the table, one row a line."""
    fields = list(Answer.__dataclass_fields__)
    rows = ",\n".join(json.dumps([getattr(a, f) for f in fields]) for a in answers)
    about = "Answers of llama-fit-params for the CPU, in MiB rounded down; see memory_oracle.py."
    head = json.dumps({"about": about, "build": build, "fields": fields})[:-1]
    path.write_text(f'{head}, "rows": [\n{rows}\n]}}\n', encoding="utf-8")


def main() -> None:
    """Ask, or read a saved table; report; save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--binary", default="llama-fit-params", help="the oracle")
    parser.add_argument("--variant", action="append", choices=tuple(QUANTIZATIONS))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--build", default="", help="what to call this llama.cpp in the table")
    parser.add_argument("--save", type=Path, help="write the answers here")
    parser.add_argument("--table", type=Path, help="compare with a saved table instead of asking")
    arguments = parser.parse_args()
    if arguments.table:
        answers = load(arguments.table)
    else:
        answers = [
            answer
            for variant in arguments.variant or QUANTIZATIONS
            for answer in collect(arguments.binary, variant, arguments.folder)
        ]
    if arguments.save:
        save(arguments.save, arguments.build, answers)
    report(answers)


if __name__ == "__main__":
    main()
