"""OpenAI's Responses API through the real SDK, against a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from providers.errors import (
    CachetError,
    ContextOverflow,
    KeyRefused,
    ModelNotFound,
    ProviderError,
    RateLimited,
    RequestRejected,
    ServerFault,
    Stalled,
    StreamTruncated,
    Unreachable,
)
from providers.openai_endpoint import OpenAIProvider
from providers.openai_responses import connect
from providers.settings import ProviderSettings
from providers.types import (
    Image,
    Message,
    ModelRef,
    Opaque,
    Request,
    StopReason,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)
from tests.support import calls
from tests.support.calls import TOOL, Outcome, cancelled, message, played, request, result
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply, sse
from tests.support.responses_server import (
    ResponsesServer,
    answer,
    began,
    called,
    ended,
    event,
    refusal,
    said,
    streamed,
    thought,
    usage,
    whole,
)

FIXTURES = Path(__file__).parent.parent / "fixtures" / "wire"
ROOT = Path(__file__).parents[2]
KEY = "sk-very-secret-0123456789"
ASKED = request("gate/m", tools=[TOOL])
LS = called("a", "list_files", {"path": "/srv"})

Open = Callable[..., OpenAIProvider]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens providers and closes them after the test."""
    opened: list[OpenAIProvider] = []

    def open_one(server: LoopbackServer | str, name: str = "gate", **settings: Any) -> OpenAIProvider:
        url = server if isinstance(server, str) else f"{server.url}/v1"
        own = ProviderSettings(base_url=url, **{"api_key": KEY, **settings})
        opened.append(connect(name, own, {}, tmp_path))
        return opened[-1]

    yield open_one
    for provider in opened:
        await provider.aclose()


async def replayed(
    opened: Open, *events: str | bytes, reply: Reply | None = None, **settings: Any
) -> Outcome:
    """What a call to a server that answers with these events, or with this reply, comes to."""
    with LoopbackServer(lambda _: reply or sse(*events)) as server:
        return await played(opened(server, **settings), ASKED)


