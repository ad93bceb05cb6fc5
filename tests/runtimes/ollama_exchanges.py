"""A fixed sequence of requests to an Ollama server, and its answers without what changes.

`scripts/record_ollama.py` runs it against a real server and stores the answers; the stand-in has to
give the same ones.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import requests

RECORDING = Path(__file__).parent / "recordings" / "ollama-0.33.0-rc2.json"
MODEL = "gemma-4-e4b:UD-Q4_K_XL"
_VARYING = re.compile(r"(_at|_duration|_count)$")
_KEPT_OF_SHOW = ("modelfile", "parameters", "details", "capabilities")


def run_sequence(endpoint: str, weights: Path) -> list[dict[str, Any]]:
    """Send every request in order and return what was asked and answered."""
    content = weights.read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    wrong = f"sha256:{'0' * 64}"
    create = {
        "model": MODEL,
        "files": {"random.gguf": digest},
        "parameters": {"num_ctx": 1024},
    }
    question = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hello"}],
        "think": False,
        "options": {"temperature": 0, "num_predict": 4},
    }
    steps: list[tuple[str, str, Any]] = [
        ("GET", "/api/version", None),
        ("GET", "/api/tags", None),
        ("HEAD", f"/api/blobs/{digest}", None),
        ("POST", f"/api/blobs/{digest}", content),
        ("POST", f"/api/blobs/{digest}", content),
        ("HEAD", f"/api/blobs/{digest}", None),
        ("POST", f"/api/blobs/{wrong}", content),
        ("POST", "/api/create", {"model": MODEL, "files": {"random.gguf": wrong}}),
        ("POST", "/api/create", {"model": MODEL}),
        ("POST", "/api/create", {"model": "no/such/name/at/all", "files": {"a": digest}}),
        ("POST", "/api/create", create),
        ("GET", "/api/tags", None),
        ("POST", "/api/show", {"model": MODEL}),
        ("POST", "/api/show", {"model": "nothing"}),
        ("POST", "/api/chat", question),
        ("GET", "/api/ps", None),
        ("POST", "/api/generate", {"model": MODEL, "keep_alive": 0, "stream": False}),
        ("POST", "/api/copy", {"source": MODEL, "destination": "copied-e4b"}),
        ("POST", "/api/copy", {"source": "nothing", "destination": "copied-e4b"}),
        ("DELETE", "/api/delete", {"model": "copied-e4b"}),
        ("DELETE", "/api/delete", {"model": MODEL}),
        ("DELETE", "/api/delete", {"model": MODEL}),
        ("GET", "/api/tags", None),
    ]
    return [_exchange(endpoint, method, path, body) for method, path, body in steps]


def _exchange(endpoint: str, method: str, path: str, body: Any) -> dict[str, Any]:
    data = json.dumps(body) if isinstance(body, dict) else body
    response = requests.request(method, endpoint + path, data=data, timeout=120)
    return {
        "method": method,
        "path": re.sub(r"[0-9a-f]{64}", "<digest>", path),
        "status": response.status_code,
        "type": response.headers.get("Content-Type", ""),
        "answer": _answer(path, response.text),
    }


def _answer(path: str, text: str) -> list[Any]:
    documents = [json.loads(line) for line in text.splitlines() if line.strip()]
    answer = [_plain(document) for document in documents]
    if path == "/api/show" and "modelfile" in answer[0]:
        kept = {name: answer[0][name] for name in _KEPT_OF_SHOW}
        kept["architecture"] = answer[0]["model_info"]["general.architecture"]
        # The server writes the parameters in no fixed order.
        return [{**kept, "modelfile": sorted(kept["modelfile"].splitlines())}]
    if path == "/api/chat":
        return [answer[0], answer[-1]]
    return answer


def _plain(value: Any, name: str = "") -> Any:
    """Replace times, durations, sizes, digests and paths."""
    if isinstance(value, dict):
        return {key: _plain(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if _VARYING.search(name) or name in {"size", "completed", "total", "content"}:
        return f"<{name}>"
    if isinstance(value, str):
        text = re.sub(r"[0-9a-f]{64}", "<digest>", value)
        return re.sub(r"/[^\s\"]*/blobs/", "<store>/blobs/", text)
    return value
