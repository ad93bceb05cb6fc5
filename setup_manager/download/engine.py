"""The one entry to downloading: files in, verified files out."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from setup_manager.download.events import Observer
from setup_manager.download.file_fetch import FileFetch, disk_state
from setup_manager.download.options import DownloadOptions
from setup_manager.download.pace import RateLimit
from setup_manager.download.places import FileJob, Layout
from setup_manager.download.plan import DownloadPlan, check_artifact, check_space, plan_download
from setup_manager.download.transfer import Surroundings
from setup_manager.download.verified import VerifiedFile
from setup_manager.fs import Disk, OsDisk
from setup_manager.net import NetworkOptions, Transport


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world, for tests to replace.

    Attributes:
        transport: Makes the network of a run.
        disk: Where bytes are written.
    """

    transport: Callable[[NetworkOptions], Transport] = Transport
    disk: Callable[[], Disk] = OsDisk


def plan_files(
    jobs: Sequence[FileJob], layout: Layout, options: DownloadOptions | None = None
) -> DownloadPlan:
    """Plan a download; reads the disk and changes nothing.

    Raises:
        VerificationFailedError: If a name or digest is not acceptable.
    """
    options = options or DownloadOptions()
    states = []
    for job in jobs:
        check_artifact(job.artifact)
        states.append((job.artifact, disk_state(job.artifact, layout.places(job.artifact))))
    return plan_download(states, extra_bytes=options.extra_bytes, chunk_bytes=options.chunk_bytes)


def check_disk(planned: DownloadPlan, folder: Path, options: DownloadOptions | None = None) -> None:
    """Refuse a plan that does not fit on the file system of a folder.

    Raises:
        InsufficientDiskError: With what is needed and what is free.
    """
    options = options or DownloadOptions()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    check_space(planned, shutil.disk_usage(folder).free, options.reserve_bytes)


def fetch(
    jobs: Sequence[FileJob],
    layout: Layout,
    options: DownloadOptions | None = None,
    observer: Observer = lambda _event: None,
    network: NetworkOptions | None = None,
    cancel: threading.Event | None = None,
    ports: Ports | None = None,
) -> tuple[VerifiedFile, ...]:
    """Fetch files, going on from whatever is here, and give them their final names.

    Args:
        jobs: What to fetch and from where.
        layout: Where it goes.
        options: How to behave.
        observer: Told what happens, in the calling thread.
        network: Proxies, certificates and time limits.
        cancel: Set it to end within a second; everything that came is kept.
        ports: Network and disk; for tests.

    Returns:
        One verified file a job, in order.

    Raises:
        InsufficientDiskError: Too little room, before the first byte or on the way.
        DownloadFailedError: The transfer failed; what came is kept.
        VerificationFailedError: The content is wrong.
        AccessDeniedError: A token, a licence or a repository that cannot be had.
        BusyError: Another process is at a file and `options.wait` is false.
        InterruptedByUserError: `cancel` was set.
    """
    options = options or DownloadOptions()
    ports = ports or Ports()
    check_disk(plan_files(jobs, layout, options), _folder(jobs, layout), options)
    around = Surroundings(
        options, cancel or threading.Event(), RateLimit(options.rate_bytes_per_second)
    )
    with ports.transport(network or NetworkOptions()) as transport:
        return tuple(
            FileFetch(job, layout, around, observer, transport, ports.disk()).fetch()
            for job in jobs
        )


def _folder(jobs: Sequence[FileJob], layout: Layout) -> Path:
    return layout.places(jobs[0].artifact).root if jobs else Path()
