"""What a runtime knows a model as, and how it is started there."""

from __future__ import annotations

from setup_manager.app import register
from setup_manager.cli.render.install_text import NOTHING_DONE
from setup_manager.library import Registration
from setup_manager.runtimes import REGISTRY


def register_plan_text(plan: register.Plan) -> str:
    """Say what would be registered."""
    chosen = plan.launch.runtime
    name = plan.launch.model.name
    return f"{name} would be registered with {chosen.name}: {chosen.reason}.\n{NOTHING_DONE}"


def register_text(result: register.Result) -> str:
    """Say what was registered, and how to start it."""
    words = registration_words(result.registration, already=result.already)
    return f"{words[0].upper()}{words[1:]}. To start it:\n  {result.commands.start}"


def registration_words(registration: Registration, *, already: bool) -> str:
    """Say as what and with which runtime: ``"registered as e4b (llama.cpp)"``."""
    shown = REGISTRY[registration.runtime].title
    return f"{'already ' if already else ''}registered as {registration.name} ({shown})"
