"""What fits a machine, ranked, and what was rejected."""

from __future__ import annotations

from setup_manager.app import recommend
from setup_manager.cli.render.explain_text import basis_words, speed_text
from setup_manager.cli.render.wrapping import wrapped
from setup_manager.cli.terminal import Terminal
from setup_manager.fit import Choice
from setup_manager.units import format_memory, format_size

_SHOWN, _SHOWN_REJECTED = 3, 3
_VERDICT_MARKS = {"fits": "ok", "tight": "warn", "no": "fail"}


def recommend_text(result: recommend.Result, terminal: Terminal, *, verbose: bool) -> str:
    """Print the best choices and the nearest rejected ones; all of them when verbose."""
    found = result.recommendation
    memory = result.machine.memory
    lines = [
        (
            f"{format_memory(memory.available_bytes)} of memory available; "
            f"{format_memory(found.headroom_bytes)} of it kept free for everything else."
        ),
        "",
    ]
    shown = found.choices if verbose else found.choices[:_SHOWN]
    for rank, choice in enumerate(shown, 1):
        lines += _choice_lines(choice, terminal, f"{rank}.")
    rejected = found.rejected if verbose else found.rejected[:_SHOWN_REJECTED]
    if rejected:
        lines += [terminal.styled("rejected", "bold")]
        for choice in rejected:
            lines += _choice_lines(choice, terminal, "", brief=True)
    hidden = len(found.choices) + len(found.rejected) - len(shown) - len(rejected)
    if hidden > 0:
        lines.append(terminal.styled(f"{hidden} more: add -v", "dim"))
    lines += ["", *faster_lines(result), f"gemma-setup install {found.choices[0].model}"]
    return "\n".join(lines)


def faster_lines(result: recommend.Result) -> list[str]:
    """Name the choice that is smaller and faster than the first one, if there is one."""
    small = result.recommendation.faster
    if small is None:
        return []
    size, speed = format_size(small.size_bytes), speed_text(small)
    return [f"Smaller and faster: {small.model}, {size}, {speed}"]


def _choice_lines(
    choice: Choice, terminal: Terminal, rank: str, *, brief: bool = False
) -> list[str]:
    mark = terminal.mark(_VERDICT_MARKS[choice.verdict])
    size = format_size(choice.size_bytes) + ("" if choice.memory.confirmed else " (computed)")
    title = terminal.styled(choice.model, "bold")
    reasons = "; ".join(recommend.choice_reasons(choice))
    if brief:
        return [f"{mark} {title}  {size}", *_wrapped(reasons, terminal.width)]
    head = f"{rank} {mark} {title}  {size}, {choice.settings.context:,} tokens of context"
    facts = f"{speed_text(choice)}, limited by {choice.speed.limited_by}"
    facts += f"; {basis_words(choice.speed.basis)}"
    return [head, *_wrapped(facts, terminal.width), *_wrapped(reasons, terminal.width)]


def _wrapped(text: str, width: int) -> list[str]:
    return [f"     {line}" for line in wrapped(text, width - 5, hanging=0)]
