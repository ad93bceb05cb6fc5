from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.runtimes.ollama.address import parse_host
from setup_manager.runtimes.ollama.names import full_name, is_plain, registered_name
from setup_manager.runtimes.ollama.server import find
from setup_manager.runtimes.ollama.store import (
    BlobFile,
    ModelFacts,
    model_facts,
    short_count,
    store_of_modelfile,
)
from setup_manager.runtimes.ollama.versions import assess, ollama_copies_bytes, parse_version

RECORDING = Path(__file__).with_name("recordings") / "ollama-0.33.0-rc2.json"


# The cases of TestHost in Ollama's envconfig/config_test.go, with listening addresses made
# connectable as its ConnectableHost does.
@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("", "http://127.0.0.1:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        (":1234", "http://127.0.0.1:1234"),
        ("1.2.3.4:1234", "http://1.2.3.4:1234"),
        ("example.com", "http://example.com:11434"),
        ("example.com:1234", "http://example.com:1234"),
        ("example.com:0", "http://example.com:0"),
        (":66000", "http://127.0.0.1:11434"),
        (":-1", "http://127.0.0.1:11434"),
        ("[0001:002:003:0004::1]", "http://[0001:002:003:0004::1]:11434"),
        ("[::1]:1337", "http://[::1]:1337"),
        ("::1", "http://[::1]:11434"),
        ("[::]", "http://[::1]:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        (" 1.2.3.4 ", "http://1.2.3.4:11434"),
        ('"1.2.3.4"', "http://1.2.3.4:11434"),
        ("http://1.2.3.4", "http://1.2.3.4:80"),
        ("http://1.2.3.4:4321", "http://1.2.3.4:4321"),
        ("https://1.2.3.4", "https://1.2.3.4:443"),
        ("https://1.2.3.4:4321", "https://1.2.3.4:4321"),
        ("https://example.com/ollama", "https://example.com:443/ollama"),
        ("example.com/ollama/", "http://example.com:11434/ollama"),
        ("ollama.com", "https://ollama.com:443"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(text: str, endpoint: str) -> None:
    assert parse_host(text).endpoint == endpoint


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=200)
def test_no_text_in_ollama_host_is_an_error(text: str) -> None:
    address = parse_host(text)
    assert 0 <= address.port <= 65535
    assert address.host


@pytest.mark.parametrize(
    ("text", "local"),
    [("", True), ("localhost", True), ("[::1]", True), ("192.168.1.5", False), ("box", False)],
)
def test_only_loopback_is_local(text: str, local: bool) -> None:
    assert parse_host(text).local is local


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("0.32.1", (0, 32, 1)),
        ("0.33.0-rc2", (0, 33, 0)),
        ("v0.30.5", (0, 30, 5)),
        ("0.0.0", None),
        ("", None),
        ("main", None),
        ("1.2.3.4", None),
    ],
)
def test_versions_are_read(text: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("version", "variant", "gemma4", "word"),
    [
        ("0.19.4", None, False, "does not know"),
        ("0.20.0", None, False, "made elsewhere"),
        ("0.30.0", "e4b", True, "template"),
        ("0.30.4", "12b", False, "crashes"),
        ("0.30.5", "12b", True, "template"),
        ("0.32.1", "12b", True, ""),
        ("0.0.0", None, None, "does not tell"),
    ],
)
def test_each_version_is_judged_by_what_it_lacks(
    version: str, variant: str | None, gemma4: bool | None, word: str
) -> None:
    assessment = assess(version, variant)
    assert assessment.gemma4 is gemma4
    assert word in assessment.detail


@pytest.mark.parametrize(
    ("version", "linked", "peak", "settled"),
    [
        ("0.33.0", False, 300, 200),
        ("0.33.0", True, 200, 100),
        ("0.0.0", False, 300, 200),
        ("0.29.9", False, 100, 100),
        ("0.29.9", True, 0, 0),
    ],
)
def test_the_copies_that_registering_makes_are_counted(
    version: str, linked: bool, peak: int, settled: int
) -> None:
    need = ollama_copies_bytes(version, 100, linked=linked)
    assert (need.peak_bytes, need.settled_bytes) == (peak, settled)


@pytest.mark.parametrize("variant", ["e2b", "e4b", "12b", "26b", "31b"])
def test_the_size_is_in_the_registered_name(variant: str) -> None:
    name = registered_name(variant, "org/whatever", "UD-Q4_K_XL")
    assert name == f"gemma-4-{variant}:UD-Q4_K_XL"
    assert is_plain(name)


@given(st.text(max_size=120), st.text(max_size=120))
@settings(deadline=None, max_examples=200)
def test_any_repository_makes_a_name_that_ollama_accepts(
    repository: str, quantization: str
) -> None:
    model, _, tag = registered_name(None, repository, quantization).partition(":")
    for part in (model, tag):
        assert 1 <= len(part) <= 80
        assert part[0].isascii()
        assert part[0].isalnum()
        assert all(c.isascii() and (c.isalnum() or c in "._-") for c in part)


def test_a_name_without_a_tag_gets_the_tag_that_ollama_gives_it() -> None:
    assert full_name("x") == "x:latest"
    assert full_name("hf.co:80/org/x") == "hf.co:80/org/x:latest"
    assert full_name("x:y") == "x:y"


def test_the_store_is_read_from_a_modelfile() -> None:
    told = store_of_modelfile("# FROM x\n\nFROM /srv/models/blobs/sha256-00\nRENDERER gemma4\n")
    assert str(told) == "/srv/models"
    assert store_of_modelfile("FROM gemma4:e4b\n") is None


def test_a_server_that_is_not_there_is_not_found() -> None:
    status = find({"OLLAMA_HOST": "127.0.0.1:9", "PATH": ""})
    assert status.endpoint == ""
    assert status.gemma4 is None


@pytest.mark.parametrize(
    ("number", "written"),
    [(5, "5"), (999, "999"), (97_123, "97K"), (307_200_000, "307.20M"), (12 * 10**9, "12B")],
)
def test_a_count_is_written_as_ollama_writes_it(number: int, written: str) -> None:
    assert short_count(number) == written


def test_a_manifest_says_of_a_file_what_a_real_server_said_of_it(random_model: Path) -> None:
    recorded = json.loads(RECORDING.read_text())
    said = next(
        answer["details"]
        for exchange in recorded
        if exchange["path"] == "/api/show"
        for answer in exchange["answer"]
        if "details" in answer
    )
    facts = model_facts([BlobFile(random_model.name, random_model, "0" * 64)])
    assert facts == ModelFacts(said["parameter_size"], said["quantization_level"])
