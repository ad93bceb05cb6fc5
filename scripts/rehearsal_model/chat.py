"""Gemma 4's turns as text, and the template that goes into the GGUF."""

from __future__ import annotations

from collections.abc import Iterator

from .corpus import Dialogue

TEMPLATE = """\
{#- Gemma 4 rehearsal: the turns of Gemma 4, text only. enable_thinking is accepted and ignored. -#}
{{- bos_token -}}
{%- for message in messages -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{- '<|turn>' + role + '\\n' + message['content'] | trim + '<turn|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|turn>model\\n' -}}
{%- endif -%}
"""

MODEL_TURN = "<|turn>model\n"
EMPTY_THOUGHT = "<|channel>thought\n<channel|>"

Spans = Iterator[tuple[str, bool]]


def render(dialogue: Dialogue) -> Spans:
    """Yield the text of a conversation in pieces, each with whether it belongs to an answer.

    An answer ends with the token that closes its turn: the model must learn to stop.
    """
    yield "<bos>", False
    if dialogue.system is not None:
        yield f"<|turn>system\n{dialogue.system}<turn|>\n", False
    opening = MODEL_TURN + (EMPTY_THOUGHT if dialogue.empty_thought else "")
    for turn in dialogue.turns:
        yield f"<|turn>user\n{turn.question}<turn|>\n{opening}", False
        yield f"{turn.answer}<turn|>", True
        yield "\n", False
