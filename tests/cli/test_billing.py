"""What the servers billed is what every face says, in the process that spent it and in those after it."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.loopback import Recorded
from tests.support.program import Program, Ran, program_in
from tests.support.wires import ANTHROPIC, BUCKETS, KEY, OLLAMA, OPENAI, RESPONSES, WIRES, Bill, Sent, Wire

pytestmark = pytest.mark.slow

PLAYED = [
    pytest.param(wire, id=wire.name, marks=() if wire in (ANTHROPIC, OPENAI) else pytest.mark.slow)
    for wire in WIRES
]
on_every_wire = pytest.mark.parametrize("wire", PLAYED)


@contextmanager
def served(folder: Path, wire: Wire, *answers: Any) -> Iterator[tuple[Program, Any]]:
    """A program whose environment names a server that gives the answers."""
    with wire.serve(list(answers)) as server:
        program = program_in(folder, **wire.environ(server.url))
        if wire.config:
            program.home.mkdir()
            program.home.joinpath("config.toml").write_text(wire.config)
        yield program, server


def said(ran: Ran) -> Bill:
    """The buckets of a run's JSON result."""
    return buckets(ran.json["usage"])


def buckets(usage: Any) -> Bill:
    return Counter({bucket: usage[bucket] for bucket in BUCKETS})


def kept(checkpoint: Any) -> Bill:
    """The buckets of a checkpoint."""
    return Counter(
        {bucket: checkpoint["token_snapshot"][bucket.removesuffix("_tokens")] for bucket in BUCKETS}
    )


def total(bills: list[Bill]) -> Bill:
    return Counter({bucket: sum(bill[bucket] for bill in bills) for bucket in BUCKETS})


# --- two processes, one session ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Story:
    """A session that two processes made: each played a tool step and then an answer."""

    agent: Program
    first: Ran
    checkpoint_between: Any
    second: Ran
    requests: list[Recorded]
    usages: list[Any]
    """What the server billed, as it wrote it."""
    billed: list[Bill]


def tell(folder: Path, wire: Wire) -> Story:
    answers = (
        wire.use("write", {"path": "a.txt", "content": "ä\n"}),
        wire.say("Written."),
        wire.use("read", {"path": "a.txt"}),
        wire.say("It says ä."),
    )
    with served(folder, wire, *answers) as (agent, server):
        agent.project.joinpath(".git").mkdir()
        agent.project.joinpath(".git/HEAD").write_text("ref: refs/heads/unlikely-branch\n")
        first = replace(agent, cold=True).ask("Write ä to a.txt", "-m", wire.model)
        between = agent.checkpoint()
        second = agent.ask("What does it say?", "-c")
        return Story(agent, first, between, second, server.prompts, server.billed, wire.billed(server))


@pytest.fixture(scope="module", params=PLAYED)
def wire(request: pytest.FixtureRequest) -> Wire:
    found: Wire = request.param
    return found


