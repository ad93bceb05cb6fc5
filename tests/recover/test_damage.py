"""Damaged and foreign leftovers never give a wrong file, and cost no more than their chunks."""

from __future__ import annotations

import hashlib
import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.make_leftovers import FILE, REPOSITORY
from setup_manager.recover.identify import Evidence
from setup_manager.units import MIB
from tests.gguf.files import write_model
from tests.recover.conftest import Bench
from tests.recover.test_records import control
from tests.support.loopback import LoopbackHub

BLOCK = 4096


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "theirs"
    made.mkdir()
    return made


def with_template(path: Path, template: str) -> Path:
    """Write the model of the fixture with another template: other header, same tensors."""
    return write_model(path, rows=4096, tensors=23, tokens=4096, template=template)


def prefix(model: Path, folder: Path, size_bytes: int, name: str = f"{FILE}.part") -> Path:
    path = folder / name
    path.write_bytes(model.read_bytes()[:size_bytes])
    return path


def test_another_quantization_of_the_same_length_is_refused_after_the_samples(
    model: Path, folder: Path, bench: Bench
) -> None:
    write_model(folder / FILE, rows=4096, tensors=23, tokens=4096, seed=99)
    assert (folder / FILE).stat().st_size == bench.artifact.size_bytes
    outcome, got, served = bench.recover(folder)
    assert digest(got.path) == bench.artifact.sha256
    assert outcome.adopted_bytes == 0
    assert any("is not" in note and "samples agree" in note for note in outcome.notes)
    assert served <= bench.artifact.size_bytes + outcome.sampled_bytes + 4096


def test_another_template_of_the_same_length_costs_only_the_header(
    tmp_path: Path, folder: Path
) -> None:
    new = with_template(tmp_path / "new.gguf", "{{ new }}" + "x" * 3000)
    with_template(folder / FILE, "{{ old }}" + "x" * 3000)
    with LoopbackHub({REPOSITORY: {FILE: new}}) as hub:
        bench = Bench(hub, hub.artifact(REPOSITORY, FILE), tmp_path / "ours")
        outcome, got, served = bench.recover(folder)
    assert digest(got.path) == bench.artifact.sha256
    assert outcome.adopted_bytes == bench.artifact.size_bytes - MIB
    assert served < 2 * MIB


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_an_older_upload_gives_its_tensors_to_the_new_one(
    tmp_path: Path, folder: Path, share: float
) -> None:
    new = with_template(tmp_path / "new.gguf", "n" * 3456)
    old = with_template(tmp_path / "old.gguf", "o" * 2000).read_bytes()
    assert 0 < new.stat().st_size - len(old) < 2000
    (folder / FILE).write_bytes(old[: int(share * len(old))])
    with LoopbackHub({REPOSITORY: {FILE: new}}) as hub:
        bench = Bench(hub, hub.artifact(REPOSITORY, FILE), tmp_path / "ours")
        (offer,) = bench.offers(folder)
        assert offer.match.evidence is Evidence.OTHER_UPLOAD
        assert offer.match.shift_bytes == new.stat().st_size - len(old)
        assert not offer.complete
        outcome, got, served = bench.recover(folder, move=True)
    assert digest(got.path) == bench.artifact.sha256
    missing = (1 - share) * len(old)
    assert served < missing + 3 * MIB + outcome.sampled_bytes
    assert (folder / FILE).exists(), "a model of its own is not taken away"


def test_holes_are_left_out(model: Path, folder: Path, bench: Bench) -> None:
    content = model.read_bytes()
    path = folder / FILE
    with path.open("wb") as file:
        file.truncate(len(content))
        for start, stop in ((0, 9 * MIB), (20 * MIB, 31 * MIB)):
            file.seek(start)
            file.write(content[start:stop])
    (folder / f"{FILE}.aria2").write_bytes(control(b"\xff" * 6, len(content)))
    outcome, got, served = bench.recover(folder)
    assert digest(got.path) == bench.artifact.sha256
    assert outcome.adopted_bytes == 20 * MIB
    assert served < len(content) - 20 * MIB + outcome.sampled_bytes + 4096


@pytest.mark.parametrize("at", [0, 5 * MIB + 100 * BLOCK, 29 * MIB - BLOCK])
def test_a_run_of_zeros_costs_its_chunk(model: Path, folder: Path, bench: Bench, at: int) -> None:
    path = prefix(model, folder, 30 * MIB)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes(BLOCK))
    outcome, got, _ = bench.recover(folder)
    assert digest(got.path) == bench.artifact.sha256
    assert outcome.adopted_bytes == 29 * MIB if at else outcome.adopted_bytes <= 29 * MIB


def test_flipped_bytes_that_no_sample_meets_are_found_by_the_digest(
    model: Path, folder: Path, bench: Bench
) -> None:
    path = prefix(model, folder, 30 * MIB)
    with path.open("r+b") as file:
        file.seek(6 * MIB + 12345)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    outcome, got, served = bench.recover(folder)
    assert outcome.adopted_bytes == 30 * MIB
    assert digest(got.path) == bench.artifact.sha256
    assert served < bench.artifact.size_bytes + 8 * MIB


