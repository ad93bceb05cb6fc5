"""What `--help` and `recommend` cost, since they are what people type first."""

import resource
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

MACHINE = Path(__file__).parents[1] / "golden/machines/desktop.json"
MOST = {"--help": 2.0, "recommend": 12.0}
"""Times what importing click costs; of `recommend` without looking at the machine."""


def cpu_seconds(*arguments: str) -> float:
    """Run Python and return the CPU time that it took: other processes do not count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("command", MOST)
def test_a_start_costs_little_more_than_importing_click(command: str) -> None:
    words = [command, "--machine", str(MACHINE)] if command == "recommend" else [command]
    rounds = [
        (cpu_seconds("-m", "setup_manager", *words), cpu_seconds("-c", "import click"))
        for _ in range(7)
    ]
    ratio = statistics.median(ours / clicks for ours, clicks in rounds)
    assert ratio <= MOST[command], f"{command} takes {ratio:.2f} times as long as importing click"


def test_help_imports_no_heavy_package() -> None:
    code = (
        "import sys\nfrom setup_manager.cli import main\nmain(['--help'])\n"
        "heavy = {'requests', 'huggingface_hub', 'msgspec', 'psutil', 'tqdm', 'filelock'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "[]\n")
