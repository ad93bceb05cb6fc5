"""Record the answers of a real Ollama server to the sequence that the stand-in is checked with.

Start a server with an empty store of its own, then:

    OLLAMA_HOST=127.0.0.1:11999 python scripts/record_ollama.py
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from setup_manager.runtimes.ollama.address import parse_host
from tests.runtimes.ollama_exchanges import RECORDING, run_sequence
from tests.runtimes.random_gguf import write_random_gemma4


def main() -> None:
    """Run the sequence and write the recording."""
    endpoint = parse_host(os.environ.get("OLLAMA_HOST", "")).endpoint
    with tempfile.TemporaryDirectory() as folder:
        weights = write_random_gemma4(Path(folder) / "random.gguf")
        exchanges = run_sequence(endpoint, weights)
    RECORDING.parent.mkdir(exist_ok=True)
    RECORDING.write_text(json.dumps(exchanges, indent=1) + "\n")
    print(f"{len(exchanges)} exchanges with {exchanges[0]['answer']} in {RECORDING}")


if __name__ == "__main__":
    main()
