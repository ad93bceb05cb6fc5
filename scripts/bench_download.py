"""Race the download engine against aria2c, hf, and curl on loopback; print a table of medians.

    python scripts/bench_download.py [--size 4GiB] [--rounds 3] [--scheme http] [--only 'ours|curl']

A hub in a process of its own serves one file over http or https. Every round runs each contestant
once, in turn, so that whatever else the machine does falls on all of them; before each run the
output is removed and the disk is synced. Contestants that verify are told the digest. Time is the
wall clock of the whole process, CPU its user and system seconds, memory its largest resident set
(never less than that of the racer itself, about 40 MiB, which a child inherits).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from setup_manager.catalog.artifact import Artifact
from setup_manager.download.engine import Downloader
from setup_manager.download.events import DownloadEvent, Kind
from setup_manager.download.job import DownloadOptions, FileJob
from setup_manager.library.layout import PlainFolderLayout
from setup_manager.net.options import NetworkOptions
from setup_manager.net.origin import Origin
from setup_manager.units import GIB, MIB, parse_size
from tests.support.content import GeneratedContent, pieces
from tests.support.loopback import LoopbackHub

REPOSITORY, FILE = "bench/model", "weights.bin"


@dataclass(frozen=True, slots=True)
class Served:
    """Where the hub listens and what it serves."""

    endpoint: str
    artifact: Artifact
    content_url: str
    certificate: Path | None


@dataclass(frozen=True, slots=True)
class Run:
    """What one run cost."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    note: str = ""


def write_content(path: Path, size_bytes: int) -> None:
    """Write the file that is served."""
    with path.open("wb") as file:
        for piece in pieces(GeneratedContent(size_bytes), 0, size_bytes):
            file.write(piece)


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for 127.0.0.1 and localhost."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "cert.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return public, private


def serve(
    path: Path, pair: tuple[Path, Path] | None, report: multiprocessing.Queue[Served]
) -> None:
    """Run the hub until the process is ended."""
    tls = None
    if pair is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*pair)
    with LoopbackHub({REPOSITORY: {FILE: path}}, tls=tls) as hub:
        artifact = hub.artifact(REPOSITORY, FILE)
        url = f"{hub.endpoint}/{REPOSITORY}/resolve/{artifact.commit}/{FILE}"
        report.put(Served(hub.endpoint, artifact, url, pair[0] if pair else None))
        while True:
            time.sleep(3600)


@contextlib.contextmanager
def serving(path: Path, pair: tuple[Path, Path] | None) -> Iterator[Served]:
    """Serve a file from a process of its own."""
    context = multiprocessing.get_context("spawn")
    report: multiprocessing.Queue[Served] = context.Queue()
    process = context.Process(target=serve, args=(path, pair, report), daemon=True)
    process.start()
    try:
        yield report.get(timeout=300)
    finally:
        process.terminate()
        process.join()


def fetch_here(
    endpoint: str, artifact_text: str, folder: Path, certificate: str, stop_at: float = 2.0
) -> None:
    """Be the contestant "ours": fetch with the engine and report on stdout.

    Args:
        endpoint: Of the hub.
        artifact_text: The artifact as JSON.
        folder: Where it goes.
        certificate: To trust, or "".
        stop_at: Share of the file after which the fetch is interrupted.
    """
    artifact = Artifact(**json.loads(artifact_text))
    marks: dict[str, float] = {}
    cancel = threading.Event()
    began = time.monotonic()

    def observe(event: DownloadEvent) -> None:
        now = time.monotonic() - began
        if event.event is Kind.START:
            marks["here_bytes"] = event.bytes
        if event.bytes > marks.get("here_bytes", 0) and "first" not in marks:
            marks["first"] = now
        if event.bytes >= event.total and "last" not in marks:
            marks["last"] = now
        if event.bytes >= stop_at * event.total:
            cancel.set()

    downloader = Downloader(
        PlainFolderLayout(folder),
        DownloadOptions(progress_seconds=0.05),
        observe,
        NetworkOptions(ca_bundle=Path(certificate) if certificate else None),
        cancel,
    )
    (file,) = downloader.fetch([FileJob(artifact, (Origin(endpoint),))])
    marks["done"] = time.monotonic() - began
    with contextlib.suppress(OSError):  # Linux: all bytes read, from files and sockets
        marks["read_bytes"] = int(Path("/proc/self/io").read_text().split()[1])
    print(json.dumps(marks | {"fetched": file.fetched_bytes, "reused": file.reused_bytes}))


