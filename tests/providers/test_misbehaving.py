"""Every way in which a stream goes wrong, on every wire: which error, what is kept, what is booked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.loop import run
from agent.rig import Rig
from agent.state import AgentState
from providers.errors import (
    ContextOverflow,
    KeyRefused,
    ModelNotFound,
    ProviderError,
    RateLimited,
    RequestRejected,
    ServerFault,
    Stalled,
    StreamTruncated,
)
from providers.provider import Provider
from providers.types import StopReason, Usage
from tests.support.calls import TOOL, Outcome, played, request
from tests.support.hosting import ListHost, prompt, results, rig
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply
from tests.support.script import say, script
from tests.support.speakers import KEY, MUTE, SPEAKERS, Speaker

pytestmark = pytest.mark.slow

ARGUMENTS = '{"path":"ran","content":"x"}'
STALL = 1.0
"""Seconds that a stalled call is given here: enough for a busy machine to send what comes before."""

Booked = Literal["nothing", "prompt", "what came"]
"""Nothing: the request was refused. Prompt: it was taken, or may have been, and no word of the answer came.
What came: the answer broke off."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour, and what a call to a server that shows it comes to."""

    name: str
    reply: Callable[[Speaker], Reply]
    error: type[ProviderError]
    booked: Booked
    text: str = ""

    @property
    def stalls(self) -> bool:
        return self.error is Stalled

    def __str__(self) -> str:
        return self.name


def _begun(wire: Speaker, *more: str) -> tuple[str, ...]:
    return (wire.begin(), wire.say("half"), *more)


BROKEN = (
    Fault(
        "ends before its terminal marker",
        lambda wire: wire.reply(*_begun(wire, wire.call("write", ARGUMENTS))),
        StreamTruncated,
        "what came",
        "half",
    ),
    Fault(
        "loses the connection",
        lambda wire: wire.reply(*_begun(wire, wire.call("write", ARGUMENTS)), cut=True),
        StreamTruncated,
        "what came",
        "half",
    ),
    Fault(
        "ends inside a tool call",
        lambda wire: wire.reply(*_begun(wire, wire.call("write", '{"path":"ra', whole=False))),
        StreamTruncated,
        "what came",
        "half",
    ),
    Fault(
        "ends inside an event",
        lambda wire: wire.reply(*_begun(wire), wire.say("lost")[:30]),
        StreamTruncated,
        "what came",
        "half",
    ),
    Fault("sends nothing and ends", lambda wire: wire.reply(""), StreamTruncated, "nothing"),
    Fault(
        "tells an error in its middle",
        lambda wire: wire.reply(*_begun(wire, wire.error("overloaded_error", "Overloaded"))),
        ServerFault,
        "what came",
        "half",
    ),
    Fault(
        "begins with an error",
        lambda wire: wire.reply(wire.error("api_error", "boom")),
        ServerFault,
        "nothing",
    ),
    Fault(
        "sends an error's body under 200",
        lambda wire: json_reply({"error": {"type": "overloaded_error", "message": "Overloaded"}}),
        ServerFault,
        "nothing",
    ),
    Fault(
        "sends what is not JSON",
        lambda wire: wire.reply(*_begun(wire, wire.say("lost").replace("}", "\x00", 1))),
        ServerFault,
        "what came",
        "half",
    ),
    Fault(
        "says in its stream that the conversation is too long",
        lambda wire: wire.reply(wire.error("context_length_exceeded", "exceeds the context length")),
        ContextOverflow,
        "nothing",
    ),
    Fault("stalls before its headers", lambda wire: MUTE, Stalled, "prompt"),
    Fault("stalls after its headers", lambda wire: wire.reply(hold=True), Stalled, "prompt"),
    Fault(
        "stalls in its middle",
        lambda wire: wire.reply(*_begun(wire, wire.call("write", ARGUMENTS)), hold=True),
        Stalled,
        "what came",
        "half",
    ),
)
REFUSED = (
    (400, "invalid_request_error", RequestRejected),
    (401, "authentication_error", KeyRefused),
    (403, "permission_error", KeyRefused),
    (404, "not_found_error", ModelNotFound),
    (413, "request_too_large", RequestRejected),
    (429, "rate_limit_error", RateLimited),
    (500, "api_error", ServerFault),
    (529, "overloaded_error", ServerFault),
)
RETRYABLE = (RateLimited, ServerFault, Stalled, StreamTruncated)

each_wire = pytest.mark.parametrize("wire", SPEAKERS, ids=lambda wire: wire.name)


async def outcome(wire: Speaker, reply: Reply, home: Path, *, stall_seconds: float | None = None) -> Outcome:
    """What a call to a server that always replies so comes to."""
    with LoopbackServer(lambda _: reply) as server:
        provider = wire.open(server.url, home, stall_seconds)
        made = await played(provider, request(wire.model, tools=[TOOL]))
        await provider.aclose()
        assert len(server.requests) == 1
    return made


