"""The stand-in answers as the recorded real server did."""

from __future__ import annotations

import json
from pathlib import Path

from tests.runtimes.ollama_exchanges import RECORDING, run_sequence
from tests.runtimes.ollama_standin import ollama_standin


def test_every_answer_of_the_stand_in_is_that_of_the_real_server(
    random_model: Path, tmp_path: Path
) -> None:
    recorded = json.loads(RECORDING.read_text())
    with ollama_standin(tmp_path / "store") as endpoint:
        answered = run_sequence(endpoint, random_model)
    for real, ours in zip(recorded, answered, strict=True):
        assert ours == real