def command_of(name: str, served: Served, out: Path) -> list[str]:
    """Return what a contestant runs, or an empty list if it is not installed."""
    artifact, url = served.artifact, served.content_url
    certificate = str(served.certificate or "")
    target = out / FILE
    hf = shutil.which("hf") or str(Path(sys.executable).with_name("hf"))
    curl = ["curl", "-sSLf", "-o", str(target), url]
    curl += ["--cacert", certificate] if certificate else []
    aria = ["aria2c", "-q", "-x16", "-s16", "-k1M", "--allow-overwrite=true", "-d", str(out)]
    aria += ["-o", FILE, f"--checksum=sha-256={artifact.sha256}", url]
    aria += [f"--ca-certificate={certificate}"] if certificate else []
    fields = {
        "repository": artifact.repository,
        "path": artifact.path,
        "commit": artifact.commit,
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
    }
    me = [sys.executable, __file__, "--fetch", served.endpoint, json.dumps(fields), str(out)]
    verified = f'"$@" && echo "{artifact.sha256}  {target}" | sha256sum -c --quiet -'
    commands = {
        "ours": [*me, certificate],
        "ours, resumed at 90 %": [*me, certificate],
        "aria2c -x16": aria,
        "hf download": [hf, "download", REPOSITORY, FILE, "--local-dir", str(out), "--quiet"],
        "curl+sha256sum": ["sh", "-c", verified, "sh", *curl],
        "curl": curl,
    }
    command = commands[name]
    return command if shutil.which(command[0]) else []


def run_once(name: str, served: Served, out: Path) -> Run | None:
    """Run a contestant once into an empty folder; None if it is not there or failed."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    os.sync()
    command = command_of(name, served, out)
    if not command:
        return None
    environment = os.environ | {
        "HF_ENDPOINT": served.endpoint,
        "HF_HOME": str(out / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    if served.certificate is not None:
        environment["SSL_CERT_FILE"] = str(served.certificate)
    if "resumed" in name:
        subprocess.run([*command, "0.9"], env=environment, capture_output=True, check=False)
        os.sync()
    log = out.parent / "contestant.log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        print(f"{name}: exit code {process.returncode}: {log.read_text()[-500:]}", file=sys.stderr)
        return None
    note = log.read_text().strip().splitlines()[-1] if name.startswith("ours") else ""
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, note)


def table(runs: dict[str, list[Run]], size_bytes: int) -> str:
    """Format medians; ratios are ours to theirs."""
    gib = size_bytes / GIB
    ours = statistics.median(run.seconds for run in runs["ours"]) if runs.get("ours") else 0.0
    lines = [
        "| contestant | runs | seconds (median) | ours / it | CPU s a GiB | peak MiB |",
        "|---|---|---|---|---|---|",
    ]
    for name, results in runs.items():
        if not results:
            lines.append(f"| {name} | 0 | | | | |")
            continue
        seconds = statistics.median(run.seconds for run in results)
        cpu = statistics.median(run.cpu_seconds for run in results) / gib
        peak = max(run.peak_bytes for run in results) / MIB
        ratio = f"{ours / seconds:.2f}" if ours else ""
        lines.append(
            f"| {name} | {len(results)} | {seconds:.2f} | {ratio} | {cpu:.2f} | {peak:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the race."""
    if sys.argv[1:2] == ["--fetch"]:
        endpoint, artifact, folder, certificate, *stop_at = sys.argv[2:]
        fetch_here(endpoint, artifact, Path(folder), certificate, *map(float, stop_at))
        return
    names = [
        "ours",
        "ours, resumed at 90 %",
        "aria2c -x16",
        "hf download",
        "curl+sha256sum",
        "curl",
    ]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=parse_size, default=4 * GIB)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scheme", choices=("http", "https"), default="http")
    parser.add_argument("--only", default="|".join(names), help="names, separated by |")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    chosen = [name for name in names if name in arguments.only.split("|")]
    with tempfile.TemporaryDirectory(dir=arguments.work) as text:
        work = Path(text)
        write_content(work / "served.bin", arguments.size)
        pair = write_certificate(work) if arguments.scheme == "https" else None
        runs: dict[str, list[Run]] = {name: [] for name in chosen}
        with serving(work / "served.bin", pair) as served:
            for number in range(arguments.rounds):
                for name in chosen:
                    run = run_once(name, served, work / "out")
                    if run is None:
                        continue
                    runs[name].append(run)
                    print(
                        f"round {number + 1}: {name}: {run.seconds:.2f} s, "
                        f"CPU {run.cpu_seconds:.2f} s, {run.peak_bytes / MIB:.0f} MiB {run.note}",
                        flush=True,
                    )
        print(f"\n{arguments.scheme}, {arguments.size / GIB:g} GiB\n")
        print(table(runs, arguments.size))


if __name__ == "__main__":
    main()
