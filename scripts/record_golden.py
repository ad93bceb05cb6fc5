"""Record what every command answers, for `tests/golden`.

    .venv-dev/bin/python scripts/record_golden.py            everything
    .venv-dev/bin/python scripts/record_golden.py hub help   scenarios of these names

Look at `git diff tests/golden/recorded` afterwards: it shows what changed for users.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.golden.cases import SCENARIOS
from tests.golden.record import FOLDER, record


def main(names: list[str]) -> None:
    """Run the scenarios of these names, or all, and write their files."""
    known = {scenario.name for scenario in SCENARIOS}
    if unknown := set(names) - known:
        sys.exit(f"no such scenario: {', '.join(sorted(unknown))}; there are {sorted(known)}")
    if not names:
        shutil.rmtree(FOLDER, ignore_errors=True)
    for scenario in SCENARIOS:
        if not names or scenario.name in names:
            started = time.monotonic()
            shutil.rmtree(FOLDER / scenario.name, ignore_errors=True)
            for name, text in record(scenario).items():
                path = FOLDER / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
            print(f"{scenario.name}: {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