def test_a_torn_end_is_cut_off_by_the_sample_at_it(model: Path, folder: Path, bench: Bench) -> None:
    path = prefix(model, folder, 30 * MIB)
    noise = random.Random(5).randbytes(3 * MIB)
    with path.open("r+b") as file:
        file.seek(27 * MIB)
        file.write(noise)
    outcome, got, served = bench.recover(folder)
    assert outcome.adopted_bytes == 27 * MIB
    assert digest(got.path) == bench.artifact.sha256
    assert served < bench.artifact.size_bytes - 27 * MIB + outcome.sampled_bytes + 4096


@pytest.mark.parametrize("name", ["DIGEST.incomplete", f"{FILE}.part"])
def test_a_part_with_too_many_bytes_is_used_as_far_as_the_file_goes(
    model: Path, folder: Path, bench: Bench, name: str
) -> None:
    # What two clients leave that append to one part.
    (folder / name.replace("DIGEST", bench.artifact.sha256)).write_bytes(
        model.read_bytes() + b"more" * 5000
    )
    outcome, got, served = bench.recover(folder)
    assert digest(got.path) == bench.artifact.sha256
    assert outcome.adopted_bytes == bench.artifact.size_bytes
    assert served <= outcome.sampled_bytes + 4096


def test_ollamas_records_are_not_believed(model: Path, folder: Path, bench: Bench) -> None:
    size, content = bench.artifact.size_bytes, model.read_bytes()
    path = folder / f"sha256-{bench.artifact.sha256}-partial"
    with path.open("wb") as file:
        file.truncate(size)
        file.write(content[: 7 * MIB])
    record = {"N": 0, "Offset": 0, "Size": size, "Completed": size}
    path.with_name(f"{path.name}-0").write_text(json.dumps(record))
    outcome, got, _ = bench.recover(folder)
    assert digest(got.path) == bench.artifact.sha256
    assert outcome.adopted_bytes == 7 * MIB


def test_bytes_beyond_ollamas_records_are_used(model: Path, folder: Path, bench: Bench) -> None:
    # After kill -9 the records say that nothing has come.
    size, content = bench.artifact.size_bytes, model.read_bytes()
    path = folder / f"sha256-{bench.artifact.sha256}-partial"
    with path.open("wb") as file:
        file.truncate(size)
        for start, stop in ((0, 11 * MIB), (24 * MIB, 40 * MIB)):
            file.seek(start)
            file.write(content[start:stop])
    for number, start in enumerate((0, 24 * MIB)):
        record = {"N": number, "Offset": start, "Size": 24 * MIB, "Completed": 0}
        path.with_name(f"{path.name}-{number}").write_text(json.dumps(record)[: 40 - 30 * number])
    outcome, got, _ = bench.recover(folder)
    assert digest(got.path) == bench.artifact.sha256
    assert outcome.adopted_bytes == 27 * MIB


@pytest.mark.parametrize(
    "content",
    [b"<!DOCTYPE html><html>login</html>" * 50_000, b'{"error":"no"}' * 90_000, bytes(3 * MIB)],
)
def test_what_is_no_model_is_not_offered(folder: Path, bench: Bench, content: bytes) -> None:
    (folder / FILE).write_bytes(content)
    (folder / f"{FILE}.part").write_bytes(content)
    assert bench.offers(folder) == ()


def test_two_leftovers_of_one_file_complete_each_other(
    model: Path, folder: Path, bench: Bench
) -> None:
    prefix(model, folder, 20 * MIB, f"{FILE}.crdownload")
    path = folder / f"sha256-{bench.artifact.sha256}-partial"
    with path.open("wb") as file:
        file.truncate(bench.artifact.size_bytes)
        file.seek(15 * MIB)
        file.write(model.read_bytes()[15 * MIB : 33 * MIB])
    outcome, got, _ = bench.recover(folder)
    assert outcome.adopted_bytes == 33 * MIB
    assert digest(got.path) == bench.artifact.sha256


DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["flip", "zero", "noise", "shift", "cut"]),
        st.integers(0, 3_500_000),
        st.integers(1, 900_000),
    ),
    max_size=4,
)
NAMES = st.sampled_from([FILE, f"{FILE}.part", "digest.incomplete", f"{FILE}.downloadInProgress"])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("small") / FILE, rows=1024, tensors=7)


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(damage=DAMAGE, name=NAMES, seed=st.integers(0, 99))
def test_whatever_was_done_to_a_leftover_the_file_is_right(
    small: Path,
    tmp_path_factory: pytest.TempPathFactory,
    damage: list[tuple[str, int, int]],
    name: str,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(small.read_bytes())
    rng = random.Random(seed)
    for kind, at, length in damage:
        stop = min(len(content), at + length)
        if kind == "flip" and at < len(content):
            content[at] ^= 1 << rng.randrange(8)
        elif kind == "zero":
            content[at:stop] = bytes(max(0, stop - at))
        elif kind == "noise":
            content[at:stop] = rng.randbytes(max(0, stop - at))
        elif kind == "shift":
            content[at:at] = b"x" * (length % 97)
        elif kind == "cut":
            del content[max(at, 1) :]
    with LoopbackHub({REPOSITORY: {FILE: small}}) as hub:
        artifact = hub.artifact(REPOSITORY, FILE)
        (folder / name.replace("digest", artifact.sha256)).write_bytes(content)
        bench = Bench(hub, artifact, tmp_path_factory.mktemp("ours"))
        _, got, _ = bench.recover(folder)
        assert digest(got.path) == artifact.sha256
