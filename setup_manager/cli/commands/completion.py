"""`gemma-setup completion`: scripts for four shells.

Click brings the scripts for bash, zsh and fish; PowerShell speaks the same protocol through a
short script of our own.
"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from setup_manager.cli.options import gemma_command
from setup_manager.cli.result import Outcome
from setup_manager.cli.shell import Shell

_VARIABLE = "_GEMMA_SETUP_COMPLETE"
_POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName gemma-setup -ScriptBlock {
    param($word, $ast, $position)
    $env:_GEMMA_SETUP_COMPLETE = "fish_complete"
    $env:COMP_WORDS = $ast.ToString()
    $env:COMP_CWORD = $word
    try {
        gemma-setup | ForEach-Object {
            $kind, $value = $_ -split ",", 2
            $value = ($value -split "`t", 2)[0]
            [System.Management.Automation.CompletionResult]::new($value)
        }
    } finally {
        Remove-Item Env:_GEMMA_SETUP_COMPLETE, Env:COMP_WORDS, Env:COMP_CWORD
    }
}
"""


@gemma_command(
    "completion",
    examples=(
        'eval "$(gemma-setup completion bash)"',
        "gemma-setup completion zsh > ~/.zfunc/_gemma-setup",
        "gemma-setup completion fish > ~/.config/fish/completions/gemma-setup.fish",
        "gemma-setup completion powershell | Out-String | Invoke-Expression",
    ),
)
@click.argument(
    "shell_name", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish", "powershell"])
)
def command(shell: Shell, shell_name: str) -> Outcome:  # noqa: ARG001 - every command gets one
    """Print the completion script for SHELL: bash, zsh, fish or powershell."""
    script = _POWERSHELL if shell_name == "powershell" else _click_script(shell_name)
    return Outcome({"shell": shell_name, "script": script}, script.rstrip("\n"))


def _click_script(shell_name: str) -> str:
    from setup_manager.cli.group import cli

    completion = get_completion_class(shell_name)
    if completion is None:
        raise click.UsageError(f"There is no completion for {shell_name}.")
    return completion(cli, {}, "gemma-setup", _VARIABLE).source()
