"""`gemma-setup download`."""

from __future__ import annotations

from setup_manager.cli.options import (
    DownloadingOptions,
    ModelOptions,
    StorageOptions,
    WritingOptions,
    gemma_command,
    model_argument,
)
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "download",
    WritingOptions,
    StorageOptions,
    ModelOptions,
    DownloadingOptions,
    examples=(
        "gemma-setup download e4b",
        "gemma-setup download 12b --with-projector --limit-rate 5M",
        "gemma-setup download org/repo:Q4_K_M --models-dir ~/models",
    ),
)
@model_argument()
def command(
    shell: Shell,
    writing: WritingOptions,
    storage: StorageOptions,
    files: ModelOptions,
    downloading: DownloadingOptions,
    model: str,
) -> Outcome:
    """Fetch and verify MODEL; run it again after any interruption to go on."""
    from setup_manager.app import download
    from setup_manager.cli.plans import request_of
    from setup_manager.cli.render.download_text import download_plan_text, download_text

    session = shell.open_session(storage, downloading)
    plan = download.plan(session, request_of(download.Request, files, model=model))
    if writing.dry_run:
        return Outcome(plan.document(), download_plan_text(plan.files))
    if plan.files.fetch_bytes:
        shell.note(download_plan_text(plan.files))
    result = download.run(session, plan)
    return Outcome(result.document(), download_text(result))
