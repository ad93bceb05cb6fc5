"""A program with llama-server's command line and HTTP that fails in the way it is told to.

Only for what a real server cannot be made to do. The way is in a file beside it, ``way``; every
start appends its arguments to ``starts``. Real lines of llama.cpp b11434 where it logs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
WAY = (HERE / "way").read_text().strip()
ARGUMENTS = sys.argv[1:]
SAYS = "Paris is what I say when someone wants to know that city"
TOO_OLD = """\
llama_model_load: error loading model: error loading model architecture: \
unknown model architecture: 'gemma4'
llama_model_load_from_file_impl: failed to load model
srv    load_model: failed to load model, 'model.gguf'
main: exiting due to model loading error
"""


def value(flag: str, default: str = "") -> str:
    return ARGUMENTS[ARGUMENTS.index(flag) + 1] if flag in ARGUMENTS else default


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/health":
            ready = WAY != "never-ready"
            self.reply(200 if ready else 503, {"status": "ok" if ready else "loading model"})
        elif self.path == "/v1/models":
            self.reply(200, {"data": [{"id": value("--alias")}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        on_gpu = value("--n-gpu-layers") != "0"
        if WAY == "dies-when-asked" or (WAY == "gpu-dies" and on_gpu):
            sys.stderr.write("ggml_cuda_error: an illegal memory access was encountered\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGABRT)
        elif WAY == "hangs-when-asked":
            time.sleep(600)
        elif WAY == "html":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")
        elif WAY == "other-json":
            self.reply(200, {"hello": "world"})
        elif WAY == "error":
            self.reply(500, {"error": {"code": 500, "message": "the template failed"}})
        elif WAY == "breaks-off":
            self.stream(["Par"], done=False)
        elif WAY == "gibberish" or (WAY == "gpu-gibberish" and on_gpu):
            self.stream(["<unused49>"] * 12)
        elif WAY == "no-drafter" and "--model-draft" in ARGUMENTS:
            self.reply(500, {"error": {"code": 500, "message": "draft"}})
        else:
            self.stream([f"{word} " for word in SAYS.split()])

    def reply(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, pieces: list[str], *, done: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        if not done:
            self.send_header("Content-Length", "100000")
        self.end_headers()
        for piece in pieces:
            self.event({"choices": [{"delta": {"content": piece}}]})
        if done:
            timings = {
                "prompt_n": 20,
                "prompt_per_second": 100.0,
                "predicted_n": len(pieces),
                "predicted_per_second": 40.0 if "--model-draft" in ARGUMENTS else 20.0,
            }
            self.event({"choices": [], "timings": timings})
            self.wfile.write(b"data: [DONE]\n\n")

    def event(self, document: object) -> None:
        self.wfile.write(b"data: " + json.dumps(document).encode() + b"\n\n")


def eat_memory() -> None:
    """Take 20 MB of memory every twentieth of a second, as an engine that fills its cache."""
    eaten = []
    while True:
        eaten.append(b"x" * 20_000_000)
        time.sleep(0.05)


def main() -> None:
    with (HERE / "starts").open("a") as starts:
        starts.write(json.dumps(ARGUMENTS) + "\n")
    model = Path(value("--model"))
    if model.is_file() and model.read_bytes()[4:8] == bytes(4):
        sys.stderr.write("gguf_init_from_file_ptr: bad GGUF version 0\n")
        sys.exit(1)
    if WAY == "too-old":
        sys.stderr.write(TOO_OLD)
        sys.exit(1)
    if WAY == "hangs-on-start":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    if WAY == "eats-memory":
        eat_memory()
    if WAY == "talks-without-end":
        while True:
            sys.stderr.write("x" * 100_000)
    if WAY == "port-taken-once" and len((HERE / "starts").read_text().splitlines()) == 1:
        sys.stderr.write(
            "srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, "
            f"port: {value('--port')}\n"
        )
        sys.exit(1)
    ThreadingHTTPServer((value("--host"), int(value("--port"))), Handler).serve_forever()


if __name__ == "__main__":
    main()
