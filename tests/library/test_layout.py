"""The layouts on a real file system, read back by the real hub client."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from huggingface_hub import hf_hub_download, scan_cache_dir
from hypothesis import given
from hypothesis import strategies as st

from setup_manager.catalog.artifact import Artifact
from setup_manager.errors import InsufficientDiskError, SetupError, VerificationFailedError
from setup_manager.fs.names import wrong_path
from setup_manager.library.layout import HubCacheLayout, PlainFolderLayout
from tests.support.exchange import Kind
from tests.support.loopback import LoopbackHub

StartHub = Callable[..., LoopbackHub]
REPO = "org/gemma-4-E2B-it-GGUF"
OLD, NEW = "a" * 40, "b" * 40
DATA = b"GGUF" + bytes(1000)


def artifact(path: str = "model-Q4_0.gguf", commit: str = NEW, data: bytes = DATA) -> Artifact:
    return Artifact(REPO, path, commit, len(data), hashlib.sha256(data).hexdigest())


def put(layout: HubCacheLayout | PlainFolderLayout, item: Artifact, data: bytes = DATA) -> Path:
    """Do what the download engine does at the end: verified bytes, renamed; then published."""
    content = layout.places(item).content
    content.parent.mkdir(parents=True, exist_ok=True)
    content.write_bytes(data)
    return layout.publish(item)


def everything(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*"))


@pytest.fixture
def layout(tmp_path: Path) -> HubCacheLayout:
    return HubCacheLayout(tmp_path / "hub")


def repository(layout: HubCacheLayout) -> Path:
    return layout.root / "models--org--gemma-4-E2B-it-GGUF"


def hf_finds(layout: HubCacheLayout, path: str, revision: str = "main") -> Path:
    return Path(
        hf_hub_download(REPO, path, cache_dir=layout.root, revision=revision, local_files_only=True)
    )


def scan_warnings(layout: HubCacheLayout) -> list[str]:
    return [str(warning) for warning in scan_cache_dir(layout.root).warnings]


class TestHubCache:
    def test_the_hub_client_finds_the_file(self, layout: HubCacheLayout) -> None:
        item = artifact()
        visible = put(layout, item)
        assert hf_finds(layout, item.path) == visible
        assert hf_finds(layout, item.path, NEW).read_bytes() == DATA
        assert layout.leads_to(item)
        assert layout.find(item) == layout.places(item).content

    def test_the_cache_scan_sees_one_sound_repository(self, layout: HubCacheLayout) -> None:
        put(layout, artifact())
        put(layout, artifact("BF16/model-00001-of-00002.gguf", data=b"GGUF1"), b"GGUF1")
        info = scan_cache_dir(layout.root)
        (repo,) = info.repos
        (revision,) = repo.revisions
        assert (info.warnings, repo.repo_id, repo.nb_files) == ([], REPO, 2)
        assert (revision.commit_hash, set(revision.refs)) == (NEW, {"main"})
        assert revision.size_on_disk == len(DATA) + 5

    def test_the_link_is_relative_so_that_the_cache_can_move(
        self, layout: HubCacheLayout, tmp_path: Path
    ) -> None:
        item = artifact("sub/folder/model.gguf")
        visible = put(layout, item)
        assert visible.readlink() == Path("../../../../blobs") / item.sha256
        moved = HubCacheLayout(layout.root.rename(tmp_path / "elsewhere"))
        assert moved.places(item).visible.read_bytes() == DATA

    def test_publishing_twice_changes_nothing(self, layout: HubCacheLayout) -> None:
        item = artifact()
        visible = put(layout, item)
        before = (everything(layout.root), visible.lstat().st_ino)
        assert layout.publish(item) == visible
        assert (everything(layout.root), visible.lstat().st_ino) == before

    @pytest.mark.parametrize("path", ["model.gguf", "BF16/model.gguf"])
    @pytest.mark.parametrize("left", ["nothing", "dangling", "other blob", "other file", "stages"])
    def test_publishing_heals_what_a_crash_left(
        self, layout: HubCacheLayout, path: str, left: str
    ) -> None:
        item = artifact(path)
        places = layout.places(item)
        places.content.parent.mkdir(parents=True)
        places.content.write_bytes(DATA)
        places.visible.parent.mkdir(parents=True)
        other = places.content.with_name("0" * 64)
        if left == "dangling":
            places.visible.symlink_to("../nowhere")
        elif left == "other blob":
            other.write_bytes(b"other")
            places.visible.symlink_to(os.path.relpath(other, places.visible.parent))
        elif left == "other file":
            places.visible.write_bytes(b"other")
        elif left == "stages":
            (repository(layout) / f".gemma-setup.{item.sha256}.link").symlink_to("nowhere")
            (repository(layout) / f".gemma-setup.{item.sha256}.ref").write_text("torn")
        layout.publish(item)
        assert hf_finds(layout, path).read_bytes() == DATA
        assert scan_warnings(layout) == []
        assert not list(repository(layout).glob(".gemma-setup*"))

    def test_nothing_is_published_without_content(self, layout: HubCacheLayout) -> None:
        with pytest.raises(SetupError):
            layout.publish(artifact())
        assert not layout.root.exists()

    def test_a_partial_is_not_taken_for_the_file_and_not_seen_by_others(
        self, layout: HubCacheLayout
    ) -> None:
        item = artifact()
        put(layout, artifact("other.gguf", data=b"GGUFo"), b"GGUFo")
        places = layout.places(item)
        places.partial.write_bytes(DATA)
        places.journal.write_text("")
        assert layout.find(item) is None
        assert layout.partials() == (places.partial,)
        assert not places.partial.name.endswith(".incomplete")
        assert scan_warnings(layout) == []

    def test_a_file_of_another_length_does_not_count(self, layout: HubCacheLayout) -> None:
        item = artifact()
        put(layout, item)
        layout.places(item).content.write_bytes(b"short")
        assert layout.find(item) is None

    def test_the_hub_client_waits_for_the_lock_and_fetches_nothing(
        self, layout: HubCacheLayout, start_hub: StartHub
    ) -> None:
        hub = start_hub({REPO: {"model.gguf": DATA}})
        item = hub.artifact(REPO, "model.gguf")
        lock = layout.places(item).lock
        lock.parent.mkdir(parents=True)
        found: list[str] = []

        def download() -> None:
            found.append(
                hf_hub_download(REPO, "model.gguf", cache_dir=layout.root, endpoint=hub.endpoint)
            )

        client = threading.Thread(target=download)
        with FileLock(lock):
            client.start()
            client.join(0.5)
            assert client.is_alive()
            assert hub.seen(Kind.RESOLVE)
            visible = put(layout, item)
        client.join(10)
        assert found == [str(visible)]
        assert hub.served_bytes == 0

    def test_what_the_hub_client_fetched_is_found(
        self, layout: HubCacheLayout, start_hub: StartHub
    ) -> None:
        hub = start_hub({REPO: {"model.gguf": DATA}})
        hf_hub_download(REPO, "model.gguf", cache_dir=layout.root, endpoint=hub.endpoint)
        item = hub.artifact(REPO, "model.gguf")
        assert layout.find(item) == layout.places(item).content
        assert layout.leads_to(item)


class TestMainReference:
    def test_it_stays_where_another_program_s_files_are(self, layout: HubCacheLayout) -> None:
        old = artifact("README.md", OLD, b"read me")
        put(layout, old, b"read me")
        new = artifact()
        put(layout, new)
        assert hf_finds(layout, "README.md").read_bytes() == b"read me"
        assert not layout.leads_to(new)
        assert hf_finds(layout, new.path, NEW).read_bytes() == DATA
        assert scan_warnings(layout) == []

    @pytest.mark.parametrize("left", ["no snapshot", "empty snapshot", "dangling", "garbage"])
    def test_it_moves_when_it_leads_to_no_file(self, layout: HubCacheLayout, left: str) -> None:
        reference = repository(layout) / "refs/main"
        reference.parent.mkdir(parents=True)
        reference.write_text("\x00../../x" if left == "garbage" else OLD)
        snapshot = repository(layout) / "snapshots" / OLD
        if left in {"empty snapshot", "dangling"}:
            snapshot.mkdir(parents=True)
        if left == "dangling":
            (snapshot / "x").symlink_to("../../blobs/none")
        item = artifact()
        put(layout, item)
        assert reference.read_text() == NEW
        assert layout.leads_to(item)

    def test_a_later_use_of_the_hub_moves_it_and_shares_the_blob(
        self, layout: HubCacheLayout, start_hub: StartHub
    ) -> None:
        hub = start_hub({REPO: {"model.gguf": DATA}})
        item = hub.artifact(REPO, "model.gguf")
        put(layout, item)
        newer = hub.push(REPO, {"model.gguf": DATA, "README.md": b"hi"})
        found = hf_hub_download(REPO, "model.gguf", cache_dir=layout.root, endpoint=hub.endpoint)
        assert newer in found
        assert hub.served_bytes == 0
        assert not layout.leads_to(item)


class TestRemoval:
    def test_nothing_is_left_of_the_only_file(self, layout: HubCacheLayout) -> None:
        item = artifact("BF16/model.gguf")
        put(layout, item)
        assert layout.remove(item) == len(DATA)
        assert everything(layout.root) == []
        assert layout.remove(item) == 0

    def test_a_blob_that_another_snapshot_links_to_stays(self, layout: HubCacheLayout) -> None:
        old, new = artifact(commit=OLD), artifact(commit=NEW)
        put(layout, old)
        layout.publish(new)
        assert layout.remove(old) == 0
        assert layout.places(new).visible.read_bytes() == DATA
        assert scan_warnings(layout) == []
        assert layout.remove(new) == len(DATA)

    def test_other_files_of_the_snapshot_stay(self, layout: HubCacheLayout) -> None:
        item, other = artifact(), artifact("mmproj-F16.gguf", data=b"GGUFm")
        put(layout, item)
        put(layout, other, b"GGUFm")
        layout.remove(item)
        assert hf_finds(layout, other.path).read_bytes() == b"GGUFm"
        assert scan_warnings(layout) == []

    def test_what_other_programs_keep_beside_it_stays(self, layout: HubCacheLayout) -> None:
        item = artifact()
        put(layout, item)
        note = repository(layout) / ".no_exist" / NEW / "config.json"
        note.parent.mkdir(parents=True)
        note.touch()
        layout.remove(item)
        assert note.exists()
        assert scan_warnings(layout) == []

    def test_a_reference_that_is_no_text_is_left_alone(self, layout: HubCacheLayout) -> None:
        item = artifact()
        put(layout, item)
        odd = repository(layout) / "refs/odd"
        odd.write_bytes(b"\xff\xfe")
        assert layout.remove(item) == len(DATA)
        assert [path.name for path in odd.parent.iterdir()] == ["odd"]

    def test_a_shared_store_s_payload_is_not_touched(self, layout: HubCacheLayout) -> None:
        item = artifact()
        put(layout, item)
        blob = layout.places(item).content
        payload = layout.root / "blobs/ab/abc"
        payload.parent.mkdir(parents=True)
        blob.rename(payload)
        blob.symlink_to(os.path.relpath(payload, blob.parent))
        assert layout.find(item) == blob
        assert layout.remove(item) == 0
        assert payload.read_bytes() == DATA


class TestWithoutLinks:
    @pytest.fixture
    def no_symlinks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(os, "symlink", refuse)

    @pytest.fixture
    def no_links(self, no_symlinks: None, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)

    def test_a_hard_link_takes_no_second_space(
        self, layout: HubCacheLayout, no_symlinks: None
    ) -> None:
        item = artifact()
        visible = put(layout, item)
        assert visible.samefile(layout.places(item).content)
        assert layout.publish(item) == visible
        assert hf_finds(layout, item.path) == visible
        assert layout.remove(item) == len(DATA)
        assert everything(layout.root) == []

    def test_without_any_links_the_bytes_lie_in_the_snapshot(
        self, layout: HubCacheLayout, no_links: None
    ) -> None:
        item = artifact()
        visible = put(layout, item)
        assert not visible.is_symlink()
        assert list((repository(layout) / "blobs").iterdir()) == []
        assert layout.places(item).content == visible == layout.find(item)
        assert layout.publish(item) == visible
        assert hf_finds(layout, item.path) == visible
        assert scan_warnings(layout) == []
        assert layout.remove(item) == len(DATA)
        assert everything(layout.root) == []


class TestPlainFolder:
    @pytest.fixture
    def plain(self, tmp_path: Path) -> PlainFolderLayout:
        return PlainFolderLayout(tmp_path / "models")

    def test_the_file_is_its_own_visible_name(self, plain: PlainFolderLayout) -> None:
        item = artifact()
        assert put(plain, item) == plain.root / "org--gemma-4-E2B-it-GGUF" / item.path
        assert plain.find(item) == plain.places(item).content

    def test_projectors_of_one_name_do_not_meet(self, plain: PlainFolderLayout) -> None:
        one = Artifact("unsloth/a", "mmproj-F16.gguf", NEW, 1, "1" * 64)
        two = Artifact("unsloth/b", "mmproj-F16.gguf", NEW, 1, "2" * 64)
        assert plain.places(one).content != plain.places(two).content

    def test_removal_leaves_nothing(self, plain: PlainFolderLayout) -> None:
        item = artifact("BF16/x-00001-of-00002.gguf")
        put(plain, item)
        assert plain.remove(item) == len(DATA)
        assert everything(plain.root) == []

    def test_partials_are_listed(self, plain: PlainFolderLayout) -> None:
        partial = plain.places(artifact()).partial
        partial.parent.mkdir(parents=True)
        partial.touch()
        assert plain.partials() == (partial,)


class TestErrors:
    def test_a_full_disk_and_a_closed_folder_are_told_apart(
        self, layout: HubCacheLayout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        item = artifact()
        put(layout, item)
        layout.places(item).visible.unlink()
        for number, kind in ((28, InsufficientDiskError), (30, SetupError)):

            def fail(*_: object, number: int = number, **__: object) -> None:
                raise OSError(number, os.strerror(number))

            monkeypatch.setattr(Path, "mkdir", fail)
            with pytest.raises(kind) as caught:
                layout.publish(item)
            assert os.strerror(number) in caught.value.context[0]


BAD_PATHS = [
    "", "/etc/passwd", "../x", "a/../../x", "a//b", "a/./b", "a/", "C:\\x", "C:/x", "a\\b", "a\0b",
    "NUL", "con.gguf", "a/lpt1.txt", "x.", "x ", "a" * 256, "é" * 128, "a/" * 600 + "x", "a\nb",
    "x:y", "\ud800",
]  # fmt: skip
GOOD_PATHS = ["model.gguf", "BF16/model-00001-of-00002.gguf", ".gitattributes", "é" * 100, "nulls"]


class TestNames:
    @pytest.mark.parametrize("path", BAD_PATHS, ids=range(len(BAD_PATHS)))
    def test_a_dangerous_path_is_refused_by_both_layouts(self, tmp_path: Path, path: str) -> None:
        for layout in (HubCacheLayout(tmp_path), PlainFolderLayout(tmp_path)):
            with pytest.raises(VerificationFailedError, match="path"):
                layout.places(artifact(path))

    @pytest.mark.parametrize("path", GOOD_PATHS)
    def test_an_ordinary_path_is_taken(self, path: str) -> None:
        assert wrong_path(path) is None

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("repository", "../x/y"), ("repository", "org"), ("repository", "a/b/c"),
            ("repository", "org/..x"), ("repository", "a--b/c"), ("commit", "main"),
            ("commit", "../" * 14), ("sha256", "../x"), ("sha256", "A" * 64),
        ],
    )  # fmt: skip
    def test_the_other_fields_are_checked_too(self, tmp_path: Path, field: str, value: str) -> None:
        item = replace(artifact(), **{field: value})  # type: ignore[arg-type]
        with pytest.raises(VerificationFailedError, match=field):
            HubCacheLayout(tmp_path).places(item)

    @given(st.text(max_size=40))
    def test_whatever_is_accepted_stays_inside(self, path: str) -> None:
        if wrong_path(path) is None:
            root = Path("/models/x")
            assert root in (Path(os.path.normpath(root / path))).parents
