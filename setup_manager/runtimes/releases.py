"""Official builds of llama.cpp: reading the release list and picking the files for a machine.

The names are those that llama.cpp's own release workflow makes (.github/workflows/release.yml):
``llama-<tag>-bin-<platform>[-<backend>]-<arch>.(tar.gz|zip)``. There is no CUDA build for Linux; a
CUDA build for Windows needs the ``cudart-…`` file of the same CUDA version beside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from setup_manager.errors import RuntimeMissingError
from setup_manager.machine import Gpu, Machine, Vendor

RELEASES_URL = "https://api.github.com/repos/ggml-org/llama.cpp/releases?per_page=5"
REPOSITORY = "ggml-org/llama.cpp"
# What a build is installed for.
PROGRAM = "llama-server.exe" if os.name == "nt" else "llama-server"
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.(?:tar\.gz|zip)")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_LARGEST_BYTES = 4 * 1000**3
_PLATFORMS = {"linux": "ubuntu", "macos": "macos", "windows": "win"}
_ARCHITECTURES = {"x86_64": "x64", "arm64": "arm64", "s390x": "s390x"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of a release.

    Attributes:
        name: File name.
        url: Where it is fetched.
        size_bytes: Its length.
        sha256: Its digest as the release API gives it.
    """

    name: str
    url: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Release:
    """A release with the assets whose digest is known.

    Attributes:
        tag: E.g. ``"b9219"``.
        assets: Its files.
    """

    tag: str
    assets: tuple[Asset, ...]


@dataclass(frozen=True, slots=True)
class Build:
    """What is to be installed.

    Attributes:
        tag: Of the release.
        backend: ``"cpu"``, ``"cuda"``, ``"vulkan"``, ``"metal"``.
        assets: The archives, all of which are unpacked into one folder.
    """

    tag: str
    backend: str
    assets: tuple[Asset, ...]

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.tag}-{self.backend}"

    @property
    def size_bytes(self) -> int:
        """Bytes to fetch."""
        return sum(asset.size_bytes for asset in self.assets)


def read_releases(document: Any) -> tuple[Release, ...]:
    """Read the answer of the release API; what is not as documented is left out.

    Args:
        document: A list of releases, or one release.
    """
    entries = document if isinstance(document, list) else [document]
    releases = (_release(entry) for entry in entries if isinstance(entry, dict))
    return tuple(release for release in releases if release is not None)


def choose_build(
    releases: Sequence[Release], machine: Machine, backend: str | None = None
) -> Build:
    """Pick the newest release that has a build for a machine.

    Args:
        releases: Newest first, as the API gives them.
        machine: What it has to run on.
        backend: A backend that was asked for, None to choose one.

    Raises:
        RuntimeMissingError: If there is no build for it.
    """
    wanted = (backend,) if backend else backends_for(machine)
    for release in releases:
        for name in wanted:
            assets = _assets_for(release, machine.os, machine.arch, name)
            if assets:
                return Build(release.tag, name, assets)
    raise RuntimeMissingError(
        f"There is no official build of llama.cpp for {machine.os} on {machine.arch}"
        + (f" with {backend}." if backend else "."),
        context=[f"looked at: {', '.join(release.tag for release in releases) or 'no release'}"],
        hint="Use the embedded engine (--runtime embedded), or build llama.cpp yourself.",
    )


def backends_for(machine: Machine) -> tuple[str, ...]:
    """List the backends that fit a machine's GPUs, best first; the CPU is always the last.

    On Linux Vulkan serves every vendor: there is no CUDA build, and the ROCm one needs ROCm
    installed in just its version. A Vulkan build without a driver falls back to the CPU by itself.
    """
    if machine.os == "macos":
        return ("metal",) if machine.arch == "arm64" else ("cpu",)
    vendors = {gpu.vendor for gpu in machine.gpus}
    if machine.os == "windows" and Vendor.NVIDIA in vendors:
        return ("cuda", "vulkan", "cpu")
    return ("vulkan", "cpu") if any(_drawn_by_vulkan(gpu) for gpu in machine.gpus) else ("cpu",)


def _drawn_by_vulkan(gpu: Gpu) -> bool:
    return gpu.vendor in {Vendor.NVIDIA, Vendor.AMD, Vendor.INTEL} and gpu.total_bytes > 0


def _assets_for(release: Release, os: str, arch: str, backend: str) -> tuple[Asset, ...]:
    platform, short = _PLATFORMS.get(os), _ARCHITECTURES.get(arch)
    if platform is None or short is None:
        return ()
    by_name = {asset.name: asset for asset in release.assets}
    if backend == "cuda":
        return _cuda_assets(by_name, release.tag, platform, short)
    part = "" if _is_unnamed(platform, backend) else f"{backend}-"
    stem = f"llama-{release.tag}-bin-{platform}-{part}{short}"
    found = by_name.get(f"{stem}.tar.gz") or by_name.get(f"{stem}.zip")
    return (found,) if found else ()


def _is_unnamed(platform: str, backend: str) -> bool:
    """Whether the backend is the platform's plain build: Metal on a Mac, the CPU on Linux."""
    return platform == "macos" or (platform == "ubuntu" and backend == "cpu")


def _cuda_assets(
    by_name: Mapping[str, Asset], tag: str, platform: str, arch: str
) -> tuple[Asset, ...]:
    """Pick the lowest CUDA version, which runs with the oldest drivers, and its run-time."""
    pattern = re.compile(rf"llama-{re.escape(tag)}-bin-{platform}-(cuda-[\d.]+)-{arch}\.zip")
    versions = sorted(match[1] for name in by_name if (match := pattern.fullmatch(name)))
    for version in versions:
        runtime = by_name.get(f"cudart-llama-bin-{platform}-{version}-{arch}.zip")
        if runtime is not None:
            return (by_name[f"llama-{tag}-bin-{platform}-{version}-{arch}.zip"], runtime)
    return ()


def _release(entry: Mapping[str, Any]) -> Release | None:
    tag, listed = entry.get("tag_name"), entry.get("assets")
    if not isinstance(tag, str) or not _TAG.fullmatch(tag) or not isinstance(listed, list):
        return None
    if entry.get("draft") or entry.get("prerelease"):
        return None
    assets = (_asset(asset) for asset in listed if isinstance(asset, dict))
    return Release(tag, tuple(asset for asset in assets if asset is not None))


def _asset(entry: Mapping[str, Any]) -> Asset | None:
    """Read an asset; one without a digest cannot be verified and does not count."""
    name, url, size = entry.get("name"), entry.get("browser_download_url"), entry.get("size")
    digest = _DIGEST.fullmatch(str(entry.get("digest") or ""))
    if not isinstance(name, str) or not _NAME.fullmatch(name) or digest is None:
        return None
    if not isinstance(url, str) or not isinstance(size, int) or not 0 < size <= _LARGEST_BYTES:
        return None
    return Asset(name, url, size, digest[1])
