"""Which runtime serves a model."""

import pytest

from setup_manager.app.verbs.serve import choose_server
from setup_manager.errors import RuntimeMissingError
from setup_manager.runtimes.base import RuntimeStatus

LLAMA = RuntimeStatus("llama.cpp", found=True, gemma4=True, path="/bin/llama-server")
OLD_LLAMA = RuntimeStatus("llama.cpp", found=True, gemma4=False)
NO_LLAMA = RuntimeStatus("llama.cpp", found=False)
OLLAMA = RuntimeStatus("ollama", found=True, gemma4=True, endpoint="http://127.0.0.1:11434")
EMBEDDED = RuntimeStatus("embedded", found=True, gemma4=True)
NO_EMBEDDED = RuntimeStatus("embedded", found=False)


@pytest.mark.parametrize(
    ("llama", "wanted", "chosen"),
    [
        (LLAMA, "auto", "llama.cpp"),
        (OLD_LLAMA, "auto", "embedded"),
        (NO_LLAMA, "auto", "embedded"),
        (LLAMA, "embedded", "embedded"),
    ],
)
def test_a_server_is_chosen_and_never_ollama(
    llama: RuntimeStatus, wanted: str, chosen: str
) -> None:
    assert choose_server([llama, OLLAMA, EMBEDDED], wanted).name == chosen


@pytest.mark.parametrize(
    ("statuses", "wanted", "word"),
    [
        ([LLAMA, OLLAMA, EMBEDDED], "ollama", "ollama run"),
        ([NO_LLAMA, OLLAMA, EMBEDDED], "llama.cpp", "runtime install llama.cpp"),
        ([NO_LLAMA, OLLAMA, NO_EMBEDDED], "auto", "runtime install"),
    ],
)
def test_what_cannot_serve_is_an_error_that_says_what_does(
    statuses: list[RuntimeStatus], wanted: str, word: str
) -> None:
    with pytest.raises(RuntimeMissingError) as caught:
        choose_server(statuses, wanted)
    assert word in caught.value.hint
