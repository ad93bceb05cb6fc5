"""Models that are installed, found by any MODEL argument that means them."""

from __future__ import annotations

from setup_manager.errors import UsageError
from setup_manager.library import InstalledModel
from setup_manager.session import Companions, Session, Subject
from setup_manager.units import format_size


def find_installed(
    session: Session, text: str, wanted: Companions | None = None
) -> tuple[InstalledModel, Subject | None]:
    """Find a model all of whose files are here.

    Returns:
        Its record, and what the catalogue knows of it (None where it knows nothing).

    Raises:
        UsageError: If it is no model, is not installed, or files are gone.
    """
    model = session.inventory.find(text)
    try:
        subject = Subject(session, text, wanted)
    except UsageError:
        if model is None:
            raise
        return _complete(model), None
    model = model or session.inventory.find(subject.name)
    if model is None:
        hint = f"Run `gemma-setup install {subject.name}` first."
        raise not_installed(session, subject.name, hint)
    return _complete(model), subject


def find_recorded(session: Session, text: str) -> InstalledModel:
    """Find the record of a model, whole or not.

    Raises:
        UsageError: If there is none.
    """
    known = session.inventory.find(text) or session.inventory.find(Subject(session, text).name)
    if known is None:
        raise not_installed(
            session, text, "`gemma-setup list --installed` shows what is installed."
        )
    return known


def canonical_name(session: Session, text: str) -> str:
    """Spell a MODEL argument as the inventory does; what is none stays as it is."""
    if session.inventory.find(text) is not None:
        return text
    try:
        return Subject(session, text).name
    except UsageError:
        return text


def not_installed(session: Session, name: str, hint: str) -> UsageError:
    """Make the error for a model that is not here."""
    names = ", ".join(model.name for model in session.inventory.models())
    return UsageError(
        f"{name} is not installed.",
        code="not-installed",
        context=[f"installed: {names or 'nothing'}"],
        hint=hint,
    )


def _complete(model: InstalledModel) -> InstalledModel:
    if model.complete:
        return model
    missing = next((file for file in model.files if not file.present), None)
    if missing is None:
        problem, facts = "has no files on this machine", ["its weights were never downloaded"]
    elif missing in model.unfinished:
        arrived = format_size(missing.arrived_bytes)
        problem, facts = "is not fully downloaded", [f"{arrived} of it downloaded"]
    else:
        problem, facts = "has a missing or changed file", [str(missing.path)]
    raise UsageError(
        f"{model.name} {problem}.",
        code="not-installed",
        context=facts,
        hint=f"Run `gemma-setup download {model.name}`; it downloads only what is missing.",
    )
