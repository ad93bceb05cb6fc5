"""Process and state rows of the fault catalogue: kills, torn journals, two at one file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from setup_manager.download.events import Kind
from setup_manager.download.journal import Header, header_line, replay
from setup_manager.errors import BusyError, InterruptedByUserError
from setup_manager.fs import FileLock
from tests.download.conftest import MakeRig
from tests.download.rig import CHUNK, DATA, Rig
from tests.support import faults as f
from tests.support.waiting import let_pass, wait_until

HALF = len(DATA) // 2
SLOW = {"rate_bytes_per_second": 500_000, "connections": 2}


def start_child(rig: Rig, **order: Any) -> subprocess.Popen[str]:
    artifact = asdict(rig.artifact) | {"role": str(rig.artifact.role)}
    order |= {"folder": str(rig.folder), "endpoint": rig.hub.endpoint, "artifact": artifact}
    command = [sys.executable, "-m", "tests.download.child", json.dumps(order)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result(child: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = child.communicate(timeout=30)
    return json.loads(output.splitlines()[-1])  # type: ignore[no-any-return]


def wait_for_line(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "there"


# Kills


def test_kill_9_again_and_again_costs_at_most_two_chunks_each(make_rig: MakeRig) -> None:
    rig = make_rig()
    kills = 3
    for number in range(1, kills + 1):
        child = start_child(rig, say=number * len(DATA) // 5, options=SLOW)
        wait_for_line(child)
        child.kill()
        child.communicate()
    rig.fetch()
    rig.assert_right()
    assert rig.hub.served_bytes >= len(DATA)
    sent_in_flight = 2 * CHUNK * kills  # two connections of a killed process
    assert rig.hub.served_bytes <= len(DATA) + kills * 2 * CHUNK + sent_in_flight


def test_killed_between_the_last_byte_and_the_rename_fetches_nothing(make_rig: MakeRig) -> None:
    rig = make_rig()
    child = start_child(rig, kill_on="rename .partial")
    assert child.wait(30) == -signal.SIGKILL
    rig.assert_not_installed()
    before = rig.hub.served_bytes
    file = rig.fetch()
    rig.assert_right()
    assert file.fetched_bytes == 0
    assert rig.hub.served_bytes == before


def test_killed_after_the_rename_publishes_and_fetches_nothing(make_rig: MakeRig) -> None:
    rig = make_rig()
    start_child(rig, kill_on="renamed .partial").wait(30)
    assert rig.places.content.exists()
    assert not rig.places.visible.exists()
    before = rig.hub.served_bytes
    rig.fetch()
    rig.assert_right()
    assert rig.hub.served_bytes == before


def test_the_lock_of_a_killed_process_does_not_hold(make_rig: MakeRig) -> None:
    rig = make_rig()
    child = start_child(rig, say=CHUNK, options=SLOW)
    wait_for_line(child)
    with pytest.raises(BusyError):
        rig.fetch(wait=False)
    child.kill()
    child.communicate()
    rig.fetch(wait=False)
    rig.assert_right()


# Cancelling and stopping


@pytest.mark.parametrize(
    "fault",
    [f.trickle(50_000), f.stall_in_body(1000, 30), f.stall_before_headers(30)],
    ids=["while bytes come", "in a stall", "before the headers"],
)
def test_cancelling_ends_within_a_second_and_keeps_what_came(fault: Any, make_rig: MakeRig) -> None:
    patient = replace(Rig.network, stall_seconds=20)
    rig = make_rig([f.from_nth(4, fault)], network=patient)
    timer = threading.Timer(0.4, rig.cancel.set)
    timer.start()
    with pytest.raises(InterruptedByUserError) as caught:
        rig.fetch(patience_seconds=60)
    assert caught.value.exit_code == 130
    assert "kept" in caught.value.message
    began = time.monotonic()
    timer.join()
    assert time.monotonic() - began < 1
    rig.assert_not_installed()
    rig.hub.faults = ()
    rig.cancel = threading.Event()
    file = rig.fetch()
    rig.assert_right()
    assert file.reused_bytes > 0


def test_cancelling_while_waiting_for_another_process(make_rig: MakeRig) -> None:
    rig = make_rig()
    with FileLock(rig.places.lock, wait=False):
        threading.Timer(0.2, rig.cancel.set).start()
        began = time.monotonic()
        with pytest.raises(InterruptedByUserError):
            rig.fetch()
        assert time.monotonic() - began < 1
    assert rig.told(Kind.WAIT)


def test_a_suspended_process_goes_on(make_rig: MakeRig) -> None:
    rig = make_rig()
    child = start_child(rig, say=HALF, options=SLOW)
    wait_for_line(child)
    child.send_signal(signal.SIGSTOP)
    rig.hub.refuse(0.2)  # every connection is gone when it wakes up
    let_pass(0.4)
    child.send_signal(signal.SIGCONT)
    assert result(child)["fetched"] == len(DATA)
    rig.assert_right()


# Two processes


def test_two_processes_at_one_file_fetch_it_once(make_rig: MakeRig) -> None:
    rig = make_rig()
    children = [start_child(rig, options=SLOW) for _ in range(2)]
    results = [result(child) for child in children]
    rig.assert_right()
    assert sorted(r["fetched"] for r in results) == [0, len(DATA)]
    assert rig.hub.served_bytes == len(DATA)


def test_without_waiting_the_second_ends_with_18(make_rig: MakeRig) -> None:
    rig = make_rig()
    child = start_child(rig, say=CHUNK, options=SLOW)
    wait_for_line(child)
    with pytest.raises(BusyError) as caught:
        rig.fetch(wait=False)
    assert caught.value.exit_code == 18
    child.kill()
    child.communicate()


def test_where_locks_do_nothing_one_takes_over_and_the_file_is_right(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileLock, "_try", lambda self: True)
    rig = make_rig()
    other = Rig(rig.folder, rig.hub, rig.artifact)
    ends: list[str] = []

    def run(which: Rig) -> None:
        try:
            which.fetch(rate_bytes_per_second=900_000)
            ends.append("right")
        except BusyError:
            ends.append("busy")

    threads = [threading.Thread(target=run, args=(each,)) for each in (rig, other)]
    threads[0].start()
    wait_until(lambda: rig.told(Kind.PROGRESS), what="the first fetches")
    threads[1].start()
    for thread in threads:
        thread.join(30)
    assert sorted(ends) == ["busy", "right"]
    rig.assert_right()


# Journals and partials that are not what they were

Spoil = Callable[[Rig], object]


def _tear(rig: Rig) -> None:
    text = rig.places.journal.read_bytes()
    rig.places.journal.write_bytes(text[:-7])


def _flip_a_line(rig: Rig) -> None:
    lines = rig.places.journal.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(lines[1][:1], b"9", 1)
    rig.places.journal.write_bytes(b"\n".join(lines))


def _append_noise(rig: Rig) -> None:
    with rig.places.journal.open("ab") as file:
        file.write(os.urandom(333))


def _newer_than_its_data(rig: Rig) -> None:
    os.truncate(rig.places.partial, 3 * CHUNK)


def _longer(rig: Rig) -> None:
    with rig.places.partial.open("ab") as file:
        file.write(b"tail" * 1000)


def _edited(rig: Rig) -> None:
    with rig.places.partial.open("r+b") as file:
        file.seek(100)
        file.write(b"edited by hand")


def _zeroed(rig: Rig) -> None:
    size = rig.places.partial.stat().st_size
    os.truncate(rig.places.partial, 0)
    os.truncate(rig.places.partial, size)


SPOILED: dict[str, tuple[Spoil, int]] = {
    "a torn journal": (_tear, HALF),
    "a damaged line": (_flip_a_line, len(DATA)),
    "noise after the journal": (_append_noise, HALF + 2 * CHUNK),
    "an empty journal": (lambda rig: rig.places.journal.write_bytes(b""), len(DATA)),
    "a journal of zeros": (
        lambda rig: rig.places.journal.write_bytes(bytes(500)),
        len(DATA),
    ),
    "a foreign journal": (
        lambda rig: rig.places.journal.write_bytes(b"PK\x03\x04 not ours\n"),
        len(DATA),
    ),
    "a journal of another file": (
        lambda rig: (
            rig.places.journal.write_text(header_line(Header("a" * 64, len(DATA), CHUNK, "x")))
            and None
        ),
        len(DATA),
    ),
    "no journal": (lambda rig: rig.places.journal.unlink(), len(DATA)),
    "no partial": (lambda rig: rig.places.partial.unlink(), len(DATA)),
    "a partial shorter than its journal says": (_newer_than_its_data, len(DATA)),
    "a partial that is too long": (_longer, HALF + 2 * CHUNK),
    "a partial edited by hand": (_edited, HALF + 3 * CHUNK),
    "a partial full of zeros": (_zeroed, len(DATA)),
}


@pytest.mark.parametrize("name", SPOILED)
def test_the_file_is_right_after(name: str, make_rig: MakeRig) -> None:
    spoil, most = SPOILED[name]
    rig = make_rig()
    rig.interrupt_after(HALF)
    spoil(rig)
    file = rig.fetch()
    rig.assert_right()
    assert file.fetched_bytes <= most + CHUNK


def test_a_whole_partial_without_a_journal_is_recognised_by_its_digest(
    make_rig: MakeRig,
) -> None:
    rig = make_rig()
    rig.places.partial.parent.mkdir(parents=True)
    rig.places.partial.write_bytes(DATA)
    file = rig.fetch()
    rig.assert_right()
    assert file.fetched_bytes == 0


def test_a_chunk_damaged_on_this_disk_is_found_before_the_end_and_fetched_alone(
    make_rig: MakeRig,
) -> None:
    rig = make_rig()
    rig.interrupt_after(HALF)
    span = next(iter(replay(rig.places.journal.read_bytes()).coverage.spans()))
    with rig.places.partial.open("r+b") as file:
        file.seek(span.start)
        byte = file.read(1)
        file.seek(span.start)
        file.write(bytes([byte[0] ^ 1]))
    rest = len(DATA) - rig.places_covered
    done = rig.fetch()
    rig.assert_right()
    assert done.fetched_bytes == rest + span.size_bytes
    assert any("damaged on this disk" in event.message for event in rig.told(Kind.DAMAGED))
