"""A download that has not ended is told as such, and not as damage."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, model_path
from tests.cli.hub import catalog_file, environment_for
from tests.cli.runner import Program
from tests.support.faults import always, trickle
from tests.support.loopback import LoopbackHub

MODEL = f"{VARIANT}:F16"


@pytest.fixture
def interrupted(program: Program, start_hub: Callable[..., LoopbackHub], tmp_path: Path) -> Program:
    """The program after a download that was stopped in its middle."""
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}}, faults=[always(trickle(400_000))])
    environment = environment_for(hub, catalog_file(tmp_path, hub))
    at_hub = Program(program.home, {**program.environment, **environment})
    download = at_hub.start("download", VARIANT, "--progress", "json")
    assert download.stderr is not None
    for line in download.stderr:
        if json.loads(line).get("bytes", 0) > 300_000:
            break
    download.terminate()
    download.communicate(timeout=20)
    assert download.returncode == 130
    return at_hub


def test_what_is_partial_is_called_partial(interrupted: Program) -> None:
    (model,) = interrupted("list", "--installed", "--json").document["data"]["installed"]
    arrived = model["files"][0]["arrived_bytes"]
    assert not model["complete"]
    assert 0 < arrived < model["files"][0]["bytes"]
    said = f"partial, {100 * arrived // model['files'][0]['bytes']} % here"
    continues = f"`gemma-setup download {MODEL}` continues"
    listed = interrupted("list", "--installed")
    assert f"({said}; {continues})" in listed.stdout
    assert "smoke" not in listed.stdout
    verified = interrupted("verify", VARIANT)
    assert verified.code == 2
    assert f"{said}; {continues}" in verified.stdout
    assert "damaged" not in verified.stderr
    smoke = interrupted("smoke", VARIANT, "--json").document["errors"][0]
    assert smoke["message"] == f"{MODEL} is not fully downloaded."
    assert smoke["hint"].startswith(f"Run `gemma-setup download {MODEL}`")


def test_own_partials_are_no_leftovers_of_others(interrupted: Program) -> None:
    found = interrupted("recover", str(interrupted.home), "--json").document["data"]["found"]
    assert found == []


def test_beside_files_that_are_right_a_partial_one_is_no_error(
    interrupted: Program, tmp_path: Path
) -> None:
    other = interrupted("download", VARIANT, "--models-dir", str(tmp_path / "m"), "--json")
    assert other.code == 0
    inventory = interrupted.home / ".local/state/gemma-setup/inventory"
    (record,) = inventory.glob("*.json")
    complete = json.loads(record.read_text())
    unfinished = {**complete, "name": "other:F16", "installed_at": ""}
    path = str(tmp_path / "gone" / "x" / FILE_NAME)
    unfinished["files"] = [{**complete["files"][0], "path": path}]
    (inventory / "other.json").write_text(json.dumps(unfinished))
    verified = interrupted("verify", "--json")
    assert verified.code == 0
    assert verified.document["data"]["verified"] is False
