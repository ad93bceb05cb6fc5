"""Disk quotas of this user on Linux, asked of the kernel itself; `df` knows nothing of them."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass

_GET_QUOTA = 0x800007 << 8
"""``QCMD(Q_GETQUOTA, USRQUOTA)``. Source: quotactl(2)."""
_BLOCK_BYTES = 1024


class _DiskQuota(ctypes.Structure):
    """``struct dqblk`` of quotactl(2): limits in blocks of 1 KiB, space in bytes."""

    _fields_ = (
        ("hard_blocks", ctypes.c_uint64),
        ("soft_blocks", ctypes.c_uint64),
        ("used_bytes", ctypes.c_uint64),
        ("hard_files", ctypes.c_uint64),
        ("soft_files", ctypes.c_uint64),
        ("used_files", ctypes.c_uint64),
        ("block_grace_ends", ctypes.c_uint64),
        ("file_grace_ends", ctypes.c_uint64),
        ("valid", ctypes.c_uint32),
    )


@dataclass(frozen=True, slots=True)
class Quota:
    """What one user may hold on a file system.

    Attributes:
        hard_bytes: Never to be exceeded, 0 for no limit.
        soft_bytes: To be exceeded for some days only, 0 for no limit.
        used_bytes: Held now.
    """

    hard_bytes: int
    soft_bytes: int
    used_bytes: int


def free_within(quota: Quota | None, free_bytes: int) -> int:
    """Bound free room by a quota; the soft limit counts, since a model stays longer than grace."""
    limits = [limit for limit in (quota.hard_bytes, quota.soft_bytes) if limit] if quota else []
    if quota is None or not limits:
        return free_bytes
    return min(free_bytes, max(min(limits) - quota.used_bytes, 0))


def read_quota(device: str) -> Quota | None:
    """Ask the kernel for this user's quota on a block device.

    Returns:
        The quota; None without one, for root, whom none binds, and on other systems.
    """
    if sys.platform != "linux" or os.getuid() == 0 or not device.startswith("/dev/"):
        return None
    answer = _DiskQuota()
    call = ctypes.CDLL(None).quotactl
    if call(_GET_QUOTA, os.fsencode(device), os.getuid(), ctypes.byref(answer)) != 0:
        return None
    return Quota(
        answer.hard_blocks * _BLOCK_BYTES, answer.soft_blocks * _BLOCK_BYTES, answer.used_bytes
    )