def captured(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def blocks(outcome: Outcome) -> tuple[Any, ...]:
    assert outcome.call.turn is not None
    return outcome.call.turn.message.blocks


def shown(outcome: Outcome) -> str:
    """The arguments of all calls as a person saw them stream by."""
    return "".join(each.json_text for each in outcome.events if isinstance(each, ToolCallDelta))


# --- real captures ------------------------------------------------------------------------------------------


async def test_a_captured_answer_is_whole_and_its_usage_split(opened: Open) -> None:
    outcome = await replayed(opened, captured("llamacpp_responses.sse"))
    assert (outcome.error, outcome.text) == (None, "This is an AI language model")
    assert outcome.stop_reason == StopReason.END_TURN
    assert outcome.call.usage == Usage(
        input_tokens=1, cache_read_tokens=32, output_tokens=6, reported_prompt_tokens=33
    )
    assert outcome.call.raw_usage["total_tokens"] == 39
    assert outcome.call.turn is not None
    assert outcome.call.turn.model.endswith(".gguf")


async def test_a_captured_tool_call_needs_neither_indexes_nor_an_event_for_its_arguments(
    opened: Open,
) -> None:
    outcome = await replayed(opened, captured("llamacpp_responses_toolcall.sse"))
    call_id = "call_kkhpZdfkXztPLdrYlMwjjqp8zSCVatoF"
    assert outcome.tool_calls == (ToolCall(call_id, "list_files", '{"path": "/srv"}'),)
    assert outcome.stop_reason == StopReason.TOOL_USE
    assert outcome.events[0] == ToolCallStarted(call_id, "list_files")
    assert shown(outcome) == '{"path": "/srv"}'
    assert outcome.call.usage == Usage(
        input_tokens=1, cache_read_tokens=315, output_tokens=31, reported_prompt_tokens=316
    )


async def test_a_capture_cut_into_single_bytes_reads_the_same(opened: Open) -> None:
    body = captured("llamacpp_responses.sse")
    outcome = await replayed(opened, *(body[i : i + 1] for i in range(len(body))))
    assert outcome.text == "This is an AI language model"


# --- other ways to say the same -----------------------------------------------------------------------------


async def test_a_server_that_answers_with_one_json_body_is_understood(opened: Open) -> None:
    body = whole(thought("Hm."), said("Hi."), LS, usage=usage(9, 3, 4))
    outcome = await replayed(opened, reply=json_reply(body))
    assert outcome.events == [
        ThinkingDelta("Hm."),
        TextDelta("Hi."),
        ToolCallStarted("a", "list_files"),
        ToolCallDelta("a", '{"path": "/srv"}'),
    ]
    assert outcome.stop_reason == StopReason.TOOL_USE
    assert outcome.call.usage.cache_read_tokens == 4


async def test_a_json_body_of_a_failed_response_is_an_error_with_its_usage(opened: Open) -> None:
    body = whole(status="failed", error={"code": "server_error", "message": "boom"}, usage=usage(9, 3))
    outcome = await replayed(opened, reply=json_reply({**body}))
    assert isinstance(outcome.error, ServerFault)
    assert outcome.call.usage.prompt_tokens == 9


async def test_data_without_event_names_and_comments_between_are_fine(opened: Open) -> None:
    lines = "".join(answer(said("Hi."))).splitlines(keepends=True)
    bare = "".join(line for line in lines if not line.startswith("event:"))
    assert (await replayed(opened, ": keep-alive\n\n", bare)).text == "Hi."


async def test_items_that_were_never_streamed_are_taken_from_the_finished_response(opened: Open) -> None:
    outcome = await replayed(opened, *began(), ended(said("Hi."), LS, usage=usage(9, 1)))
    assert outcome.text == "Hi."
    assert outcome.tool_calls == (ToolCall("a", "list_files", '{"path": "/srv"}'),)


async def test_a_finished_response_without_its_output_loses_nothing_that_was_streamed(opened: Open) -> None:
    outcome = await replayed(opened, *streamed(0, said("Hi.")), *streamed(1, LS), ended(usage=usage(9, 1)))
    assert outcome.text == "Hi."
    assert len(outcome.tool_calls) == 1


async def test_what_was_streamed_in_part_is_shown_to_its_end_once(opened: Open) -> None:
    first, delta, *_ = streamed(0, said("Hello there"))
    outcome = await replayed(opened, first, delta, ended(said("Hello there")))
    assert outcome.events == [TextDelta("Hello"), TextDelta(" there")]
    assert outcome.text == "Hello there"


async def test_deltas_of_an_item_that_was_never_announced_open_it(opened: Open) -> None:
    bare = event("response.output_text.delta", delta="Hi.")
    for last in (ended(), ended(said("Hi."))):
        assert (await replayed(opened, bare, last)).text == "Hi."


async def test_calls_streamed_side_by_side_keep_to_their_items(opened: Open) -> None:
    one, two = streamed(0, called("a", "ls", '{"p":1}')), streamed(1, called("b", "cat", '{"p":2}'))
    mixed = [piece for pair in zip(one, two, strict=True) for piece in pair]
    outcome = await replayed(opened, *mixed, ended())
    assert outcome.tool_calls == (ToolCall("a", "ls", '{"p":1}'), ToolCall("b", "cat", '{"p":2}'))


def step(kind: str, item: dict[str, Any], text: str = "", **at: Any) -> str:
    """An event of a call's stream, told to be about the item that `at` names."""
    if kind == "delta":
        return event("response.function_call_arguments.delta", delta=text, **at)
    begun = {**item, "arguments": "", "status": "in_progress"}
    return event(f"response.output_item.{kind}", item=item if kind == "done" else begun, **at)


async def test_a_proxy_that_gives_every_event_an_id_of_its_own_is_followed_by_index(opened: Open) -> None:
    one, two = called("a", "ls", '{"p":1}', "x1"), called("b", "cat", '{"p":2}', "x2")
    pieces = [
        step("added", one, output_index=0),
        step("added", two, output_index=1),
        step("delta", one, '{"p"', output_index=0, item_id="x3"),
        step("delta", two, '{"p":2}', output_index=1, item_id="x4"),
        step("delta", one, ":1}", output_index=0, item_id="x5"),
    ]
    done = [{**one, "id": "x6", "arguments": ""}, {**two, "id": "x7", "arguments": ""}]
    outcome = await replayed(opened, *pieces, ended(*done))
    assert outcome.tool_calls == (ToolCall("a", "ls", '{"p":1}'), ToolCall("b", "cat", '{"p":2}'))


async def test_a_server_that_calls_every_item_the_first_is_followed_by_id(opened: Open) -> None:
    one, two = called("a", "ls", '{"p":1}'), called("b", "cat", '{"p":2}')
    pieces = [
        step("added", one, output_index=0),
        step("added", two, output_index=0),
        step("delta", one, '{"p":1}', output_index=0, item_id=one["id"]),
        step("delta", two, '{"p":2}', output_index=0, item_id=two["id"]),
    ]
    outcome = await replayed(opened, *pieces, ended())
    assert outcome.tool_calls == (ToolCall("a", "ls", '{"p":1}'), ToolCall("b", "cat", '{"p":2}'))


async def test_deltas_that_name_no_item_go_on_with_the_latest_open_one(opened: Open) -> None:
    deltas = [event("response.output_text.delta", delta=word) for word in ("One ", "text.")]
    outcome = await replayed(opened, *deltas, ended())
    assert [each.text for each in blocks(outcome) if isinstance(each, Text)] == ["One text."]


async def test_a_finished_response_that_lists_one_item_alone_ends_that_one(opened: Open) -> None:
    first = event("response.output_item.added", item={**said("", "m1"), "content": []})
    second = event("response.output_item.added", item={**said("", "m2"), "content": []})
    pieces = [
        event("response.output_text.delta", item_id=item, delta=text)
        for item, text in (("m1", "One."), ("m2", "Tw"))
    ]
    outcome = await replayed(opened, first, second, *pieces, ended(said("Two.", "m2")))
    assert [each.text for each in blocks(outcome) if isinstance(each, Text)] == ["One.", "Two."]


async def test_an_item_whose_end_was_never_told_does_not_go_back_as_under_way(opened: Open) -> None:
    outcome = await replayed(opened, *streamed(0, said("Hi."))[:-1], ended())
    assert json.loads(blocks(outcome)[0].raw) == {"id": "msg_1", "type": "message", "role": "assistant"}


async def test_arguments_count_as_they_are_in_the_end(opened: Open) -> None:
    pieces = streamed(0, called("a", "ls", '{"p":1}'))[:-1]
    done = event("response.output_item.done", output_index=0, item=called("a", "ls", '{"p":2}'))
    outcome = await replayed(opened, *pieces, done, ended())
    assert outcome.tool_calls == (ToolCall("a", "ls", '{"p":2}'),)


async def test_arguments_sent_as_an_object_become_text(opened: Open) -> None:
    item = {**LS, "arguments": {"b": 1, "a": "ü"}}
    outcome = await replayed(opened, ended(item))
    assert outcome.tool_calls[0].raw_arguments == '{"a":"ü","b":1}'


async def test_an_id_that_an_earlier_turn_used_is_replaced(opened: Open) -> None:
    asked = request("gate/m", message("user", "hi"), calls.called("a"), result("a"), tools=[TOOL])
    with LoopbackServer(lambda _: sse(*answer(LS))) as server:
        outcome = await played(opened(server), asked)
    assert outcome.tool_calls[0].id not in ("", "a")


async def test_unknown_events_and_items_pass_and_the_item_is_kept(opened: Open) -> None:
    search = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"query": "ü"}}
    pieces = [
        event("response.output_item.added", output_index=0, item={**search, "status": "in_progress"}),
        event("response.web_search_call.searching", output_index=0, item_id="ws_1"),
        event("response.output_item.done", output_index=0, item=search),
        event("response.from_the_future", anything={"a": [1]}),
    ]
    outcome = await replayed(opened, *began(), *pieces, *streamed(1, said("Found.")), ended())
    assert outcome.text == "Found."
    kept = blocks(outcome)[0]
    assert isinstance(kept, Opaque)
    assert json.loads(kept.raw) == search
    assert (kept.origin.wire, kept.origin.model) == ("openai-responses", "m")


