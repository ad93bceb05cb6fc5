"""`gemma-setup completion`."""

from __future__ import annotations

import click

from setup_manager.cli.command import gemma_command
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell

SHELLS = ("bash", "zsh", "fish", "powershell")


@gemma_command(
    "completion",
    click.Argument(["shell_name"], metavar="SHELL", type=click.Choice(SHELLS)),
    examples=(
        'eval "$(gemma-setup completion bash)"',
        "gemma-setup completion zsh > ~/.zfunc/_gemma-setup",
        "gemma-setup completion fish > ~/.config/fish/completions/gemma-setup.fish",
        "gemma-setup completion powershell | Out-String | Invoke-Expression",
    ),
)
def command(shell: Shell, shell_name: str) -> Outcome:  # noqa: ARG001 - every command gets one
    """Print the completion script for SHELL: bash, zsh, fish or powershell."""
    from setup_manager.cli.completion import SCRIPTS

    script = SCRIPTS[shell_name].strip("\n")
    return Outcome({"shell": shell_name, "script": script}, script)
