"""Errors as a tired person reads them: each in the reference, with a way on, each exit code."""

import ast
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from setup_manager import errors
from setup_manager.cli.render.wrapping import wrapped
from setup_manager.net.faults import Action, Asked, Fault, Verdict
from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, model_path
from setup_manager.runtimes.failures import SIGNS, Cause, explain_end
from tests.cli.hub import catalog_file, environment_for
from tests.cli.runner import Program
from tests.support.faults import always, nth, reset_after, trickle
from tests.support.loopback import LoopbackHub
from tests.support.waiting import wait_until

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
    "Look", "Make", "Name", "Open", "Rename", "Create", "Correct",
    "Run", "See", "Set", "Take", "Try", "Unset", "Update", "Use",
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


def documented_codes() -> dict[str, int]:
    """The table of the reference: the exit code of each error code."""
    page = (ROOT / "docs/reference/errors.md").read_text("utf-8")
    rows = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 6 and cells[1].isdecimal():
            for code in re.findall(r"`([a-z0-9-]+)`", cells[3]):
                rows[code] = int(cells[1])
    return rows


def test_every_error_code_is_in_the_table_under_its_class() -> None:
    """A code that cannot be read off the source is one of those that are made of a part."""
    wrong, seen = [], {kind.default_code for kind in CLASSES.values()}
    for where, call, kind in raised():
        code = argument(call, "code")
        names = [kind.default_code] if code is None else texts(code)
        for name in names:
            known = {"no-projector", "no-drafter"} if name == "no-{}" else {name}
            if name == "{}":
                wrong.append(f"{where}: a code that nobody can read")
            wrong += [
                f"{where}: {one}"
                for one in known - {"{}"}
                if one not in errors.CODES or errors.CODES[one].error is not kind
            ]
            seen |= known
    seen |= {verdict_error(fault).code for fault in Fault}
    assert wrong == []
    assert seen == set(errors.CODES), "a code that nothing gives"


def test_the_reference_has_every_code() -> None:
    rows = documented_codes()
    assert {name: row.error.exit_code for name, row in errors.CODES.items()} == rows


@pytest.mark.parametrize("code", errors.CODES)
def test_every_code_says_what_is_wrong_and_what_to_do(code: str) -> None:
    row = errors.CODES[code]
    assert row.meaning.endswith(".")
    assert _NAMES_SOMETHING.search(row.remedy) or row.remedy.endswith(".")


ASKED = Asked("https://hub.test", "HF_ENDPOINT", "org/repo", "main", "model.gguf", has_token=True)


def verdict_error(fault: Fault, asked: Asked = ASKED) -> errors.SetupError:
    return Verdict(Action.DROP, "a reason", fault, 55.0, "HTTPS_PROXY").error(asked)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("asked", [ASKED, Asked("https://hub.test")], ids=["all", "least"])
def test_every_fault_has_its_code_and_a_way_on(fault: Fault, asked: Asked) -> None:
    error = verdict_error(fault, asked)
    assert type(error) is errors.CODES[error.code].error
    assert error.hint.split()[0] in (*_VERBS, "Open") or _NAMES_SOMETHING.search(error.hint)
    assert "https://hub.test: a reason" in error.context
    assert "{" not in error.message + error.hint


@pytest.mark.parametrize("last_words", ["", *(sign.words for sign in SIGNS)])
def test_every_death_of_an_engine_has_a_way_on(last_words: str) -> None:
    said = last_words.split("|", maxsplit=1)[0].replace("(invalid", "invalid arguments: -")
    said = said.replace(r"^cannot run \S+: ", "cannot run x: ").replace("(model )?", "")
    failure = explain_end("llama.cpp", "Update it.", 1, said)
    assert (failure.cause is Cause.OTHER) == (not last_words)
    assert failure.hint.split()[0] in _VERBS


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