# --- reasoning ----------------------------------------------------------------------------------------------


async def test_reasoning_summaries_are_shown_part_by_part_and_the_item_kept(opened: Open) -> None:
    item = thought("First.", encrypted="gAAA")
    at = {"item_id": "rs_1", "output_index": 0}
    pieces = [
        event("response.output_item.added", output_index=0, item={**item, "encrypted_content": "gA"}),
        event("response.reasoning_summary_text.delta", delta="First.", summary_index=0, **at),
        event("response.reasoning_summary_text.delta", delta="Then.", summary_index=1, **at),
        event("response.output_item.done", output_index=0, item=item),
    ]
    outcome = await replayed(opened, *pieces, *streamed(1, said("Yes")), ended())
    thinking, kept = blocks(outcome)[:2]
    assert isinstance(thinking, Thinking)
    assert thinking.text == "First.\n\nThen."
    assert json.loads(kept.raw) == item
    assert [each for each in outcome.events if isinstance(each, ThinkingDelta)] == [
        ThinkingDelta("First."),
        ThinkingDelta("\n\nThen."),
    ]


async def test_open_models_reasoning_text_is_shown(opened: Open) -> None:
    item = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": ""}
    content = [{"type": "reasoning_text", "text": "Hmm."}]
    pieces = [
        event("response.output_item.added", item=item),
        event("response.reasoning_text.delta", item_id="rs_1", delta="Hmm."),
        event("response.output_item.done", item={**item, "content": content}),
    ]
    outcome = await replayed(opened, *pieces, *streamed(1, said("Yes")), ended())
    assert outcome.events[0] == ThinkingDelta("Hmm.")
    assert json.loads(blocks(outcome)[1].raw)["content"] == content