@pytest.fixture(scope="module")
def story(wire: Wire, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Told once in a test run, by the first of its workers that asks: one of its programs starts cold."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (base / f"{wire.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = base / f"{wire.name}.story"
        if not kept.exists():
            folder = base / wire.name
            folder.mkdir()
            kept.write_bytes(pickle.dumps(tell(folder, wire)))
        story: Story = pickle.loads(kept.read_bytes())
        return story


def test_both_processes_did_what_was_asked(story: Story) -> None:
    assert (story.first.code, story.first.err) == (0, "")
    assert (story.second.code, story.second.err) == (0, "")
    assert story.first.json["result"] == "Written."
    assert story.second.json["result"] == "It says ä."
    assert story.second.json["session_id"] == story.first.json["session_id"]
    assert (story.agent.project / "a.txt").read_text() == "ä\n"


def test_each_run_says_what_the_server_billed_for_it(story: Story) -> None:
    bills = story.billed
    assert said(story.first) == total(bills[:2])
    assert said(story.second) == total(bills[2:])


def test_the_cache_was_read_so_that_these_sums_mean_something(story: Story, wire: Wire) -> None:
    second = said(story.second)
    assert second["cache_read_tokens"] > second["input_tokens"]
    assert story.second.json["usage"]["cache_reported"] is True
    if wire is not OLLAMA:  # its wire has no word for writes
        assert second["cache_write_tokens"] > 0


def test_the_checkpoints_hold_what_was_billed_to_date(story: Story) -> None:
    bills = story.billed
    assert kept(story.checkpoint_between) == total(bills[:2])
    assert kept(story.agent.checkpoint()) == total(bills)


def test_statistics_say_what_the_server_billed(story: Story) -> None:
    billed = total(story.billed)
    told = story.agent("stats", "--json").json
    assert buckets(told["total"]) == billed
    (row,) = told["rows"]
    assert row["key"] == story.first.json["session_id"]
    assert (row["calls"], buckets(row)) == (4, billed)
    read, prompt = billed["cache_read_tokens"], sum(billed.values()) - billed["output_tokens"]
    assert row["cache_hit_rate"] == pytest.approx(read / prompt)


def test_the_cost_of_the_runs_is_the_cost_in_the_statistics(story: Story, wire: Wire) -> None:
    spent = story.first.json["cost_usd"] + story.second.json["cost_usd"]
    assert story.agent("stats", "--json").json["total"]["cost_usd"] == pytest.approx(spent)
    assert (spent > 0) == (wire is not OLLAMA)


def test_the_session_shows_what_was_billed(story: Story) -> None:
    shown = story.agent("sessions", "show", story.first.json["session_id"], "--json").json
    assert buckets(shown["usage"]) == total(story.billed)


def test_the_audit_agrees_with_every_line(story: Story) -> None:
    ran = story.agent("stats", "--verify", "--json")
    assert ran.code == 0
    assert (ran.json["calls"], ran.json["disagreements"], ran.json["unchecked"]) == (4, [], [])


def test_the_raw_usage_is_kept_as_the_server_sent_it(story: Story) -> None:
    for line, usage in zip(story.agent.lines("call"), story.usages, strict=True):
        assert usage.items() <= line["raw_usage"].items()


def test_every_request_begins_with_the_bytes_of_the_one_before_it(story: Story) -> None:
    sent = [Sent.of(request) for request in story.requests]
    assert len(sent) == 4
    for earlier, later in pairwise(sent):
        assert later.goes_on_from(earlier)


def test_the_system_prompt_tells_of_no_place_day_or_branch(story: Story) -> None:
    body = story.requests[0].json
    key = "input" if "input" in body else "messages"
    messages = [message for message in body[key] if message["role"] != "system"]
    frozen = json.dumps({**body, key: [message for message in body[key] if message not in messages]})
    for volatile in (str(story.agent.project), str(story.agent.home), "unlikely-branch"):
        assert volatile not in frozen
    assert not re.search(r"20\d\d-\d\d-\d\d", frozen)
    assert "unlikely-branch" in json.dumps(messages[0])


def test_openai_is_given_one_cache_key_by_both_processes_which_says_nothing_of_the_session(
    story: Story, wire: Wire
) -> None:
    if wire not in (OPENAI, RESPONSES):
        pytest.skip("OpenAI's own")
    [key] = {request.json["prompt_cache_key"] for request in story.requests}
    assert re.fullmatch(r"[0-9a-f]{32}", key)


def test_anthropics_breakpoints_stand_at_the_static_end_and_where_calls_ended(
    story: Story, wire: Wire
) -> None:
    if wire is not ANTHROPIC:
        pytest.skip("Anthropic's own")
    ends = []
    for request in story.requests:
        body = request.json
        blocks = [*body["tools"], *body["system"]]
        static = len(blocks) - 1
        blocks += [block for message in body["messages"] for block in message["content"]]
        marks = [place for place, block in enumerate(blocks) if "cache_control" in block]
        assert {static, *ends[-1:], len(blocks) - 1} <= {*marks}
        assert len(marks) <= 4
        assert ends or static + 1 in marks, "before the first prompt, for other sessions and sub-agents"
        ends.append(len(blocks) - 1)


# --- what failed is booked too -----------------------------------------------------------------------------


@on_every_wire
def test_the_usage_file_is_written_when_the_server_only_fails(tmp_path: Path, wire: Wire) -> None:
    answers = [wire.refuse(500, "broken") for _ in range(6)]
    with served(tmp_path, wire, *answers) as (agent, server):
        ran = agent.ask("hello", "-m", wire.model, "--usage-file", "usage.json")
    assert ran.code == 4
    assert "500: broken" in ran.complaint
    assert len(server.prompts) == 6
    told = json.loads((agent.project / "usage.json").read_text())
    assert told["is_error"] is True
    assert told["session_id"] == agent.journal().stem
    assert (told["model_calls"], told["usage"]["total_tokens"]) == (6, 0)
    assert [line["outcome"] for line in agent.lines("call")] == ["ServerFault"] * 6


SOURCES = {
    "anthropic": "ANTHROPIC_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openai-responses": "OPENAI_API_KEY",
    "ollama": "[providers.ollama] api_key",
}
"""Where a person finds the key that was refused."""


@on_every_wire
def test_the_usage_file_is_written_when_the_key_is_refused(tmp_path: Path, wire: Wire) -> None:
    with served(tmp_path, wire, wire.refuse(401, f"invalid key {KEY}")) as (agent, server):
        ran = agent.ask("hello", "-m", wire.model, "--usage-file", "usage.json")
    assert ran.code == 4
    assert len(server.prompts) == 1
    assert "401" in ran.complaint
    assert SOURCES[wire.name] in ran.complaint
    assert KEY not in ran.out + ran.err
    told = json.loads((agent.project / "usage.json").read_text())
    assert (told["is_error"], told["model_calls"]) == (True, 1)
    assert ran.json["result"] == told["result"] == ran.complaint


@pytest.mark.parametrize("wire", [OPENAI, OLLAMA], ids=lambda wire: wire.name)
def test_the_last_try_after_many_refusals_for_haste_succeeds(tmp_path: Path, wire: Wire) -> None:
    haste = [wire.refuse(429, "slow down") for _ in range(5)]
    with served(tmp_path, wire, *haste, wire.say("There.")) as (agent, server):
        ran = agent.ask("hello", "-m", wire.model, "--output-format", "stream-json")
    told = ran.events[-1]
    assert (ran.code, told["result"]) == (0, "There.")
    assert ran.notes[-1] == "retrying in 0s (429), attempt 6 of 6"
    assert [event["seconds"] for event in ran.events if event["type"] == "retrying"] == [0] * 5
    assert len(server.prompts) == 6
    assert len({request.body for request in server.prompts}) == 1
    assert buckets(told["usage"]) == total(wire.billed(server))
    assert [line["outcome"] for line in agent.lines("call")] == [*["RateLimited"] * 5, "ok"]


def test_a_try_that_failed_does_not_use_up_max_turns(tmp_path: Path) -> None:
    with served(tmp_path, OLLAMA, OLLAMA.refuse(503, "busy"), OLLAMA.say("There.")) as (agent, _):
        assert agent.ask("hello", "-m", OLLAMA.model, "--max-turns", "1").json["result"] == "There."


def test_a_server_that_never_stops_asking_for_patience_ends_the_turn(tmp_path: Path) -> None:
    haste = [OLLAMA.refuse(429, "slow down") for _ in range(6)]
    with served(tmp_path, OLLAMA, *haste, OLLAMA.say("At last.")) as (agent, _):
        ran = agent.ask("hello", "-m", OLLAMA.model)
        assert (ran.code, ran.json["model_calls"]) == (4, 6)
        assert "slow down" in ran.complaint
        assert agent.ask("again", "-c").json["result"] == "At last."


OVERFLOWS = {
    "anthropic": "prompt is too long: 210000 tokens > 200000 maximum",
    "openai": "This model's maximum context length is 128000 tokens. Your messages resulted in more.",
    "openai-responses": "Your input exceeds the context window of this model.",
    "ollama": "the prompt exceeds the available context size",
}


@on_every_wire
def test_a_conversation_too_long_names_the_ways_on_and_loses_nothing(tmp_path: Path, wire: Wire) -> None:
    answers = (
        wire.use("write", {"path": "a.txt", "content": "a"}),
        wire.refuse(400, OVERFLOWS[wire.name]),
        wire.say("Short again."),
    )
    with served(tmp_path, wire, *answers) as (agent, server):
        ran = agent.ask("Write a", "-m", wire.model)
        assert ran.code == 4
        assert "/new" in ran.complaint
        assert "/fork" in ran.complaint
        assert said(ran) == wire.billed(server)[0]
        again = agent.ask("Go on", "-c")
        assert again.json["result"] == "Short again."
        first, refused, last = map(Sent.of, server.prompts)
    assert refused.goes_on_from(first)
    assert last.goes_on_from(refused)
    assert (agent.project / "a.txt").read_text() == "a"


# --- interrupted -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "sent"),
    [*((wire, signal.SIGINT) for wire in WIRES), (OLLAMA, signal.SIGTERM)],
    ids=lambda value: value.name,
)
def test_a_signal_in_the_middle_of_an_answer_keeps_and_books_what_came(
    tmp_path: Path, wire: Wire, sent: signal.Signals
) -> None:
    with served(tmp_path, wire, wire.begin("Half an answ"), wire.say("Whole.")) as (agent, server):
        with agent.running("-p", "hello", "-m", wire.model, "--usage-file", "usage.json") as running:
            assert running.wait_for("text_delta")["text"] == "Half an answ"
            ran = running.end(sent)
        assert server.client_left.wait(10)
        assert (ran.code, ran.complaint) == (130, "interrupted")
        told = ran.events[-1]
        assert (told["type"], told["is_error"], told["stop_reason"]) == ("result", True, "interrupted")
        (call,) = agent.lines("call")
        assert call["outcome"] == "cancelled"
        assert told["model_calls"] == 1
        assert told["usage"]["prompt_tokens"] > 1000
        assert buckets(told["usage"]) == buckets(Counter(call["usage"]))
        if wire is ANTHROPIC:  # which had said by then what it would bill
            assert buckets(told["usage"]) == Counter(
                input_tokens=4000,
                output_tokens=len("Half an answ") // 4,
                cache_read_tokens=300,
                cache_write_tokens=200,
            )
            assert call["estimated"], "of the answer only its beginning is known"
        assert "Half an answ" in json.dumps(agent.lines("message")[-1])
        written = json.loads((agent.project / "usage.json").read_text())
        assert {**written, "type": "result", "duration_ms": 0} == {**told, "duration_ms": 0}
        again = agent.ask("go on", "-c")
        assert again.json["result"] == "Whole."
        before, after = map(Sent.of, server.prompts)
    assert after.goes_on_from(before)
    assert "Half an answ" in after.messages[len(before.messages)]


def test_a_process_killed_in_the_middle_of_a_tool_leaves_a_session_that_goes_on(tmp_path: Path) -> None:
    wire = ANTHROPIC  # the one that refuses a call without an answer
    command = {"command": "echo under way; read line < gate"}
    with served(tmp_path, wire, wire.use("bash", command), wire.say("Never mind.")) as (agent, server):
        gate = agent.project / "gate"
        os.mkfifo(gate)
        with agent.running("-p", "wait", "-m", wire.model) as running:
            running.wait_for("tool_output")
            killed = running.end(signal.SIGKILL)
        gate.open("w").close()  # lets the orphaned shell end
        assert killed.code == -signal.SIGKILL
        ran = agent.ask("go on", "-c")
        assert (ran.code, ran.json["result"]) == (0, "Never mind.")
        first, second = server.prompts
    assert Sent.of(second).goes_on_from(Sent.of(first))
    answered = second.json["messages"][-1]["content"][0]
    assert (answered["type"], answered["tool_use_id"], answered["is_error"]) == (
        "tool_result",
        "toolu_1",
        True,
    )
    assert "Interrupted" in json.dumps(answered)
    assert kept(agent.checkpoint()) == total(wire.billed(server))
