from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.errors import RuntimeMissingError
from setup_manager.machine.facts import (
    Bandwidth,
    Basis,
    Gpu,
    Machine,
    Memory,
    Processor,
    Vendor,
)
from setup_manager.runtimes.releases import Release, backends_for, choose_build, read_releases
from tests.runtimes.release_server import release_document

# The names that .github/workflows/release.yml of ggml-org/llama.cpp makes
# (at 002efcd4e56d7e23bf53fb472a15bdb493f223d1).
NAMES = (
    "llama-{0}-bin-macos-arm64.tar.gz",
    "llama-{0}-bin-macos-x64.tar.gz",
    "llama-{0}-xcframework.zip",
    "llama-{0}-bin-ubuntu-x64.tar.gz",
    "llama-{0}-bin-ubuntu-arm64.tar.gz",
    "llama-{0}-bin-ubuntu-s390x.tar.gz",
    "llama-{0}-bin-ubuntu-vulkan-x64.tar.gz",
    "llama-{0}-bin-ubuntu-vulkan-arm64.tar.gz",
    "llama-{0}-bin-ubuntu-rocm-7.2-x64.tar.gz",
    "llama-{0}-bin-ubuntu-openvino-2026.0-x64.tar.gz",
    "llama-{0}-bin-android-arm64.tar.gz",
    "llama-{0}-bin-win-cpu-x64.zip",
    "llama-{0}-bin-win-cpu-arm64.zip",
    "llama-{0}-bin-win-cuda-12.4-x64.zip",
    "cudart-llama-bin-win-cuda-12.4-x64.zip",
    "llama-{0}-bin-win-cuda-13.3-x64.zip",
    "cudart-llama-bin-win-cuda-13.3-x64.zip",
    "llama-{0}-bin-win-vulkan-x64.zip",
    "llama-{0}-bin-win-hip-radeon-x64.zip",
    "llama-{0}-bin-win-opencl-adreno-arm64.zip",
    "llama-{0}-ui.tar.gz",
)


def released(*tags: str, without: str = "") -> tuple[Release, ...]:
    documents = [
        release_document(
            tag,
            {n.format(tag): n.encode() for n in NAMES if not without or without not in n},
        )
        for tag in tags
    ]
    return read_releases(documents)


def machine(os: str, arch: str, *vendors: Vendor) -> Machine:
    gpus = tuple(
        Gpu(vendor, "gpu", 8 * 10**9, 7 * 10**9, unified=False, driver="", source="test")
        for vendor in vendors
    )
    return Machine(
        os=os,
        os_version="",
        arch=arch,
        cpu=Processor("cpu", 4, 8, 8.0),
        memory=Memory(16 * 10**9, None, 8 * 10**9, "test"),
        memory_bandwidth_bytes_per_second=Bandwidth(3e10, Basis.GUESS),
        gpus=gpus,
    )


@pytest.mark.parametrize(
    ("here", "backend", "names"),
    [
        (machine("linux", "x86_64"), "cpu", ["llama-b9-bin-ubuntu-x64.tar.gz"]),
        (machine("linux", "arm64"), "cpu", ["llama-b9-bin-ubuntu-arm64.tar.gz"]),
        (
            machine("linux", "x86_64", Vendor.NVIDIA),
            "vulkan",
            ["llama-b9-bin-ubuntu-vulkan-x64.tar.gz"],
        ),
        (
            machine("linux", "arm64", Vendor.AMD),
            "vulkan",
            ["llama-b9-bin-ubuntu-vulkan-arm64.tar.gz"],
        ),
        (machine("macos", "arm64", Vendor.APPLE), "metal", ["llama-b9-bin-macos-arm64.tar.gz"]),
        (machine("macos", "x86_64"), "cpu", ["llama-b9-bin-macos-x64.tar.gz"]),
        (machine("windows", "x86_64"), "cpu", ["llama-b9-bin-win-cpu-x64.zip"]),
        (
            machine("windows", "x86_64", Vendor.NVIDIA),
            "cuda",
            ["llama-b9-bin-win-cuda-12.4-x64.zip", "cudart-llama-bin-win-cuda-12.4-x64.zip"],
        ),
        (machine("windows", "x86_64", Vendor.AMD), "vulkan", ["llama-b9-bin-win-vulkan-x64.zip"]),
        (machine("windows", "arm64", Vendor.NVIDIA), "cpu", ["llama-b9-bin-win-cpu-arm64.zip"]),
    ],
)
def test_the_build_fits_the_machine(here: Machine, backend: str, names: list[str]) -> None:
    build = choose_build(released("b9"), here)
    assert build.backend == backend
    assert [asset.name for asset in build.assets] == names
    assert build.name == f"b9-{backend}"
    assert build.size_bytes == sum(asset.size_bytes for asset in build.assets) > 0


def test_a_release_that_lacks_the_build_gives_way_to_the_one_before() -> None:
    releases = released("b10", without="ubuntu") + released("b9")
    assert choose_build(releases, machine("linux", "x86_64")).tag == "b9"


def test_a_backend_that_was_asked_for_is_taken_or_refused() -> None:
    here = machine("linux", "x86_64", Vendor.NVIDIA)
    assert choose_build(released("b9"), here, "cpu").backend == "cpu"
    with pytest.raises(RuntimeMissingError) as caught:
        choose_build(released("b9"), here, "cuda")
    assert "cuda" in caught.value.message


def test_a_system_without_builds_is_told_so() -> None:
    with pytest.raises(RuntimeMissingError) as caught:
        choose_build(released("b9"), machine("freebsd", "x86_64"))
    assert caught.value.exit_code == 15
    assert "embedded" in caught.value.hint


def test_a_gpu_without_memory_of_its_own_counts_as_none() -> None:
    here = machine("linux", "x86_64", Vendor.INTEL)
    nothing = replace(here, gpus=(replace(here.gpus[0], total_bytes=0),))
    assert backends_for(nothing) == ("cpu",)


def test_assets_without_a_digest_and_unfinished_releases_do_not_count() -> None:
    document = release_document("b9", {"llama-b9-bin-ubuntu-x64.tar.gz": b"x"})
    undigested = {**document, "assets": [{**document["assets"][0], "digest": None}]}
    assert read_releases(undigested) == (Release("b9", ()),)
    assert read_releases({**document, "draft": True}) == ()
    assert read_releases({**document, "prerelease": True}) == ()
    assert read_releases({**document, "tag_name": "../b9"}) == ()
    climbing = {**document["assets"][0], "name": "../../x.tar.gz"}
    assert read_releases({**document, "assets": [climbing]}) == (Release("b9", ()),)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["tag_name", "assets", "name", "size", "digest"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
@settings(deadline=None, max_examples=150)
def test_any_answer_is_read_without_a_crash(document: object) -> None:
    assert all(isinstance(release, Release) for release in read_releases(document))
