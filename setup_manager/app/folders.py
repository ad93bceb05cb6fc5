"""Which folder an installed file belongs to: models may lie in more than one."""

from __future__ import annotations

from pathlib import Path

from setup_manager.library import HubCacheLayout, InstalledFile, PlainFolderLayout


def layout_of(file: InstalledFile) -> HubCacheLayout | PlainFolderLayout:
    """Find the layout of the folder that a file was installed in."""
    depth = len(Path(file.artifact.path).parts)
    # <root>/models--org--name/snapshots/<commit>/<path>, or <root>/org--name/<path>
    commit = file.path.parents[depth - 1]
    if commit.name == file.artifact.commit and commit.parent.name == "snapshots":
        return HubCacheLayout(commit.parents[2])
    return PlainFolderLayout(commit.parent)