async def test_reasoning_that_led_to_nothing_or_holds_nothing_does_not_go_back(opened: Open) -> None:
    alone = await replayed(opened, *answer(said("Yes"), thought("Afterthought.")))
    empty = await replayed(opened, *answer(thought("Hm.", encrypted=""), said("Yes")))
    for outcome in (alone, empty):
        assert '"reasoning"' not in "".join(each.raw for each in blocks(outcome) if isinstance(each, Opaque))
        assert any(isinstance(each, Thinking) for each in blocks(outcome))


async def two_turns(opened: Open, model: str) -> tuple[Outcome, list[Recorded]]:
    """A tool step, then one more call of `model` with the answer and a result at its end."""
    first_answer = (thought("Hm."), said("Looking.", phase="commentary"), LS)
    with ResponsesServer([first_answer, (said("Done.", "msg_2"),)]) as server:
        provider = opened(server)
        asked = request("gate/m", message("user", "hi"), tools=[TOOL], effort="high")
        first = await played(provider, asked)
        assert first.call.turn is not None
        longer = (*asked.messages, first.call.turn.message, result("a"))
        prefix = replace(asked.prefix, model=ModelRef("gate", model))
        second = await played(provider, Request(prefix=prefix, messages=longer))
        assert second.text == "Done."
        if model == "m":
            assert second.call.usage.cache_read_tokens == first.call.usage.prompt_tokens
            assert server.billed[1]["input_tokens"] == second.call.usage.prompt_tokens
        return first, server.requests


async def test_the_next_request_is_the_last_one_with_the_answers_items_at_its_end(opened: Open) -> None:
    _, (before, after) = await two_turns(opened, "m")
    assert after.json["input"][len(before.json["input"]) :] == [
        thought("Hm."),
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "status": "completed",
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "Looking.", "annotations": []}],
        },
        LS,
        {"type": "function_call_output", "call_id": "a", "output": "a.py"},
    ]
    start, end = before.body.split(b'],"stream"')
    assert after.body.startswith(start + b',{"id":"rs_1","type":"reasoning"')
    assert after.body.endswith(b'],"stream"' + end)


async def test_another_model_gets_the_text_and_the_calls_but_nothing_opaque(opened: Open) -> None:
    _, (_, after) = await two_turns(opened, "other")
    assert after.json["input"][1:-1] == [
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Looking.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "a", "name": "list_files", "arguments": '{"path": "/srv"}'},
    ]
    assert b"gAAAA" not in after.body


