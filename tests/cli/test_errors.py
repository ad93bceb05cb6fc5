"""Errors as a tired person reads them: each in the README, each with a way on, each exit code."""

import ast
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from setup_manager import errors
from setup_manager.cli.result import wrapped
from setup_manager.rehearsal.faults import always, nth, reset_after, trickle
from setup_manager.rehearsal.loopback import LoopbackHub
from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, model_path
from tests.cli.hub import catalog_file, environment_for
from tests.cli.runner import Program

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "setup_manager").rglob("*.py"))
CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.SetupError)
}
StartHub = Callable[..., LoopbackHub]

# A hint that names a command, an option, a variable or begins with a verb in the imperative.
_NAMES_SOMETHING = re.compile(r"`[^`]+`|--[a-z]|\b[A-Z]{2,}_[A-Z]+\b|https?://|\{")
_VERBS = (
    "Accept", "Add", "Ask", "Check", "Choose", "Close", "Free", "Give", "Leave", "Let", "Log",
    "Look", "Make", "Mend", "Name", "Run", "See", "Set", "Take", "Try", "Unset", "Update", "Use",
    "Wait", "Write", "Install", "Start",
)  # fmt: skip


def raised() -> Iterator[tuple[str, ast.Call, type[errors.SetupError]]]:
    """Every place that makes an error: where, the call, the class."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in CLASSES and path.name != "errors.py":
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    yield where, node, CLASSES[name]


def argument(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def texts(value: ast.expr) -> list[str]:
    """The texts that an expression can be, as far as they stand in it; `{}` for a variable part."""
    if isinstance(value, ast.Constant):
        return [str(value.value)]
    if isinstance(value, ast.JoinedStr):
        parts = [str(v.value) if isinstance(v, ast.Constant) else "{}" for v in value.values]
        return ["".join(parts)]
    if isinstance(value, ast.IfExp):
        return texts(value.body) + texts(value.orelse)
    if isinstance(value, ast.BinOp):
        return [a + b for a in texts(value.left) for b in texts(value.right)]
    if isinstance(value, ast.BoolOp):
        return [text for part in value.values for text in texts(part)]
    return ["{}"]


@pytest.mark.parametrize(("where", "call"), [(w, c) for w, c, _ in raised()])
def test_every_error_has_a_hint_that_names_a_command_or_an_action(
    where: str, call: ast.Call
) -> None:
    hint = argument(call, "hint")
    assert hint is not None, where
    for text in texts(hint):
        assert text, where
        starts_with_a_verb = text.split()[0].rstrip(",") in _VERBS
        assert starts_with_a_verb or _NAMES_SOMETHING.search(text), f"{where}: {text}"


def test_every_error_code_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.partition("## Errors and exit codes")[2].partition("\n## ")[0]
    rows = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 4 and cells[1].isdecimal():
            for code in re.findall(r"`([a-z0-9-]+)`", cells[3]):
                rows[code] = int(cells[1])
    missing = []
    for where, call, kind in raised():
        code = argument(call, "code")
        names = [kind.default_code] if code is None else texts(code)
        for name in names:
            alternatives = [name] if "{}" not in name else ["no-projector", "no-drafter"]
            missing += [
                f"{where}: {one}"
                for one in alternatives
                if name != "{}" and rows.get(one) != kind.exit_code
            ]
    assert missing == []


def test_the_exit_codes_are_those_of_the_contract() -> None:
    codes = {kind.default_code: kind.exit_code for kind in CLASSES.values()}
    assert codes == {
        "failed": 1, "usage": 2, "insufficient-disk": 10, "insufficient-memory": 11,
        "download-failed": 12, "verification-failed": 13, "access-denied": 14,
        "runtime-missing": 15, "registration-failed": 16, "smoke-failed": 17, "busy": 18,
        "interrupted": 130,
    }  # fmt: skip


def test_long_errors_are_wrapped_and_commands_are_not_broken() -> None:
    text = "next: Run `gemma-setup download e4b --models-dir /a/very/long/path/to/models` " * 2
    lines = wrapped(text.strip(), 80)
    assert all(len(line) <= 80 or "`" in line for line in lines)
    assert sum(line.count("`gemma-setup download e4b --models-dir") for line in lines) == 2


@pytest.fixture
def at_hub(program: Program, start_hub: StartHub, tmp_path: Path) -> Program:
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}})
    return with_hub(program, hub, tmp_path)


def with_hub(program: Program, hub: LoopbackHub, folder: Path) -> Program:
    environment = environment_for(hub, catalog_file(folder, hub))
    return Program(program.home, {**program.environment, **environment})


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of one megabyte; mounted read-only with the parameter ``ro``."""
    folder = tmp_path / "small"
    folder.mkdir()
    options = f"size=1m,{getattr(request, 'param', 'rw')}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_too_small_is_10_before_the_first_byte(
    program: Program, start_hub: StartHub, tmp_path: Path, small_disk: Path
) -> None:
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}})
    finished = with_hub(program, hub, tmp_path)(
        "download", VARIANT, "--json", "--models-dir", str(small_disk)
    )
    assert finished.code == 10
    error = finished.document["errors"][0]
    assert error["code"] == "insufficient-disk"
    assert "free" in " ".join(error["context"])
    assert hub.served_bytes == 0


