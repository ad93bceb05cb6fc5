"""A hub on this machine: real HTTP that speaks the Hugging Face hub's protocol, faults and all.

The hub listens on 127.0.0.1 and sends files from a second server, reached as ``localhost`` on
another port, by signed URLs that expire; so a client meets a redirect to another host, as it does
with the real hub and its CDN. Routes, header names and error codes are those of
https://huggingface.co/docs/hub/api as huggingface_hub and llama.cpp use them.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from setup_manager.catalog import Artifact, Role
from tests.support.content import Content, as_content
from tests.support.exchange import (
    Answer,
    Exchange,
    Fault,
    Kind,
    Request,
    content_answer,
    text_answer,
)
from tests.support.wire import WireServer

_SECRET = b"loopback"
# What a repository's .gitattributes usually hands to LFS.
_LFS_SUFFIXES = (".gguf", ".bin", ".safetensors")
_PAGE_SIZE, _EXPANDED_PAGE_SIZE = 1000, 50


class Access(StrEnum):
    """Who may read a repository."""

    PUBLIC = "public"
    GATED = "gated"
    PRIVATE = "private"


Source = bytes | Path | Content


class _RefusedError(Exception):
    """An answer that ends the planning of another one."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class _StoredFile:
    content: Content
    lfs: bool

    @property
    def git_sha1(self) -> str:
        """Git's name for the blob: of the file, or of its LFS pointer."""
        if self.lfs:
            return _blob_sha1(
                b"version https://git-lfs.github.com/spec/v1\n"
                b"oid sha256:%s\nsize %d\n"
                % (self.content.sha256.encode(), self.content.size_bytes)
            )
        return _blob_sha1(bytes(self.content.view(0, self.content.size_bytes)))


def _blob_sha1(data: bytes) -> str:
    head = b"blob %d\0" % len(data)
    return hashlib.sha1(head + data, usedforsecurity=False).hexdigest()


class _Repository:
    """All commits of one repository; the last one is what `main` points at."""

    def __init__(self, name: str, access: Access) -> None:
        self.name = name
        self.access = access
        self.commits: dict[str, dict[str, _StoredFile]] = {}

    @property
    def head(self) -> str:
        return next(reversed(self.commits))

    def push(self, files: Mapping[str, Source]) -> str:
        stored = {
            path: _StoredFile(as_content(source), path.endswith(_LFS_SUFFIXES))
            for path, source in sorted(files.items())
        }
        # Names and number only: a digest of generated content costs seconds.
        seed = f"{self.name} {len(self.commits)} {sorted(files)}"
        commit = hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest()
        self.commits[commit] = stored
        return commit

    def resolve(self, revision: str) -> str:
        if revision in {"main", "refs/heads/main"}:
            return self.head
        full = [c for c in self.commits if len(revision) >= 7 and c.startswith(revision)]
        if not full:
            raise _RefusedError(
                _error(404, "RevisionNotFound", f"Invalid rev id: {revision}", self.name)
            )
        return full[0]


