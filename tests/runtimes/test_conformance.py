"""What every registered runtime owes the rest, held against a real server where one can be here.

A new runtime is tested by a line of `HOSTS`: how its server, or a stand-in for it, comes to life.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from setup_manager import rehearsal
from setup_manager.catalog.artifact import Model
from setup_manager.errors import SetupError
from setup_manager.fit.settings import Settings
from setup_manager.library.inventory import InstalledModel, Registration
from setup_manager.runtimes.base import Opening, RegisterOptions, Runtime
from setup_manager.runtimes.chat import Question
from setup_manager.runtimes.options import StartOptions
from setup_manager.runtimes.registry import REGISTRY
from setup_manager.runtimes.status import RuntimeStatus
from tests.runtimes.fakes import fake_on_path
from tests.runtimes.installed import Place, installed
from tests.runtimes.ollama_standin import ollama_standin
from tests.runtimes.test_ollama_registration import real_ollama
from tests.support.processes import running_children

WEIGHTS = next(Path(rehearsal.__file__).parent.glob("data/*.gguf"))
SETTINGS = Settings(context=1024)

pytestmark = pytest.mark.real_runtime


@contextmanager
def in_environment(folder: Path) -> Iterator[dict[str, str]]:
    """The engine that is in this environment, or on PATH."""
    del folder
    yield {"PATH": os.environ["PATH"]}


@contextmanager
def fake_server(folder: Path) -> Iterator[dict[str, str]]:
    yield {"PATH": str(fake_on_path(folder / "bin"))}


@contextmanager
def stand_in(folder: Path) -> Iterator[dict[str, str]]:
    with ollama_standin(folder / ".ollama" / "models") as endpoint:
        yield {"OLLAMA_HOST": endpoint}


@contextmanager
def real(folder: Path) -> Iterator[dict[str, str]]:
    with real_ollama(folder / ".ollama" / "models") as endpoint:
        yield {"OLLAMA_HOST": endpoint}


Host = Callable[[Path], AbstractContextManager[dict[str, str]]]
HOSTS: dict[str, list[Host]] = {
    "llama.cpp": [fake_server, *([in_environment] if shutil.which("llama-server") else [])],
    "ollama": [stand_in, *([real] if shutil.which("ollama") else [])],
    "embedded": [in_environment],
}


@dataclass(frozen=True)
class Subject:
    """A runtime that is here, and a model that is installed for it."""

    runtime: Runtime
    status: RuntimeStatus
    place: Place
    model: InstalledModel

    def register(self, **options: str) -> Registration:
        return self.runtime.register(
            self.current,
            self.status,
            SETTINGS,
            RegisterOptions(**options),  # type: ignore[arg-type]
            lambda _: None,
            exact=False,
        )

    def keep(self, made: Registration) -> InstalledModel:
        """Do what `register` of the app does with a registration."""
        kept = self.current.with_registration(made)
        self.place.inventory.save(kept)
        return kept

    @property
    def current(self) -> InstalledModel:
        return self.place.inventory.find(self.model.name) or self.model


@pytest.fixture(
    params=[(name, host) for name, hosts in HOSTS.items() for host in hosts],
    ids=lambda param: f"{param[0]}-{param[1].__name__}",
)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    name, host = request.param
    folder = tmp_path / "home"
    folder.mkdir()
    weights = Path(shutil.copyfile(WEIGHTS, folder / WEIGHTS.name))
    with host(folder) as environment:
        place = Place(folder, environment)
        runtime = REGISTRY[name](place)
        status = runtime.find()
        if not runtime.ready(status):
            pytest.skip(f"{name} is not here")
        model = installed(weights)
        place.inventory.save(model)
        yield Subject(runtime, status, place, model)


def test_every_runtime_is_in_this_suite() -> None:
    assert set(HOSTS) == set(REGISTRY)
    assert REGISTRY.first == next(iter(REGISTRY))
    for name, kind in REGISTRY.items():
        assert kind.name == name
        assert kind.program_bytes > 0
        assert kind.reason
        assert kind.how_to_get().endswith(".")


def test_it_is_found_with_what_a_person_wants_to_know(subject: Subject) -> None:
    status = subject.status
    assert status.name == subject.runtime.name
    assert status.found
    assert status.usable
    assert status.version
    assert status.endpoint or status.path


@pytest.mark.parametrize("name", REGISTRY)
def test_nothing_is_found_where_nothing_is(name: str, tmp_path: Path) -> None:
    nowhere = Place(tmp_path, {"PATH": "", "OLLAMA_HOST": "127.0.0.1:9"})
    status = REGISTRY[name](nowhere).find()
    if status.usable and not status.endpoint:
        pytest.skip(f"{name} is here without being asked for")
    assert not REGISTRY[name].ready(status)
    assert status.detail


def test_a_registered_model_is_left_alone_the_second_time_and_comes_out_again(
    subject: Subject,
) -> None:
    made = subject.register()
    subject.keep(made)
    assert subject.register() == made
    assert subject.current.registrations == (made,)
    assert subject.runtime.unregister(made)


def test_a_registration_may_come_out_twice_and_in_again(subject: Subject) -> None:
    made = subject.register()
    for _ in range(2):
        subject.runtime.unregister(made)
    subject.place.inventory.save(subject.model)
    again = subject.register()
    assert again.name == made.name
    assert subject.runtime.unregister(again)


def test_what_is_registered_costs_no_second_copy(subject: Subject) -> None:
    weights = subject.model.weights.artifact
    files = Model(subject.model.name, subject.model.variant, "F16", False, (weights,))
    before = subject.runtime.copies(files, subject.status, RegisterOptions())
    assert (before.store is None) == (before.peak_bytes == 0)
    assert before.peak_bytes in {0, 3 * weights.size_bytes}
    subject.keep(subject.register())
    assert subject.runtime.copies(files, subject.status, RegisterOptions()).peak_bytes == 0


def test_what_a_person_types_can_be_typed(subject: Subject) -> None:
    made = subject.register()
    line = subject.runtime.start_line(made, subject.model.name, "gemma-setup")
    words = shlex.split(line)
    assert shlex.join(words) == line
    assert made.name in words or str(subject.place.paths.data.path) in line
    assert subject.runtime.endpoint_of(made).startswith("http://")


def test_an_opened_model_answers_is_measured_and_ends(subject: Subject) -> None:
    model = subject.keep(subject.register())
    started: list[int] = []
    opening = Opening(on_start=lambda pid, _end: started.append(pid))
    options = StartOptions(context=1024, threads=1)
    with subject.runtime.open(model, subject.status, options, opening) as served:
        answer = served.ask(Question("What is the capital of France? Answer with one word."))
        claim = served.claim()
        assert "Paris" in answer.text
        assert answer.tokens > 0
        assert served.load_seconds > 0
        assert served.endpoint.startswith("http://")
        # Either a process of ours can be measured, or the runtime says what the model takes.
        assert (started[0] > 0) == (claim is None)
        assert claim is None or claim.memory_bytes > 0
    served.end()
    assert running_children() == [] or subject.runtime.own_server


def test_a_refusal_to_go_on_ends_a_model_that_loads(subject: Subject) -> None:
    model = subject.keep(subject.register())

    def refuse() -> None:
        raise SetupError("enough", hint="Wait.")

    opened = subject.runtime.open(model, subject.status, StartOptions(), Opening(check=refuse))
    with pytest.raises(SetupError) as caught, opened:
        pass
    assert caught.value.message == "enough"
    assert running_children() == [] or subject.runtime.own_server


def test_a_model_without_anything_to_run_is_an_error_with_a_way_on(subject: Subject) -> None:
    nothing = replace(subject.model, files=(), registrations=())
    with pytest.raises(SetupError) as caught:
        subject.runtime.open(nothing, subject.status, StartOptions(), Opening())
    assert caught.value.exit_code == 2
    assert "`gemma-setup" in caught.value.hint


def test_a_file_that_is_no_model_is_an_error_with_its_facts(
    subject: Subject, tmp_path: Path
) -> None:
    rubbish = tmp_path / "home" / "rubbish.gguf"
    rubbish.write_bytes(b"GGUF" + bytes(1000))
    model = installed(rubbish)
    subject.place.inventory.save(model)
    with pytest.raises(SetupError) as caught:
        registered_and_opened(replace(subject, model=model))
    assert caught.value.exit_code in {15, 16, 17}
    assert caught.value.context
    assert caught.value.hint


def registered_and_opened(subject: Subject) -> None:
    model = subject.keep(subject.register())
    with subject.runtime.open(model, subject.status, StartOptions(), Opening()):
        pass


def test_only_what_this_tool_installs_has_builds(subject: Subject) -> None:
    if subject.runtime.installable:
        assert subject.runtime.builds.installed() == ()
    else:
        with pytest.raises(SetupError) as caught:
            _ = subject.runtime.builds
        assert caught.value.hint == subject.runtime.how_to_get()
