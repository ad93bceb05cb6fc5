"""The runs that are recorded, as tables: a scenario shares one home, and its runs follow another.

In arguments `{home}`, `{base}` and `{machines}` stand for folders. Runs that look at the real
machine, or time something, are `live`: what they measured is masked. Plans for the machines in
`machines/` are exact.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.golden.hub_side import FILE_NAME, REPOSITORY, VARIANT, model_bytes
from tests.golden.run import Place

Before = Callable[[Place], None]
Environment = tuple[tuple[str, str], ...]
NARROW, BOTH = (80,), (80, 160)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the program.

    Attributes:
        name: Of its file.
        argv: Arguments.
        live: Whether it tells of the real machine or of time.
        widths: Columns it is run at.
        environment: Variables, beside the scenario's.
        before: What is done to the place first.
    """

    name: str
    argv: tuple[str, ...]
    live: bool = False
    widths: tuple[int, ...] = NARROW
    environment: Environment = ()
    before: Before | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """Runs that share a home.

    Attributes:
        name: Of its folder.
        runs: In their order.
        hub: Of `hub_side.HUBS`; None if no hub answers.
        environment: Variables of every run.
        before: What is done to the empty place first.
    """

    name: str
    runs: tuple[Run, ...]
    hub: str | None = None
    environment: Environment = ()
    before: Before | None = None


def both(name: str, line: str, **options: Environment | Before) -> Run:
    """A run whose text follows the width: it is recorded at both."""
    return Run(name, tuple(line.split()), widths=BOTH, **options)  # type: ignore[arg-type]


def step(name: str, line: str, **options: Environment | Before) -> Run:
    """A run that is the same everywhere."""
    return Run(name, tuple(line.split()), **options)  # type: ignore[arg-type]


def live(name: str, line: str, **options: Environment | Before) -> Run:
    """A run that tells of the real machine or of time."""
    return Run(name, tuple(line.split()), live=True, **options)  # type: ignore[arg-type]


COMMANDS = (
    "install", "check", "recommend", "explain", "download", "recover", "verify", "register",
    "serve", "smoke", "list", "remove", "clean", "runtime", "report", "rehearse", "paths",
    "completion",
)  # fmt: skip
# No line of their help is long enough to be broken.
SHORT_HELP = {"download", "register", "list", "remove", "clean", "paths", "completion"}

HELP = Scenario(
    "help",
    (
        both("bare", ""),
        both("help", "--help"),
        step("h", "-h"),
        step("version", "--version"),
        *(
            (step if command in SHORT_HELP else both)(f"help-{command}", f"{command} --help")
            for command in COMMANDS
        ),
        step("help-runtime-install", "runtime install --help"),
        *(
            step(f"completion-{shell}", f"completion {shell}")
            for shell in ("bash", "zsh", "fish", "powershell")
        ),
        step("completion-bash-json", "completion bash --json"),
    ),
)


def _written(path: str, text: str, place: Place) -> None:
    file = place.home / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


CONFIG = ".config/gemma-setup/config.toml"


def configured(text: str) -> Before:
    """Write the configuration file."""
    return partial(_written, CONFIG, text)


USAGE = Scenario(
    "usage",
    (
        step("unknown-command", "frobnicate"),
        step("unknown-command-json", "frobnicate --json"),
        step("misspelt-command", "instal"),
        step("unknown-option", "paths --bad"),
        step("unknown-option-json", "paths --bad --json"),
        step("no-model", "download"),
        step("unknown-variant", "explain 7b"),
        step("unknown-variant-json", "explain 7b --json"),
        step("unknown-quantization", "explain e4b:Q9_X"),
        step("model-no-name", "download a/b/c"),
        step("context-word", "explain e4b --context lots"),
        step("prefer", "recommend --prefer beauty"),
        step("headroom", "recommend --headroom much"),
        step("limit-rate", "download e4b --limit-rate fast"),
        step("mirror", "download e4b --dry-run --mirror ftp://somewhere"),
        step("runtime", "install e4b --runtime vllm"),
        step("serve-port", "serve e4b --port 99999"),
        step("completion-shell", "completion tcsh"),
        step("runtime-action", "runtime upgrade"),
        step("runtime-name", "runtime install ollama"),
        step("machine-missing", "recommend --machine nowhere.json"),
        step("machine-wrong", "recommend --machine {home}/wrong.json"),
        step("catalog-missing", "list --catalog nowhere.json"),
        step("catalog-wrong-json", "list --catalog {home}/wrong.json --json"),
        step("verify-no-path", "verify nowhere.gguf"),
        step("endpoint", "download a/b:Q4_0", environment=(("HF_ENDPOINT", "not an address"),)),
        step("config-no-toml", "paths", before=configured("no toml")),
        step("config-no-toml-json", "paths --json"),
        step("config-unknown", "paths", before=configured('colour = "blue"\n')),
        step("config-bad-value", "explain e4b", before=configured('context = "much"\n')),
        step("config-models-dir", "paths", before=configured('models-dir = "/models"\n')),
        step("environment-beats-config", "paths", environment=(("GEMMA_SETUP_MODELS_DIR", "/m"),)),
        step(
            "flag-beats-environment",
            "paths --models-dir /flag",
            environment=(("GEMMA_SETUP_MODELS_DIR", "/m"),),
        ),
    ),
    before=partial(_written, "wrong.json", '{"schema": 1}\n'),
)

