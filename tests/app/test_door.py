"""The door of app: verbs, loaded when they are asked for."""

import subprocess
import sys

import pytest

import setup_manager.app as app


def test_importing_the_door_loads_no_verb() -> None:
    code = (
        "import sys, setup_manager.app\n"
        "print([name for name in sys.modules if name.startswith('setup_manager.app.')])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert loaded.stdout == "[]\n"


def test_a_verb_is_the_module_of_its_name() -> None:
    for name in app.__all__:
        assert getattr(app, name).__name__ == f"setup_manager.app.verbs.{name}"


def test_a_name_that_is_not_on_the_door_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'teleport'"):
        getattr(app, "teleport")  # noqa: B009 - mypy knows that it is none
