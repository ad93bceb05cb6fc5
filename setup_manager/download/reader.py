"""Reading a few bytes of a file from the hub, by the same rules as a download."""

from __future__ import annotations

import time
from collections.abc import Sequence

from setup_manager.catalog import Artifact
from setup_manager.download.job import DownloadOptions
from setup_manager.download.sources import Source, backoff
from setup_manager.errors import DownloadFailedError
from setup_manager.net import Action, Fault, Origin, RequestError, Transport, Verdict

_ATTEMPTS = 5
_LONGEST_PAUSE_SECONDS = 4.0
_MOST_SKIPPED_BYTES = 1 << 20


class NoRangesError(DownloadFailedError):
    """The hub or mirror gives whole files only."""


class RangeReader:
    """Reads parts of files from their origins.

    An artifact is resolved once; every read is one ranged request that is held to the artifact's
    length and to one entity tag.

    Args:
        origins: Asked in turn.
        transport: The network; closed by its owner.
        options: How patient to be.

    Attributes:
        fetched_bytes: Bytes read so far.
    """

    def __init__(
        self, origins: Sequence[Origin], transport: Transport, options: DownloadOptions
    ) -> None:
        self.fetched_bytes = 0
        self._origins = origins
        self._transport = transport
        self._options = options
        self._sources: dict[Artifact, list[Source]] = {}

    def read(self, artifact: Artifact, start: int, length: int) -> bytes:
        """Return exactly these bytes of the artifact at its commit.

        Raises:
            NoRangesError: If only whole files can be had.
            SetupError: If no origin gives them; the download's own error for the reason.
        """
        sources = self._sources_of(artifact)
        facts = list[str]()
        for attempt in range(1, _ATTEMPTS + 1):
            for source in (source for source in sources if source.dropped is None):
                try:
                    return self._read(source, start, length)
                except RequestError as problem:
                    source.take_failure(problem.verdict)
                    facts.append(f"{source.name}: {problem}")
            if all(source.dropped is not None for source in sources):
                break
            time.sleep(min(backoff(attempt, self._options), _LONGEST_PAUSE_SECONDS))
        if sources and all(source.ranges is False for source in sources):
            raise NoRangesError(
                f"No server supports partial downloads of {artifact.path}.",
                code="no-ranges",
                context=list(dict.fromkeys(facts)),
                hint="Use another --mirror: this one serves whole files only.",
            )
        raise sources[0].failure(list(dict.fromkeys(facts)), kept_bytes=0)

    def _sources_of(self, artifact: Artifact) -> list[Source]:
        if artifact not in self._sources:
            self._sources[artifact] = [
                Source(origin, artifact, self._transport, self._options) for origin in self._origins
            ]
        return self._sources[artifact]

    def _read(self, source: Source, start: int, length: int) -> bytes:
        stream, skip = source.open(start, start + length)
        if skip > _MOST_SKIPPED_BYTES:
            stream.abort()
            stream.close()
            raise RequestError(
                Verdict(Action.DROP, "it does not support range requests", Fault.SERVER)
            )
        data = bytearray(skip + length)
        view = memoryview(data)
        at = 0
        try:
            while at < len(data):
                count = stream.read_into(view[at:])
                if count == 0:
                    raise RequestError(Verdict(Action.RETRY, "the answer ended too early"))
                at += count
        finally:
            stream.close()
        self.fetched_bytes += len(data)
        return bytes(view[skip:])
