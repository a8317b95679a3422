"""A person and a provider that fails: what they read, how they stop it, what the ledger holds of it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support import openai_server
from tests.support.loopback import LoopbackServer, Reply
from tests.support.program import AGENT, Program, program_in
from tests.support.speakers import KEY, MUTE, SPEAKERS, Speaker
from tests.support.terminal import Terminal
from tests.support.wires import OPENAI

pytestmark = pytest.mark.slow

STALL = 0.05
"""Seconds, doubled five times: the last attempt has more than a second and a half."""
BUSY = {"retry-after": "60"}

ANTHROPIC, CHAT, RESPONSES, OLLAMA = SPEAKERS
# Each wire's own part is told in tests/providers/test_misbehaving.py; here a program starts for each.
two_wires = pytest.mark.parametrize("wire", [ANTHROPIC, CHAT], ids=lambda wire: wire.name)


def person(
    folder: Path, wire: Speaker, server: LoopbackServer, stall_seconds: float | None = None
) -> Program:
    """A person whose configuration names the server."""
    agent = program_in(folder)
    name, path = wire.model.partition("/")[0], "/v1" if wire.name.startswith("openai") else ""
    lines = [f"[providers.{name}]", f'base_url = "{server.url}{path}"', f'api_key = "{KEY}"']
    lines += [f'wire = "{wire.name}"'] if name == "gateway" else []
    lines += [f"stall_seconds = {stall_seconds}"] if stall_seconds else []
    agent.home.mkdir()
    (agent.home / "config.toml").write_text("\n".join(lines) + "\n")
    return agent


def answers(*replies: Reply) -> LoopbackServer:
    """A server that gives these replies in order, the last one from then on."""
    left = list(replies)
    return LoopbackServer(lambda _: left.pop(0) if len(left) > 1 else left[0])


def chat(agent: Program, wire: Speaker) -> Terminal:
    environ = {**agent.environ, "LANG": "C.UTF-8"}
    return Terminal(AGENT, ["-m", wire.model], environ=environ, cwd=agent.project)


def ledger(agent: Program) -> list[tuple[Any, ...]]:
    return [(line["outcome"], line["estimated"]) for line in agent.lines("call")]


@pytest.mark.slow
@two_wires
def test_a_stall_that_never_ends_is_one_clear_line_and_every_attempt_is_booked(
    wire: Speaker, tmp_path: Path
) -> None:
    with answers(MUTE) as server:
        agent = person(tmp_path, wire, server, STALL)
        ran = agent.ask("hello", "-m", wire.model, "--usage-file", "usage.json")
        assert len({sent.body for sent in server.requests}) == 1
    name = wire.model.partition("/")[0]
    assert ran.code == 4
    assert ran.complaint.startswith(f"{name} sent nothing for 1.6 s, so the call was given up.")
    retried = [note for note in ran.notes if note.startswith("retrying in ")]
    for number, note in enumerate(retried):
        assert note.endswith(f"(silent for {STALL * 2**number:g} s), attempt {number + 2} of 6")
    assert len(retried) == 5
    assert ledger(agent) == [("Stalled", True)] * 6
    told = json.loads((agent.project / "usage.json").read_text())
    booked = sum(line["usage"]["input_tokens"] for line in agent.lines("call"))
    assert told["model_calls"] == 6
    assert told["usage"]["input_tokens"] == booked > 0


@pytest.mark.slow
def test_an_answer_that_always_stalls_in_its_middle_is_a_failed_turn(tmp_path: Path) -> None:
    wire = OLLAMA
    with answers(wire.reply(wire.begin(), wire.say("half"), hold=True)) as server:
        agent = person(tmp_path, wire, server, STALL)
        ran = agent.ask("hello", "-m", wire.model)
    assert ran.code == 1
    assert "in the middle of its answer" in ran.complaint
    assert ledger(agent) == [("Stalled", True)] * 6
    texts = [line["blocks"][0]["text"] for line in agent.lines("message") if line["role"] == "assistant"]
    assert texts == ["half"]


def test_ctrl_c_ends_the_wait_for_the_next_attempt(tmp_path: Path) -> None:
    wire = RESPONSES
    with answers(wire.refusal(429, "rate_limit_error", "slow down", BUSY)) as server:
        agent = person(tmp_path, wire, server)
        with agent.running("-p", "hello", "-m", wire.model, "--usage-file", "usage.json") as running:
            told = running.wait_for("retrying")
            ran = running.end(signal.SIGINT)
        assert len(server.requests) == 1
    assert (told["seconds"], told["reason"], told["attempt"], told["attempts"]) == (60.0, "429", 2, 6)
    assert not told["void"]
    assert ran.code == 130
    assert "note: retrying in 1m 00s (429), attempt 2 of 6" in ran.err
    assert ledger(agent) == [("RateLimited", False)]
    assert json.loads((agent.project / "usage.json").read_text())["model_calls"] == 1


@pytest.mark.terminal
@pytest.mark.parametrize("key", ["esc", "ctrl-c"])
def test_in_the_chat_a_key_ends_the_wait_and_the_chat_goes_on(key: str, tmp_path: Path) -> None:
    wire = ANTHROPIC
    busy = wire.refusal(529, "overloaded_error", "Overloaded", BUSY)
    fine = wire.reply(wire.begin(), wire.say("Here again."), wire.end(wire.done))
    with answers(busy, fine) as server:
        agent = person(tmp_path, wire, server)
        with chat(agent, wire) as terminal:
            terminal.wait_for("cache n/a")
            terminal.enter("go")
            terminal.wait_for("retrying in 1m 00s (529), attempt 2 of 6")
            terminal.press(key)
            terminal.wait_for("Stopped.")
            assert len(server.requests) == 1
            assert ledger(agent) == [("ServerFault", False)]
            terminal.enter("again")
            terminal.wait_for("Here again.", "checkpoint 2")
        assert len(server.requests) == 2
    assert ledger(agent) == [("ServerFault", False), ("ok", False)]


@pytest.mark.terminal
def test_in_the_chat_what_a_failed_attempt_said_is_marked_as_void(tmp_path: Path) -> None:
    wire = ANTHROPIC
    broken = wire.reply(wire.begin(), wire.say("It was the butler."))
    fine = wire.reply(wire.begin(), wire.say("It was the gardener."), wire.end(wire.done))
    with answers(broken, fine) as server:
        agent = person(tmp_path, wire, server)
        with chat(agent, wire) as terminal:
            terminal.wait_for("cache n/a")
            terminal.enter("who was it?")
            screen = terminal.wait_for("It was the gardener.", "checkpoint 1")
    lines = [line.strip() for line in screen.splitlines()]
    void = next(line for line in lines if "broke off" in line)
    assert void.startswith("retrying in ")
    assert void.endswith("(broke off), attempt 2 of 6; what came of this answer is void")
    assert lines.index("It was the butler.") < lines.index(void) < lines.index("It was the gardener.")
    assert ledger(agent) == [("StreamTruncated", True), ("ok", False)]


def test_a_request_refused_for_an_optional_field_is_no_call_of_its_own(tmp_path: Path) -> None:
    refused = openai_server.refusal(400, "Unknown parameter: 'stream_options'.")
    with OPENAI.serve([refused, "There."]) as server:
        agent = program_in(tmp_path, **OPENAI.environ(server.url))
        ran = agent.ask("hello", "-m", OPENAI.model)
        first, second = (sent.json for sent in server.requests)
    assert ran.json["result"] == "There."
    assert first.keys() - second.keys() == {"stream_options"}
    assert ledger(agent) == [("ok", False)]
    assert ran.json["usage"]["total_tokens"] == server.billed[0]["total_tokens"]


@two_wires
def test_each_attempt_is_a_line_of_the_ledger_with_what_it_cost(wire: Speaker, tmp_path: Path) -> None:
    busy = wire.refusal(529, "overloaded_error", "Overloaded", {"retry-after": "0"})
    under_200 = wire.reply(wire.error("overloaded_error", "Overloaded"))
    cut = wire.reply(wire.begin(), wire.say("half"), cut=True)
    fine = wire.reply(wire.begin(), wire.say("whole"), wire.end(wire.done))
    with answers(busy, under_200, cut, fine) as server:
        agent = person(tmp_path, wire, server)
        ran = agent.ask("hello", "-m", wire.model)
    assert (ran.code, ran.json["result"]) == (0, "whole")
    assert ledger(agent) == [
        ("ServerFault", False),
        ("ServerFault", False),
        ("StreamTruncated", True),
        ("ok", False),
    ]
    spent = [sum(line["usage"].get(bucket, 0) for bucket in TOKENS) for line in agent.lines("call")]
    assert spent[:2] == [0, 0]
    assert spent[3] == wire.usage.total_tokens
    assert ran.json["usage"]["total_tokens"] == sum(spent)


TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