LAPTOP, DESKTOP, TINY = (
    f"--machine {{machines}}/{name}.json" for name in ("laptop", "desktop", "tiny")
)
PLANNING = Scenario(
    "planning",
    (
        step("check-laptop", f"check {LAPTOP}"),
        both("check-desktop", f"check {DESKTOP}"),
        step("check-laptop-e4b", f"check e4b {LAPTOP}"),
        step("check-laptop-e4b-json", f"check e4b {LAPTOP} --json"),
        step("check-tiny", f"check e2b {TINY}"),
        both("recommend-laptop", f"recommend {LAPTOP}"),
        step("recommend-laptop-json", f"recommend {LAPTOP} --json"),
        step("recommend-laptop-v", f"recommend {LAPTOP} -v"),
        step("recommend-laptop-speed", f"recommend {LAPTOP} --prefer speed"),
        step("recommend-laptop-quality", f"recommend {LAPTOP} --prefer quality"),
        step("recommend-laptop-coding", f"recommend {LAPTOP} --for coding --line-rate 5M"),
        step("recommend-laptop-long-context", f"recommend {LAPTOP} --context 131072"),
        step("recommend-laptop-headroom", f"recommend {LAPTOP} --headroom 9G"),
        step("recommend-desktop", f"recommend {DESKTOP}"),
        step("recommend-desktop-json", f"recommend {DESKTOP} --json"),
        step("recommend-context-too-long", f"recommend {LAPTOP} --context 999999999"),
        step("recommend-tiny", f"recommend {TINY}"),
        step("recommend-tiny-json", f"recommend {TINY} --json"),
        step("explain-e2b-laptop", f"explain e2b {LAPTOP}"),
        both("explain-e4b-laptop-v", f"explain e4b -v {LAPTOP}"),
        step("explain-e4b-laptop-json", f"explain e4b {LAPTOP} --json"),
        step("explain-12b-desktop", f"explain 12b {DESKTOP} --slots 4 --kv-type q8_0"),
        step("explain-26b-desktop-v", f"explain 26b -v {DESKTOP} --context 131072"),
        step("explain-26b-desktop-json", f"explain 26b {DESKTOP} --context 131072 --json"),
        step("explain-31b-desktop", f"explain 31b {DESKTOP}"),
        step("explain-31b-laptop", f"explain 31b {LAPTOP}"),
        step("explain-with-projector", f"explain e4b {LAPTOP} --with-projector --with-drafter"),
        step("explain-context-32k", f"explain e4b {LAPTOP} --context 32k"),
        step("explain-context-too-long", f"explain e4b {LAPTOP} --context 999999"),
        step("explain-tiny", f"explain e2b {TINY}"),
    ),
)

