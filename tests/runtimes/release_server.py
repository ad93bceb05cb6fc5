"""A release page on loopback: the API's list, downloads that redirect to a second host, ranges."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def release_document(
    tag: str, files: Mapping[str, bytes], base: str = "https://github.com"
) -> dict[str, Any]:
    """Make a release in the form of GitHub's REST API, reduced to the fields that matter.

    Source: docs.github.com/rest/releases, "Get a release"; the asset's ``digest`` field.
    """
    path = f"{base}/ggml-org/llama.cpp/releases/download/{tag}"
    return {
        "tag_name": tag,
        "draft": False,
        "prerelease": False,
        "assets": [
            {
                "name": name,
                "state": "uploaded",
                "content_type": "application/octet-stream",
                "size": len(content),
                "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
                "browser_download_url": f"{path}/{name}",
            }
            for name, content in files.items()
        ],
    }


class ReleaseServer:
    """What the server serves; may be changed while it runs."""

    def __init__(self, tag: str, files: Mapping[str, bytes]) -> None:
        self.tag = tag
        self.files = dict(files)
        self.port = 0
        self.served_bytes = 0

    @property
    def list_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/repos/ggml-org/llama.cpp/releases"

    def document(self) -> list[dict[str, Any]]:
        return [release_document(self.tag, self.files, f"http://127.0.0.1:{self.port}")]


@contextmanager
def release_server(tag: str, files: Mapping[str, bytes]) -> Iterator[ReleaseServer]:
    """Serve a release."""
    served = ReleaseServer(tag, files)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            if self.path.startswith("/repos/"):
                self.reply(200, json.dumps(served.document()).encode())
            elif self.path.startswith("/cdn/"):
                self.send_part(served.files[name])
            elif name in served.files:
                place = f"http://localhost:{served.port}/cdn/{name}"
                self.reply(302, b"", Location=place)
            else:
                self.reply(404, b"")

        def send_part(self, content: bytes) -> None:
            found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if found is None:
                self.reply(200, content)
                return
            start = int(found[1])
            end = min(int(found[2] or len(content)), len(content) - 1)
            served.served_bytes += end + 1 - start
            place = f"bytes {start}-{end}/{len(content)}"
            self.reply(206, content[start : end + 1], **{"Content-Range": place})

        def reply(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
