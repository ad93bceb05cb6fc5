"""Which runtime serves a model."""

import pytest

from setup_manager.app import planning, serve
from setup_manager.errors import RuntimeMissingError, UsageError
from setup_manager.rehearsal.model import VARIANT
from setup_manager.runtimes import RuntimeStatus
from setup_manager.session import Session

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
@pytest.mark.usefixtures("installed")
def test_a_server_is_chosen_and_never_ollama(
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    llama: RuntimeStatus,
    wanted: str,
    chosen: str,
) -> None:
    monkeypatch.setattr(planning, "find_runtimes", lambda _: (llama, OLLAMA, EMBEDDED))
    plan = serve.plan(session, serve.Request(model=VARIANT, runtime=wanted, port=8081))
    assert (plan.launch.runtime.name, plan.port) == (chosen, 8081)
    assert plan.launch.settings.runtime == chosen


@pytest.mark.parametrize(
    ("statuses", "wanted", "word"),
    [
        ((LLAMA, OLLAMA, EMBEDDED), "ollama", "ollama run"),
        ((NO_LLAMA, OLLAMA, EMBEDDED), "llama.cpp", "runtime install llama.cpp"),
        ((NO_LLAMA, OLLAMA, NO_EMBEDDED), "auto", "runtime install"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_what_cannot_serve_is_an_error_that_says_what_does(
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    statuses: tuple[RuntimeStatus, ...],
    wanted: str,
    word: str,
) -> None:
    monkeypatch.setattr(planning, "find_runtimes", lambda _: statuses)
    with pytest.raises(RuntimeMissingError) as caught:
        serve.plan(session, serve.Request(model=VARIANT, runtime=wanted))
    assert word in caught.value.hint


def test_a_model_that_is_not_installed_is_refused_before_a_runtime_is_looked_for(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Session] = []
    monkeypatch.setattr(planning, "find_runtimes", looked.append)
    with pytest.raises(UsageError) as caught:
        serve.plan(session, serve.Request(model=VARIANT))
    assert caught.value.code == "not-installed"
    assert looked == []