OFFLINE = Scenario(
    "offline",
    (
        live("check", "check"),
        live("check-json", "check --json"),
        live("check-e4b", "check e4b"),
        step("list", "list"),
        step("list-json", "list --json"),
        step("list-installed", "list --installed"),
        step("list-installed-json", "list --installed --json"),
        step("paths", "paths"),
        step("paths-json", "paths --json"),
        step("download-dry-run", "download e4b --dry-run"),
        step("download-dry-run-json", "download e4b --dry-run --json"),
        step("download-hub-down", "download nobody/nothing:Q4_K_M"),
        step("download-hub-down-json", "download nobody/nothing:Q4_K_M --json"),
        step("verify-nothing", "verify"),
        step("verify-not-installed", "verify e4b"),
        step("recover-nothing", "recover"),
        step("recover-nothing-json", "recover --json"),
        step("register-not-installed", "register e4b --runtime embedded"),
        step("smoke-not-installed", "smoke e4b"),
        step("smoke-not-installed-json", "smoke e4b --json"),
        step("serve-not-installed", "serve e4b"),
        step("remove-not-installed", "remove e4b"),
        step("clean-nothing", "clean"),
        step("clean-nothing-json", "clean --json"),
        step("runtime-list", "runtime list"),
        step("runtime-list-json", "runtime list --json"),
        step("runtime-remove", "runtime remove llama.cpp"),
        step("runtime-install", "runtime install llama.cpp"),
        step("runtime-install-json", "runtime install llama.cpp --json"),
        live("install-no-llama-cpp-json", "install e2b --runtime llama.cpp --yes --json"),
        live("install-needs-yes", "install e2b"),
    ),
)


OFFLINE_MODE = Scenario(
    "offline-mode",
    (
        step("download", "download e4b"),
        step("download-json", "download e4b --json"),
        step("list-installed", "list --installed"),
        step("list-installed-json", "list --installed --json"),
        step("verify", "verify"),
        step("verify-json", "verify e4b --json"),
        step("register-json", "register e4b --runtime embedded --json"),
        step("smoke", "smoke e4b"),
        step("clean-dry-run", "clean --dry-run"),
        step("clean-dry-run-json", "clean --dry-run --json"),
        step("clean-needs-yes", "clean"),
        step("clean-json", "clean --yes --json"),
        step("remove", "remove e4b --yes"),
    ),
    environment=(("HF_HUB_OFFLINE", "1"),),
)


def _installed(place: Place) -> Path:
    (path,) = (found for found in place.home.rglob("*.gguf") if found.is_file())
    return path


def delete(place: Place) -> None:
    """Delete the installed model behind the program's back."""
    _installed(place).resolve().unlink()


def damage(place: Place) -> None:
    """Change one byte of the installed model."""
    path = _installed(place)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.resolve().write_bytes(data)


INSTALL = Scenario(
    "install",
    (
        live("check", f"check {VARIANT}"),
        step("list", "list"),
        step("list-json", "list --json"),
        live("dry-run", f"install {VARIANT} --dry-run"),
        live("dry-run-json", f"install {VARIANT} --dry-run --json"),
        live("needs-yes-json", f"install {VARIANT} --json"),
        live("install-json", f"install {VARIANT} --yes --json --runtime embedded"),
        live("again", f"install {VARIANT} --yes --runtime embedded --no-progress"),
        live("list-installed", "list --installed"),
        live("list-installed-json", "list --installed --json"),
        live("smoke", f"smoke {VARIANT} --runtime embedded --no-progress"),
        live("smoke-image", f"smoke {VARIANT} --image"),
        step("register-again", f"register {VARIANT} --runtime embedded"),
        step("register-again-json", f"register {VARIANT} --runtime embedded --json"),
        step("register-no-ollama", f"register {VARIANT} --runtime ollama"),
        step("serve-no-llama-cpp", f"serve {VARIANT} --runtime llama.cpp"),
        step("remove-dry-run", f"remove {VARIANT} --dry-run"),
        step("remove-dry-run-json", f"remove {VARIANT} --dry-run --json"),
        step("remove-needs-yes", f"remove {VARIANT}"),
        step("remove", f"remove {VARIANT} --yes"),
        step("remove-again", f"remove {VARIANT} --yes"),
        live("dry-run-no-model", "install --dry-run --runtime embedded --no-progress"),
    ),
    hub="good",
)

