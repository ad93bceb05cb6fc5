"""What the Tab key offers, in four shells.

All of them speak one protocol: the script hands over the line up to the cursor, and gets back a
line for each candidate: its kind (``plain``, ``file`` or ``dir``), the whole word, and a help text,
separated by tabs. Click's own scripts hand over words instead, which bash splits at colons, so
that ``e4b:Q4`` could not be completed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    split_arg_string,
)

from setup_manager.catalog import Catalog
from setup_manager.errors import SetupError

if TYPE_CHECKING:
    from setup_manager.cli.shell import Shell
    from setup_manager.session import Session

_BASH = r"""
_gemma_setup_completion() {
    local line=${COMP_LINE:0:COMP_POINT} word known="" kind value help
    word=${line##*[[:space:]]}
    # Readline replaces only what follows the last of its word breaks.
    [[ $COMP_WORDBREAKS == *=* && $word == -*=* ]] && known=${word%%=*}=
    [[ $COMP_WORDBREAKS == *:* && $word == *:* ]] && known=${word%"${word##*:}"}
    COMPREPLY=()
    while IFS=$'\t' read -r kind value help; do
        case $kind in
            plain) COMPREPLY+=("${value:${#known}}") ;;
            file) compopt -o default 2>/dev/null ;;
            dir) compopt -o dirnames 2>/dev/null ;;
        esac
    done < <(COMP_LINE="$line" _GEMMA_SETUP_COMPLETE=line_complete "$1" 2>/dev/null)
}
complete -o nosort -F _gemma_setup_completion gemma-setup 2>/dev/null ||
    complete -F _gemma_setup_completion gemma-setup
"""
_ZSH = r"""
#compdef gemma-setup

_gemma_setup_completion() {
    local line="${(j: :)words[1,CURRENT-1]} $PREFIX" kind value help
    local -a candidates
    while IFS=$'\t' read -r kind value help; do
        case $kind in
            plain) candidates+=("${value//:/\\:}${help:+:$help}") ;;
            file) _files ;;
            dir) _files -/ ;;
        esac
    done < <(COMP_LINE="$line" _GEMMA_SETUP_COMPLETE=line_complete "${words[1]}" 2>/dev/null)
    (( $#candidates )) && _describe -V gemma-setup candidates
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _gemma_setup_completion "$@"
else
    compdef _gemma_setup_completion gemma-setup
fi
"""
_FISH = r"""
function _gemma_setup_completion
    set -lx COMP_LINE (commandline -cp)
    set -lx _GEMMA_SETUP_COMPLETE line_complete
    for entry in (gemma-setup 2>/dev/null)
        set -l fields (string split \t -- $entry)
        switch $fields[1]
            case plain
                string join \t -- $fields[2..]
            case file
                __fish_complete_path (commandline -ct)
            case dir
                __fish_complete_directories (commandline -ct)
        end
    end
end

complete --command gemma-setup --no-files --keep-order --arguments "(_gemma_setup_completion)"
"""
_POWERSHELL = r"""
Register-ArgumentCompleter -Native -CommandName gemma-setup -ScriptBlock {
    param($word, $ast, $position)
    $line = $ast.ToString()
    $typed = $position - $ast.Extent.StartOffset
    if ($typed -lt $line.Length) { $line = $line.Substring(0, $typed) }
    elseif (-not $word) { $line += ' ' }
    $env:COMP_LINE = $line
    $env:_GEMMA_SETUP_COMPLETE = 'line_complete'
    try {
        $answer = @(gemma-setup 2>$null)
    } finally {
        Remove-Item Env:COMP_LINE, Env:_GEMMA_SETUP_COMPLETE
    }
    foreach ($entry in $answer) {
        $kind, $value, $help = $entry -split "`t", 3
        # For a file or a folder PowerShell completes by itself when nothing is returned.
        if ($kind -ne 'plain') { continue }
        if (-not $help) { $help = $value }
        [System.Management.Automation.CompletionResult]::new(
            $value, $value, 'ParameterValue', $help)
    }
}
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH, "powershell": _POWERSHELL}


class LineComplete(ShellComplete):
    """The protocol of the scripts above."""

    name = "line"
    source_template = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Split the line into the words before the cursor and the one that is being typed."""
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)[1:]
        if not words or line[-1].isspace():
            return words, ""
        return words[:-1], words[-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """Find the candidates, each a whole word: Click leaves out the option of --option=value."""
        try:
            found = super().get_completions(args, incomplete)
        except (click.ClickException, SetupError):  # running the line will say what is wrong
            return []
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("-"):
            for item in found:
                item.value = f"{option}={item.value}"
        return found

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Write a candidate on one line."""
        return "\t".join(
            " ".join(str(field or "").split()) for field in (item.type, item.value, item.help)
        )


def register() -> None:
    """Make Click answer the scripts."""
    add_completion_class(LineComplete)


def complete_model(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001 - click's signature
    incomplete: str,
) -> list[CompletionItem[str]]:
    """Offer variants, and their quantizations once a variant is there."""
    try:
        catalog = _session(ctx).catalog
    except SetupError:  # nobody who presses Tab wants to read it
        return []
    return _matching(_catalog_models(catalog, incomplete), incomplete)


def complete_installed(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001 - click's signature
    incomplete: str,
) -> list[CompletionItem[str]]:
    """Offer the models that are installed."""
    try:
        models = _session(ctx).inventory.models()
    except SetupError:
        return []
    items = (CompletionItem(model.name, help=str(model.weights.path.name)) for model in models)
    return _matching(items, incomplete)


def _session(ctx: click.Context) -> Session:
    shell: Shell = ctx.obj.shell
    shell.take(ctx)
    return shell.session


def _matching(items: Iterator[CompletionItem[str]], incomplete: str) -> list[CompletionItem[str]]:
    typed = incomplete.lower()
    return [item for item in items if item.value.lower().startswith(typed)]


def _catalog_models(catalog: Catalog, incomplete: str) -> Iterator[CompletionItem[str]]:
    """List variants; a variant that is typed in full brings its quantizations too."""
    typed = incomplete.lower().partition(":")[0]
    for variant in catalog.variants.values():
        yield CompletionItem(variant.key, help=f"{variant.name}, {variant.parameters}")
        if typed == variant.key:
            yield from _quantizations(catalog, variant.key)


def _quantizations(catalog: Catalog, key: str) -> Iterator[CompletionItem[str]]:
    from setup_manager.units import format_size

    default = catalog.variants[key].default_quantization
    for file in catalog.weights(key):
        size = format_size(file.size_bytes) if file.size_bytes else "size unknown"
        mark = ", default" if file.quantization == default else ""
        yield CompletionItem(f"{key}:{file.quantization}", help=size + mark)
