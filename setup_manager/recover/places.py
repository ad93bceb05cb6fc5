"""The folders in which other tools usually leave their files."""

from __future__ import annotations

from pathlib import Path


def usual_folders(
    home: Path | None,
    hub_cache: Path,
    ollama_models: Path,
    *,
    llama_cache: Path | None = None,
    downloads: Path | None = None,
    working: Path | None = None,
) -> tuple[Path, ...]:
    """List the folders to search, on any of the three systems.

    Args:
        home: The user's home folder, None where there is none.
        hub_cache: The Hugging Face hub cache in use.
        ollama_models: Ollama's store in use.
        llama_cache: What LLAMA_CACHE says.
        downloads: The user's download folder, where it is not ``~/Downloads``.
        working: The current folder, where curl and wget write; only files right in it are meant,
            so give it a search of its own with depth 0.
    """
    given = [hub_cache, ollama_models / "blobs", llama_cache, downloads, working]
    system = [Path("/usr/share/ollama/.ollama/models/blobs")]
    below_home = (
        ".cache/llama.cpp",
        "Library/Caches/llama.cpp",
        "AppData/Local/llama.cpp",
        ".ollama/models/blobs",
        ".lmstudio/models",
        ".cache/lm-studio/models",
        "jan/models",
        ".local/share/Jan/data/llamacpp/models",
        "Library/Application Support/Jan/data/llamacpp/models",
        "AppData/Roaming/Jan/data/llamacpp/models",
        "Downloads",
    )
    of_user = [home / folder for folder in below_home] if home else []
    return tuple(dict.fromkeys(path for path in [*given, *of_user, *system] if path))
