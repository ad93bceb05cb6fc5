"""The embedded engine as a real child process on a real (random) Gemma 4."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from setup_manager.errors import RuntimeMissingError, SmokeFailedError
from setup_manager.runtimes import embedded
from setup_manager.runtimes.base import ModelFiles
from setup_manager.runtimes.options import StartOptions
from setup_manager.runtimes.server import Launch, ServerProcess

pytest.importorskip("xllamacpp")
pytestmark = pytest.mark.real_runtime


def launch(model: Path, **options: object) -> Launch:
    return embedded.engine_launch(ModelFiles(model), StartOptions(**options))  # type: ignore[arg-type]


def test_the_installed_engine_is_found_and_knows_gemma4() -> None:
    status = embedded.find()
    assert (status.found, status.gemma4) == (True, True)
    assert status.version
    assert "xllamacpp" in status.path


def test_it_serves_on_loopback_under_its_alias_and_ends_with_the_context(
    random_model: Path,
) -> None:
    # A busy machine takes longer than the usual five seconds to let the engine end by itself.
    with ServerProcess(launch(random_model, context=512), grace_seconds=60.0) as server:
        assert server.endpoint.startswith("http://127.0.0.1:")
        (entry,) = server.client.get("/v1/models")["data"]
        assert entry["id"] == server.model
        assert entry["meta"]["n_ctx"] == 512
        assert 0 < server.load_seconds < 60
        pid = server.pid
    assert server.returncode == 0
    assert not psutil.pid_exists(pid)


def test_every_start_parameter_is_taken_by_the_engine(random_model: Path) -> None:
    options = StartOptions(
        context=1024,
        slots=2,
        key_type="q8_0",
        value_type="q8_0",
        gpu_layers=0,
        ubatch=64,
        threads=1,
        cache_ram_mib=16,
        context_checkpoints=1,
        unified_kv=True,
    )
    start = embedded.engine_launch(ModelFiles(random_model), options)
    with ServerProcess(start) as server:
        assert server.client.get("/props")["total_slots"] == 2


def test_an_unknown_architecture_is_a_runtime_that_is_too_old(unknown_model: Path) -> None:
    with pytest.raises(RuntimeMissingError) as caught, ServerProcess(launch(unknown_model)):
        pass
    assert "too old" in caught.value.message
    assert any("gemma99" in line for line in caught.value.context)


def test_a_file_that_is_no_model_ends_the_child_with_its_last_words(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.gguf"
    rubbish.write_bytes(b"GGUF" + bytes(400))
    with pytest.raises(SmokeFailedError) as caught, ServerProcess(launch(rubbish)):
        pass
    assert caught.value.context
    assert caught.value.hint


def test_the_server_ends_when_the_process_that_wanted_it_is_killed(
    random_model: Path, tmp_path: Path
) -> None:
    script = tmp_path / "wanting.py"
    script.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from setup_manager.runtimes.base import ModelFiles\n"
        "from setup_manager.runtimes.embedded import engine_launch\n"
        "from setup_manager.runtimes.options import StartOptions\n"
        "from setup_manager.runtimes.server import ServerProcess\n"
        "start = engine_launch(ModelFiles(Path(sys.argv[1])), StartOptions())\n"
        "with ServerProcess(start) as server:\n"
        "    print(server.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    wanting = subprocess.Popen(
        [sys.executable, str(script), str(random_model)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert wanting.stdout is not None
    server = psutil.Process(int(wanting.stdout.readline()))
    wanting.send_signal(signal.SIGKILL)
    wanting.wait()
    wanting.stdout.close()
    gone, alive = psutil.wait_procs([server], timeout=10)
    assert (len(gone), alive) == (1, [])


def test_a_child_that_is_killed_from_outside_is_reported_so(random_model: Path) -> None:
    with ServerProcess(launch(random_model)) as server:
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(SmokeFailedError) as caught:
            server.wait()
    assert "was killed, most likely by the system" in caught.value.message
