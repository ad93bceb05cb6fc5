"""What a download is told: about patience and about manners."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from setup_manager.units import KIB, MIB


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """How a download behaves.

    Attributes:
        connections: Fixed number of connections, or None to adapt between 1 and `most`.
        most: Upper limit of connections when they adapt.
        rate_bytes_per_second: Limit over all connections together, or None.
        wait: Wait for another process at the same file; otherwise end with `BusyError`.
        chunk_bytes: Unit of assignment, journal and check value; None picks it by size.
        read_bytes: Largest single read from a connection.
        flush_bytes: New bytes after which they are synced and journaled.
        flush_seconds: Time after which they are, even when they are few.
        patience_seconds: How long a file may make no progress at all before it fails.
        first_backoff_seconds: Pause after the first failure of a connection; doubles.
        longest_backoff_seconds: Where the doubling ends.
        longest_wait_seconds: Longest pause a server may ask for.
        slow_seconds: How long a connection is watched before it may be called slow.
        sample_seconds: How often the number of connections is judged.
        progress_seconds: Least time between two progress events.
        checks_dir: Where check values of installed files are kept, or None for nowhere.
        polite: Low I/O and CPU priority.
        reserve_bytes: Disk space that must remain free.
        extra_bytes: Space that the runtime's own copy will take on the same file system.
    """

    connections: int | None = None
    most: int = 16
    rate_bytes_per_second: int | None = None
    wait: bool = True
    chunk_bytes: int | None = None
    read_bytes: int = 512 * KIB
    flush_bytes: int = 8 * MIB
    flush_seconds: float = 2.0
    patience_seconds: float = 150.0
    first_backoff_seconds: float = 0.5
    longest_backoff_seconds: float = 15.0
    longest_wait_seconds: float = 900.0
    slow_seconds: float = 8.0
    sample_seconds: float = 1.0
    progress_seconds: float = 0.25
    checks_dir: Path | None = None
    polite: bool = False
    reserve_bytes: int = 64 * MIB
    extra_bytes: int = 0