# --- how an answer ends -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("max_output_tokens", StopReason.MAX_TOKENS),
        ("content_filter", StopReason.REFUSAL),
        ("something_new", "something_new"),
    ],
)
async def test_an_incomplete_response_says_why_is_booked_and_runs_nothing(
    opened: Open, reason: str, stop: str
) -> None:
    last = answer(
        thought("Hm."),
        said("Half"),
        thought("Then ls.", "rs_2"),
        LS,
        status="incomplete",
        incomplete_details={"reason": reason},
        usage=usage(50, 7, 20, 10),
    )
    outcome = await replayed(opened, *last)
    assert outcome.error is None
    assert (outcome.text, outcome.stop_reason, outcome.tool_calls) == ("Half", stop, ())
    kept = [json.loads(each.raw) for each in blocks(outcome) if isinstance(each, Opaque)]
    assert [item["id"] for item in kept] == ["rs_1", "msg_1"]  # not what led to the call that is gone
    assert outcome.call.usage == Usage(
        input_tokens=20,
        cache_read_tokens=20,
        cache_write_tokens=10,
        output_tokens=7,
        reported_prompt_tokens=50,
    )
    assert not outcome.call.estimated


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ({"code": "server_error", "message": "The model fell over."}, ServerFault, "fell over"),
        ({"code": "rate_limit_exceeded", "message": "Slow down."}, RateLimited, "Slow down"),
        ({"code": "invalid_prompt", "message": "Against the policy."}, RequestRejected, "policy"),
        ({"code": "invalid_image_format", "message": "No picture."}, RequestRejected, "No picture"),
        ({"code": "context_length_exceeded", "message": "Too long."}, ContextOverflow, "/new"),
        (None, ServerFault, "the response was failed"),
    ],
)
async def test_a_failed_response_is_named_and_what_it_billed_is_booked(
    opened: Open, fault: dict[str, str] | None, error: type[ProviderError], words: str
) -> None:
    pieces = (*began(), *streamed(0, said("Half")), *streamed(1, LS))
    outcome = await replayed(opened, *pieces, ended(status="failed", error=fault, usage=usage(50, 7, 20, 10)))
    assert type(outcome.error) is error
    assert words in str(outcome.error)
    assert (outcome.text, outcome.stop_reason, outcome.tool_calls) == ("Half", StopReason.INTERRUPTED, ())
    assert (outcome.call.usage.cache_read_tokens, outcome.call.usage.cache_write_tokens) == (20, 10)
    assert not outcome.call.estimated


async def test_a_response_that_somebody_cancelled_is_an_error(opened: Open) -> None:
    outcome = await replayed(opened, *streamed(0, said("Half")), ended(status="cancelled"))
    assert isinstance(outcome.error, ServerFault)
    assert "cancelled" in str(outcome.error)


@pytest.mark.parametrize(
    ("said_of_it", "error"),
    [
        ({"code": "rate_limit_exceeded", "message": "busy", "param": None}, RateLimited),
        ({"code": None, "message": "boom", "param": None}, ServerFault),
        ({"error": {"type": "server_error", "code": None, "message": "boom"}}, ServerFault),
        (
            {"error": {"type": "invalid_request_error", "code": "invalid_api_key", "message": "no"}},
            KeyRefused,
        ),
    ],
)
async def test_an_error_event_is_named_whether_flat_or_nested(
    opened: Open, said_of_it: dict[str, Any], error: type[CachetError]
) -> None:
    outcome = await replayed(opened, *streamed(0, said("x")), event("error", **said_of_it))
    assert type(outcome.error) is error
    assert outcome.text == "x"
    assert outcome.call.estimated


async def test_an_error_without_a_type_is_one(opened: Open) -> None:
    line = 'data: {"error":{"code":500,"message":"slot unavailable","type":"server_error"}}\n\n'
    outcome = await replayed(opened, *streamed(0, said("x")), line)
    assert isinstance(outcome.error, ServerFault)
    assert "slot unavailable" in str(outcome.error)


@pytest.mark.parametrize("cut", [False, True])
async def test_a_stream_without_its_last_event_is_truncated_and_runs_nothing(opened: Open, cut: bool) -> None:
    pieces = (*began(), *streamed(0, said("Half")), *streamed(1, LS))
    outcome = await replayed(opened, reply=sse(*pieces, cut=cut))
    assert isinstance(outcome.error, StreamTruncated)
    assert (outcome.text, outcome.stop_reason, outcome.tool_calls) == ("Half", StopReason.INTERRUPTED, ())
    assert outcome.call.estimated


async def test_a_json_body_that_is_not_finished_is_truncated(opened: Open) -> None:
    outcome = await replayed(opened, reply=json_reply(whole(said("x"), status="in_progress")))
    assert isinstance(outcome.error, StreamTruncated)