def test_install_on_a_disk_that_is_too_small_is_10(at_hub: Program, small_disk: Path) -> None:
    finished = at_hub(
        "install", VARIANT, "--yes", "--json", "--runtime", "embedded",
        "--models-dir", str(small_disk),
    )  # fmt: skip
    assert finished.code == 10
    assert "--models-dir" in finished.document["errors"][0]["hint"]


def test_a_full_disk_under_the_state_folder_is_10(at_hub: Program, small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(1024 * 1024))
    finished = at_hub("download", VARIANT, "--json", GEMMA_SETUP_HOME=str(small_disk))
    error = finished.document["errors"][0]
    assert (finished.code, error["code"]) == (10, "insufficient-disk")
    assert str(small_disk) in " ".join(error["context"])


@pytest.fixture
def little_memory(tmp_path: Path) -> Iterator[list[str]]:
    """A command line that puts what follows it under a real limit of 220 MiB."""
    group = Path("/sys/fs/cgroup/memory") / f"gemma-setup-{os.getpid()}-{tmp_path.name[-12:]}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(220 * 1024 * 1024))
    except OSError:
        pytest.skip("needs a memory controller of version 1 that may be written")
    try:
        yield ["bash", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "limited"]
    finally:
        group.rmdir()


def test_a_container_without_enough_memory_is_11_before_the_first_byte(
    program: Program, start_hub: StartHub, tmp_path: Path, little_memory: list[str]
) -> None:
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}})
    at_hub = with_hub(program, hub, tmp_path)
    finished = run(at_hub, *little_memory, *at_hub.argv("install", VARIANT, "--yes", "--json"))
    assert finished.returncode == 11
    error = json.loads(finished.stdout)["errors"][0]
    assert error["code"] == "insufficient-memory"
    assert "cgroup" in " ".join(error["context"])
    assert error["hint"]
    assert hub.served_bytes == 0


