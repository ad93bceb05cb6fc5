"""The official builds of llama.cpp."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from setup_manager.units import format_size

if TYPE_CHECKING:
    from setup_manager.app import runtime
    from setup_manager.runtimes import InstalledBuild


def build_text(plan: runtime.Plan) -> str:
    """Name a build that can be downloaded."""
    build = plan.build
    size = format_size(build.size_bytes)
    return f"llama.cpp {build.tag} for {build.backend}, {size} to download"


def builds_text(builds: Iterable[InstalledBuild]) -> str:
    """List the builds that are installed, the one in use with a star."""
    lines = [f"{'*' if build.current else ' '} {build.name}  {build.program}" for build in builds]
    return "\n".join(lines) or "gemma-setup has installed no build of llama.cpp."