async def test_an_answer_of_exactly_as_many_tokens_as_were_asked_for_was_cut(opened: Open) -> None:
    asked = request("gate/m", tools=[TOOL], max_output_tokens=16)
    for output, stop in ((15, StopReason.TOOL_USE), (16, StopReason.MAX_TOKENS), (17, StopReason.TOOL_USE)):
        last = answer(LS, usage=usage(9, output))
        with LoopbackServer(lambda _, last=last: sse(*last)) as server:  # type: ignore[misc]
            outcome = await played(opened(server), asked)
        assert (outcome.stop_reason, bool(outcome.tool_calls)) == (stop, stop == StopReason.TOOL_USE)


async def test_a_call_that_is_itself_incomplete_does_not_run(opened: Open) -> None:
    outcome = await replayed(opened, ended(said("x"), {**LS, "status": "incomplete"}))
    assert (outcome.stop_reason, outcome.tool_calls) == (StopReason.END_TURN, ())


async def test_a_broken_call_of_a_completed_response_is_handed_out(opened: Open) -> None:
    outcome = await replayed(opened, *answer(called("a", "ls", '{"p":')))
    assert outcome.tool_calls == (ToolCall("a", "ls", '{"p":'),)


async def test_a_refusal_is_text_and_says_why_it_stopped(opened: Open) -> None:
    item = {**said(""), "content": [{"type": "refusal", "refusal": "No."}]}
    streaming = event("response.refusal.delta", output_index=0, item_id="msg_1", delta="No.")
    for events in ([ended(item)], [streaming, ended()]):
        outcome = await replayed(opened, *events)
        assert (outcome.text, outcome.stop_reason) == ("No.", StopReason.REFUSAL)


async def test_a_connection_that_stays_open_after_the_end_is_not_waited_for(opened: Open) -> None:
    outcome = await replayed(opened, reply=sse(*answer(said("All.")), hold=True))
    assert (outcome.error, outcome.text) == (None, "All.")


async def test_a_cut_after_the_last_event_loses_nothing(opened: Open) -> None:
    outcome = await replayed(opened, reply=sse(*answer(said("All.")), cut=True))
    assert (outcome.error, outcome.text) == (None, "All.")


async def test_an_endpoint_that_falls_silent_is_noticed(opened: Open) -> None:
    outcome = await replayed(
        opened, reply=sse(*began(), *streamed(0, said("Half")), hold=True), stall_seconds=1.0
    )
    assert isinstance(outcome.error, Stalled)
    assert outcome.text == "Half"
    assert outcome.call.estimated


async def test_cancelling_closes_the_connection_and_keeps_what_came(opened: Open) -> None:
    with LoopbackServer(lambda _: sse(*began(), *streamed(0, said("half")), hold=True)) as server:
        call = opened(server).stream(ASKED)
        turn = await cancelled(call)
        assert await asyncio.to_thread(server.client_left.wait, 20)
    assert turn.stop_reason == StopReason.INTERRUPTED
    assert call.estimated


# --- usage --------------------------------------------------------------------------------------------------


async def test_all_counts_land_in_disjoint_buckets_the_long_writes_too(opened: Open) -> None:
    billed = usage(100, 30, 60, 25, 12)
    billed["input_tokens_details"]["cache_write_tokens_details"] = {
        "ttl_30m_tokens": 15,
        "ttl_12h_tokens": 10,
    }
    outcome = await replayed(opened, *answer(said("x"), usage=billed))
    assert outcome.call.usage == Usage(
        input_tokens=15,
        cache_read_tokens=60,
        cache_write_tokens=25,
        cache_write_1h_tokens=10,
        output_tokens=30,
        reasoning_tokens=12,
        reported_prompt_tokens=100,
    )
    assert outcome.call.raw_usage == {**billed, "response_id": "resp_1"}


async def test_what_the_endpoint_says_of_a_miss_is_kept_beside_the_counts(opened: Open) -> None:
    told = {"status": "cache_miss", "reason": "tools_changed"}
    outcome = await replayed(opened, *answer(said("x"), usage=usage(9, 1), prompt_cache_diagnostics=told))
    assert outcome.call.raw_usage == {
        **usage(9, 1),
        "prompt_cache_diagnostics": told,
        "response_id": "resp_1",
    }
    assert outcome.call.usage.prompt_tokens == 9