class LoopbackHub:
    """A hub with repositories of its own; a context manager.

    >>> with LoopbackHub({"org/model": {"model.gguf": b"GGUF"}}) as hub:
    ...     artifact = hub.artifact("org/model", "model.gguf")

    Args:
        repositories: Files by path, by repository; more can be added with `push`.
        faults: What goes wrong, each applied to the planned answer in this order.
        access: Repositories that are not public.
        tokens: Which repositories a token may read beside the public ones.
        page_size: Entries on one page of a listing.
        url_lifetime_seconds: How long a signed URL is good.
        tls: Serve https with this context (its certificate must name 127.0.0.1 and localhost).

    Attributes:
        endpoint: What HF_ENDPOINT is set to.
        cdn_endpoint: Where file content comes from.
        requests: Every exchange so far, in order of arrival.
        faults: What goes wrong; may be replaced at any moment.
    """

    def __init__(
        self,
        repositories: Mapping[str, Mapping[str, Source]],
        *,
        faults: Sequence[Fault] = (),
        access: Mapping[str, Access] | None = None,
        tokens: Mapping[str, frozenset[str]] | None = None,
        page_size: int = _PAGE_SIZE,
        url_lifetime_seconds: float = 3600.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[Exchange] = []
        self.faults: tuple[Fault, ...] = tuple(faults)
        self._access = dict(access or {})
        self._tokens = dict(tokens or {})
        self._page_size = page_size
        self._url_lifetime_seconds = url_lifetime_seconds
        self._signatures = itertools.count()
        self._lock = threading.Lock()
        self._repositories: dict[str, _Repository] = {}
        for name, files in repositories.items():
            self.push(name, files)
        scheme = "https" if tls else "http"
        self._hub = WireServer("hub", self._respond, tls)
        self._cdn = WireServer("cdn", self._respond, tls)
        self.endpoint = f"{scheme}://127.0.0.1:{self._hub.port}"
        self.cdn_endpoint = f"{scheme}://localhost:{self._cdn.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving; open connections are cut."""
        self._hub.close()
        self._cdn.close()

    def push(self, repository: str, files: Mapping[str, Source]) -> str:
        """Add a commit holding exactly these files, make it `main` and return its hash.

        The hash follows from the names alone, so a second hub with the same names and other bytes
        is a mirror with bad data.
        """
        access = self._access.get(repository, Access.PUBLIC)
        known = self._repositories.setdefault(repository, _Repository(repository, access))
        return known.push(files)

    def artifact(
        self,
        repository: str,
        path: str,
        *,
        commit: str | None = None,
        role: Role = Role.WEIGHTS,
    ) -> Artifact:
        """Return the identity of a file that is served here."""
        known = self._repositories[repository]
        commit = commit or known.head
        content = known.commits[commit][path].content
        return Artifact(repository, path, commit, content.size_bytes, content.sha256, role)

    @property
    def served_bytes(self) -> int:
        """Bytes of file content that were sent, from either server."""
        return sum(
            exchange.sent_bytes
            for exchange in list(self.requests)
            if exchange.request.kind in {Kind.CONTENT, Kind.RESOLVE}
            and exchange.status in {200, 206}
        )

    def seen(self, kind: Kind, method: str | None = None) -> tuple[Exchange, ...]:
        """Return the exchanges of a kind so far, in order of arrival."""
        return tuple(
            exchange
            for exchange in list(self.requests)
            if exchange.request.kind is kind and method in {None, exchange.request.method}
        )

    def refuse(self, seconds: float) -> None:
        """Cut every connection and refuse new ones for so long, on both servers."""
        self._hub.refuse(seconds)
        self._cdn.refuse(seconds)

    def _respond(self, request: Request) -> tuple[Exchange, Answer]:
        request, plan = self._route(request)
        exchange = Exchange(request)
        with self._lock:
            self.requests.append(exchange)
        try:
            answer = plan()
        except _RefusedError as refusal:
            answer = refusal.answer
        for fault in self.faults:
            answer = fault(request, answer)
        exchange.fault = answer.fault
        return exchange, answer

    def _route(self, request: Request) -> tuple[Request, Callable[[], Answer]]:
        """Name what a request is about and choose who plans its answer."""
        url = urlsplit(request.target)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if request.method not in {"GET", "HEAD"}:
            return request, lambda: text_answer(405, "Method Not Allowed")
        match parts:
            case ["api", "models", owner, name, *rest]:
                request = replace(request, kind=Kind.API, repository=f"{owner}/{name}")
                return request, lambda: self._api(request, rest, query)
            case [owner, name, "resolve", *rest] if len(rest) > 1:
                revision, path = _split_revision(rest)
                request = replace(
                    request, kind=Kind.RESOLVE, repository=f"{owner}/{name}", path=path
                )
                return request, lambda: self._resolve(request, revision)
            case [owner, name, commit, *rest] if request.host == "cdn" and rest:
                request = replace(
                    request,
                    kind=Kind.CONTENT,
                    repository=f"{owner}/{name}",
                    path="/".join(rest),
                )
                return request, lambda: self._content(request, commit, query)
        return request, lambda: text_answer(200 if parts == [""] else 404, "")

    def _readable(self, request: Request, *, files: bool) -> _Repository:
        """Return the repository if this request may read it (or its files).

        Raises:
            _RefusedError: With the hub's own codes: 401 without a code for what is private or
                missing, 404 for those who are logged in; a gated repository shows its metadata. A
                name in another letter case is redirected.
        """
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in self._tokens:
            raise _RefusedError(_error(401, "", "Invalid credentials in Authorization header"))
        repository = self._repositories.get(request.repository)
        if repository is None:
            self._redirect_to_right_case(request)
        granted = request.repository in self._tokens.get(token, frozenset())
        hidden = repository is None or (repository.access is Access.PRIVATE and not granted)
        if repository is None or hidden:
            if token:
                raise _RefusedError(_error(404, "RepoNotFound", "Repository not found"))
            raise _RefusedError(_error(401, "", "Invalid username or password."))
        if files and repository.access is Access.GATED and not granted:
            name = repository.name
            why = f"Access to model {name} is restricted and you are not in the authorized list."
            how = f"Visit {self.endpoint}/{name} to ask for access."
            raise _RefusedError(_error(403 if token else 401, "GatedRepo", f"{why} {how}"))
        return repository

    def _redirect_to_right_case(self, request: Request) -> None:
        for name in self._repositories:
            if name.lower() == request.repository.lower():
                target = request.target.replace(request.repository, name, 1)
                raise _RefusedError(text_answer(307, headers={"Location": target}))

    def _api(self, request: Request, rest: list[str], query: Mapping[str, str]) -> Answer:
        repository = self._readable(request, files=False)
        match rest:
            case [] | ["revision", _]:
                commit = repository.resolve((rest or ["main"])[-1])
                return _json(_model_info(repository, commit, blobs=_is_true(query.get("blobs"))))
            case ["refs"]:
                main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repository.head}
                return _json({"branches": [main], "converts": [], "tags": []})
            case ["tree", revision, *folder]:
                return self._tree(repository, revision, "/".join(folder), query)
        return _error(404, "", "Not Found")

    def _tree(
        self, repository: _Repository, revision: str, folder: str, query: Mapping[str, str]
    ) -> Answer:
        files = repository.commits[repository.resolve(revision)]
        entries = _tree_entries(files, folder, recursive=_is_true(query.get("recursive")))
        limit = _EXPANDED_PAGE_SIZE if _is_true(query.get("expand")) else _PAGE_SIZE
        limit = min(limit, self._page_size, int(query.get("limit", limit)))
        start = int(query.get("cursor", "0"))
        headers = {}
        if start + limit < len(entries):
            path = quote(f"/api/models/{repository.name}/tree/{revision}/{folder}".rstrip("/"))
            next_query = urlencode(dict(query) | {"cursor": start + limit})
            headers["Link"] = f'<{self.endpoint}{path}?{next_query}>; rel="next"'
        return _json(entries[start : start + limit], headers)

    def _resolve(self, request: Request, revision: str) -> Answer:
        repository = self._readable(request, files=True)
        commit = repository.resolve(revision)
        file = repository.commits[commit].get(request.path)
        if file is None:
            raise _RefusedError(_error(404, "EntryNotFound", "Entry not found", commit=commit))
        headers = {"X-Repo-Commit": commit}
        if not file.lfs:
            return content_answer(request, file.content, f'"{file.git_sha1}"', headers)
        digest = file.content.sha256
        headers |= {
            "Location": self._signed_url(repository.name, commit, request.path),
            "X-Linked-Size": str(file.content.size_bytes),
            "X-Linked-ETag": f'"{digest}"',
            "ETag": f'"{digest}"',
            "Accept-Ranges": "bytes",
        }
        return text_answer(302, "Found. Redirecting.", headers=headers)

    def _signed_url(self, repository: str, commit: str, path: str) -> str:
        """Return a URL on the CDN that is good for a while; no two are the same."""
        target = quote(f"/{repository}/{commit}/{path}")
        expires = f"{time.time() + self._url_lifetime_seconds:.3f}"
        number = str(next(self._signatures))
        query = {"Expires": expires, "Number": number, "Signature": _sign(target, expires, number)}
        return f"{self.cdn_endpoint}{target}?{urlencode(query)}"

    def _content(self, request: Request, commit: str, query: Mapping[str, str]) -> Answer:
        target = request.target.partition("?")[0]
        expires, number = query.get("Expires", "0"), query.get("Number", "")
        signed = hmac.compare_digest(query.get("Signature", ""), _sign(target, expires, number))
        if not signed or float(expires) < time.time():
            return expired_answer()
        content = self._repositories[request.repository].commits[commit][request.path].content
        # A CDN's entity tag is its own; nobody may take it for the digest.
        etag = hashlib.sha256(f"cdn {content.sha256}".encode()).hexdigest()[:32]
        return content_answer(request, content, f'"{etag}"')