def run(program: Program, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run any command line in the program's surroundings."""
    return subprocess.run(
        argv,
        env={**program.environment, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=program.home,
    )


def test_check_on_a_machine_that_cannot_is_1_and_joins_the_advice_to_sentences(
    at_hub: Program, tmp_path: Path
) -> None:
    document = at_hub("check", "--json").document
    document["data"]["machine"]["memory"]["available_bytes"] = 50 * 1024 * 1024
    machine = tmp_path / "machine.json"
    machine.write_text(json.dumps(document))
    finished = at_hub("check", VARIANT, "--machine", str(machine), "--json")
    error = finished.document["errors"][0]
    assert (finished.code, error["code"]) == (1, "check-failed")
    assert re.fullmatch(r"[A-Z].*\.", error["hint"])
    assert re.search(r"\w [A-Z][a-z]+ ", error["hint"]) is None, "two sentences, no full stop"


@pytest.mark.real_runtime
def test_a_preset_file_that_cannot_be_read_is_16(at_hub: Program) -> None:
    data = at_hub("paths", "--json").document["data"]["data"]["path"]
    path = Path(data) / "llama.cpp" / "presets.ini"
    path.mkdir(parents=True)
    at_hub("download", VARIANT, "--json")
    finished = at_hub("register", VARIANT, "--json", "--runtime", "llama.cpp")
    if finished.code == 15:
        pytest.skip("needs llama-server on PATH")
    error = finished.document["errors"][0]
    assert (finished.code, error["code"]) == (16, "registration-failed")
    assert str(path) in " ".join(error["context"])


@pytest.mark.parametrize("command", ["paths", "list", "check", "recommend", "explain"])
def test_without_the_variable_home_the_systems_own_is_used(program: Program, command: str) -> None:
    environment = {k: v for k, v in program.environment.items() if k != "HOME"}
    model = ["e4b"] if command == "explain" else []
    finished = run(Program(program.home, environment), *program.argv(command, *model, "--json"))
    assert json.loads(finished.stdout)["command"] == command
    assert finished.returncode in {0, 1}
    assert finished.stderr == ""


@pytest.mark.parametrize("year", ["1970-01-02", "2035-06-01"])
def test_a_wrong_clock_changes_nothing(at_hub: Program, year: str) -> None:
    clock = shutil.which("faketime")
    if clock is None:
        pytest.skip("needs faketime")
    for arguments in (("download", VARIANT), ("verify",), ("list", "--installed"), ("check",)):
        argv = at_hub.argv(*arguments, "--json")
        finished = run(at_hub, clock, "-f", f"@{year} 00:00:00", *argv)
        assert (finished.returncode, finished.stderr) == (0, ""), finished.stdout
    assert at_hub("list", "--installed", "--json").document["data"]["installed"]


@pytest.mark.parametrize("locale", ["C", "en_US.ISO-8859-1"])
def test_errors_are_readable_in_a_locale_without_unicode(at_hub: Program, locale: str) -> None:
    plain = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    finished = Program(at_hub.home, {**at_hub.environment, **plain})("install", "e5b–ü", "--yes")
    assert finished.code == 2
    assert finished.stderr.isascii()
    assert "next:" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("environment", "code", "error_code"),
    [
        ({"HF_TOKEN": "hf_with a\nline"}, 14, "bad-token"),
        ({"HF_HUB_OFFLINE": "1"}, 12, "offline"),
        ({"HF_ENDPOINT": "ftp:/nowhere"}, 2, "bad-endpoint"),
        ({"HTTP_PROXY": "nonsense://x", "NO_PROXY": "", "no_proxy": ""}, 12, "proxy"),
        ({"HTTP_PROXY": "http://host:99999", "NO_PROXY": "", "no_proxy": ""}, 12, "proxy"),
    ],
)
def test_junk_in_the_environment_is_named(
    at_hub: Program, environment: dict[str, str], code: int, error_code: str
) -> None:
    surrounded = Program(at_hub.home, {**at_hub.environment, **environment})
    finished = surrounded("download", VARIANT, "--json")
    error = finished.document["errors"][0]
    assert (finished.code, error["code"]) == (code, error_code)
    (name, *_) = environment
    assert name.removeprefix("HTTP_") in error["hint"]


def test_a_runtime_that_is_not_here_says_how_to_get_it_and_no_empty_line(
    at_hub: Program,
) -> None:
    finished = at_hub("install", VARIANT, "--yes", "--json", "--runtime", "ollama")
    error = finished.document["errors"][0]
    assert (finished.code, error["code"]) == (15, "runtime-missing")
    assert all(error["context"])
    assert "https://ollama.com/download" in error["hint"]


def test_a_terminal_whose_window_is_closed_ends_in_130(
    program: Program, start_hub: StartHub, tmp_path: Path
) -> None:
    import pty

    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}}, faults=[always(trickle(400_000))])
    at_hub = with_hub(program, hub, tmp_path)
    child, window = pty.fork()
    if child == 0:
        argv = at_hub.argv("download", VARIANT)
        os.execve(argv[0], argv, {**at_hub.environment, "TERM": "xterm"})
    shown = b""
    while b"to download" not in shown:
        shown += os.read(window, 4096)
    wait_until(lambda: hub.served_bytes > 250_000, what="some of it has come")
    os.close(window)  # the kernel sends SIGHUP; whatever is written from now on fails with EIO
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    hub.faults = ()
    again = at_hub("download", VARIANT, "--json")
    assert again.document["data"]["reused_bytes"] > 0


@pytest.mark.parametrize("arguments", ["list", "list --json", "check", "install nonsense --json"])
def test_a_full_disk_behind_stdout_is_said_and_no_traceback(
    program: Program, arguments: str
) -> None:
    line = f"{' '.join(program.argv())} {arguments} > /dev/full"
    finished = run(program, "bash", "-c", line)
    assert finished.returncode == (2 if "nonsense" in arguments else 1)
    assert "No space left" in finished.stderr
    assert "next:" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert "Exception ignored" not in finished.stderr


def test_help_on_a_full_disk_is_no_traceback(program: Program) -> None:
    finished = run(program, "bash", "-c", f"{' '.join(program.argv())} --help > /dev/full")
    assert finished.returncode == 1
    assert "Traceback" not in finished.stderr
