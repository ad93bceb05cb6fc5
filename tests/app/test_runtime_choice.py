"""Which runtime is taken, and for which variant."""

from __future__ import annotations

import pytest

from setup_manager.app.verbs.runtime import choose_runtime
from setup_manager.errors import RuntimeMissingError
from setup_manager.runtimes import REGISTRY, RuntimeStatus


def statuses(**found: RuntimeStatus) -> list[RuntimeStatus]:
    return [
        found.get(name.replace(".", "_"), RuntimeStatus(name, found=False)) for name in REGISTRY
    ]


def old_ollama(version: str = "0.30.3") -> RuntimeStatus:
    endpoint = "http://127.0.0.1:11434"
    return RuntimeStatus("ollama", found=True, version=version, endpoint=endpoint, gemma4=True)


EMBEDDED = RuntimeStatus("embedded", found=True, version="1", path="/x", gemma4=True)


@pytest.mark.parametrize("variant", [None, "e4b", "31b"])
def test_an_ollama_before_0_30_5_is_taken_for_what_it_runs(variant: str | None) -> None:
    chosen = choose_runtime(statuses(ollama=old_ollama()), "auto", variant)
    assert chosen.name == "ollama"
    assert chosen.suits(variant)


def test_an_ollama_before_0_30_5_is_refused_for_the_12b_on_which_it_crashes() -> None:
    with pytest.raises(RuntimeMissingError) as caught:
        choose_runtime(statuses(ollama=old_ollama()), "ollama", "12b")
    assert "crashes on the 12B" in "\n".join(caught.value.context)
    assert "Update Ollama" in caught.value.hint


def test_another_runtime_is_taken_for_the_12b_where_one_is_here() -> None:
    found = statuses(ollama=old_ollama(), embedded=EMBEDDED)
    assert choose_runtime(found, "auto", "e4b").name == "ollama"
    assert choose_runtime(found, "auto", "12b").name == "embedded"
    assert not choose_runtime(found, "auto", None).suits("12b")


def test_an_ollama_from_0_30_5_on_runs_the_12b() -> None:
    assert choose_runtime(statuses(ollama=old_ollama("0.30.5")), "ollama", "12b").suits("12b")


def test_where_nothing_is_every_way_to_get_one_is_named() -> None:
    with pytest.raises(RuntimeMissingError) as caught:
        choose_runtime(statuses(), "auto")
    assert all(kind.how_to_get() in caught.value.hint for kind in REGISTRY.values())
