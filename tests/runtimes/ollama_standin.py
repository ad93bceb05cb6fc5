"""A stand-in for an Ollama server: its protocol, over a store on disk of the same form.

It runs no model. `test_ollama_standin.py` holds it against the recorded answers of a real server.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_MODEL = "application/vnd.ollama.image.model"
_OTHER = "application/vnd.ollama.image.projector"
_TEMPLATE = (
    "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n"
    "{{ end }}<|im_start|>assistant\n"
)
_NOW = "2026-01-01T00:00:00Z"


class Store:
    """Blobs and manifests in a folder, as Ollama keeps them."""

    def __init__(self, root: Path) -> None:
        self.blobs = root / "blobs"
        self.library = root / "manifests" / "registry.ollama.ai" / "library"
        self.blobs.mkdir(parents=True, exist_ok=True)
        self.library.mkdir(parents=True, exist_ok=True)

    def blob(self, digest: str) -> Path:
        return self.blobs / digest.replace(":", "-")

    def put(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blob(digest).write_bytes(content)
        return digest

    def manifest(self, name: str) -> Path:
        model, _, tag = name.partition(":")
        return self.library / model.replace("/", "%") / (tag or "latest")

    def names(self) -> list[str]:
        paths = sorted(self.library.glob("*/*"))
        return [f"{path.parent.name.replace('%', '/')}:{path.name}" for path in paths]

    def layers(self, name: str) -> list[dict[str, Any]]:
        document = json.loads(self.manifest(name).read_text())
        return [document["config"], *document["layers"]]

    def remove(self, name: str) -> None:
        gone = {layer["digest"] for layer in self.layers(name)}
        self.manifest(name).unlink()
        kept = {layer["digest"] for other in self.names() for layer in self.layers(other)}
        for digest in gone - kept:
            self.blob(digest).unlink(missing_ok=True)


class _Handler(BaseHTTPRequestHandler):
    store: Store
    version: str
    requests: list[tuple[str, str]]

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.requests.append(("HEAD", self.path))
        found = self.store.blob(self.path.rpartition("/")[2]).exists()
        self._answer(200 if found else 404, None, bare=found)

    def do_GET(self) -> None:
        self.requests.append(("GET", self.path))
        if self.path == "/api/version":
            self._answer(200, {"version": self.version})
        elif self.path == "/api/tags":
            models = [self._listed(name) for name in self.store.names()]
            self._answer(200, {"models": models})
        elif self.path == "/api/ps":
            models = [self._running(name) for name in self.store.names()]
            self._answer(200, {"models": models})
        else:
            self._answer(404, {"error": "not found"})

    def do_DELETE(self) -> None:
        self.requests.append(("DELETE", self.path))
        name = json.loads(self._body())["model"]
        if not self.store.manifest(name).exists():
            self._answer(404, {"error": f"model '{name}' not found"})
            return
        self.store.remove(name)
        self._answer(200, None, bare=True)

    def do_POST(self) -> None:
        self.requests.append(("POST", self.path))
        body = self._body()
        if self.path.startswith("/api/blobs/"):
            self._upload(self.path.rpartition("/")[2], body)
            return
        request = json.loads(body)
        action = {
            "/api/create": self._create,
            "/api/show": self._show,
            "/api/copy": self._copy,
            "/api/chat": self._chat,
            "/api/generate": self._generate,
            "/api/pull": self._pull,
        }[self.path]
        action(request)

    def _upload(self, digest: str, content: bytes) -> None:
        if self.store.blob(digest).exists():
            self._answer(200, None, bare=True)
            return
        got = self.store.put(content)
        if got != digest:
            error = f'digest mismatch, expected "{digest}", got "{got}"'
            self._answer(400, {"error": error})
            return
        self._answer(201, None, bare=True)

    def _create(self, request: dict[str, Any]) -> None:
        name = request["model"]
        if name.count("/") > 2:
            self._answer(400, {"error": "invalid model name"})
            return
        if not request.get("files"):
            error = {"error": "neither 'from' or 'files' was specified"}
            self._answer(400, error, kind="application/json")
            return
        digests = [*request["files"].values(), *request.get("draft_files", {}).values()]
        events: list[dict[str, Any]] = [{"status": "parsing GGUF"}] * len(digests)
        blobs = [self.store.blob(digest) for digest in digests]
        missing = [blob for blob in blobs if not blob.exists()]
        if missing:
            events.append({"error": f"open {missing[0]}: no such file or directory"})
        elif b"gemma4" not in blobs[0].read_bytes():
            events.append({"error": "unable to decode GGUF"})
        else:
            parameters = request.get("parameters", {})
            events += self._write_model(name, blobs[0].read_bytes(), parameters, digests[1:])
        self._stream(events)

    def _write_model(
        self, name: str, content: bytes, parameters: dict[str, Any], others: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Rewrite the weights, as servers from 0.30 on do, and write the manifest."""
        store = self.store
        model = store.put(content + bytes(64))
        start = store.put(json.dumps({**parameters, "stop": ["<turn|>"]}).encode())
        config = {"model_type": "97K", "file_type": "unknown", "model_family": "gemma4"}
        template = store.put(_TEMPLATE.encode())
        document = {
            "config": {"digest": store.put(json.dumps(config).encode())},
            "layers": [
                {"mediaType": _MODEL, "digest": model},
                *({"mediaType": _OTHER, "digest": digest} for digest in others),
                {"mediaType": "application/vnd.ollama.image.template", "digest": template},
                {"mediaType": "application/vnd.ollama.image.params", "digest": start},
            ],
        }
        path = store.manifest(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))
        return [
            {"status": "verifying conversion"},
            {"status": f"creating new layer {model}"},
            {"status": "using autodetected template chatml"},
            {"status": f"creating new layer {start}"},
            {"status": "writing manifest"},
            {"status": "success"},
        ]

    def _show(self, request: dict[str, Any]) -> None:
        name = request["model"]
        name = name if ":" in name else f"{name}:latest"
        if not self.store.manifest(name).exists():
            self._answer(404, {"error": f"model '{name}' not found"})
            return
        layers = self.store.layers(name)
        files = [layer["digest"] for layer in layers if layer.get("mediaType") in (_MODEL, _OTHER)]
        (start,) = (layer for layer in layers if "params" in layer.get("mediaType", ""))
        parameters = json.loads(self.store.blob(start["digest"]).read_text())
        lines = ['# Modelfile generated by "ollama show"']
        lines += ["# To build a new Modelfile based on this, replace FROM with:"]
        lines += [f"# FROM {name}", "", *(f"FROM {self.store.blob(digest)}" for digest in files)]
        lines += [f'TEMPLATE "{_TEMPLATE}"', "RENDERER gemma4", "PARSER gemma4"]
        lines += [f"PARAMETER num_ctx {parameters['num_ctx']}", "PARAMETER stop <turn|>", ""]
        shown = [
            f"{'num_ctx':<30} {parameters['num_ctx']}",
            f'{"stop":<30} "<turn|>"',
        ]
        document = {
            "modelfile": "\n".join(lines),
            "parameters": "\n".join(shown),
            "details": self._details(name),
            "capabilities": ["completion", "tools", "thinking"],
            "model_info": {"general.architecture": self._architecture(files[0])},
        }
        self._answer(200, document)

    def _architecture(self, digest: str) -> str:
        return "gemma4" if b"gemma4" in self.store.blob(digest).read_bytes() else ""

    def _copy(self, request: dict[str, Any]) -> None:
        source = self.store.manifest(request["source"])
        if not source.exists():
            self._answer(404, {"error": f'model "{request["source"]}" not found'})
            return
        target = self.store.manifest(request["destination"])
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(source.read_bytes())
        self._answer(200, None, bare=True)

    def _pull(self, request: dict[str, Any]) -> None:
        name = request["model"]
        if "nothing" in name:
            events = [{"status": "pulling manifest"}, {"error": "pull model manifest: 404"}]
            self._stream(events)
            return
        self._write_model(name, b"GGUF gemma4", {"num_ctx": 4096})
        progress = {"status": "pulling 0123", "total": 11, "completed": 11}
        self._stream([{"status": "pulling manifest"}, progress, {"status": "success"}])

    def _chat(self, request: dict[str, Any]) -> None:
        common = {"model": request["model"], "created_at": _NOW}
        piece = {"role": "assistant", "content": "Paris"}
        figures = {
            "total_duration": 400,
            "load_duration": 100,
            "prompt_eval_count": 10,
            "prompt_eval_duration": 100,
            "eval_count": 4,
            "eval_duration": 200,
        }
        last = {"role": "assistant", "content": ""}
        self._stream(
            [
                {**common, "message": piece, "done": False},
                {**common, "message": last, "done": True, "done_reason": "length", **figures},
            ]
        )

    def _generate(self, request: dict[str, Any]) -> None:
        reason = "unload" if request.get("keep_alive") == 0 else "load"
        document = {"model": request["model"], "created_at": _NOW, "response": ""}
        self._answer(200, {**document, "done": True, "done_reason": reason})

    def _details(self, name: str) -> dict[str, Any]:
        config = json.loads(self.store.blob(self.store.layers(name)[0]["digest"]).read_text())
        return {
            "parent_model": "",
            "format": "gguf",
            "family": config["model_family"],
            "families": [config["model_family"]],
            "parameter_size": config["model_type"],
            "quantization_level": config["file_type"],
        }

    def _listed(self, name: str) -> dict[str, Any]:
        manifest = self.store.manifest(name)
        sizes = [
            self.store.blob(layer["digest"]).stat().st_size for layer in self.store.layers(name)
        ]
        return {
            "name": name,
            "model": name,
            "modified_at": _NOW,
            "size": sum(sizes),
            "digest": hashlib.sha256(manifest.read_bytes()).hexdigest(),
            "details": {**self._details(name), "context_length": 4096, "embedding_length": 64},
            "capabilities": ["completion", "tools", "thinking"],
        }

    def _running(self, name: str) -> dict[str, Any]:
        listed = self._listed(name)
        kept = {key: listed[key] for key in ("name", "model", "size", "digest")}
        return {
            **kept,
            "details": self._details(name),
            "expires_at": _NOW,
            "size_vram": 0,
            "context_length": 1024,
        }

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _answer(
        self,
        status: int,
        document: Any,
        *,
        bare: bool = False,
        kind: str = "application/json; charset=utf-8",
    ) -> None:
        content = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        if not bare:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, events: list[dict[str, Any]]) -> None:
        content = b"".join(json.dumps(event).encode() + b"\n" for event in events)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def ollama_standin(root: Path, version: str = "0.33.0-rc2") -> Iterator[str]:
    """Serve a store and yield the endpoint."""
    members = {"store": Store(root), "version": version, "requests": []}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), members))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
