"""Installing official builds from a release page on loopback, through the download engine."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from setup_manager.download.job import DownloadOptions
from setup_manager.errors import (
    DownloadFailedError,
    InterruptedByUserError,
    RuntimeMissingError,
    SetupError,
    VerificationFailedError,
)
from setup_manager.net.options import NetworkOptions
from setup_manager.runtimes import llama_cpp
from setup_manager.runtimes.llama_builds import LlamaBuilds
from setup_manager.runtimes.releases import Build
from setup_manager.runtimes.unpack import UnsafeArchiveError
from tests.runtimes.archives import FAKE_SERVER, build_archive, member, real_build_archive, tar_of
from tests.runtimes.release_server import ReleaseServer, release_server
from tests.runtimes.test_releases import machine

HERE = machine("linux", "x86_64")
NETWORK = NetworkOptions()
QUICK = DownloadOptions(patience_seconds=2.0, first_backoff_seconds=0.05)


def asset_name(tag: str) -> str:
    return f"llama-{tag}-bin-ubuntu-x64.tar.gz"


def chosen(server: ReleaseServer) -> Build:
    return LlamaBuilds(Path(), llama_cpp.inspect).offer(NETWORK, HERE, url=server.list_url)


def test_a_build_is_fetched_checked_and_found(tmp_path: Path) -> None:
    builds = LlamaBuilds(tmp_path / "llama.cpp", llama_cpp.inspect)
    with release_server("b9219", {asset_name("b9219"): build_archive("b9219")}) as server:
        installed, status = builds.install(chosen(server), NETWORK, QUICK)
    assert installed.name == "b9219-cpu"
    assert (status.version, status.gemma4) == ("b9219", True)
    assert installed.program.is_file()
    found = llama_cpp.find("", tmp_path, builds.program_folders())
    assert found.path == str(installed.program)
    assert {path.name for path in builds.root.iterdir()} == {"b9219-cpu", "current"}


def test_a_second_build_becomes_current_and_the_first_stays_until_removed(tmp_path: Path) -> None:
    builds = LlamaBuilds(tmp_path / "llama.cpp", llama_cpp.inspect)
    for tag in ("b9219", "b10001"):
        with release_server(tag, {asset_name(tag): build_archive(tag)}) as server:
            builds.install(chosen(server), NETWORK, QUICK)
    assert [build.name for build in builds.installed()] == ["b10001-cpu", "b9219-cpu"]
    assert builds.installed()[0].current
    assert builds.remove("b10001-cpu")
    assert [(build.name, build.current) for build in builds.installed()] == [("b9219-cpu", True)]
    assert builds.remove("b9219-cpu")
    assert not builds.root.exists()
    assert not builds.remove("b9219-cpu")


def test_installing_the_same_build_again_replaces_it(tmp_path: Path) -> None:
    builds = LlamaBuilds(tmp_path / "llama.cpp", llama_cpp.inspect)
    with release_server("b1", {asset_name("b1"): build_archive("b1")}) as server:
        for _ in range(2):
            builds.install(chosen(server), NETWORK, QUICK)
    assert len(builds.installed()) == 1
    assert builds.leftovers() == ()


def test_content_that_is_not_the_digests_is_13_and_nothing_is_installed(tmp_path: Path) -> None:
    builds = LlamaBuilds(tmp_path / "llama.cpp", llama_cpp.inspect)
    with release_server("b1", {asset_name("b1"): build_archive("b1")}) as server:
        build = chosen(server)
        server.files[asset_name("b1")] = bytes(build.size_bytes)
        with pytest.raises(SetupError) as caught:
            builds.install(build, NETWORK, QUICK)
    assert caught.value.exit_code in {12, 13}
    assert builds.installed() == ()


def test_an_unsafe_archive_is_not_installed(tmp_path: Path) -> None:
    builds = LlamaBuilds(tmp_path / "llama.cpp", llama_cpp.inspect)
    hostile = tar_of(member("llama-b1/llama-server", b"x"), member("../../evil", b"x"))
    with (
        release_server("b1", {asset_name("b1"): hostile}) as server,
        pytest.raises(UnsafeArchiveError) as caught,
    ):
        builds.install(chosen(server), NETWORK, QUICK)
    assert isinstance(caught.value, VerificationFailedError)
    assert builds.installed() == ()
    assert builds.leftovers() == ()
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    "server_program",
    [
        FAKE_SERVER.replace("llama_model_gemma4", "nothing"),
        "#!/bin/sh\necho 'libc.so.6: version GLIBC_2.38 not found' >&2\nexit 1\n",
        FAKE_SERVER.replace("--ctx-size", "--nothing"),
    ],
    ids=["too old", "other libc", "flags missing"],
)
def test_a_build_that_does_not_run_here_is_15_and_the_old_one_stays(
    tmp_path: Path, server_program: str
) -> None:
    builds = LlamaBuilds(tmp_path / "llama.cpp", llama_cpp.inspect)
    with release_server("b1", {asset_name("b1"): build_archive("b1")}) as server:
        builds.install(chosen(server), NETWORK, QUICK)
    broken = build_archive("b2", server_program)
    with (
        release_server("b2", {asset_name("b2"): broken}) as server,
        pytest.raises(RuntimeMissingError) as caught,
    ):
        builds.install(chosen(server), NETWORK, QUICK)
    assert "does not run here" in caught.value.message
    assert [(build.name, build.current) for build in builds.installed()] == [("b1-cpu", True)]


def test_a_list_that_cannot_be_had_is_12(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailedError):
        LlamaBuilds(tmp_path, llama_cpp.inspect).offer(
            NETWORK, HERE, url="http://127.0.0.1:9/releases"
        )
    with release_server("b1", {}) as server:
        other = server.list_url.replace("/repos/", "/other/")
        with pytest.raises(DownloadFailedError):
            LlamaBuilds(tmp_path, llama_cpp.inspect).offer(NETWORK, HERE, url=other)


def test_an_interrupted_download_goes_on_where_it_was(tmp_path: Path) -> None:
    builds = LlamaBuilds(tmp_path / "llama.cpp", llama_cpp.inspect)
    padding = os.urandom(3_000_000)
    archive = build_archive("b1")
    big = tar_of(
        member("llama-b1/llama-server", FAKE_SERVER.encode(), mode=0o755),
        member("llama-b1/padding", padding),
    )
    assert len(archive) < len(big)
    cancel = threading.Event()
    slow = replace(QUICK, connections=1, rate_bytes_per_second=2_000_000, flush_bytes=100_000)
    with release_server("b1", {asset_name("b1"): big}) as server:
        build = chosen(server)
        timer = threading.Timer(0.7, cancel.set)
        timer.start()
        with pytest.raises(InterruptedByUserError):
            builds.install(build, NETWORK, slow, cancel=cancel)
        timer.join()
        first = server.served_bytes
        builds.install(build, NETWORK, QUICK)
        assert first > 0
        assert server.served_bytes - first < len(big)
    assert builds.installed()[0].current


@pytest.mark.real_runtime
def test_a_real_llama_server_is_installed_and_runs(tmp_path: Path) -> None:
    program = shutil.which("llama-server")
    if program is None:
        pytest.skip("llama-server is not on PATH")
    archive = real_build_archive("b11434", Path(program))
    builds = LlamaBuilds(tmp_path / "llama.cpp", llama_cpp.inspect)
    with release_server("b11434", {asset_name("b11434"): archive}) as server:
        installed, status = builds.install(chosen(server), NETWORK, QUICK)
    assert status.gemma4
    assert "models-preset" in llama_cpp.help_flags(installed.program)
