"""The README tells only what is there."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.program import program_in

ROOT = Path(__file__).resolve().parents[2]


def shell_lines(text: str) -> list[str]:
    """The commands in a Markdown text's shell blocks, without prompts and comments."""
    blocks = re.findall(r"^```(?:sh|bash|shell|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def commands(name: str) -> list[list[str]]:
    """The words after `name`, for each line of the README that runs it."""
    lines = shell_lines((ROOT / "README.md").read_text(encoding="utf-8"))
    split = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in split if words[:1] == [name]]


def test_every_make_command_of_the_readme_is_a_target() -> None:
    for words in commands("make"):
        done = subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_readme_runs_the_two_commands_that_a_newcomer_needs() -> None:
    assert [words for words in commands("make") if words in (["run"], ["test"])] == [["run"], ["test"]]


@pytest.mark.slow
def test_every_agent_command_of_the_readme_takes_the_options_it_is_shown_with(tmp_path: Path) -> None:
    agent = program_in(tmp_path)
    for words in commands("agent"):
        ran = agent(*_up_to_the_prompt(words), "--help")
        assert ran.code == 0, f"agent {shlex.join(words)}: {ran.err}"


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def _up_to_the_prompt(words: list[str]) -> list[str]:
    return words[: words.index("--")] if "--" in words else words
