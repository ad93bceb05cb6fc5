"""Plain ``.gguf`` files: finished ones, and the short ones that curl and wget leave.

curl, wget, axel and most scripts write under the final name from the first byte on, so that only
the header tells whether the file is all there.
"""

from __future__ import annotations

from setup_manager.recover.browser import unnumbered
from setup_manager.recover.leftover import Trace


def recognise(name: str) -> Trace | None:
    """Say whether a file has the plain name of a model."""
    if not name.lower().endswith(".gguf"):
        return None
    return Trace("another tool", unnumbered(name), finished=True)
