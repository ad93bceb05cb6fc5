"""Memory right now, cheap enough to be asked many times a second, on any system: by psutil."""

from __future__ import annotations


def live_memory() -> tuple[int, int]:
    """Return what the machine can give without swapping, and its total, in bytes."""
    import psutil

    memory = psutil.virtual_memory()
    return int(memory.available), int(memory.total)


def resident_bytes(pid: int) -> int | None:
    """Return what a process holds in main memory; None when it is gone or not ours to see."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None
