# /// script
# requires-python = ">=3.11"
# dependencies = ["pyte>=0.8", "rich>=13"]
# ///
"""Draw the README's picture: `gemma-setup rehearse` in a real terminal of 80 columns, as SVG.

The program runs in a pseudo-terminal; a screen emulator keeps what stands there at the end, and
rich draws it.

    python scripts/make_terminal_picture.py [scripts/terminal.svg]
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pyte
from rich.console import Console
from rich.text import Text

COLUMNS, LINES = 80, 24
COMMAND = "gemma-setup rehearse"
_FONT_FACE = re.compile(r"@font-face\s*\{.*?\}\s*|<!-- Generated with .*? -->\s*", re.DOTALL)


def main() -> None:
    """Run the rehearsal and write the picture."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "scripts/terminal.svg")
    screen = run([sys.executable, "-m", "setup_manager", "rehearse"])
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="standard")
    console.print(Text.assemble(("$ ", "dim"), (COMMAND, "bold")))
    for line in drawn(screen):
        console.print(line, no_wrap=True, overflow="crop")
    # No fonts from elsewhere: whoever looks at the picture asks no other host.
    picture = _FONT_FACE.sub("", console.export_svg(title="gemma-setup", clear=True))
    target.write_text(picture, encoding="utf-8")
    print(f"{target}: {target.stat().st_size} bytes")


def run(argv: list[str]) -> pyte.Screen:
    """Run a program in a terminal and return its screen at the end."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        argv, stdin=follower, stdout=follower, stderr=follower, env=environment
    )
    os.close(follower)
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            break
        if not piece:
            break
        stream.feed(piece)
    if process.wait() != 0:
        sys.exit("The rehearsal failed.")
    return screen


def drawn(screen: pyte.Screen) -> list[Text]:
    """Turn a screen into lines of styled text, without the empty ones at its end."""
    lines = []
    for row in range(LINES):
        text = Text()
        for column in range(COLUMNS):
            cell = screen.buffer[row][column]
            colour = {"default": "", "brown": "yellow"}.get(cell.fg, cell.fg)
            text.append(cell.data, style=f"{'bold ' if cell.bold else ''}{colour}".strip())
        text.rstrip()
        lines.append(text)
    while lines and not lines[-1].plain:
        lines.pop()
    return lines


if __name__ == "__main__":
    main()
