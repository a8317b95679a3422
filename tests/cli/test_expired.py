"""Before a turn that pays once more for what expired, one line says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_cache import aged
from tests.support.anthropic_server import AnthropicServer, text
from tests.support.program import AGENT, Program, program_in
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow

SONNET = "anthropic/claude-sonnet-4-5"
MUCH, LITTLE = "word " * 17_000, "word " * 9_000
HOURS = 7200.0


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer([(text("one"),), (text("two"),)]) as serving:
        yield serving


@pytest.fixture
def agent(tmp_path: Path, server: AnthropicServer) -> Program:
    return program_in(tmp_path, ANTHROPIC_API_KEY="sk-test-0123456789abcdef", ANTHROPIC_BASE_URL=server.url)


def resumed_after(agent: Program, prompt: str, seconds: float, *how: str) -> list[str]:
    """What is noted on stderr when the session goes on after so long."""
    agent.ask(prompt, "-m", SONNET)
    aged(agent.journal(), seconds)
    ran = agent("resume", agent.journal().stem, *how, "-p", "on")
    assert ran.code == 0, ran.err
    return [note for note in ran.notes if note.startswith("cache expired")]


def test_a_dear_turn_after_the_end_of_its_entry_is_told_before_it(agent: Program) -> None:
    (note,) = resumed_after(agent, MUCH, HOURS)
    written = agent.lines("call")[0]["usage"]["cache_write_tokens"]
    assert note.startswith(f"cache expired 1h ago: this turn re-reads {round(written / 1000)}k tokens ($0.")
    assert note.endswith(" more)")


def test_a_cheap_one_is_not(agent: Program) -> None:
    assert resumed_after(agent, LITTLE, HOURS) == []


def test_nor_one_whose_entry_is_alive(agent: Program) -> None:
    assert resumed_after(agent, MUCH, 60.0) == []


def test_a_fork_of_an_expired_session_is_as_dear_and_told_so(agent: Program) -> None:
    (note,) = resumed_after(agent, MUCH, HOURS, "--fork")
    assert note.startswith("cache expired 1h ago: this turn re-reads ")


@pytest.mark.terminal
def test_the_chat_names_the_ways_out_before_the_answer(agent: Program) -> None:
    agent.ask(MUCH, "-m", SONNET)
    aged(agent.journal(), HOURS)
    words = ["resume", agent.journal().stem]
    with Terminal(AGENT, words, environ=agent.environ, cwd=agent.project) as chat:
        chat.wait_for("Resumed", "cold")
        chat.enter("on")
        chat.wait_for("two")
        shown = chat.everything
    assert shown.index("cache expired") < shown.index("Esc stops it") < shown.index("two")
