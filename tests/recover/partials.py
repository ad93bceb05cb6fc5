"""An adopter on the engine's own partial file."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from setup_manager.catalog.artifact import Artifact
from setup_manager.download.chunks import ADOPTED, Span, chunk_size, split_on_grid
from setup_manager.download.places import Layout
from setup_manager.download.store import FileClaim, PartialFile


@dataclass(frozen=True)
class PartialAdopter:
    layout: Layout

    def adopt(
        self,
        artifact: Artifact,
        source: Path,
        spans: Sequence[tuple[int, int]],
        shift_bytes: int = 0,
    ) -> int:
        places = self.layout.places(artifact)
        places.partial.parent.mkdir(parents=True, exist_ok=True)
        claim = FileClaim(places.lock, wait=False, on_wait=lambda: None, cancelled=lambda: False)
        with claim, source.open("rb") as file:
            held = PartialFile(places, artifact, chunk_size(artifact.size_bytes))
            copied = 0
            for span in spans:
                for start, end in split_on_grid(*span, held.coverage.chunk_bytes):
                    if held.coverage.span_at(start):
                        continue
                    file.seek(start - shift_bytes)
                    data = file.read(end - start)
                    held.write(start, memoryview(data))
                    held.keep([Span(start, end, zlib.crc32(data), ADOPTED)])
                    copied += len(data)
            held.close()
        return copied