def expired_answer() -> Answer:
    """Return what a CDN says to a signed URL that is no longer good."""
    body = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    return text_answer(403, body, content_type="application/xml")


def _sign(*parts: str) -> str:
    return hmac.new(_SECRET, "\n".join(parts).encode(), hashlib.sha256).hexdigest()


def _split_revision(parts: list[str]) -> tuple[str, str]:
    """Split what follows ``resolve/``; only ``refs/…/…`` revisions hold a slash here."""
    count = 3 if parts[0] == "refs" else 1
    return "/".join(parts[:count]), "/".join(parts[count:])


def _is_true(text: str | None) -> bool:
    return (text or "").lower() in {"true", "1"}


def _json(document: object, headers: Mapping[str, str] | None = None) -> Answer:
    return text_answer(
        200, json.dumps(document), headers=headers, content_type="application/json; charset=utf-8"
    )


def _error(status: int, code: str, message: str, repository: str = "", commit: str = "") -> Answer:
    headers = {"X-Error-Message": message}
    if code:
        headers["X-Error-Code"] = code
    if commit:
        headers["X-Repo-Commit"] = commit
    document = {"error": message} | ({"repository": repository} if repository else {})
    answer = _json(document, headers)
    return replace(answer, status=status)


def _model_info(repository: _Repository, commit: str, *, blobs: bool) -> dict[str, object]:
    files = repository.commits[commit]
    return {
        "_id": "0" * 24,
        "id": repository.name,
        "modelId": repository.name,
        "author": repository.name.partition("/")[0],
        "sha": commit,
        "private": repository.access is Access.PRIVATE,
        "gated": "manual" if repository.access is Access.GATED else False,
        "disabled": False,
        "tags": ["gguf"],
        "siblings": [
            {"rfilename": path} | (_blob_entry(file) if blobs else {})
            for path, file in files.items()
        ],
    }


