"""What other tools' downloads left, and what became of it."""

from __future__ import annotations

from setup_manager.app import recover
from setup_manager.cli.terminal import Terminal
from setup_manager.recover import Finding
from setup_manager.units import format_size

_MARKS = {"adopt": "ok", "finish": "run", "leave": "skip"}


def recover_plan_text(plan: recover.Plan, terminal: Terminal) -> str:
    """Say for each leftover whose it is and what can be done with it."""
    if not plan.findings:
        lines = ["No incomplete Gemma 4 downloads of other tools were found."]
    else:
        lines = [line for finding in plan.findings for line in _finding_lines(finding, terminal)]
    return "\n".join([*lines, *(f"could not be read: {problem}" for problem in plan.problems)])


def _finding_lines(finding: Finding, terminal: Terminal) -> list[str]:
    mark = terminal.mark(_MARKS[finding.action])
    size = format_size(finding.leftover.size_bytes)
    return [
        f"{mark} {finding.leftover.shown}  {size}",
        f"    left by {finding.leftover.trace.left_by}; {finding.reason}",
    ]


def recovered_text(done: tuple[recover.Recovered, ...], terminal: Terminal) -> str:
    """Say what each file needed until it was whole."""
    return "\n".join(
        f"{terminal.mark('ok')} {item.path}: verified, {format_size(item.fetched_bytes)} downloaded"
        for item in done
    )
