"""Server children that fail in every way that servers do."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import psutil
import pytest

from setup_manager.errors import RuntimeMissingError, SmokeFailedError
from setup_manager.runtimes.base import ModelFiles, Opening, RuntimeEvent
from setup_manager.runtimes.failures import Cause, explain_end
from setup_manager.runtimes.options import StartOptions
from setup_manager.runtimes.server import Launch, ServerProcess
from tests.runtimes.fakes import FakeServer

FILES = ModelFiles(Path("/models/model.gguf"))


def start(folder: Path, way: str) -> Launch:
    return FakeServer(folder, way).launch(FILES, StartOptions())


def test_a_server_that_is_too_old_is_a_missing_runtime_with_the_way_to_update(
    tmp_path: Path,
) -> None:
    with pytest.raises(RuntimeMissingError) as caught, ServerProcess(start(tmp_path, "too-old")):
        pass
    assert caught.value.exit_code == 15
    assert "gemma4" in "\n".join(caught.value.context)
    assert "runtime install llama.cpp" in caught.value.hint


def test_a_program_that_is_not_there_is_a_missing_runtime() -> None:
    launch = Launch("llama.cpp", ("/nowhere/llama-server",))
    with pytest.raises(RuntimeMissingError) as caught, ServerProcess(launch):
        pass
    assert "/nowhere/llama-server" in "\n".join(caught.value.context)


def test_a_server_that_hangs_on_start_is_ended_at_the_deadline(tmp_path: Path) -> None:
    pids: list[int] = []
    server = ServerProcess(
        start(tmp_path, "hangs-on-start"),
        Opening(deadline_seconds=0.4, on_start=lambda pid, _end: pids.append(pid)),
        grace_seconds=0.2,
    )
    started = time.monotonic()
    with pytest.raises(SmokeFailedError) as caught, server:
        pass
    assert time.monotonic() - started < 5
    assert "not ready" in caught.value.message
    assert not psutil.pid_exists(pids[0])


def test_a_server_that_stays_at_503_is_not_ready(tmp_path: Path) -> None:
    seen: list[RuntimeEvent] = []
    opening = Opening(deadline_seconds=0.6, observer=seen.append)
    server = ServerProcess(start(tmp_path, "never-ready"), opening)
    with pytest.raises(SmokeFailedError), server:
        pass
    assert seen[-1].seconds > 0.3


def test_a_reason_to_stop_ends_loading_at_once(tmp_path: Path) -> None:
    def refuse() -> None:
        raise SmokeFailedError("memory was running out", hint="Close programs.")

    server = ServerProcess(start(tmp_path, "never-ready"), Opening(check=refuse))
    with pytest.raises(SmokeFailedError) as caught, server:
        pass
    assert caught.value.message == "memory was running out"
    assert server.returncode is not None


def test_a_port_that_is_taken_while_the_server_starts_is_replaced(tmp_path: Path) -> None:
    fake = FakeServer(tmp_path, "port-taken-once")
    with ServerProcess(fake.launch(FILES, StartOptions())) as server:
        assert server.client.status("/health") == 200
    first, second = fake.starts
    assert first[first.index("--port") + 1] != second[second.index("--port") + 1]


def test_a_stranger_on_the_port_is_not_taken_for_the_server(tmp_path: Path) -> None:
    other = FakeServer(tmp_path, "fine")
    with ServerProcess(other.launch(FILES, StartOptions())) as stranger:
        port = int(stranger.endpoint.rpartition(":")[2])
        late = tmp_path / "late"
        late.mkdir()
        launch = FakeServer(late, "hangs-on-start").launch(FILES, StartOptions())
        server = ServerProcess(launch, Opening(port=port, deadline_seconds=5), grace_seconds=0.2)
        with pytest.raises(SmokeFailedError) as caught, server:
            pass
        assert "taken by another program" in caught.value.message
        assert stranger.returncode is None


def test_a_fixed_port_that_is_taken_is_said_so(random_model: Path) -> None:
    pytest.importorskip("xllamacpp")
    from setup_manager.runtimes.embedded import engine_launch

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        launch = engine_launch(ModelFiles(random_model), StartOptions())
        server = ServerProcess(launch, Opening(port=port))
        with pytest.raises(SmokeFailedError) as caught, server:
            pass
    assert str(port) in caught.value.message


def test_endless_talk_on_stderr_does_not_fill_the_memory(tmp_path: Path) -> None:
    opening = Opening(deadline_seconds=0.5)
    server = ServerProcess(start(tmp_path, "talks-without-end"), opening, grace_seconds=0.2)
    before = psutil.Process().memory_info().rss
    with pytest.raises(SmokeFailedError), server:
        pass
    assert sum(map(len, server.last_words)) <= 60 * 500
    assert psutil.Process().memory_info().rss - before < 50_000_000


def test_ending_twice_and_from_another_thread_is_fine(tmp_path: Path) -> None:
    with ServerProcess(start(tmp_path, "fine")) as server:
        server.end()
        server.end()
        assert server.returncode is not None


def test_ctrl_c_in_the_middle_ends_the_child(tmp_path: Path) -> None:
    pids: list[int] = []
    opening = Opening(on_start=lambda pid, _end: pids.append(pid))
    server = ServerProcess(start(tmp_path, "fine"), opening)
    with pytest.raises(KeyboardInterrupt), server:
        raise KeyboardInterrupt
    assert not psutil.pid_exists(pids[0])


@pytest.mark.parametrize(
    ("tail", "returncode", "kind"),
    [
        ("error loading model: unknown model architecture: 'gemma4'", 1, "too-old"),
        ("clip_init: unknown projector type: gemma4uv", 1, "too-old"),
        ("error: invalid argument: --ctx-checkpoints", 1, "too-old"),
        ("srv start: couldn't bind HTTP server socket, hostname: 127.0.0.1", 1, "port"),
        (
            "ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory",
            1,
            "memory",
        ),
        ("", -9, "killed"),
        ("GGML_ASSERT(n_tokens > 0) failed", -6, "other"),
        ("mmap failed: Invalid argument", 1, "other"),
        ("the GPU cannot run this operation", 1, "other"),
        ("", 3, "other"),
    ],
)
def test_each_way_to_die_is_told_apart(tail: str, returncode: int, kind: str) -> None:
    failure = explain_end("llama.cpp", "Update it.", returncode, tail)
    assert failure.cause is Cause(kind)
    assert failure.message
    assert failure.hint
