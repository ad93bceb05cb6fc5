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
    from setup_manager.app.record import recorded
    from setup_manager.app.verbs.download import (
        download,
        plan_document,
        plan_download,
    )
    from setup_manager.cli.plans import wanted_of
    from setup_manager.cli.render.download_text import download_plan_text, download_text
    from setup_manager.session import Subject

    session = shell.open_session(storage, downloading)
    subject = Subject(session, model, wanted_of(files))
    planned = plan_download(session, subject.model)
    planned.check_room()
    if writing.dry_run:
        return Outcome(plan_document(subject.model, planned), download_plan_text(planned))
    if planned.fetch_bytes:
        shell.note(download_plan_text(planned))
    with recorded(session) as record:
        record.model = subject.name
        result = download(session, subject.model, planned)
    return Outcome(result.document(), download_text(result))
