"""`gemma-setup report`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from setup_manager.cli.options import (
    ModelOptions,
    PlanningOptions,
    StorageOptions,
    gemma_command,
    model_argument,
)
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell
from setup_manager.errors import SetupError
from setup_manager.units import format_size

if TYPE_CHECKING:
    from setup_manager.session import Session


@gemma_command(
    "report",
    StorageOptions,
    PlanningOptions,
    ModelOptions,
    examples=(
        "gemma-setup report",
        "gemma-setup report e4b --open",
        "gemma-setup report 12b --context 65536 --output 12b.html",
        "gemma-setup report --anonymous --output to-share.html",
    ),
)
@model_argument(required=False)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Where to write it (default: a folder of this program's own).",
)
@click.option(
    "--anonymous",
    is_flag=True,
    help="Leave out programs, paths, devices, hosts and times, to share it.",
)
@click.option("--open", "show", is_flag=True, help="Show it in the browser.")
def command(
    shell: Shell,
    storage: StorageOptions,
    planning: PlanningOptions,
    files: ModelOptions,
    model: str | None,
    *,
    output: str | None,
    anonymous: bool,
    show: bool,
) -> Outcome:
    """Write what is known of a model on this machine as one HTML page.

    The page needs no network: memory for every context, speed, the download with its mishaps, the
    test, what was recommended and why, and how to start it. Without MODEL it is about the model
    that was installed last, or else the one that suits this machine best.
    """
    from setup_manager.cli.plans import request_of
    from setup_manager.fs import write_atomically
    from setup_manager.report import ReportRequest, gather, render, require_extra

    require_extra()
    session = shell.open_session(storage)
    request = request_of(
        ReportRequest,
        planning,
        files,
        model=model,
        anonymous=anonymous,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    content = gather(session, request)
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
            hint="Name a file in a folder of yours with --output.",
        ) from error
    if show and click.launch(path.as_uri()) != 0:
        shell.note("No browser could be started here.")
    size_bytes = len(page.encode())
    return Outcome(
        {"path": str(path), "model": content.model, "bytes": size_bytes},
        f"{path}  ({format_size(size_bytes)}; open it in a browser, no network needed)",
    )


def default_path(session: Session, model: str) -> Path:
    """Name the page of a model in the state folder."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.") or "machine"
    return session.paths.state.path / "reports" / f"{name[:80]}.html"
