"""From a MODEL argument to a model that is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from setup_manager.errors import UsageError

if TYPE_CHECKING:
    from setup_manager.library import InstalledModel
    from setup_manager.session import Session, Subject, Wanted


def installed_subject(
    session: Session, text: str, wanted: Wanted | None = None
) -> tuple[InstalledModel, Subject | None]:
    """Find an installed model by its name or by any MODEL argument that means it.

    Returns:
        Its record, and what the catalogue knows of it (None where it knows nothing).

    Raises:
        UsageError: If it is no model, or not installed.
    """
    from setup_manager.app.verbs.smoke import installed
    from setup_manager.session import Subject

    by_name = session.inventory.find(text)
    try:
        subject = Subject(session, text, wanted)
    except UsageError:
        if by_name is None:
            raise
        return installed(session, text), None
    if by_name is not None:
        return installed(session, text), subject
    return installed(session, subject.name), subject


def recorded_model(session: Session, text: str) -> InstalledModel:
    """Find the record of a model, complete or not.

    Raises:
        UsageError: If there is none.
    """
    from setup_manager.session import Subject

    found = session.inventory.find(text) or session.inventory.find(Subject(session, text).name)
    if found is None:
        names = ", ".join(model.name for model in session.inventory.models())
        raise UsageError(
            f"{text} is not installed.",
            code="not-installed",
            context=[f"installed: {names or 'nothing'}"],
            hint="`gemma-setup list --installed` shows what is here.",
        )
    return found
