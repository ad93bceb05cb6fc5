from collections.abc import Mapping
from pathlib import Path

import pytest

from setup_manager.errors import UsageError
from setup_manager.library.paths import Paths, Place, resolve_paths

HOME = Path("/home/dev")


def resolved(
    environment: Mapping[str, str], os_name: str = "linux", home: Path | None = HOME
) -> Paths:
    return resolve_paths(environment, os_name=os_name, home=home, temporary=Path("/tmp"))


@pytest.mark.parametrize(
    ("environment", "path", "decided_by"),
    [
        ({}, "/home/dev/.cache/huggingface/hub", "default"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub", "XDG_CACHE_HOME"),
        ({"HF_HOME": "/hf", "XDG_CACHE_HOME": "/x"}, "/hf/hub", "HF_HOME"),
        ({"HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/hf"}, "/old", "HUGGINGFACE_HUB_CACHE"),
        ({"HF_HUB_CACHE": "/c", "HUGGINGFACE_HUB_CACHE": "/old"}, "/c", "HF_HUB_CACHE"),
        ({"HF_HUB_CACHE": "~/c"}, "/home/dev/c", "HF_HUB_CACHE"),
        ({"HF_HUB_CACHE": "  "}, "/home/dev/.cache/huggingface/hub", "default"),
    ],
)
def test_the_hub_cache_is_found_as_the_hub_finds_it(
    environment: dict[str, str], path: str, decided_by: str
) -> None:
    assert resolved(environment).hub_cache == Place(Path(path), decided_by)


@pytest.mark.parametrize(
    ("os_name", "environment", "state"),
    [
        ("linux", {}, "/home/dev/.local/state/gemma-setup"),
        ("linux", {"XDG_STATE_HOME": "/s"}, "/s/gemma-setup"),
        ("linux", {"GEMMA_SETUP_HOME": "/g", "XDG_STATE_HOME": "/s"}, "/g/state"),
        ("macos", {}, "/home/dev/Library/Application Support/gemma-setup/state"),
        ("windows", {"LOCALAPPDATA": "/local"}, "/local/gemma-setup/state"),
        ("windows", {}, "/home/dev/.local/state/gemma-setup"),
    ],
)
def test_state_lies_where_each_system_keeps_it(
    os_name: str, environment: dict[str, str], state: str
) -> None:
    assert resolved(environment, os_name).state.path == Path(state)


def test_without_a_home_folder_the_error_says_what_to_set() -> None:
    with pytest.raises(UsageError) as caught:
        resolved({}, home=None)
    assert caught.value.code == "no-home"
    assert "HF_HOME" in caught.value.hint


def test_without_a_home_folder_two_variables_are_enough() -> None:
    environment = {"GEMMA_SETUP_HOME": "/g", "HF_HOME": "/hf", "OLLAMA_MODELS": "/o"}
    paths = resolved(environment, home=None)
    assert paths.hub_cache.path == Path("/hf/hub")
    assert paths.state.path == Path("/g/state")


def test_downloads_go_to_the_hub_cache_or_to_the_folder_that_was_named() -> None:
    assert resolved({}).download_root == HOME / ".cache/huggingface/hub"
    named = resolve_paths(
        {},
        os_name="linux",
        home=HOME,
        temporary=Path("/tmp"),
        models_dir=Place(Path("/m"), "--models-dir"),
    )
    assert named.download_root == Path("/m")
