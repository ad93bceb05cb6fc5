"""What `clean` deletes, and what somebody works on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from setup_manager.app import clean
from setup_manager.app.verbs.runtime import installable
from setup_manager.errors import RuntimeMissingError
from setup_manager.fs import FileLock, LockedError
from setup_manager.runtimes import RuntimeStatus
from setup_manager.runtimes.llama_builds import LlamaBuilds
from setup_manager.runtimes.unpack import UnsafeArchiveError
from tests.app.bench import Bench


def test_a_build_that_is_being_unpacked_stays_until_its_install_has_ended(bench: Bench) -> None:
    session = bench.session()
    builds = installable(session).builds
    folder = builds.root / ".unfinished-b1-cpu-1"
    folder.mkdir(parents=True)
    (folder / "llama-server").write_bytes(b"half a program")
    with FileLock(builds.lock):
        during = clean.run(session, clean.plan(session, clean.Request()))
    assert during.busy == (folder,)
    assert folder.exists()
    after = clean.run(session, clean.plan(session, clean.Request()))
    assert (after.busy, folder.exists()) == ((), False)
    assert after.freed_bytes > 0


def test_an_install_holds_the_lock_while_it_unpacks(tmp_path: Path) -> None:
    builds = LlamaBuilds(
        tmp_path / "builds", lambda program: RuntimeStatus("llama.cpp", found=False)
    )
    held = []

    class Archives(tuple[Path, ...]):
        """Looks at the lock when unpacking comes to the archives."""

        __slots__ = ()

        def __iter__(self) -> Iterator[Path]:
            try:
                with FileLock(builds.lock, wait=False):
                    held.append(False)
            except LockedError:
                held.append(True)
            return iter(())

    with pytest.raises((RuntimeMissingError, UnsafeArchiveError)):
        builds.add("b1-cpu", Archives())
    assert held == [True]
    with FileLock(builds.lock, wait=False):
        assert builds.leftovers() == ()
