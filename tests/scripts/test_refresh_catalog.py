"""The script that rebuilds the catalogue, run against a hub on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.refresh_catalog import CATALOG, formatted, refreshed
from setup_manager.catalog.load import load_catalog
from setup_manager.net.choosing import RemoteFile, Snapshot
from setup_manager.rehearsal.model import catalog_path
from tests.support.loopback import Access, LoopbackHub

ROOT = Path(__file__).parents[2]
REPOSITORY = "org/gemma-4-rehearsal-it-GGUF"
F16, Q8 = "gemma-4-rehearsal-it-F16.gguf", "gemma-4-rehearsal-it-Q8_0.gguf"
FILES = {F16: b"GGUF first", "README.md": b"# words", "imatrix.gguf": b"GGUF no model"}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def written(path: Path, files: list[dict[str, Any]]) -> Path:
    variants = json.loads(catalog_path().read_text("utf-8"))["variants"]
    document = {"schema": 1, "as_of": "2026-01", "variants": variants, "files": files}
    path.write_text(formatted(document), "utf-8")
    return path


def entry(path: str = F16, **changed: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "variant": "rehearsal",
        "quantization": "F16",
        "qat": False,
        "role": "weights",
        "repository": REPOSITORY,
        "path": path,
        "commit": None,
        "size_bytes": None,
        "sha256": None,
        "superseded": False,
    }
    return {**base, **changed}


def refresh(catalog: Path, hub: LoopbackHub, *options: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    argv = [sys.executable, "-m", "scripts.refresh_catalog", "--catalog", str(catalog)]
    return subprocess.run(
        [*argv, "--endpoint", hub.endpoint, *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=kept,
        timeout=60,
    )


def files_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["files"]
    return found


def test_the_shipped_catalogue_is_in_the_form_that_the_script_writes() -> None:
    text = CATALOG.read_text("utf-8")
    assert formatted(refreshed(json.loads(text), {})) == text


def test_entries_get_commit_size_and_digest_and_new_files_are_added(
    start_hub: Callable[..., LoopbackHub], tmp_path: Path
) -> None:
    others = {
        Q8: b"GGUF eight bits",
        "mmproj-BF16.gguf": b"GGUF projector",
        "mtp-gemma-4-rehearsal-it.gguf": b"GGUF drafter",
        "BF16/gemma-4-rehearsal-it-BF16-00001-of-00002.gguf": b"GGUF half",
    }
    hub = start_hub({REPOSITORY: {**FILES, **others}})
    catalog = written(tmp_path / "catalog.json", [entry()])
    assert refresh(catalog, hub).returncode == 0
    commit = hub.artifact(REPOSITORY, F16).commit
    files = files_of(catalog)
    assert {file["commit"] for file in files} == {commit}
    assert [(file["path"], file["role"], file["quantization"]) for file in files] == [
        (F16, "weights", "F16"),
        (Q8, "weights", "Q8_0"),
        ("mmproj-BF16.gguf", "projector", "BF16"),
        ("mtp-gemma-4-rehearsal-it.gguf", "drafter", ""),
    ]
    assert files[0]["sha256"] == digest(FILES[F16])
    assert files[1]["size_bytes"] == len(others[Q8])
    assert all(file.pinned for file in load_catalog(catalog).files)


def test_what_was_replaced_is_kept_as_superseded(
    start_hub: Callable[..., LoopbackHub], tmp_path: Path
) -> None:
    hub = start_hub({REPOSITORY: FILES})
    catalog = written(tmp_path / "catalog.json", [entry()])
    refresh(catalog, hub)
    former = files_of(catalog)[0]
    hub.push(REPOSITORY, {**FILES, F16: b"GGUF second"})
    done = refresh(catalog, hub)
    new, old = files_of(catalog)
    assert old == {**former, "superseded": True}
    assert (new["sha256"], new["superseded"]) == (digest(b"GGUF second"), False)
    assert new["commit"] != former["commit"]
    assert "superseded" in done.stdout

    hub.push(REPOSITORY, FILES)
    refresh(catalog, hub)
    back, replaced = files_of(catalog)
    assert (back["sha256"], replaced["sha256"]) == (former["sha256"], new["sha256"])
    assert (back["superseded"], replaced["superseded"]) == (False, True)


def test_a_second_run_changes_nothing_and_check_says_so(
    start_hub: Callable[..., LoopbackHub], tmp_path: Path
) -> None:
    hub = start_hub({REPOSITORY: FILES})
    catalog = written(tmp_path / "catalog.json", [entry()])
    before = catalog.read_bytes()
    assert refresh(catalog, hub, "--check").returncode == 1
    assert catalog.read_bytes() == before
    refresh(catalog, hub)
    first = catalog.read_bytes()
    checked = refresh(catalog, hub, "--check")
    assert (checked.returncode, checked.stdout) == (0, "Nothing has changed.\n")
    refresh(catalog, hub)
    assert catalog.read_bytes() == first


def test_the_result_can_go_elsewhere(start_hub: Callable[..., LoopbackHub], tmp_path: Path) -> None:
    hub = start_hub({REPOSITORY: FILES})
    catalog = written(tmp_path / "catalog.json", [entry()])
    before = catalog.read_bytes()
    refresh(catalog, hub, "--output", str(tmp_path / "other.json"))
    assert catalog.read_bytes() == before
    assert files_of(tmp_path / "other.json")[0]["sha256"] == digest(FILES[F16])


def test_split_files_and_those_of_other_repositories_stay(
    start_hub: Callable[..., LoopbackHub], tmp_path: Path
) -> None:
    split = "BF16/gemma-4-rehearsal-it-BF16-00001-of-00002.gguf"
    hub = start_hub({REPOSITORY: {**FILES, split: b"GGUF half"}, "org/other": {"a-F32.gguf": b"G"}})
    kept = entry(split, quantization="BF16")
    catalog = written(tmp_path / "catalog.json", [kept, entry()])
    refresh(catalog, hub)
    assert files_of(catalog)[0] == kept
    assert len(files_of(catalog)) == 2


def test_a_repository_in_another_spelling_is_written_as_the_hub_has_it(tmp_path: Path) -> None:
    remote = RemoteFile(F16, 10, "a" * 64, None)
    snapshot = Snapshot("Org/Renamed-GGUF", "b" * 40, (remote,))
    (file,) = refreshed(
        {"variants": {"rehearsal": {}}, "files": [entry()]}, {REPOSITORY: snapshot}
    )["files"]
    assert file == entry(
        repository="Org/Renamed-GGUF", commit="b" * 40, size_bytes=10, sha256="a" * 64
    )


@pytest.mark.parametrize("missing", ["repository", "default"])
def test_what_cannot_be_had_stops_it_and_nothing_is_written(
    start_hub: Callable[..., LoopbackHub], tmp_path: Path, missing: str
) -> None:
    if missing == "repository":
        hub = start_hub({REPOSITORY: FILES}, access={REPOSITORY: Access.PRIVATE})
    else:
        hub = start_hub({REPOSITORY: {Q8: b"GGUF"}})
    catalog = written(tmp_path / "catalog.json", [entry()])
    before = catalog.read_bytes()
    done = refresh(catalog, hub)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert (REPOSITORY if missing == "repository" else "default_quantization") in done.stderr
    assert catalog.read_bytes() == before
