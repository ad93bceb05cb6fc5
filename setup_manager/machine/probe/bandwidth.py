"""Measured memory bandwidth: reads alone, on all usable cores, in under half a second.

Decoding reads every weight once a token and writes next to nothing, so only reading counts, and
the figure needs no conversion. The C library's ``memchr`` for a byte that is not there is the
purest reader at hand: vectorised, one stream, no stores. Copying instead would have to be
converted (each byte read, written, and with most caches read once more before it is written).
``ctypes`` releases the interpreter lock during each call, so threads read side by side.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from setup_manager.machine.facts import Bandwidth, Basis

SLICE_BYTES = 2 * 1024 * 1024
WINDOW_SECONDS = 0.004
MAX_THREADS = 32
USUAL_CACHE_BYTES = 16 * 1024 * 1024
MAX_BYTES = 1024 * 1024 * 1024
CACHES = 3
"""Reading a buffer of three caches' size round and round hits the cache for 6 % at most: a cache
that replaces at random hits h = exp(-3 (1 - h)), and one that replaces the oldest hits never."""
FILL_SECONDS = 0.5
READ_SECONDS = 0.15
BUSY_READ_SECONDS = 0.25
"""While others use the cores, a moment in which all threads run together is rare."""

GUESSES = {"x86_64": 30e9, "arm64": 12e9}
"""Two channels of DDR4-2400 give about 30 GB/s, a Raspberry Pi 5's LPDDR4X about 12 GB/s."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One read of one thread.

    Attributes:
        start: Seconds.
        end: Seconds.
        size_bytes: What was read.
    """

    start: float
    end: float
    size_bytes: int


def best_rate(slices: list[Slice], window_seconds: float = WINDOW_SECONDS) -> float:
    """Find the highest rate that all threads reached together within one window.

    Other programs take cores away for moments; the best window is the one they took least of.
    Summing each thread's own best would overstate, since threads share the memory.

    Args:
        slices: Reads of all threads, in any order.
        window_seconds: How long the rate must have held.

    Returns:
        Bytes per second, 0 without any read.
    """
    best = 0.0
    ordered = sorted(slices, key=lambda piece: piece.start)
    latest = max((piece.end for piece in ordered), default=0.0)
    first = 0
    for index, anchor in enumerate(ordered):
        start, end = anchor.start, anchor.start + window_seconds
        if end > latest and index > 0:
            break
        while ordered[first].end <= start and first < index:
            first += 1
        total = 0.0
        for piece in ordered[first:]:
            if piece.start >= end:
                break
            total += _share(piece, start, end)
        best = max(best, total / window_seconds)
    return best


def _share(piece: Slice, start: float, end: float) -> float:
    overlap = min(piece.end, end) - max(piece.start, start)
    length = piece.end - piece.start
    return piece.size_bytes * overlap / length if length > 0 and overlap > 0 else 0.0


class _Reader:
    """One thread that fills a buffer of its own and then reads it in slices until a deadline."""

    def __init__(self, size_bytes: int, seconds: float, ready: threading.Barrier) -> None:
        self.slices: list[Slice] = []
        self._size_bytes = size_bytes
        self._seconds = seconds
        self._ready = ready
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            buffer = _map_memory(self._size_bytes)
        except (OSError, ValueError):
            self._ready.abort()
            return
        view = ctypes.c_char.from_buffer(buffer)
        try:
            self._read(ctypes.addressof(view))
        except threading.BrokenBarrierError:
            pass
        finally:
            del view
            buffer.close()

    def _read(self, address: int) -> None:
        self._fill(address)
        self._ready.wait(FILL_SECONDS)
        search = _search_function()
        offset = 0
        before = time.perf_counter()
        deadline = before + self._seconds
        while before < deadline:
            search(address + offset, 0, SLICE_BYTES)
            after = time.perf_counter()
            self.slices.append(Slice(before, after, SLICE_BYTES))
            before = after
            offset = (offset + SLICE_BYTES) % self._size_bytes

    def _fill(self, address: int) -> None:
        """Touch every page: untouched ones are all one page of zeros, and lie in the cache.

        Raises:
            threading.BrokenBarrierError: If that takes too long; a part of the buffer might fit
                the cache, and its figure would be far too good.
        """
        deadline = time.perf_counter() + FILL_SECONDS
        for offset in range(0, self._size_bytes, SLICE_BYTES):
            ctypes.memset(address + offset, 1, SLICE_BYTES)
            if time.perf_counter() > deadline:
                self._ready.abort()
                break


def _map_memory(size_bytes: int) -> mmap.mmap:
    """Take private memory, whose pages are twice as fast to touch as shared ones.

    No huge pages are asked for: the weights that a model reads are pages of a mapped file.
    """
    if sys.platform == "win32":
        return mmap.mmap(-1, size_bytes)
    return mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _search_function() -> Callable[[int, int, int], object]:
    library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    search = library.memchr
    search.restype = ctypes.c_void_p
    search.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    function: Callable[[int, int, int], object] = search
    return function


def buffer_bytes(threads: int, available_bytes: int, cache_bytes: int) -> int:
    """Choose how much each thread reads.

    All buffers together are `CACHES` times the caches. Of a few threads one is often left alone
    for a moment, with all of a cache for itself: then each buffer is that large.

    Returns:
        Bytes for each thread; 0 where memory is too short to outgrow the caches.
    """
    wanted = CACHES * cache_bytes // (1 if threads <= 4 else threads)
    size = -(-wanted // SLICE_BYTES) * SLICE_BYTES
    return size if size * threads <= min(MAX_BYTES, available_bytes // 8) else 0


def measure_reading(usable_cores: float, available_bytes: int, cache_bytes: int = 0) -> float:
    """Measure how fast main memory is read by all usable cores together.

    Args:
        usable_cores: Cores that this process may use.
        available_bytes: Memory that may be taken; an eighth of it is used at most.
        cache_bytes: Size of all last-level caches together; the buffers must not fit them.

    Returns:
        Bytes per second, 0 where it cannot be measured.
    """
    threads = max(1, min(math.ceil(usable_cores), MAX_THREADS))
    size = buffer_bytes(threads, available_bytes, cache_bytes or USUAL_CACHE_BYTES)
    if size == 0:
        return 0.0
    ready = threading.Barrier(threads)
    seconds = BUSY_READ_SECONDS if _is_busy() else READ_SECONDS
    readers = [_Reader(size, seconds, ready) for _ in range(threads)]
    for reader in readers:
        reader.start()
    deadline = time.perf_counter() + 2 * FILL_SECONDS + seconds
    for reader in readers:
        reader.join(max(deadline - time.perf_counter(), 0.0))
    return best_rate([piece for reader in readers for piece in list(reader.slices)])


def _is_busy() -> bool:
    if sys.platform == "win32":
        return False
    return os.getloadavg()[0] > (os.cpu_count() or 1) / 2


def bandwidth_from(measured: float, arch: str) -> Bandwidth:
    """Take a measured figure, or guess where there is none.

    A measurement below 1 GB/s is no property of any machine that could run a model, but of a
    moment in which others had all cores.
    """
    if measured >= 1e9:
        return Bandwidth(measured, Basis.MEASURED)
    return Bandwidth(GUESSES.get(arch, 20e9), Basis.GUESS)
