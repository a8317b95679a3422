"""Effort and another model on the whole program: what is sent, what is told, what stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.anthropic_server import AnthropicServer, text, thinking
from tests.support.program import AGENT, Program, program_in
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow

SONNET = "anthropic/claude-sonnet-5-5"


@pytest.fixture
def agent(tmp_path: Path) -> Program:
    return program_in(tmp_path, ANTHROPIC_API_KEY="sk-test-0123456789abcdef")


def says(*words: str) -> list[Any]:
    return [(thinking(f"Hm {word}"), text(word)) for word in words]


def efforts(server: AnthropicServer) -> list[str | None]:
    return [request.json.get("output_config", {}).get("effort") for request in server.requests]


def test_a_word_that_is_no_effort_is_refused_with_the_list_of_those_there_are(agent: Program) -> None:
    ran = agent("-p", "hi", "-m", SONNET, "--effort", "enormous")
    assert ran.code == 2
    assert "'none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'" in ran.complaint


def test_the_configurations_effort_is_checked_too(agent: Program) -> None:
    agent.home.mkdir()
    (agent.home / "config.toml").write_text('effort = "enormous"\n')
    ran = agent("-p", "hi", "-m", SONNET)
    assert ran.code == 2
    assert "effort: want one of default, none, minimal, low" in ran.complaint


def test_effort_on_the_command_line_wins_over_the_configurations(agent: Program) -> None:
    agent.home.mkdir()
    (agent.home / "config.toml").write_text('effort = "low"\n')
    with AnthropicServer(says("one", "two", "three")) as server:
        where = {"ANTHROPIC_BASE_URL": server.url}
        agent.ask("hi", "-m", SONNET, **where)
        agent.ask("hi", "-m", SONNET, "--effort", "max", **where)
        agent.ask("hi", "-m", SONNET, "--effort", "default", **where)
        assert efforts(server) == ["low", "max", None]


def test_a_resumed_session_keeps_its_effort_whatever_the_configuration_says_now(agent: Program) -> None:
    with AnthropicServer(says("one", "two")) as server:
        where = {"ANTHROPIC_BASE_URL": server.url}
        agent.ask("hi", "-m", SONNET, "--effort", "low", **where)
        (agent.home / "config.toml").write_text('effort = "max"\n')
        ran = agent("resume", "--last", "-p", "more", **where)
        assert efforts(server) == ["low", "low"]
        assert ran.notes == []
        assert server.billed[1]["cache_read_input_tokens"] > 0


def test_another_effort_on_resume_is_a_switch_that_says_what_it_costs(agent: Program) -> None:
    with AnthropicServer(says("one", "two")) as server:
        where = {"ANTHROPIC_BASE_URL": server.url}
        agent.ask("hi", "-m", SONNET, "--effort", "low", **where)
        ran = agent("resume", "--last", "-p", "more", "--effort", "high", **where)
        assert efforts(server) == ["low", "high"]
    assert ran.code == 0
    note, miss = ran.notes
    assert miss.startswith("cache miss: ")
    assert note.startswith(f"{SONNET} with effort high has nothing of this conversation in its cache: its ")
    assert "tokens anew ($0.0" in note
    assert [line["parameters"]["effort"] for line in agent.lines("prefix")] == ["low", "high"]


def test_another_model_on_resume_says_what_it_costs(agent: Program) -> None:
    with AnthropicServer(says("one", "two")) as server:
        where = {"ANTHROPIC_BASE_URL": server.url}
        agent.ask("hi", "-m", SONNET, **where)
        ran = agent("resume", "--last", "-p", "more", "-m", "anthropic/claude-opus-5-5", **where)
    note, miss = ran.notes
    assert "model changed" in miss
    assert note.startswith("anthropic/claude-opus-5-5 has nothing of this conversation in its cache")
    assert ran.out == "two\n"


def test_back_to_a_model_that_is_still_warm_says_what_it_still_has(agent: Program) -> None:
    with AnthropicServer(says("one", "two", "three")) as server:
        where = {"ANTHROPIC_BASE_URL": server.url}
        agent.ask("hi", "-m", SONNET, **where)
        agent("resume", "--last", "-p", "more", "-m", "anthropic/claude-opus-5-5", **where)
        ran = agent("resume", "--last", "-p", "more", "-m", SONNET, **where)
    (note,) = ran.notes
    assert note.startswith(f"{SONNET} still has ")
    assert "tokens of this conversation in its cache: its next call reads " in note


@pytest.mark.terminal
def test_the_chat_shows_thinking_and_changes_the_effort_once_the_person_agrees(agent: Program) -> None:
    with AnthropicServer(says("one", "two")) as server:
        environ = {**agent.environ, "ANTHROPIC_BASE_URL": server.url, "LANG": "C.UTF-8"}
        with Terminal(AGENT, ["-m", SONNET], environ=environ, cwd=agent.project) as terminal:
            terminal.wait_for("cache n/a")
            terminal.enter("/effort")
            terminal.wait_for("Effort: default. Change it with /effort default|none|minimal|low")
            terminal.enter("/effort enormous")
            terminal.wait_for("No effort 'enormous'. There are: default, none, minimal")
            terminal.enter("/effort low")
            terminal.wait_for("Effort: low", "effort low")  # nothing was sent yet: nothing to ask
            terminal.enter("hello")
            terminal.wait_for("thought: Hm one", "checkpoint 1")
            terminal.enter("/effort max")
            terminal.wait_for("with effort max has nothing of this conversation", "Change it?", "n no")
            terminal.type("n")
            terminal.wait_gone("Change it?")
            assert "effort low" in terminal.footer
            terminal.enter("/effort max")
            terminal.wait_for("Change it?")
            terminal.type("y")
            terminal.wait_for("Effort: max", "effort max")
            terminal.enter("/model")
            terminal.wait_for(f"{SONNET}, effort max. Switch with")
            terminal.enter("again")
            terminal.wait_for("thought: Hm two", "checkpoint 2")
        assert efforts(server) == ["low", "max"]


def test_help_names_every_effort(agent: Program) -> None:
    ran = agent("--help")
    assert "xhigh" in ran.out


def test_the_json_of_config_has_the_effort(agent: Program) -> None:
    agent.home.mkdir()
    (agent.home / "config.toml").write_text('effort = "low"\n')
    assert json.loads(agent("config", "--json").out)["effort"] == "low"
