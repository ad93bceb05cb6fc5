"""`gemma-setup paths`."""

from __future__ import annotations

from setup_manager.cli.command import gemma_command
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "paths",
    "models_dir",
    examples=("gemma-setup paths", "gemma-setup paths --json"),
)
def command(shell: Shell) -> Outcome:
    """Show where everything is stored and which setting decided it."""
    from setup_manager.cli.render.paths_text import paths_text

    paths = shell.paths
    places = {
        "models": paths.models or paths.hub_cache,
        "hub_cache": paths.hub_cache,
        "configuration": paths.config_file,
        "data": paths.data,
        "state": paths.state,
        "ollama_models": paths.ollama_models,
        "temporary": paths.temporary,
    }
    data = {
        name: {"path": str(place.path), "decided_by": place.decided_by}
        for name, place in places.items()
    }
    return Outcome(data, paths_text(places, shell.terminal))
