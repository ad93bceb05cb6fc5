"""A server from its start to its end."""

from __future__ import annotations

from setup_manager.app import serve

ENDED = "The server has stopped."


def loading_text(plan: serve.Plan) -> str:
    """Say what is being loaded."""
    return f"Loading {plan.launch.model.name} ..."


def ready_text(plan: serve.Plan, endpoint: str) -> str:
    """Say where it answers, and how to try that."""
    name, chosen = plan.launch.model.name, plan.launch.runtime
    return (
        f"{name} is ready at {endpoint} ({chosen.name}; {chosen.reason}).\n"
        "Try it from another terminal; Ctrl-C here stops it.\n"
        f"  {serve.ask_command(endpoint, name)}"
    )