DOWNLOAD = Scenario(
    "download",
    (
        step("dry-run", f"download {VARIANT} --dry-run"),
        step("dry-run-json", f"download {VARIANT} --dry-run --json"),
        live("download-json", f"download {VARIANT} --json"),
        step("again", f"download {VARIANT}"),
        live("again-json", f"download {VARIANT} --json"),
        step("again-quiet", f"download {VARIANT} -q"),
        step("list-installed", "list --installed"),
        step("verify", "verify"),
        step("verify-json", f"verify {VARIANT} --json"),
        step("verify-damaged", f"verify {VARIANT}", before=damage),
        step("verify-damaged-json", f"verify {VARIANT} --json"),
        step("repair", f"verify {VARIANT} --repair"),
        step("repair-json", f"verify {VARIANT} --repair --json", before=damage),
        step("verify-deleted", "verify", before=delete),
        step("list-deleted", "list --installed"),
        step("repair-deleted", "verify --repair"),
        step("remove-json", f"remove {VARIANT} --yes --json"),
        live("download", f"download {VARIANT}"),
        live("plain-folder", f"download {VARIANT} --models-dir models"),
        live("plain-folder-json", f"download {VARIANT} --models-dir models2 --json"),
        live("no-such-repository-json", "download nobody/nothing:Q4_K_M --json"),
        live("no-such-quantization", f"download {REPOSITORY}:Q4_K_M"),
        live("by-repository", f"download {REPOSITORY}:F16 --json --models-dir models3"),
        live("by-file", f"download {REPOSITORY}/{FILE_NAME} --dry-run --json"),
        live("no-such-file", f"download {REPOSITORY}/nothing.gguf --json"),
    ),
    hub="good",
)


def failing(hub: str, *runs: Run) -> Scenario:
    """A scenario in which a download fails."""
    name = hub.replace(" ", "-")
    return Scenario(
        f"failing-{name}",
        runs
        or (
            live("download", f"download {VARIANT}"),
            live("download-json", f"download {VARIANT} --json"),
            live("list-installed", "list --installed"),
            live("clean", "clean --yes"),
        ),
        hub=hub,
    )


FAILING = (
    failing("wrong digest"),
    failing("huge"),
    failing("gated"),
    failing("private"),
    failing("zip"),
    failing("log-in page"),
    failing("one reset", live("progress-json", f"download {VARIANT} --progress json")),
    failing(
        "gibberish",
        live("install", f"install {VARIANT} --yes --runtime embedded --no-progress"),
        live("smoke-json", f"smoke {VARIANT} --runtime embedded --json"),
    ),
)


def _another_downloads(place: Place) -> None:
    place.start("download", VARIANT)
    place.wait_for(".cache/**/*.partial")


BUSY = Scenario(
    "busy",
    (
        live("no-wait", f"download {VARIANT} --no-wait -q", before=_another_downloads),
        live("no-wait-json", f"download {VARIANT} --no-wait --json"),
        live("remove", f"remove {VARIANT} --yes"),
    ),
    hub="slow",
)


def _half_by_curl(place: Place) -> None:
    folder = place.home / "Downloads"
    folder.mkdir()
    path = folder / FILE_NAME
    path.write_bytes(model_bytes()[:1_200_000])
    an_hour_ago = time.time() - 3600  # what is fresh is watched for a while
    os.utime(path, (an_hour_ago, an_hour_ago))


def _whole_by_browser(place: Place) -> None:
    (place.home / "Downloads" / FILE_NAME).write_bytes(model_bytes())


RECOVER = Scenario(
    "recover",
    (
        step("dry-run", "recover --dry-run {home}/Downloads"),
        step("dry-run-json", "recover --dry-run --json {home}/Downloads"),
        step("needs-yes", "recover {home}/Downloads"),
        live("finish-json", "recover --yes --json {home}/Downloads"),
        live("list-installed", "list --installed"),
        live("remove", f"remove {VARIANT} --yes"),
        live("whole-dry-run", "recover --dry-run {home}/Downloads", before=_whole_by_browser),
        live("whole", "recover --yes {home}/Downloads"),
        live("again", "recover --yes {home}/Downloads"),
    ),
    hub="good",
    before=_half_by_curl,
)

REPORT = Scenario(
    "report",
    (
        live("report", "report e4b --output r.html"),
        live("report-json", "report e4b --output r.html --json --anonymous"),
        step("unwritable", "report e4b --output {home}/r.html/r.html"),
        step(
            "extra-missing",
            "report e4b --output x.html",
            environment=(("PYTHONPATH", "{home}/absent:{checkout}"),),
            before=partial(
                _written,
                "absent/vl_convert.py",
                "raise ModuleNotFoundError('no module', name='vl_convert')\n",
            ),
        ),
    ),
)

REHEARSAL = Scenario(
    "rehearsal",
    (live("rehearse", "rehearse --no-progress"), live("rehearse-json", "rehearse --json")),
)

SCENARIOS = (
    HELP,
    USAGE,
    PLANNING,
    OFFLINE,
    OFFLINE_MODE,
    INSTALL,
    DOWNLOAD,
    *FAILING,
    BUSY,
    RECOVER,
    REPORT,
    REHEARSAL,
)
