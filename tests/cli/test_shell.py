"""The one wrapper: results, errors, exit codes, JSON, streams."""

import os
import pty
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from setup_manager.cli.group import SUMMARIES
from setup_manager.cli.shell import Shell
from setup_manager.cli.terminal import describe_terminal
from tests.cli.runner import Finished, Program


def test_help_names_every_command_and_begins_each_with_examples(program: Program) -> None:
    top = program("--help")
    assert top.code == 0
    for name in SUMMARIES:
        assert name in top.stdout
        page = program(name, "--help").stdout
        assert page.startswith(("Examples:\n  gemma-setup", "Examples:\n  eval"))


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_command_has_the_common_options(program: Program, name: str) -> None:
    page = program(name, "--help").stdout
    for option in ("--json", "--quiet", "--verbose", "--no-color", "--no-progress", "--no-input"):
        assert option in page


def test_h_is_help(program: Program) -> None:
    assert program("paths", "-h").stdout == program("paths", "--help").stdout


@pytest.mark.parametrize(
    "arguments", [("paths", "--bad"), ("nonsense",), ("download",), ("completion", "tcsh")]
)
def test_a_wrong_command_line_is_2_with_a_hint(
    program: Program, arguments: tuple[str, ...]
) -> None:
    finished = program(*arguments)
    assert finished.code == 2
    assert finished.stdout == ""
    assert finished.stderr.startswith("error:")
    assert "next:" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("arguments", [("paths", "--bad"), ("nonsense",), ("download",)])
def test_a_wrong_command_line_is_one_document_under_json(
    program: Program, arguments: tuple[str, ...]
) -> None:
    finished = program(*arguments, "--json")
    document = finished.document
    assert finished.stderr == ""
    assert document["schema"] == 1
    assert document["status"] == "error"
    assert document["exit_code"] == finished.code == 2
    assert document["errors"][0]["code"] == "usage"
    assert document["errors"][0]["hint"]


def test_a_misspelt_command_gets_a_suggestion(program: Program) -> None:
    assert "Did you mean 'install'?" in program("instal").stderr


def test_paths_say_what_decided_them(program: Program) -> None:
    data = program("paths", "--json", HF_HOME="/somewhere").document["data"]
    assert data["hub_cache"] == {"path": "/somewhere/hub", "decided_by": "HF_HOME"}
    named = program("paths", "--json", GEMMA_SETUP_MODELS_DIR="/models").document["data"]
    assert named["models"] == {"path": "/models", "decided_by": "GEMMA_SETUP_MODELS_DIR"}


def configured(home: Path, text: str) -> None:
    path = home / ".config" / "gemma-setup" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_flags_beat_environment_beats_configuration_file(program: Program, home: Path) -> None:
    configured(home, 'models-dir = "/from-file"\n')
    variable = "/from-environment"

    def models(finished: Finished) -> dict[str, str]:
        found: dict[str, str] = finished.document["data"]["models"]
        return found

    from_file = models(program("paths", "--json"))
    from_environment = models(program("paths", "--json", GEMMA_SETUP_MODELS_DIR=variable))
    flag = ("--models-dir", "/flag")
    from_flag = models(program("paths", "--json", *flag, GEMMA_SETUP_MODELS_DIR=variable))
    assert from_file == {"path": "/from-file", "decided_by": "configuration file"}
    assert from_environment["path"] == variable
    assert from_flag == {"path": "/flag", "decided_by": "--models-dir"}


@pytest.mark.parametrize("text", ["no toml", 'colour = "blue"', "\xff"])
def test_a_bad_configuration_file_is_2_and_named(program: Program, home: Path, text: str) -> None:
    configured(home, text)
    finished = program("paths", "--json")
    assert finished.code == 2
    assert finished.document["errors"][0]["code"] == "bad-configuration"
    assert "config.toml" in finished.document["errors"][0]["context"][0]


def test_a_token_is_printed_nowhere(program: Program) -> None:
    finished = program("paths", "--json", HF_TOKEN="hf_secretsecret", HF_HOME="/hf_secretsecret")
    assert "hf_secretsecret" not in finished.stdout
    assert "***" in finished.stdout


def test_a_pipe_that_closes_is_no_traceback(program: Program) -> None:
    process = subprocess.run(
        ["bash", "-c", '"$@" | head -c 1', "bash", *program.argv("completion", "bash")],
        env=program.environment,
        capture_output=True,
        text=True,
        cwd=program.home,
    )
    assert process.stderr == ""


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_a_locale_without_unicode_is_no_traceback(program: Program, locale: str) -> None:
    finished = program("list", LC_ALL=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert finished.code == 0
    assert finished.stdout.isascii()


def test_no_home_folder_is_no_traceback(program: Program) -> None:
    finished = program("paths", "--json", HOME="/does/not/exist")
    assert finished.code == 0


def in_a_terminal(program: Program, *arguments: str, **environment: str) -> str:
    """Run in a pseudo-terminal and return everything it shows."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        program.argv(*arguments),
        env={**program.environment, "TERM": "xterm", **environment},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=program.home,
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    process.wait()
    os.close(leader)
    return shown.decode()


def test_a_terminal_gets_colour_and_no_color_takes_it_away(program: Program) -> None:
    assert "\x1b[" in in_a_terminal(program, "paths")
    assert "\x1b[" not in in_a_terminal(program, "paths", NO_COLOR="1")
    assert "\x1b[" not in in_a_terminal(program, "paths", "--no-color")
    assert "\x1b[" not in in_a_terminal(program, "paths", TERM="dumb")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_130_at_once_with_one_document(program: Program, number: int) -> None:
    process = program.start("rehearse", "--json", "--progress", "json")
    assert process.stderr is not None
    process.stderr.readline()
    begin = time.monotonic()
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=20)
    assert time.monotonic() - begin < 5
    assert process.returncode == 130
    assert '"exit_code": 130' in stdout
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("called", "folder", "typed"),
    [
        ("checkout/.venv-run/bin/gemma-setup", "checkout", "./scripts/gemma-setup"),
        ("checkout/.venv-run/bin/gemma-setup", ".", "{base}/checkout/scripts/gemma-setup"),
        ("tools/bin/gemma-setup", ".", "{base}/tools/bin/gemma-setup"),
        ("checkout/setup_manager/__main__.py", ".", "gemma-setup"),
    ],
)
def test_commands_to_copy_call_the_program_as_it_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, folder: str, typed: str
) -> None:
    for name in ("checkout/scripts/gemma-setup", "checkout/.venv-run/bin/gemma-setup"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr("sys.argv", [str(tmp_path / called)])
    monkeypatch.chdir(tmp_path / folder)
    shell = Shell({"PATH": ""}, describe_terminal({}), threading.Event())
    assert shell.program == typed.format(base=tmp_path)
