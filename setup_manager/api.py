"""gemma-setup for Python programs: the verbs of the command line, and a session for them.

A verb that writes is planned and then carried out; one that only looks is run. Whatever stops it is
a `SetupError`, whose ``message``, ``context`` and ``hint`` say what is wrong and how to go on.
Nothing is printed and nobody is asked.

>>> from setup_manager.api import download, open_session, recommend
>>> session = open_session()
>>> planned = download.plan(session, download.Request(model="rehearsal"))
>>> fetched = download.run(session, planned)
>>> fetched.path.name
'gemma-4-rehearsal-it-F16.gguf'
>>> explained = recommend.explain(
...     session, recommend.ExplainRequest(model="rehearsal", context=4096)
... )
>>> explained.verdict
'fits'

With the catalogue of the package the names are those of `gemma-setup list`: ``model="e4b"``,
``model="12b:UD-Q5_K_XL"``. An interrupted call goes on where it stopped when it is made again.

Folders, the hub and proxies follow the process's environment variables, or those of a mapping that
is given to `open_session`.
"""

from setup_manager.app import (
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
from setup_manager.download import DownloadOptions
from setup_manager.errors import SetupError
from setup_manager.session import Observer, Session, Silence, StageEvent, open_session

__all__ = [
    "DownloadOptions",
    "Observer",
    "Session",
    "SetupError",
    "Silence",
    "StageEvent",
    "check",
    "clean",
    "download",
    "install",
    "open_session",
    "recommend",
    "recover",
    "register",
    "remove",
    "runtime",
    "serve",
    "smoke",
    "verify",
]