async def test_timings_stand_in_for_a_usage_that_never_came(opened: Open) -> None:
    timings = {"cache_n": 4, "prompt_n": 6, "predicted_n": 3}
    last = event("response.completed", response=whole(said("x")), timings=timings)
    outcome = await replayed(opened, last)
    assert outcome.call.usage == Usage(
        input_tokens=6, cache_read_tokens=4, output_tokens=3, reported_prompt_tokens=10
    )


@pytest.mark.parametrize("billed", [None, usage(0, 0)])
async def test_without_a_usage_or_with_one_of_zeros_it_is_estimated(
    opened: Open, billed: dict[str, Any] | None
) -> None:
    outcome = await replayed(opened, *answer(said("x" * 40), usage=billed))
    assert outcome.call.estimated
    assert outcome.call.usage.output_tokens == 10


# --- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (refusal(401, f"Incorrect API key provided: {KEY}"), KeyRefused, "401"),
        (refusal(404, "The model `m` does not exist"), ModelNotFound, "m"),
        (refusal(429, "slow", **{"retry-after": "7"}), RateLimited, "7 s"),
        (refusal(500, "oops"), ServerFault, "oops"),
        (refusal(400, "Your input exceeds the context window of this model."), ContextOverflow, "/new"),
        (refusal(400, "bad input", param="input[3]"), RequestRejected, "bad input"),
    ],
)
async def test_an_http_error_is_named(
    opened: Open, reply: Reply, error: type[ProviderError], words: str
) -> None:
    with LoopbackServer(lambda _: reply) as server:
        outcome = await played(opened(server), ASKED)
        assert len(server.requests) == 1
    assert type(outcome.error) is error
    assert words in str(outcome.error)
    assert KEY not in str(outcome.error)
    assert outcome.call.usage == Usage()


async def test_an_endpoint_without_this_wire_says_how_to_choose_the_other(opened: Open) -> None:
    outcome = await replayed(opened, reply=json_reply({"detail": "Not Found"}, 404))
    assert isinstance(outcome.error, ModelNotFound)
    assert 'set wire = "openai-chat" in [providers.gate]' in str(outcome.error)


async def test_no_connection_is_unreachable(opened: Open) -> None:
    with LoopbackServer(lambda _: sse()) as server:
        url = f"{server.url}/v1"
    outcome = await played(opened(url), ASKED)
    assert isinstance(outcome.error, Unreachable)


UNSUPPORTED = "Unsupported parameter: '{0}' is not supported with this model."


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        ("include", refusal(400, "Encrypted content is not supported with this model.", param="include")),
        ("prompt_cache_key", refusal(400, UNSUPPORTED.format("prompt_cache_key"), param="prompt_cache_key")),
        ("max_output_tokens", json_reply({"detail": [{"loc": ["body", "max_output_tokens"]}]}, 422)),
        ("reasoning", refusal(400, UNSUPPORTED.format("reasoning"), param="reasoning")),
    ],
)
async def test_a_refused_optional_field_is_left_out_from_then_on(
    opened: Open, field: str, complaint: Reply
) -> None:
    def handler(asked: Recorded) -> Reply:
        return complaint if field in asked.json else sse(*answer(said("fine")))

    with LoopbackServer(handler) as server:
        provider = opened(server)
        outcomes = [await played(provider, request("gate/m", effort="high")) for _ in range(2)]
        other = await played(provider, request("gate/other", effort="high"))
        assert [field in each.json for each in server.requests] == [True, False, False, True, False]
    assert [outcome.text for outcome in (*outcomes, other)] == ["fine", "fine", "fine"]


@pytest.mark.parametrize("inner", ["summary", "effort"])
async def test_only_the_part_of_reasoning_that_was_refused_is_left_out(opened: Open, inner: str) -> None:
    def handler(asked: Recorded) -> Reply:
        if inner in asked.json["reasoning"]:
            return refusal(400, "Your organization must be verified.", param=f"reasoning.{inner}")
        return sse(*answer(said("fine")))

    with LoopbackServer(handler) as server:
        outcome = await played(opened(server), request("gate/m", effort="high"))
        left = {"summary": "auto", "effort": "high"}
        del left[inner]
        assert server.requests[1].json["reasoning"] == left
    assert outcome.text == "fine"


