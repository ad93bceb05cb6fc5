"""llama.cpp with the model file loaded, spoken to by its own HTTP interface."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xllamacpp

Message = Mapping[str, str]


class Engine:
    """One loaded model: one slot, one thread."""

    def __init__(self, path: Path, *, context: int = 4096, quantized_cache: bool = False) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = context
        params.n_parallel = 1
        params.verbosity = 0
        params.cpuparams.n_threads = 1
        if quantized_cache:
            params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_Q8_0
        self._server = xllamacpp.Server(params)

    def post(self, endpoint: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Send one request and return the decoded answer."""
        request = urllib.request.Request(  # noqa: S310 - the engine's own loopback address
            self._server.listening_address + endpoint,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            answer: dict[str, Any] = json.load(response)
        return answer

    def tokenize(self, text: str) -> list[int]:
        """Return the ids of text, special tokens in it included, no BOS added."""
        body = {"content": text, "parse_special": True, "add_special": False}
        return [int(token_id) for token_id in self.post("/tokenize", body)["tokens"]]

    def complete(self, messages: Sequence[Message], limit: int = 128) -> dict[str, Any]:
        """Return the whole reply to a conversation: thinking off, the likeliest token each time."""
        body = {
            "messages": messages,
            "temperature": 0,
            "max_tokens": limit,
            "chat_template_kwargs": {"enable_thinking": False},
        }
        return self.post("/v1/chat/completions", body)

    def ask(self, question: str, limit: int = 128) -> str:
        """Return the text that answers one question that opens a conversation."""
        reply = self.complete([{"role": "user", "content": question}], limit)
        return str(reply["choices"][0]["message"]["content"])

    def next_logprobs(self, ids: list[int], count: int) -> dict[int, float]:
        """Return the logarithms of the probabilities of the `count` likeliest next tokens."""
        body = {"prompt": ids, "n_predict": 1, "n_probs": count, "temperature": 0}
        first = self.post("/completion", body)["completion_probabilities"][0]
        return {int(entry["id"]): float(entry["logprob"]) for entry in first["top_logprobs"]}