def _blob_entry(file: _StoredFile) -> dict[str, object]:
    size = file.content.size_bytes
    lfs = {"sha256": file.content.sha256, "size": size, "pointerSize": 134}
    return {"blobId": file.git_sha1, "size": size} | ({"lfs": lfs} if file.lfs else {})


def _tree_entries(
    files: Mapping[str, _StoredFile], folder: str, *, recursive: bool
) -> list[dict[str, object]]:
    prefix = f"{folder}/" if folder else ""
    inside = {path: file for path, file in files.items() if path.startswith(prefix)}
    parents = {
        path[:end]
        for path in inside
        for end in (i for i, c in enumerate(path) if c == "/" and i >= len(prefix))
    }
    entries: dict[str, dict[str, object]] = {
        path: {"type": "directory", "oid": _blob_sha1(path.encode()), "size": 0, "path": path}
        for path in parents
    }
    entries |= {path: _file_entry(path, file) for path, file in inside.items()}
    return [
        entry
        for path, entry in sorted(entries.items())
        if recursive or "/" not in path[len(prefix) :]
    ]


def _file_entry(path: str, file: _StoredFile) -> dict[str, object]:
    size = file.content.size_bytes
    entry: dict[str, object] = {"type": "file", "oid": file.git_sha1, "size": size, "path": path}
    if file.lfs:
        entry["lfs"] = {"oid": file.content.sha256, "size": size, "pointerSize": 134}
    return entry
