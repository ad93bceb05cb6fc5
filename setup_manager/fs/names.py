"""Which names may become paths on this disk."""

from __future__ import annotations

import re

# Most file systems take 255 bytes for one name; the hub allows no longer path than this.
_NAME_LIMIT_BYTES = 255
_PATH_LIMIT_BYTES = 1024
# Windows gives these names to devices, whatever the suffix, and forbids these characters and a dot
# or space at the end: learn.microsoft.com/windows/win32/fileio/naming-a-file. They are refused
# everywhere, so that a folder of models can be carried to any machine.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE
)
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')


def wrong_path(path: str) -> str | None:
    """Say why a path inside a repository must not be used on disk, or None if it may.

    Args:
        path: With ``/`` between folders.
    """
    if not path or path.startswith("/"):
        return "is empty or absolute"
    if len(path.encode(errors="surrogatepass")) > _PATH_LIMIT_BYTES:
        return f"is longer than {_PATH_LIMIT_BYTES} bytes"
    return next(filter(None, map(_wrong_part, path.split("/"))), None)


def _wrong_part(part: str) -> str | None:
    if part in {"", ".", ".."}:
        return "leaves its folder or has an empty part"
    if _FORBIDDEN.search(part) or any("\ud800" <= c <= "\udfff" for c in part):
        return "has characters that a file name cannot have"
    if _DEVICE.fullmatch(part):
        return "is a Windows device name"
    if part[-1] in ". ":
        return "has a part that ends with a dot or a space"
    if len(part.encode()) > _NAME_LIMIT_BYTES:
        return f"has a part longer than {_NAME_LIMIT_BYTES} bytes"
    return None
