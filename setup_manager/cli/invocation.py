"""One run of the program; its shell is made when a command or an error needs it."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from setup_manager.cli.shell import Shell


class Invocation:
    """What click hands from the group to the command."""

    @cached_property
    def shell(self) -> Shell:
        """The shell, listening for Ctrl-C from now on."""
        from setup_manager.cli.interrupt import Interruption
        from setup_manager.cli.shell import Shell
        from setup_manager.cli.terminal import describe_terminal

        interruption = Interruption()
        interruption.listen()
        return Shell(os.environ, describe_terminal(os.environ), interruption.requested)
