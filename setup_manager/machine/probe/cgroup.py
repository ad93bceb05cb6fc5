"""Control groups, v1 and v2: where this process's groups are, and what they allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from setup_manager.machine.probe.system import MAX_BYTES, System, whole

_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of ``/proc/self/mountinfo``.

    Attributes:
        device: ``major:minor``.
        root: Which part of the file system is mounted.
        point: Where.
        filesystem: Type.
        source: What is mounted, e.g. ``"/dev/sda2"``.
        options: Options of the mount and of its file system.
    """

    device: str
    root: str
    point: str
    filesystem: str
    source: str
    options: frozenset[str]


@dataclass(frozen=True, slots=True)
class Group:
    """The folder of a control group of this process.

    Attributes:
        version: 1 or 2.
        folder: Where its files are.
    """

    version: int
    folder: str


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """What a control group says of memory.

    Attributes:
        limit_bytes: Most that it may hold, None without a limit.
        usage_bytes: What it holds, page cache included.
        reclaimable_bytes: Of that, what the kernel gives back before it kills.
        source: The file that sets the limit.
    """

    limit_bytes: int | None
    usage_bytes: int
    reclaimable_bytes: int
    source: str

    @property
    def headroom_bytes(self) -> int | None:
        """What can still be had within the limit, None without a limit."""
        if self.limit_bytes is None:
            return None
        held = max(self.usage_bytes - self.reclaimable_bytes, 0)
        return max(self.limit_bytes - held, 0)


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """Read ``/proc/self/mountinfo``.

    Source: proc_pid_mountinfo(5).
    """
    mounts = []
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        head, tail = left.split(" "), right.split(" ")
        if not separator or len(head) < 6 or len(tail) < 2:
            continue
        options = head[5].split(",") + (tail[2].split(",") if len(tail) > 2 else [])
        mounts.append(
            Mount(
                head[2],
                _unescape(head[3]),
                _unescape(head[4]),
                tail[0],
                _unescape(tail[1]),
                frozenset(options),
            )
        )
    return tuple(mounts)


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def parse_membership(text: str) -> dict[str, str]:
    """Read ``/proc/self/cgroup``.

    Source: cgroups(7).

    Returns:
        Path of the group by v1 controller; that of the v2 hierarchy under ``""``.
    """
    paths: dict[str, str] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if not separator or whole(number) is None or not path.startswith("/"):
            continue
        for controller in controllers.split(","):
            paths.setdefault(controller, path)
    return paths


def find_groups(system: System, controller: str) -> tuple[Group, ...]:
    """Find this process's group for a controller, and all its ancestors that can be seen.

    A controller is bound to v1 or to v2, never to both; a hybrid system mounts both, so v1 is
    looked at first and v2 only where v1 does not have the controller.

    Returns:
        The process's own group first, the outermost last.
    """
    mounts = parse_mounts(system.read("/proc/self/mountinfo") or "")
    membership = parse_membership(system.read("/proc/self/cgroup") or "")
    for mount in mounts:
        if mount.filesystem == "cgroup" and controller in mount.options:
            path = membership.get(controller, "/")
            return tuple(Group(1, folder) for folder in _folders(system, mount, path))
    for mount in mounts:
        if mount.filesystem == "cgroup2":
            path = membership.get("", "/")
            return tuple(Group(2, folder) for folder in _folders(system, mount, path))
    return ()


def _folders(system: System, mount: Mount, path: str) -> Iterator[str]:
    """Walk from a group's folder up to the mount point.

    A container often sees only its own part of the tree (`mount.root`), or a path from outside
    of its namespace that exists nowhere below the mount: then the mount point is its group.
    """
    inside = PurePosixPath(path)
    if mount.root != "/":
        inside = _relative(inside, PurePosixPath(mount.root))
    top = PurePosixPath(mount.point)
    parts = [part for part in inside.parts if part not in ("/", ".", "..")][:_MAX_DEPTH]
    for length in range(len(parts), -1, -1):
        folder = str(top.joinpath(*parts[:length]))
        if length == 0 or system.exists(folder):
            yield folder


def _relative(path: PurePosixPath, root: PurePosixPath) -> PurePosixPath:
    return path.relative_to(root) if path.is_relative_to(root) else PurePosixPath("/")


