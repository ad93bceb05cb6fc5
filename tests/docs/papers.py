"""The papers of the project and what stands in them: command lines, links, examples."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOP = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
PAPERS = [*TOP, *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CALL = re.compile(r"\bgemma-setup(?:\.ps1)? ([^|>;)&\"#]*)")
_SHELLS = {"sh", "powershell"}


def name_of(paper: Path) -> str:
    return paper.relative_to(ROOT).as_posix()


def fences(paper: Path, *languages: str) -> list[str]:
    """What stands in the fences of these languages."""
    found = _FENCE.findall(paper.read_text("utf-8"))
    return [text for language, text in found if language in languages]


def prose(paper: Path) -> str:
    """A paper without its fences."""
    return _FENCE.sub("", paper.read_text("utf-8"))


def inline_code(paper: Path) -> list[str]:
    """What stands in backquotes; a table writes a bar as `\\|`."""
    return _CODE.findall(prose(paper).replace("\\|", "|"))


def links(paper: Path) -> list[str]:
    """Every link to something of the project."""
    return [link for link in _LINK.findall(prose(paper)) if "://" not in link]


def anchors(paper: Path) -> set[str]:
    """What can be linked to inside a paper, named as hosts of repositories do."""
    titles = re.findall(r"^#+ (.+)$", prose(paper), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def command_lines(paper: Path) -> Iterator[str]:
    """Every `gemma-setup …` with its arguments; not where a part is to be filled in."""
    lines = [line for block in fences(paper, *_SHELLS) for line in block.splitlines()]
    for line in [*lines, *inline_code(paper)]:
        for arguments in _CALL.findall(line):
            if "…" not in line and not arguments.startswith("COMMAND"):
                yield arguments.strip()


def words(arguments: str) -> list[str]:
    return shlex.split(arguments)
