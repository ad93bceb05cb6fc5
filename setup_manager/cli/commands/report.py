"""`gemma-setup report`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import RUN, HomePath, Option, model_argument
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell
from setup_manager.errors import SetupError
from setup_manager.units import format_size

if TYPE_CHECKING:
    from setup_manager.session import Session


@gemma_command(
    "report",
    model_argument(required=False),
    Option(
        "--output",
        metavar="FILE",
        type=HomePath(dir_okay=False),
        help="File to write (default: one in the state folder).",
    ),
    Option(
        "--anonymous",
        is_flag=True,
        help="Omit programs, paths, devices, hosts and times, for sharing.",
    ),
    Option("--open", "show", is_flag=True, help="Open it in the browser."),
    "prefer",
    *RUN,
    "machine",
    "catalog",
    examples=(
        "gemma-setup report",
        "gemma-setup report e4b --open",
        "gemma-setup report 12b --context 64k --output 12b.html",
        "gemma-setup report --anonymous --output to-share.html",
    ),
)
def command(shell: Shell, *, output: str | None, show: bool, **asked: Any) -> Outcome:
    """Write everything known about MODEL on this machine as one HTML page.

    The page works offline: memory for every context, speed, how the download and the smoke test
    went, what was recommended and why, and how to start the model. Without MODEL, it is about the
    model installed last, or else the one that suits this machine best.
    """
    from setup_manager.fs import write_atomically
    from setup_manager.report import ReportRequest, gather, render, require_extra

    require_extra()
    session = shell.session
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    content = gather(session, ReportRequest(**asked, created_at=created_at))
    page = render(content)
    path = Path(output).absolute() if output else default_path(session, content.model)
    try:
        write_atomically(path, page)
    except SetupError as error:
        if output is None:
            raise
        raise SetupError(
            error.message,
            code="output-unwritable",
            context=error.context,
            hint="Choose a writable file with --output.",
        ) from error
    if show and click.launch(path.as_uri()) != 0:
        shell.note("No browser could be started.")
    size_bytes = len(page.encode())
    return Outcome(
        {"path": str(path), "model": content.model, "bytes": size_bytes},
        f"{path}  ({format_size(size_bytes)}; open it in a browser, it works offline)",
        value=str(path),
    )


def default_path(session: Session, model: str) -> Path:
    """Name the page of a model in the state folder."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.") or "machine"
    return session.paths.state.path / "reports" / f"{name[:80]}.html"