def parse_flat_keyed(text: str) -> dict[str, int]:
    """Read a file of ``key value`` lines, such as ``memory.stat``."""
    values: dict[str, int] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        number = whole(value, highest=(1 << 64) - 1)
        if number is not None:
            values[key] = number
    return values


def parse_limit(text: str | None) -> int | None:
    """Read a limit: ``"max"``, v1's huge number and rubbish all mean none."""
    return whole(text, MAX_BYTES) if text is not None else None


def reclaimable_bytes(stat: dict[str, int], version: int) -> int:
    """Count what the kernel gives back before it would kill for lack of memory.

    Both file lists and the reclaimable slab: that is the kernel's own rule for MemAvailable
    (Linux, mm/show_mem.c, si_mem_available), applied to a group. Kubernetes takes off only the
    inactive list, because it asks when to evict early; here the question is what can still be
    had, and clean active pages are dropped too before anything is killed. Shared memory and
    tmpfs are on the anonymous lists, locked pages on the unevictable one: neither counts. Dirty
    and written-back pages must reach the disk first and are left out.
    """
    if version == 1:
        # v1: only the total_ keys include descendants.
        names = ["total_active_file", "total_inactive_file"]
        waiting = ["total_dirty", "total_writeback"]
    else:
        names = ["active_file", "inactive_file", "slab_reclaimable"]
        waiting = ["file_dirty", "file_writeback"]
    clean = sum(stat.get(name, 0) for name in names) - sum(stat.get(name, 0) for name in waiting)
    return max(clean, 0)


def read_memory_groups(system: System) -> tuple[MemoryGroup, ...]:
    """Read every group that bounds this process's memory, innermost first."""
    readers = {1: _read_v1, 2: _read_v2}
    return tuple(
        readers[group.version](system, group.folder) for group in find_groups(system, "memory")
    )


def _read_v1(system: System, folder: str) -> MemoryGroup:
    stat = parse_flat_keyed(system.read(f"{folder}/memory.stat") or "")
    own = parse_limit(system.read(f"{folder}/memory.limit_in_bytes"))
    # Names the lowest limit even of ancestors that a container cannot see.
    inherited = parse_limit(str(stat.get("hierarchical_memory_limit", "")))
    limits = [limit for limit in (own, inherited) if limit is not None]
    return MemoryGroup(
        min(limits, default=None),
        system.read_whole(f"{folder}/memory.usage_in_bytes") or 0,
        reclaimable_bytes(stat, 1),
        "cgroup v1 memory.limit_in_bytes",
    )


def _read_v2(system: System, folder: str) -> MemoryGroup:
    stat = parse_flat_keyed(system.read(f"{folder}/memory.stat") or "")
    limits = {
        # Above `high` the kernel reclaims and throttles without end: no place for a model.
        name: limit
        for name in ("memory.max", "memory.high")
        if (limit := parse_limit(system.read(f"{folder}/{name}"))) is not None
    }
    name = min(limits, key=lambda name: limits[name], default="memory.max")
    return MemoryGroup(
        limits.get(name),
        system.read_whole(f"{folder}/memory.current") or 0,
        reclaimable_bytes(stat, 2),
        f"cgroup v2 {name}",
    )


def read_cpu_quota(system: System) -> float | None:
    """Read the lowest CPU quota among all ancestors, in cores; None without one."""
    quotas = []
    for group in find_groups(system, "cpu"):
        if group.version == 2:
            quota = parse_cpu_max(system.read(f"{group.folder}/cpu.max") or "")
        else:
            allowed = system.read_word(f"{group.folder}/cpu.cfs_quota_us")
            period = system.read_word(f"{group.folder}/cpu.cfs_period_us")
            quota = parse_cpu_max(f"{allowed} {period}")
        if quota is not None:
            quotas.append(quota)
    return min(quotas, default=None)


def parse_cpu_max(text: str) -> float | None:
    """Read ``"<quota> <period>"`` in microseconds; ``max`` and ``-1`` mean no quota.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst.
    """
    quota, _, period = text.strip().partition(" ")
    allowed, length = whole(quota), whole(period)
    if not allowed or not length:
        return None
    return allowed / length