def test_a_second_process_at_the_same_file_is_18_or_waits(
    program: Program, start_hub: StartHub, tmp_path: Path
) -> None:
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}}, faults=[always(trickle(500_000))])
    at_hub = with_hub(program, hub, tmp_path)
    first = at_hub.start("download", VARIANT, "--progress", "json")
    assert first.stderr is not None
    for line in first.stderr:
        if json.loads(line).get("bytes", 0) > 50_000:
            break
    busy = at_hub("download", VARIANT, "--no-wait", "--json")
    waiting = at_hub("download", VARIANT, "--json")
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert busy.code == 18
    assert busy.document["errors"][0]["hint"]
    assert waiting.code == 0
    assert waiting.document["data"]["fetched_bytes"] == 0


SECRET = "hf_abcdefghijklmnopqrstuvwxyz012345"


@pytest.mark.real_runtime
def test_the_token_is_in_no_output_and_no_file(
    program: Program, start_hub: StartHub, tmp_path: Path
) -> None:
    faults = [nth(1, reset_after(100_000)), nth(2, reset_after(100_000))]
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}}, faults=faults)
    at_hub = with_hub(program, hub, tmp_path)
    for arguments in (
        ("install", VARIANT, "--yes", "--runtime", "embedded", "--verbose"),
        ("download", "nobody/nothing:Q4_K_M", "--json"),
        ("check", "--json"),
    ):
        finished = at_hub(*arguments, HF_TOKEN=SECRET)
        assert SECRET not in finished.stdout + finished.stderr
    files = [path for path in at_hub.home.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    told = [e for e in hub.requests if SECRET in str(dict(e.request.headers))]
    assert told
    assert {exchange.request.kind.value for exchange in told} <= {"api", "resolve", "other"}


@pytest.mark.parametrize("small_disk", ["ro"], indirect=True)
def test_a_home_that_cannot_be_written_is_no_traceback(at_hub: Program, small_disk: Path) -> None:
    home = str(small_disk)
    finished = at_hub("download", VARIANT, "--json", HOME=home)
    assert finished.code in {1, 10, 12}
    assert finished.document["errors"][0]["hint"]
    for command in (("list", "--installed"), ("paths",), ("recommend",), ("check",)):
        assert at_hub(*command, "--json", HOME=home).code in {0, 1}


def test_a_terminal_that_vanishes_is_130_and_keeps_what_came(
    program: Program, start_hub: StartHub, tmp_path: Path
) -> None:
    import signal

    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}}, faults=[always(trickle(400_000))])
    at_hub = with_hub(program, hub, tmp_path)
    process = at_hub.start("download", VARIANT, "--progress", "json")
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line).get("bytes", 0) > 100_000:
            break
    os.kill(process.pid, signal.SIGHUP)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    hub.faults = ()
    assert at_hub("download", VARIANT, "--json").document["data"]["reused_bytes"] > 0


@pytest.mark.parametrize("command", ["list", "explain e4b", "recommend -v", "completion zsh"])
def test_a_pipe_that_closes_early_is_quiet(program: Program, command: str) -> None:
    line = f"{' '.join(program.argv())} {command} | head -n 1"
    finished = subprocess.run(
        ["bash", "-c", line], env=program.environment, capture_output=True, text=True
    )
    assert finished.stderr == ""
    assert finished.stdout