def assert_booked(wire: Speaker, made: Outcome, booked: Booked) -> None:
    """The prompt is exact where the wire told of it before it broke off; what is an estimate says so."""
    usage = made.call.usage
    match booked:
        case "nothing":
            assert (usage, made.call.estimated) == (Usage(), False)
        case "what came" if wire.begins_with_prompt:
            assert replace(usage, output_tokens=wire.usage.output_tokens) == wire.usage
            assert made.call.estimated
            assert made.call.raw_usage
        case _:
            assert usage.input_tokens > 0
            assert (usage.output_tokens > 0) == (booked == "what came")
            assert (made.call.estimated, usage.cache_reported) == (True, False)


@each_wire
@pytest.mark.parametrize("fault", BROKEN, ids=str)
async def test_an_answer_that(fault: Fault, wire: Speaker, tmp_path: Path) -> None:
    made = await outcome(wire, fault.reply(wire), tmp_path, stall_seconds=STALL if fault.stalls else None)
    assert type(made.error) is fault.error
    assert "\n" not in str(made.error)
    assert KEY not in str(made.error)
    assert made.error.retryable is issubclass(fault.error, RETRYABLE)
    turn = made.call.turn
    assert (turn.message.text if turn else "") == fault.text
    assert turn is None or (turn.stop_reason, turn.message.tool_calls) == (StopReason.INTERRUPTED, ())
    assert_booked(wire, made, fault.booked)


@each_wire
@pytest.mark.parametrize(("status", "kind", "error"), REFUSED)
async def test_a_refusal(
    status: int, kind: str, error: type[ProviderError], wire: Speaker, tmp_path: Path
) -> None:
    reply = wire.refusal(status, kind, f"the model says {kind}")
    made = await outcome(wire, reply, tmp_path)
    assert type(made.error) is error
    assert made.error.retryable is issubclass(error, RETRYABLE)
    assert made.error.status == status
    assert made.call.turn is None
    assert_booked(wire, made, "nothing")


@each_wire
async def test_a_conversation_that_is_too_long(wire: Speaker, tmp_path: Path) -> None:
    reply = wire.refusal(400, "", "request (18010 tokens) exceeds the available context size (8192 tokens)")
    made = await outcome(wire, reply, tmp_path)
    assert isinstance(made.error, ContextOverflow)
    assert_booked(wire, made, "nothing")


@each_wire
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
async def test_the_wait_that_a_busy_endpoint_asks_for(
    headers: dict[str, str], seconds: float | None, wire: Speaker, tmp_path: Path
) -> None:
    made = await outcome(wire, wire.refusal(429, "rate_limit_error", "slow down", headers), tmp_path)
    assert isinstance(made.error, RateLimited)
    assert made.error.retry_after == seconds


@each_wire
async def test_signs_of_life_between_events_are_no_part_of_the_answer(wire: Speaker, tmp_path: Path) -> None:
    pieces = (wire.idle(), wire.begin(), wire.idle(), wire.say("whole"), wire.idle(), wire.end(wire.done))
    made = await outcome(wire, wire.reply(*pieces), tmp_path)
    assert (made.error, made.text) == (None, "whole")
    assert (made.call.usage, made.call.estimated) == (wire.usage, False)


@each_wire
async def test_an_answer_is_whole_at_its_last_event_though_the_connection_stays_open(
    wire: Speaker, tmp_path: Path
) -> None:
    whole = wire.reply(wire.begin(), wire.say("whole"), wire.end(wire.done), hold=True)
    made = await outcome(wire, whole, tmp_path)
    assert (made.error, made.text) == (None, "whole")
    assert (made.call.usage, made.call.estimated) == (wire.usage, False)


@each_wire
async def test_a_sign_of_life_is_a_byte_of_the_answer(wire: Speaker, tmp_path: Path) -> None:
    made = await outcome(wire, wire.reply(wire.idle(), hold=True), tmp_path, stall_seconds=STALL)
    assert isinstance(made.error, Stalled)
    assert made.error.begun
    assert "in the middle of its answer" in str(made.error)


@each_wire
async def test_a_stall_names_who_was_silent_for_how_long_and_what_to_do(
    wire: Speaker, tmp_path: Path
) -> None:
    made = await outcome(wire, MUTE, tmp_path, stall_seconds=STALL)
    provider = wire.model.partition("/")[0]
    assert str(made.error).startswith(f"{provider} sent nothing for 1 s, so the call was given up.")
    assert f"stall_seconds in [providers.{provider}]" in str(made.error)


# --- tools run only from an answer that asked for it, and is whole ------------------------------------------


def on(provider: Provider, wire: Speaker, folder: Path) -> Rig:
    """The rig of a turn with the real tools at a wire's server."""
    usual = rig(folder, script(folder, say("unused")))
    model = request(wire.model).prefix.model
    return replace(
        usual, provider=provider, prefix=replace(usual.prefix, model=model, encoder=provider.encoder)
    )