async def test_an_effort_the_model_does_not_know_gives_way_to_the_next_below(opened: Open) -> None:
    def handler(asked: Recorded) -> Reply:
        effort = asked.json["reasoning"]["effort"]
        if effort in ("max", "xhigh"):
            words = f"Unsupported value: '{effort}'. Supported values are: 'low', 'medium', and 'high'."
            return refusal(400, words, param="reasoning.effort")
        return sse(*answer(said("fine")))

    with LoopbackServer(handler) as server:
        provider = opened(server)
        for _ in range(2):
            assert (await played(provider, request("gate/m", effort="max"))).text == "fine"
        efforts = [each.json["reasoning"]["effort"] for each in server.requests]
    assert efforts == ["max", "xhigh", "high", "high"]


async def test_that_nothing_shall_be_stored_is_never_left_out(opened: Open) -> None:
    words = "Item 'rs_1' not found. Items are not persisted when `store` is set to false."
    with LoopbackServer(lambda _: refusal(400, words, param="store")) as server:
        outcome = await played(opened(server), ASKED)
        assert [each.json["store"] for each in server.requests] == [False]
    assert isinstance(outcome.error, RequestRejected)


async def test_a_server_that_refuses_everything_is_not_asked_for_ever(opened: Open) -> None:
    fields = "include prompt_cache_key reasoning.summary reasoning.effort reasoning max_output_tokens"
    with LoopbackServer(lambda _: refusal(400, f"no: {fields}")) as server:
        outcome = await played(opened(server), request("gate/m", effort="low"))
        assert len(server.requests) == 6
    assert isinstance(outcome.error, RequestRejected)


# --- what is sent -------------------------------------------------------------------------------------------


async def test_openai_gets_the_whole_conversation_and_stores_none_of_it(opened: Open) -> None:
    with ResponsesServer([(said("hello"),)]) as server:
        await played(opened(server, "openai"), request("openai/m", tools=[TOOL], effort="high"))
        sent = server.requests[0]
    assert sent.path == "/v1/responses"
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.headers["content-type"] == "application/json"
    assert sent.json == {
        "model": "m",
        "instructions": "Be brief.",
        "tools": [
            {
                "type": "function",
                "name": "list_files",
                "description": "List a folder.",
                "parameters": calls.SCHEMA,
                "strict": False,
            }
        ],
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}],
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "high", "summary": "auto"},
        "prompt_cache_key": "session-1",
        "max_output_tokens": 16_384,
    }


@pytest.mark.parametrize(
    ("model", "asked"), [("gpt-4.1", False), ("gpt-4o-mini", False), ("gpt-5.6", True), ("o4-mini", True)]
)
async def test_only_models_that_reason_are_asked_for_encrypted_reasoning(
    opened: Open, model: str, asked: bool
) -> None:
    with ResponsesServer([(said("hello"),)]) as server:
        await played(opened(server), request(f"gate/{model}"))
        assert ("include" in server.requests[0].json) is asked
        assert "reasoning" not in server.requests[0].json


async def test_not_to_think_at_all_needs_no_summary(opened: Open) -> None:
    with ResponsesServer([(said("hello"),)]) as server:
        await played(opened(server), request("gate/m", effort="none"))
        assert server.requests[0].json["reasoning"] == {"effort": "none"}


async def test_half_a_character_does_not_stop_the_conversation(opened: Open) -> None:
    with ResponsesServer([(said("hello"),)]) as server:
        outcome = await played(opened(server), request("gate/m", message("user", "a\ud83db")))
        assert server.requests[0].json["input"][0]["content"][0]["text"] == "a?b"
    assert outcome.text == "hello"


async def test_an_image_of_a_result_goes_with_it(opened: Open) -> None:
    shot = result("a", "Here.", images=(Image("image/png", "aGk="),))
    turns: tuple[Message, ...] = (message("user", "look"), calls.called("a"), shot)
    with ResponsesServer([(said("A cat."),)]) as server:
        await played(opened(server), request("gate/m", *turns))
        sent = server.requests[0].json["input"][-1]
    assert sent["output"] == [
        {"type": "input_text", "text": "Here."},
        {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,aGk="},
    ]


def test_making_a_provider_imports_no_sdk() -> None:
    code = (
        "import sys; from pathlib import Path; from providers.openai_responses import connect;"
        "from providers.settings import ProviderSettings;"
        "connect('x', ProviderSettings(base_url='http://h/v1'), {}, Path('.'));"
        "assert not {'openai', 'httpx2', 'genai_prices'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
