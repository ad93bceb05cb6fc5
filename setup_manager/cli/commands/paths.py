"""`gemma-setup paths`."""

from __future__ import annotations

from setup_manager.cli.options import StorageOptions, gemma_command
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "paths",
    StorageOptions,
    examples=("gemma-setup paths", "gemma-setup paths --json"),
)
def command(shell: Shell, storage: StorageOptions) -> Outcome:
    """Show where everything lives and what decided it."""
    paths = shell.paths(storage)
    places = {
        "models": paths.models or paths.hub_cache,
        "hub_cache": paths.hub_cache,
        "configuration": paths.config_file,
        "data": paths.data,
        "state": paths.state,
        "ollama_models": paths.ollama_models,
        "temporary": paths.temporary,
    }
    width = max(map(len, places))
    lines = [
        f"{name.replace('_', ' '):<{width}}  {place.path}  "
        + shell.terminal.styled(f"({place.decided_by})", "dim")
        for name, place in places.items()
    ]
    data = {
        name: {"path": str(place.path), "decided_by": place.decided_by}
        for name, place in places.items()
    }
    return Outcome(data, "\n".join(lines))
