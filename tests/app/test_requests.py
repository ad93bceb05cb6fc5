"""What every verb is asked with: one frozen request, and no field that it does not know."""

from dataclasses import MISSING, FrozenInstanceError, fields, is_dataclass
from inspect import signature
from types import ModuleType
from typing import Any

import pytest

from setup_manager import app
from setup_manager.app import recommend, runtime
from setup_manager.errors import UsageError

VERBS = {name: getattr(app, name) for name in app.__all__}
LOOKING = {"check", "recommend"}
REQUESTS: dict[str, type[Any]] = {
    **{name: verb.Request for name, verb in VERBS.items()},
    "explain": recommend.ExplainRequest,
    "runtime remove": runtime.RemovalRequest,
}
SETTINGS = [name for name, kind in REQUESTS.items() if "kv_type" in signature(kind).parameters]


def required(kind: type[Any]) -> dict[str, str]:
    """What a request cannot be made without: a model."""
    return {field.name: "e4b" for field in fields(kind) if field.default is MISSING}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_verb_is_planned_from_its_request_and_runs_its_plan(verb: ModuleType) -> None:
    if verb.__name__.rpartition(".")[2] in LOOKING:
        assert list(signature(verb.run).parameters)[:2] == ["session", "request"]
        assert not hasattr(verb, "plan")
    else:
        assert list(signature(verb.plan).parameters)[:2] == ["session", "request"]
        assert list(signature(verb.run).parameters)[:2] == ["session", "plan"]


@pytest.mark.parametrize("kind", REQUESTS.values(), ids=REQUESTS)
def test_a_request_is_frozen(kind: type[Any]) -> None:
    request = kind(**required(kind))
    assert is_dataclass(request)
    for field in fields(request):
        with pytest.raises(FrozenInstanceError):
            setattr(request, field.name, None)


@pytest.mark.parametrize("kind", REQUESTS.values(), ids=REQUESTS)
def test_a_request_refuses_a_field_that_it_does_not_know(kind: type[Any]) -> None:
    with pytest.raises(TypeError, match="surprise"):
        kind(**required(kind), surprise=True)


@pytest.mark.parametrize("kind", REQUESTS.values(), ids=REQUESTS)
def test_a_request_is_made_of_named_fields_alone(kind: type[Any]) -> None:
    with pytest.raises(TypeError, match="positional"):
        kind("e4b")


@pytest.mark.parametrize("kind", REQUESTS.values(), ids=REQUESTS)
def test_equal_requests_are_one_to_a_set(kind: type[Any]) -> None:
    assert len({kind(**required(kind)), kind(**required(kind))}) == 1


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize(
    "wrong", [{"kv_type": "q2_k"}, {"context": 0}, {"slots": -1}, {"ubatch": 0}], ids=str
)
def test_settings_out_of_range_are_refused_when_the_request_is_made(
    name: str, wrong: dict[str, Any]
) -> None:
    kind = REQUESTS[name]
    with pytest.raises(UsageError):
        kind(**required(kind), **wrong)
