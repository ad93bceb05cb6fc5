"""Our preset file for llama-server's router mode: one section a registered model.

`llama-server --models-preset FILE` then serves all of them, loading each when it is asked for. The
format is what `common/preset.cpp` of llama.cpp b11434 reads: ``key = value`` with names of long
flags; ``#`` and ``;`` begin a comment wherever they stand, and nothing can be escaped; an unknown
key makes the server refuse the file; and a tag behind a colon in a section's name is rewritten.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from setup_manager.errors import RegistrationFailedError
from setup_manager.runtimes.base import ModelFiles
from setup_manager.runtimes.options import DRAFTER_TYPE, StartOptions, known_flag_values

_HEAD = (
    "; Written by gemma-setup. Sections that it did not write are left as they are.\nversion = 1\n"
)
_SECTION = re.compile(r"\s*\[\s*([^\]]*?)\s*\]")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Preset:
    """A model as llama-server is to serve it.

    Attributes:
        name: Section, and the model's name in requests; see `preset_name`.
        files: What is loaded.
        options: How it is started.
    """

    name: str
    files: ModelFiles
    options: StartOptions


@dataclass(frozen=True, slots=True)
class _Block:
    """A section as it stands in the file; the first block has no name."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Presets:
    """The preset file.

    Attributes:
        path: Where it is; it need not be there yet.
    """

    path: Path

    def names(self) -> tuple[str, ...]:
        """List the sections.

        Raises:
            RegistrationFailedError: If the file cannot be read.
        """
        return tuple(block.name for block in self._blocks() if block.name)

    def put(self, preset: Preset, known_flags: Collection[str] = ()) -> None:
        """Write a section, in the place of an older one of that name.

        Args:
            preset: The model.
            known_flags: Long flags that the server knows; others are left out, since it would
                refuse the file. Empty if it was not asked.

        Raises:
            RegistrationFailedError: If a path cannot be written in such a file, or the file
                cannot be read or written.
        """
        new = _Block(preset.name, tuple(_section_lines(preset, known_flags)))
        blocks = self._blocks()
        if preset.name in self.names():
            blocks = [new if block.name == preset.name else block for block in blocks]
        else:
            blocks.append(new)
        self._write(blocks)

    def remove(self, name: str) -> bool:
        """Take a section out; the file goes with its last one.

        Returns:
            Whether it was there.

        Raises:
            RegistrationFailedError: If the file cannot be read or written.
        """
        blocks = self._blocks()
        kept = [block for block in blocks if block.name != name]
        if len(kept) == len(blocks):
            return False
        if _text(kept).strip() == _HEAD.strip():
            self.path.unlink()
        else:
            self._write(kept)
        return True

    def _blocks(self) -> list[_Block]:
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            text = _HEAD
        except (OSError, UnicodeDecodeError) as error:
            raise _unusable(self.path, error) from error
        return _split(text)

    def _write(self, blocks: Sequence[_Block]) -> None:
        """Replace the file as a whole, so that a server never reads half of it."""
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as file:
                file.write(_text(blocks))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise _unusable(self.path, error) from error


def preset_name(variant: str | None, repository: str, quantization: str) -> str:
    """Make a section's name: ``"gemma-4-e4b-UD-Q4_K_XL"``, without a colon."""
    base = f"gemma-4-{variant}" if variant else repository.rpartition("/")[2]
    return _NOT_PLAIN.sub("-", f"{base}-{quantization}").strip("-")


def router_command(program: str, path: Path) -> str:
    """Return the command line that serves every registered model."""
    return f"{shlex.quote(program)} --models-preset {shlex.quote(str(path))}"


def _section_lines(preset: Preset, known_flags: Collection[str]) -> list[str]:
    files = preset.files
    values = {"model": _checked(files.weights)}
    if files.projector is not None:
        values["mmproj"] = _checked(files.projector)
    if files.drafter is not None:
        values |= {"model-draft": _checked(files.drafter), "spec-type": DRAFTER_TYPE}
    flags = known_flag_values(preset.options, known_flags)
    values |= {name: value or "true" for name, value in flags.items()}
    return [f"[{preset.name}]", *(f"{name} = {value}" for name, value in values.items()), ""]


def _checked(path: Path) -> str:
    """Return a path as it can stand in the file."""
    text = str(path)
    if re.search(r"[#;\r\n]", text) or text != text.strip():
        raise RegistrationFailedError(
            "llama-server's preset file cannot hold this path.",
            context=(text, "'#' and ';' begin a comment there"),
            hint="Use a models folder without such characters (--models-dir).",
        )
    return text


def _split(text: str) -> list[_Block]:
    blocks = [_Block("", ())]
    for line in text.splitlines():
        header = _SECTION.match(line)
        if header:
            blocks.append(_Block(header[1], (line,)))
        else:
            last = blocks[-1]
            blocks[-1] = _Block(last.name, (*last.lines, line))
    return blocks


def _text(blocks: Sequence[_Block]) -> str:
    return "\n".join(line for block in blocks for line in block.lines).rstrip("\n") + "\n"


def _unusable(path: Path, error: Exception) -> RegistrationFailedError:
    return RegistrationFailedError(
        "The preset file cannot be used.",
        context=(str(path), str(error)),
        hint="Check who owns it and whether the disk is full.",
    )
