from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.errors import VerificationFailedError
from setup_manager.fs import wrong_path
from setup_manager.runtimes import unpack as module
from setup_manager.runtimes.unpack import UnsafeArchiveError, unpack
from tests.runtimes.archives import build_archive, member, tar_of


def written(folder: Path, content: bytes, name: str = "a.tar.gz") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def zip_of(*members: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, content in members:
            archive.writestr(entry, content)
    return buffer.getvalue()


def zip_member(name: str, content: bytes, mode: int = 0o100644) -> tuple[zipfile.ZipInfo, bytes]:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    return entry, content


def test_a_build_comes_out_with_its_modes_and_links(tmp_path: Path) -> None:
    unpack(written(tmp_path, build_archive("b1")), tmp_path / "out")
    top = tmp_path / "out" / "llama-b1"
    assert os.access(top / "llama-server", os.X_OK)
    assert not os.access(top / "LICENSE", os.X_OK)
    assert (top / "libllama.so").read_bytes() == b"library"
    assert (top / "libllama.so").readlink() == Path("libllama.so.0")


def test_a_zip_comes_out_and_the_second_of_a_build_may_repeat_files(tmp_path: Path) -> None:
    first = zip_of(zip_member("llama-server.exe", b"x", 0o100755), zip_member("a.dll", b"old"))
    second = zip_of(zip_member("a.dll", b"new"))
    unpack(written(tmp_path, first, "1.zip"), tmp_path / "out")
    unpack(written(tmp_path, second, "2.zip"), tmp_path / "out")
    assert (tmp_path / "out" / "a.dll").read_bytes() == b"new"


HOSTILE = {
    "climbs": tar_of(member("../evil", b"x")),
    "climbs inside": tar_of(member("a/../../evil", b"x")),
    "climbs with backslashes": tar_of(member("..\\evil", b"x")),
    "absolute": tar_of(member("/tmp/evil", b"x")),
    "drive": tar_of(member("C:/evil", b"x")),
    "a device of Windows": tar_of(member("llama/aux.gguf", b"evil")),
    "a stream of Windows": tar_of(member("llama/a.dll:evil", b"x")),
    "a dot at the end": tar_of(member("llama/evil.", b"x")),
    "a line break": tar_of(member("llama/evil\n", b"x")),
    "link out": tar_of(member("l", kind=tarfile.SYMTYPE, link="/etc/passwd")),
    "link up": tar_of(member("d/l", kind=tarfile.SYMTYPE, link="../../evil")),
    "link to parent": tar_of(member("l", kind=tarfile.SYMTYPE, link="..")),
    "through a link": tar_of(member("d", kind=tarfile.SYMTYPE, link="."), member("d/evil", b"x")),
    "over a link": tar_of(
        member("f", b"good"), member("l", kind=tarfile.SYMTYPE, link="f"), member("l", b"evil")
    ),
    "hard link out": tar_of(member("l", kind=tarfile.LNKTYPE, link="/etc/passwd")),
    "hard link up": tar_of(member("l", kind=tarfile.LNKTYPE, link="../evil")),
    "hard link to a link": tar_of(
        member("s", kind=tarfile.SYMTYPE, link="s2"),
        member("l", kind=tarfile.LNKTYPE, link="s"),
    ),
    "device": tar_of(member("d", kind=tarfile.CHRTYPE)),
    "pipe": tar_of(member("p", kind=tarfile.FIFOTYPE)),
    "folder twice as file": tar_of(member("d", kind=tarfile.DIRTYPE), member("d", b"x")),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_tar_is_refused_and_nothing_gets_out(tmp_path: Path, content: bytes) -> None:
    out = tmp_path / "deep" / "out"
    with pytest.raises(UnsafeArchiveError) as caught:
        unpack(written(tmp_path, content), out)
    assert caught.value.context
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    "content",
    [
        zip_of(zip_member("../evil", b"x")),
        zip_of(zip_member("..\\evil", b"x")),
        zip_of(zip_member("/evil", b"x")),
        zip_of(zip_member("l", b"../../evil", stat.S_IFLNK | 0o777)),
        zip_of(zip_member("l", b"/etc/passwd", stat.S_IFLNK | 0o777)),
    ],
)
def test_a_hostile_zip_is_refused_and_nothing_gets_out(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UnsafeArchiveError):
        unpack(written(tmp_path, content, "a.zip"), tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("path", ["aux.gguf", "a/con", "a:b", "a/../b", "trailing ", "/a", "a\tb"])
def test_what_may_not_be_a_path_in_a_repository_may_be_none_in_an_archive(
    tmp_path: Path, path: str
) -> None:
    assert wrong_path(path) is not None
    with pytest.raises(UnsafeArchiveError) as caught:
        unpack(written(tmp_path, zip_of(zip_member(path, b"x")), "a.zip"), tmp_path / "out")
    assert str(wrong_path(path)) in caught.value.context[0]


def test_the_folder_itself_may_be_a_member(tmp_path: Path) -> None:
    content = tar_of(member("./", kind=tarfile.DIRTYPE), member("./llama/a", b"x"))
    unpack(written(tmp_path, content), tmp_path / "out")
    assert (tmp_path / "out" / "llama" / "a").read_bytes() == b"x"


def test_a_bomb_is_stopped_at_the_bound(tmp_path: Path) -> None:
    bomb = tar_of(*(member(f"f{i}", bytes(1_000_000)) for i in range(20)))
    with pytest.raises(UnsafeArchiveError):
        unpack(written(tmp_path, bomb), tmp_path / "out", max_bytes=5_000_000)
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) <= 6_000_000


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEMBERS", 10)
    crowd = tar_of(*(member(f"f{i}") for i in range(11)))
    with pytest.raises(UnsafeArchiveError):
        unpack(written(tmp_path, crowd), tmp_path / "out")


def test_set_user_id_bits_do_not_survive(tmp_path: Path) -> None:
    unpack(written(tmp_path, tar_of(member("f", b"x", mode=0o6777))), tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out" / "f").stat().st_mode) == 0o755


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=60)
def test_rubbish_is_an_error_and_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("rubbish")
    with pytest.raises(VerificationFailedError):
        unpack(written(folder, content, name), folder / "out")


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_a_damaged_build_unpacks_inside_or_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(build_archive("b1"))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    with suppress(VerificationFailedError):
        unpack(written(folder, bytes(content)), folder / "out")
    assert {path.name for path in folder.iterdir()} <= {"a.tar.gz", "out"}
