"""What the program does: one verb a module, each with a `Request`, `plan` and `run`.

A verb that writes is planned with ``plan(session, request)`` and the plan carried out with
``run(session, plan)``; one that only looks has ``run(session, request)`` alone.

May import: session and the rooms below.
Invariant: nothing here prints, asks, exits or reads the environment.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.app.verbs import (
        check,
        clean,
        download,
        install,
        recommend,
        recover,
        register,
        remove,
        runtime,
        serve,
        smoke,
        verify,
    )

__all__ = [
    "check",
    "clean",
    "download",
    "install",
    "recommend",
    "recover",
    "register",
    "remove",
    "runtime",
    "serve",
    "smoke",
    "verify",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        "verbs.check",
        "verbs.clean",
        "verbs.download",
        "verbs.install",
        "verbs.recommend",
        "verbs.recover",
        "verbs.register",
        "verbs.remove",
        "verbs.runtime",
        "verbs.serve",
        "verbs.smoke",
        "verbs.verify",
    )
