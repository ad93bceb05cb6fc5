"""Commands that add an optional part to this program, by the way in which it was installed.

gemma-setup is on no index, so ``pip install 'gemma-setup[extra]'`` finds nothing, and what pip puts
beside a tool of pipx or uv is not seen by it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shlex
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

# The extras of pyproject.toml that people add; a test holds the two together.
PACKAGES = {"embedded": ("xllamacpp",), "report": ("jinja2", "vl-convert-python")}
_NAME = "gemma-setup"
# The extras that ./scripts/gemma-setup installs into its own environment.
_SCRIPTED = frozenset({"embedded"})


@dataclass(frozen=True, slots=True)
class Installed:
    """How this program was installed.

    Attributes:
        prefix: The environment that it runs in.
        python: Its interpreter.
        isolated: Whether that is a virtual environment.
        managed: Whether the system forbids pip to write there (PEP 668).
        has_pip: Whether pip is in it; uv makes environments without.
        source: What `direct_url.json` says of where it came from (PEP 610), None from an index.
        script: ``scripts/gemma-setup`` of the checkout that it runs from, None elsewhere.
    """

    prefix: Path
    python: str
    isolated: bool = True
    managed: bool = False
    has_pip: bool = True
    source: dict[str, Any] | None = None
    script: Path | None = None


def install_extra(name: str, *, upgrade: bool = False) -> str:
    """Return the command that adds an extra to this program.

    Args:
        name: ``"embedded"`` or ``"report"``.
        upgrade: Whether it is there and too old.
    """
    return command_for(name, _this_installation(), upgrade=upgrade)


def command_for(name: str, here: Installed, *, upgrade: bool = False) -> str:
    """Return the command that adds an extra to a program that was installed in some way."""
    packages = PACKAGES[name]
    newer = ["--upgrade"] if upgrade else []
    if (here.prefix / "pipx_metadata.json").is_file():
        # `inject` leaves a package alone that is there.
        action = ["runpip", here.prefix.name, "install", *newer]
        return _typed(["pipx", *(action if upgrade else ["inject", here.prefix.name]), *packages])
    if (here.prefix / "uv-receipt.toml").is_file():
        if upgrade:
            return _typed(["uv", "tool", "upgrade", _NAME])
        added = [word for package in packages for word in ("--with", package)]
        return _typed(["uv", "tool", "install", *added, *_source_words(here.source)])
    if not here.isolated and here.script is not None and name in _SCRIPTED and not upgrade:
        return _typed([str(here.script)])
    if not here.has_pip:
        return _typed(["uv", "pip", "install", *newer, "--python", here.python, *packages])
    flags = ["--break-system-packages"] if here.managed and not here.isolated else []
    return _typed([here.python, "-m", "pip", "install", *newer, *flags, *packages])


def _source_words(source: dict[str, Any] | None) -> list[str]:
    """Name the place that the program came from, as `uv tool install` takes it."""
    if source is None:
        return [_NAME]
    url = str(source["url"])
    if version_control := source.get("vcs_info"):
        revision = version_control.get("requested_revision")
        return [f"{version_control['vcs']}+{url}" + (f"@{revision}" if revision else "")]
    place = url2pathname(unquote(urlsplit(url).path)) if url.startswith("file:") else url
    editable = source.get("dir_info", {}).get("editable")
    return ["--editable", place] if editable else [place]


def _typed(words: Sequence[str]) -> str:
    if sys.platform == "win32":
        return " ".join(f'"{word}"' if " " in word else word for word in words)
    return shlex.join(words)


def _this_installation() -> Installed:
    script = Path(__file__).parents[1] / "scripts" / _NAME
    return Installed(
        prefix=Path(sys.prefix),
        python=sys.executable,
        isolated=sys.prefix != sys.base_prefix,
        managed=(Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED").is_file(),
        has_pip=importlib.util.find_spec("pip") is not None,
        source=_direct_url(),
        script=script if script.is_file() else None,
    )


def _direct_url() -> dict[str, Any] | None:
    try:
        text = importlib.metadata.distribution(_NAME).read_text("direct_url.json")
        document = json.loads(text) if text else None
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
    return document if isinstance(document, dict) and "url" in document else None