async def turn(wire: Speaker, folder: Path, *replies: Reply) -> tuple[AgentState, ListHost, list[Recorded]]:
    """A turn against a server that gives these replies in order, then says that it is done."""
    folder.mkdir(exist_ok=True)
    state, host, left = AgentState(), ListHost(), list(replies)
    done = wire.reply(wire.begin(), wire.say("done"), wire.end(wire.done))
    with LoopbackServer(lambda _: left.pop(0) if left else done) as server:
        provider = wire.open(server.url, folder)
        try:
            async for _ in run(state, prompt("go"), host, on(provider, wire, folder)):
                pass
        except ProviderError:
            pass
        finally:
            await provider.aclose()
        return state, host, server.requests


def unmarked(sent: Recorded) -> str:
    """A request without Anthropic's cache markers, which may move once its prompt is in the cache."""
    return re.sub(r',"cache_control":\{[^}]*\}', "", sent.body.decode())


STOPS = [
    pytest.param(wire, stop, ours, id=f"{wire.name}-{stop}")
    for wire in SPEAKERS
    for stop, ours in wire.stops.items()
]


@pytest.mark.parametrize(("wire", "stop", "ours"), STOPS)
async def test_a_tool_runs_only_where_the_stop_reason_says_so(
    wire: Speaker, stop: str | None, ours: str | None, tmp_path: Path
) -> None:
    calls = wire.reply(wire.begin(), wire.say("I write."), wire.call("write", ARGUMENTS), wire.end(stop))
    folder = tmp_path / "project"
    state, host, _ = await turn(wire, folder, calls)
    assert (folder / "ran").exists() == (ours == StopReason.TOOL_USE)
    assert host.calls[0].report.stop_reason == (ours or StopReason.INTERRUPTED)
    asked = [call.id for message in state.messages for call in message.tool_calls]
    assert [result.call_id for result in results(state.messages)] == asked


@each_wire
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(stop=st.text(min_size=1, max_size=12))
async def test_no_tool_runs_for_a_stop_reason_that_nobody_knows(
    stop: str, wire: Speaker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("project")
    calls = wire.reply(wire.begin(), wire.call("write", ARGUMENTS), wire.end(stop))
    _, host, _ = await turn(wire, folder, calls)
    assert (folder / "ran").exists() == (wire.stops.get(stop) == StopReason.TOOL_USE)
    assert host.calls[0].report.stop_reason == wire.stops.get(stop, stop)


CUT = (
    '{"path":"ran","content":"x"',
    '{"path":"ran","content":"x","mo',
    '{"path":"ran","content":"x"}{"a":1}',
)


@each_wire
@pytest.mark.parametrize("arguments", CUT)
async def test_cut_arguments_never_run_even_of_an_answer_that_claims_to_be_whole(
    arguments: str, wire: Speaker, tmp_path: Path
) -> None:
    asks = next(stop for stop, ours in wire.stops.items() if ours == StopReason.TOOL_USE)
    calls = wire.reply(wire.begin(), wire.call("write", arguments, whole=False), wire.end(asks))
    folder = tmp_path / "project"
    await turn(wire, folder, calls)
    assert not (folder / "ran").exists()


# --- retries ------------------------------------------------------------------------------------------------

VOID = [fault for fault in BROKEN if issubclass(fault.error, RETRYABLE) and not fault.stalls]


@each_wire
@pytest.mark.parametrize("fault", VOID, ids=str)
async def test_what_a_failed_attempt_streamed_is_void_and_none_of_its_tools_runs(
    fault: Fault, wire: Speaker, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    state, host, requests = await turn(wire, folder, fault.reply(wire))
    assert not (folder / "ran").exists()
    assert [message.text for message in state.messages] == ["go", "done"]
    assert [fact.report.outcome for fact in host.calls] == [fault.error.__name__, "ok"]
    assert unmarked(requests[0]) == unmarked(requests[1])
    assert state.usage == sum((fact.report.usage for fact in host.calls), Usage())


@each_wire
async def test_a_failure_after_a_tool_ran_repeats_the_call_and_not_the_tool(
    wire: Speaker, tmp_path: Path
) -> None:
    asks = next(stop for stop, ours in wire.stops.items() if ours == StopReason.TOOL_USE)
    arguments = json.dumps({"command": "echo once >> log"})
    calls = wire.reply(wire.begin(), wire.call("bash", arguments), wire.end(asks))
    busy = wire.refusal(529, "overloaded_error", "Overloaded")
    broken = wire.reply(wire.begin(), wire.say("half"))
    folder = tmp_path / "project"
    state, host, requests = await turn(wire, folder, calls, busy, broken)
    assert (folder / "log").read_text() == "once\n"
    assert [fact.report.outcome for fact in host.calls] == ["ok", "ServerFault", "StreamTruncated", "ok"]
    assert len(set(map(unmarked, requests[1:]))) == 1
    assert state.messages[-1].text == "done"
