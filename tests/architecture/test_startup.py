"""What `--help` costs, since it is what people type first."""

import statistics
import subprocess
import sys
import time


def seconds(*arguments: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - begin


def test_help_costs_at_most_twice_what_importing_click_costs() -> None:
    rounds = [
        (seconds("-m", "setup_manager", "--help"), seconds("-c", "import click")) for _ in range(7)
    ]
    ratio = statistics.median(ours / clicks for ours, clicks in rounds)
    assert ratio <= 2.0, f"--help takes {ratio:.2f} times as long as importing click"


def test_help_imports_no_heavy_package() -> None:
    code = (
        "import sys\nfrom setup_manager.cli import main\nmain(['--help'])\n"
        "heavy = {'requests', 'huggingface_hub', 'psutil', 'tqdm', 'numpy', 'filelock'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "[]\n")
