"""OpenAI's chat wire through the real SDK, against a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from providers.errors import (
    ConfigurationError,
    ContextOverflow,
    KeyRefused,
    MissingKey,
    ModelNotFound,
    ProviderError,
    RateLimited,
    RequestRejected,
    ServerFault,
    StreamTruncated,
    Unreachable,
)
from providers.openai_chat import connect
from providers.openai_endpoint import OpenAIProvider
from providers.settings import KEY_VARIABLES, ProviderSettings
from providers.types import (
    StopReason,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)
from providers.vendors import VENDORS
from tests.support.calls import TOOL, Outcome, called, cancelled, message, played, request, result
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply, sse
from tests.support.openai_server import DONE, OpenAIServer, answer, chunk, fragment, refusal, usage

FIXTURES = Path(__file__).parent.parent / "fixtures" / "wire"
ROOT = Path(__file__).parents[2]
KEY = "sk-very-secret-0123456789"
ASKED = request("gate/m", tools=[TOOL])

Open = Callable[..., OpenAIProvider]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens providers and closes them after the test."""
    opened: list[OpenAIProvider] = []

    def open_one(
        server: LoopbackServer | str,
        name: str = "gate",
        *,
        environ: dict[str, str] | None = None,
        **settings: Any,
    ) -> OpenAIProvider:
        url = server if isinstance(server, str) else f"{server.url}/v1"
        own = ProviderSettings(base_url=url, **{"api_key": KEY, **settings})
        opened.append(connect(name, own, environ or {}, tmp_path))
        return opened[-1]

    yield open_one
    for provider in opened:
        await provider.aclose()


async def replayed(opened: Open, *events: str | bytes | Reply, **settings: Any) -> Outcome:
    """What a call to a server that answers with these events comes to."""
    reply = (
        events[0] if isinstance(events[0], Reply) else sse(*(e for e in events if not isinstance(e, Reply)))
    )
    with LoopbackServer(lambda _: reply) as server:
        return await played(opened(server, **settings), ASKED)


def captured(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


# --- real captures ------------------------------------------------------------------------------------------


async def test_a_captured_tool_call_is_whole_and_its_usage_split(opened: Open) -> None:
    outcome = await replayed(opened, captured("llamacpp_chat_toolcall_auto_b.sse"))
    assert outcome.error is None
    call_id = "vWRs8faakSjaRQNaoiXQT9tkfyAhkDwe"
    assert outcome.tool_calls == (ToolCall(call_id, "list_files", '{"path": "/tmp"}'),)
    assert outcome.stop_reason == StopReason.TOOL_USE
    assert outcome.events[0] == ToolCallStarted(call_id, "list_files")
    assert "".join(e.json_text for e in outcome.events if isinstance(e, ToolCallDelta)) == '{"path": "/tmp"}'
    assert outcome.call.usage == Usage(
        input_tokens=1, cache_read_tokens=333, output_tokens=31, reported_prompt_tokens=334
    )
    assert not outcome.call.estimated


@pytest.mark.parametrize(("name", "read"), [("llamacpp_chat_cold.sse", 0), ("llamacpp_chat_warm.sse", 32)])
async def test_a_captured_answer_reads_cold_and_warm(opened: Open, name: str, read: int) -> None:
    outcome = await replayed(opened, captured(name))
    assert outcome.text == "I'm glad you're here"
    assert outcome.stop_reason == StopReason.MAX_TOKENS
    assert outcome.call.usage == Usage(
        input_tokens=33 - read, cache_read_tokens=read, output_tokens=6, reported_prompt_tokens=33
    )
    assert outcome.call.raw_usage["total_tokens"] == 39


async def test_a_capture_cut_into_single_bytes_reads_the_same(opened: Open) -> None:
    body = captured("llamacpp_chat_warm.sse")
    outcome = await replayed(opened, *(body[i : i + 1] for i in range(len(body))))
    assert outcome.text == "I'm glad you're here"


async def test_a_server_that_answers_with_one_json_body_is_understood(opened: Open) -> None:
    reply = Reply(200, {"content-type": "application/json"}, (captured("llamacpp_chat_nonstream.json"),))
    outcome = await replayed(opened, reply)
    assert outcome.text == "I'm glad you're here"
    assert outcome.call.usage.cache_read_tokens == 32


async def test_tool_calls_of_a_json_body_need_no_index(opened: Open) -> None:
    calls = [{"id": f"c{n}", "function": {"name": "ls", "arguments": f'{{"n":{n}}}'}} for n in (1, 2)]
    choice = {
        "message": {"role": "assistant", "content": None, "tool_calls": calls},
        "finish_reason": "tool_calls",
    }
    outcome = await replayed(opened, json_reply({"choices": [choice], "usage": usage(10, 2)}))
    assert outcome.tool_calls == (ToolCall("c1", "ls", '{"n":1}'), ToolCall("c2", "ls", '{"n":2}'))


# --- usage --------------------------------------------------------------------------------------------------


async def test_usage_on_every_chunk_is_not_added_up(opened: Open) -> None:
    events = [chunk({"content": "x"}, usage=usage(10, n, 4)) for n in (1, 2)]
    outcome = await replayed(opened, *events, chunk({}, "stop", usage=usage(10, 3, 4)), DONE)
    assert outcome.call.usage == Usage(
        input_tokens=6, cache_read_tokens=4, output_tokens=3, reported_prompt_tokens=10
    )


async def test_a_late_null_or_zero_erases_no_figure(opened: Open) -> None:
    late = {"prompt_tokens": 0, "completion_tokens": 7, "total_tokens": 7, "prompt_tokens_details": None}
    events = [
        chunk({"content": "x"}, usage=usage(10, 1, 4)),
        chunk({}, "stop", usage=late),
        chunk(usage=None),
    ]
    outcome = await replayed(opened, *events, DONE)
    assert outcome.call.usage == Usage(
        input_tokens=6, cache_read_tokens=4, output_tokens=7, reported_prompt_tokens=10
    )


async def test_usage_may_come_on_the_finish_chunk_or_inside_the_choice(opened: Open) -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage(10, 3, 4)}
    outcome = await replayed(opened, chunk({"content": "x"}), chunk(choices=[choice]), DONE)
    assert outcome.call.usage.cache_read_tokens == 4


async def test_groqs_own_place_for_usage_is_known(opened: Open) -> None:
    outcome = await replayed(
        opened, chunk({"content": "x"}), chunk({}, "stop", x_groq={"usage": usage(10, 3, 4)})
    )
    assert outcome.call.usage.cache_read_tokens == 4


async def test_timings_stand_in_for_a_usage_that_never_came(opened: Open) -> None:
    timings = {"cache_n": 4, "prompt_n": 6, "predicted_n": 3}
    outcome = await replayed(opened, chunk({"content": "x"}), chunk({}, "stop", timings=timings), DONE)
    assert outcome.call.usage == Usage(
        input_tokens=6, cache_read_tokens=4, output_tokens=3, reported_prompt_tokens=10
    )
    assert not outcome.call.estimated


async def test_an_answer_without_usage_is_estimated_and_says_so(opened: Open) -> None:
    outcome = await replayed(opened, chunk({"content": "x" * 40}), chunk({}, "stop"), DONE)
    assert outcome.call.estimated
    assert outcome.call.usage.output_tokens == 10
    assert not outcome.call.usage.cache_reported


# --- tool calls ---------------------------------------------------------------------------------------------


async def test_two_calls_that_share_an_index_stay_two(opened: Open) -> None:
    events = [
        chunk(fragment(0, "a", "ls", '{"p":1}')),
        chunk(fragment(0, "b", "cat", '{"p"')),
        chunk(fragment(0, None, None, ":2}")),
    ]
    outcome = await replayed(opened, *events, chunk({}, "tool_calls"), DONE)
    assert outcome.tool_calls == (ToolCall("a", "ls", '{"p":1}'), ToolCall("b", "cat", '{"p":2}'))


async def test_calls_without_an_index_are_told_apart_by_id(opened: Open) -> None:
    events = [
        chunk(fragment(None, "a", "ls", '{"p"')),
        chunk(fragment(None, None, None, ":1}")),
        chunk(fragment(None, "b", "cat", "{}")),
    ]
    outcome = await replayed(opened, *events, chunk({}, "tool_calls"), DONE)
    assert outcome.tool_calls == (ToolCall("a", "ls", '{"p":1}'), ToolCall("b", "cat", "{}"))


async def test_calls_with_neither_index_nor_id_are_told_apart_by_name(opened: Open) -> None:
    events = [chunk(fragment(None, "", "ls", f'{{"p":{n}}}')) for n in (1, 2)]
    outcome = await replayed(opened, *events, chunk({}, "tool_calls"), DONE)
    first, second = outcome.tool_calls
    assert (first.raw_arguments, second.raw_arguments) == ('{"p":1}', '{"p":2}')
    assert first.id
    assert first.id != second.id


async def test_a_name_that_is_sent_again_is_not_doubled(opened: Open) -> None:
    events = [chunk(fragment(0, "a", "ls", '{"p"')), chunk(fragment(0, "a", "ls", ":1}"))]
    outcome = await replayed(opened, *events, chunk({}, "tool_calls"), DONE)
    assert outcome.tool_calls == (ToolCall("a", "ls", '{"p":1}'),)


async def test_calls_streamed_side_by_side_keep_to_their_indexes(opened: Open) -> None:
    events = [
        chunk(fragment(0, "a", "ls", "")),
        chunk(fragment(1, "b", "cat", "")),
        chunk(fragment(0, None, None, '{"p":1}')),
        chunk(fragment(1, None, None, '{"p":2}')),
    ]
    outcome = await replayed(opened, *events, chunk({}, "tool_calls"), DONE)
    assert outcome.tool_calls == (ToolCall("a", "ls", '{"p":1}'), ToolCall("b", "cat", '{"p":2}'))


async def test_arguments_sent_as_an_object_become_text(opened: Open) -> None:
    call = {"index": 0, "id": "a", "function": {"name": "ls", "arguments": {"b": 1, "a": "ü"}}}
    outcome = await replayed(opened, chunk({"tool_calls": [call]}), chunk({}, "tool_calls"), DONE)
    assert outcome.tool_calls == (ToolCall("a", "ls", '{"a":"ü","b":1}'),)


async def test_an_id_that_an_earlier_turn_used_is_replaced(opened: Open) -> None:
    asked = request("gate/m", message("user", "hi"), called("call_0"), result("call_0"), tools=[TOOL])
    with LoopbackServer(lambda _: sse(*answer(calls=[("call_0", "ls", {})]))) as server:
        outcome = await played(opened(server), asked)
    assert outcome.tool_calls[0].id not in ("", "call_0")


async def test_calls_run_though_the_server_says_stop(opened: Open) -> None:
    outcome = await replayed(opened, chunk(fragment(0, "a", "ls", '{"p":1}')), chunk({}, "stop"), DONE)
    assert outcome.stop_reason == StopReason.TOOL_USE
    assert len(outcome.tool_calls) == 1


async def test_a_broken_call_does_not_run_where_the_server_says_stop(opened: Open) -> None:
    outcome = await replayed(opened, chunk(fragment(0, "a", "ls", '{"p":')), chunk({}, "stop"), DONE)
    assert (outcome.stop_reason, outcome.tool_calls) == (StopReason.END_TURN, ())


async def test_a_broken_call_is_handed_out_where_the_server_says_tool_calls(opened: Open) -> None:
    outcome = await replayed(opened, chunk(fragment(0, "a", "ls", '{"p":')), chunk({}, "tool_calls"), DONE)
    assert outcome.tool_calls == (ToolCall("a", "ls", '{"p":'),)
    with pytest.raises(ValueError, match="Expecting"):
        outcome.tool_calls[0].arguments()


@pytest.mark.parametrize("finish", ["length", "content_filter"])
async def test_no_call_runs_of_a_message_that_was_cut(opened: Open, finish: str) -> None:
    events = [
        chunk(fragment(0, "a", "bash", '{"command":"rm -rf build"}')),
        chunk({}, finish),
        chunk({}, "stop"),
    ]
    outcome = await replayed(opened, *events, DONE)
    assert outcome.tool_calls == ()
    assert outcome.stop_reason in (StopReason.MAX_TOKENS, StopReason.REFUSAL)


# --- other content ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
async def test_reasoning_is_shown_and_kept_apart(opened: Open, key: str) -> None:
    events = [chunk({key: "Hm"}), chunk({key: "m."}), chunk({"content": "Yes"}), chunk({}, "stop")]
    outcome = await replayed(opened, *events, DONE)
    assert outcome.events == [ThinkingDelta("Hm"), ThinkingDelta("m."), TextDelta("Yes")]
    assert outcome.call.turn is not None
    thinking = outcome.call.turn.message.blocks[0]
    assert isinstance(thinking, Thinking)
    assert (thinking.text, thinking.origin.wire, thinking.origin.model) == ("Hmm.", "openai-chat", "m")


async def test_content_in_parts_is_read(opened: Open) -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
        {"type": "text", "text": "Yes"},
    ]
    outcome = await replayed(opened, chunk({"content": parts}), chunk({}, "stop"), DONE)
    assert outcome.events == [ThinkingDelta("Hm"), TextDelta("Yes")]


async def test_a_refusal_is_text_and_says_why_it_stopped(opened: Open) -> None:
    outcome = await replayed(opened, chunk({"refusal": "No."}), chunk({}, "stop"), DONE)
    assert (outcome.text, outcome.stop_reason) == ("No.", StopReason.REFUSAL)


async def test_what_is_missing_null_or_unknown_passes(opened: Open) -> None:
    events = [
        ": OPENROUTER PROCESSING\n\n",
        chunk(choices=None),
        chunk(None, usage=None, obfuscation="aaaa"),
        chunk({"role": "assistant", "content": None, "tool_calls": None, "audio": {}}),
        chunk({"content": "x"}, ""),
        "event: ping\n\n",
        "data:\n\n",
        chunk({}, "stop"),
    ]
    outcome = await replayed(opened, *events, DONE)
    assert (outcome.error, outcome.text) == (None, "x")


async def test_line_separators_inside_the_text_do_not_cut_it(opened: Open) -> None:
    words = "a\u2028b\x85c"
    raw = f'data: {{"choices":[{{"delta":{{"content":"{words}"}},"finish_reason":"stop"}}]}}\r\n\r\n'
    outcome = await replayed(opened, raw, DONE)
    assert outcome.text == words


async def test_an_unknown_finish_reason_passes_through(opened: Open) -> None:
    outcome = await replayed(opened, chunk({"content": "x"}), chunk({}, "insufficient_system_resource"), DONE)
    assert outcome.stop_reason == "insufficient_system_resource"


# --- streams that break -------------------------------------------------------------------------------------


async def test_a_clean_end_without_a_finish_reason_is_not_success(opened: Open) -> None:
    outcome = await replayed(opened, chunk({"content": "half"}), chunk(fragment(0, "a", "ls", "{}")), DONE)
    assert isinstance(outcome.error, StreamTruncated)
    assert (outcome.text, outcome.stop_reason) == ("half", StopReason.INTERRUPTED)
    assert outcome.tool_calls == ()


async def test_a_connection_that_is_cut_is_truncated(opened: Open) -> None:
    outcome = await replayed(opened, sse(chunk({"content": "half"}), cut=True))
    assert isinstance(outcome.error, StreamTruncated)
    assert outcome.call.estimated


async def test_an_output_told_before_the_answer_was_cut_is_an_estimate(opened: Open) -> None:
    early = {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101}
    pieces = (chunk({"content": "half"}, usage=early), chunk({"content": "of it" * 100}))
    with LoopbackServer(lambda _: sse(*pieces, cut=True)) as server:
        made = await played(opened(server), ASKED)
    assert isinstance(made.error, StreamTruncated)
    assert (made.call.usage, made.call.estimated) == (Usage(input_tokens=100, output_tokens=126), True)


async def test_a_cut_after_the_whole_message_loses_nothing(opened: Open) -> None:
    outcome = await replayed(
        opened, sse(chunk({"content": "all"}), chunk({}, "stop", usage=usage(9, 1)), cut=True)
    )
    assert (outcome.error, outcome.text) == (None, "all")
    assert outcome.call.usage.prompt_tokens == 9


async def test_an_empty_answer_is_truncated_and_billed_nothing(opened: Open) -> None:
    outcome = await replayed(opened, sse())
    assert isinstance(outcome.error, StreamTruncated)
    assert outcome.call.turn is None
    assert outcome.call.usage == Usage()


@pytest.mark.parametrize("line", ["data: {broken\n\n", "data: 5\n\n", 'data: ["x"]\n\n', b"data: \xff\n\n"])
async def test_a_line_that_is_no_json_object_is_a_fault(opened: Open, line: str | bytes) -> None:
    outcome = await replayed(opened, chunk({"content": "x"}), line, chunk({}, "stop"), DONE)
    assert isinstance(outcome.error, ServerFault)
    assert "\n" not in str(outcome.error)


@pytest.mark.parametrize(
    ("event", "error", "words"),
    [
        (
            {"error": {"message": "Slow down", "type": "rate_limit_exceeded", "code": None}},
            RateLimited,
            "Slow down",
        ),
        (
            {"error": {"code": 502, "message": "Provider disconnected"}, "choices": []},
            ServerFault,
            "disconnected",
        ),
        (
            {"error": {"code": 429, "message": "Provider returned error", "metadata": {"raw": "busy"}}},
            RateLimited,
            "busy",
        ),
        ({"error": "boom"}, ServerFault, "boom"),
        ({"error": {"message": "long", "code": "context_length_exceeded"}}, ContextOverflow, "/new"),
        (
            {"error": {"code": 400, "message": "m", "type": "exceed_context_size_error"}},
            ContextOverflow,
            "/fork",
        ),
        ({"choices": [{"delta": {"content": ""}, "finish_reason": "error"}]}, ServerFault, "broke off"),
    ],
)
async def test_an_error_inside_the_stream_is_named(
    opened: Open, event: dict[str, Any], error: type[ProviderError], words: str
) -> None:
    outcome = await replayed(opened, chunk({"content": "x"}), f"data: {json.dumps(event)}\n\n")
    assert type(outcome.error) is error
    assert words in str(outcome.error)
    assert outcome.text == "x"


async def test_an_old_llama_cpp_error_line_is_an_error(opened: Open) -> None:
    line = 'error: {"code":500,"message":"slot unavailable","type":"server_error"}\n\n'
    outcome = await replayed(opened, chunk({"content": "x"}), line)
    assert isinstance(outcome.error, ServerFault)
    assert "slot unavailable" in str(outcome.error)


async def test_an_error_in_a_json_body_under_200_is_an_error(opened: Open) -> None:
    outcome = await replayed(
        opened, json_reply({"error": {"message": "no such key", "code": "invalid_api_key"}})
    )
    assert isinstance(outcome.error, KeyRefused)


async def test_cancelling_closes_the_connection_and_keeps_what_came(opened: Open) -> None:
    with LoopbackServer(lambda _: sse(chunk({"content": "half"}), hold=True)) as server:
        call = opened(server).stream(ASKED)
        turn = await cancelled(call)
        assert await asyncio.to_thread(server.client_left.wait, 20)
    assert (turn.message.text, turn.stop_reason) == ("half", StopReason.INTERRUPTED)
    assert call.estimated


# --- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (refusal(401, f"Incorrect API key provided: {KEY}", code="invalid_api_key"), KeyRefused, "401"),
        (refusal(404, "The model `m` does not exist", code="model_not_found"), ModelNotFound, "m"),
        (refusal(429, "slow", **{"retry-after": "7"}), RateLimited, "7 s"),
        (refusal(429, "no money", code="insufficient_quota"), KeyRefused, "payment"),
        (refusal(500, "oops"), ServerFault, "oops"),
        (
            refusal(400, "request (18010 tokens) exceeds …", kind="exceed_context_size_error", code=400),
            ContextOverflow,
            "/new",
        ),
        (refusal(400, "This model's maximum context length is 8192 tokens."), ContextOverflow, "/fork"),
        (refusal(400, "bad temperature"), RequestRejected, "temperature"),
        (json_reply({"detail": [{"loc": ["body", "x"], "msg": "nope"}]}, 422), RequestRejected, "nope"),
        (Reply(502, {"content-type": "text/html"}, (b"<html>Bad gateway</html>",)), ServerFault, "web page"),
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
    assert outcome.call.turn is None
    assert outcome.call.usage == Usage()


async def test_the_wait_that_was_asked_for_is_kept(opened: Open) -> None:
    outcome = await replayed(opened, refusal(429, "slow", **{"retry-after": "7"}))
    assert isinstance(outcome.error, RateLimited)
    assert outcome.error.retry_after == 7


async def test_an_address_without_v1_says_what_to_try(opened: Open) -> None:
    with LoopbackServer(lambda _: json_reply({"detail": "Not Found"}, 404)) as server:
        outcome = await played(opened(server.url), ASKED)
        assert f"try {server.url}/v1" in str(outcome.error)
    assert isinstance(outcome.error, ModelNotFound)


async def test_a_web_page_is_no_endpoint(opened: Open) -> None:
    outcome = await replayed(opened, Reply(200, {"content-type": "text/html"}, (b"<html>",)))
    assert isinstance(outcome.error, ModelNotFound)
    assert "base_url of gate" in str(outcome.error)


async def test_no_connection_is_unreachable_and_may_be_tried_again(opened: Open) -> None:
    with LoopbackServer(lambda _: sse()) as server:
        url = f"{server.url}/v1"
    outcome = await played(opened(url), ASKED)
    assert isinstance(outcome.error, Unreachable)
    assert outcome.error.retryable
    assert url in str(outcome.error)


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        (
            "stream_options",
            json_reply({"detail": [{"loc": ["body", "stream_options"], "msg": "extra"}]}, 422),
        ),
        ("prompt_cache_key", refusal(400, "Unrecognized request argument supplied: prompt_cache_key")),
        ("reasoning_effort", refusal(400, "Unsupported parameter: 'reasoning_effort'")),
    ],
)
async def test_a_refused_optional_field_is_left_out_from_then_on(
    opened: Open, field: str, complaint: Reply
) -> None:
    def handler(asked: Recorded) -> Reply:
        return complaint if field in asked.json else sse(*answer("fine"))

    with LoopbackServer(handler) as server:
        provider = opened(server, quirks=frozenset({"prompt_cache_key"}))
        outcomes = [await played(provider, request("gate/m", effort="high")) for _ in range(2)]
        assert [field in each.json for each in server.requests] == [True, False, False]
    assert [outcome.text for outcome in outcomes] == ["fine", "fine"]


async def test_a_refused_name_for_the_limit_gives_way_to_the_other(opened: Open) -> None:
    said = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
    )

    def handler(asked: Recorded) -> Reply:
        return refusal(400, said) if "max_tokens" in asked.json else sse(*answer("fine"))

    with LoopbackServer(handler) as server:
        outcome = await played(opened(server), request("gate/m", max_output_tokens=99))
        assert server.requests[1].json["max_completion_tokens"] == 99
    assert outcome.text == "fine"


async def test_a_server_that_refuses_everything_is_not_asked_for_ever(opened: Open) -> None:
    fields = "stream_options prompt_cache_key reasoning_effort max_completion_tokens max_tokens"
    with LoopbackServer(lambda _: refusal(400, f"no: {fields}")) as server:
        outcome = await played(
            opened(server, quirks=frozenset({"prompt_cache_key"})), request("gate/m", effort="low")
        )
        assert len(server.requests) == 6
    assert isinstance(outcome.error, RequestRejected)


# --- what is sent -------------------------------------------------------------------------------------------


async def test_openai_gets_its_own_names(opened: Open) -> None:
    with OpenAIServer(["hello"]) as server:
        await played(opened(server, "openai"), request("openai/m", tools=[TOOL], effort="high"))
        sent = server.requests[0]
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert {key: value for key, value in sent.json.items() if key not in ("messages", "tools")} == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "reasoning_effort": "high",
        "prompt_cache_key": "session-1",
        "max_completion_tokens": 16_384,
    }


async def test_other_endpoints_get_the_plain_names_and_a_placeholder_key(opened: Open) -> None:
    with OpenAIServer(["hello"]) as server:
        await played(opened(server, api_key=None, headers={"x-team": "a"}), ASKED)
        sent = server.requests[0]
    assert "prompt_cache_key" not in sent.json
    assert sent.json["max_tokens"] == 16_384
    assert sent.headers["authorization"] == "Bearer none"
    assert sent.headers["x-team"] == "a"


async def test_the_affinity_key_goes_into_the_header_an_endpoint_wants(opened: Open) -> None:
    with OpenAIServer(["hello"]) as server:
        await played(opened(server, quirks=frozenset({"affinity:x-session-affinity"})), ASKED)
        assert server.requests[0].headers["x-session-affinity"] == "session-1"


async def test_openais_own_environment_is_not_told_to_other_endpoints(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-gateway: secret")
    with OpenAIServer(["hello"]) as server:
        await played(opened(server, api_key=None), ASKED)
        sent = " ".join(server.requests[0].headers.values())
    assert "secret" not in sent
    assert "sk-openai" not in sent


async def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with OpenAIServer(["hello"]) as server:
        assert (await played(opened(server), ASKED)).text == "hello"


async def test_one_connection_serves_a_whole_session(opened: Open) -> None:
    connections = 0
    body = "".join(answer("fine")).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(body)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while asked := await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
            length = next(line for line in asked.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
            writer.write(head + body)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    provider = opened(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    for _ in range(3):
        assert (await played(provider, ASKED)).text == "fine"
    server.close()
    assert connections == 1


async def test_the_next_step_reads_all_that_the_last_one_sent(opened: Open) -> None:
    turn = (message("user", "look around"), called("a"), result("a", "x" * 400))
    with OpenAIServer(["one", "two"]) as server:
        provider = opened(server)
        first = await played(provider, request("gate/m", *turn, tools=[TOOL]))
        longer = (*turn, message("assistant", first.text), message("user", "more"))
        second = await played(provider, request("gate/m", *longer, tools=[TOOL]))
        assert second.call.usage.cache_read_tokens == first.call.usage.prompt_tokens
        assert second.call.usage.prompt_tokens == server.billed[1]["prompt_tokens"]


# --- the endpoint -------------------------------------------------------------------------------------------


async def test_the_models_and_their_windows_are_listed(opened: Open) -> None:
    listed = {"object": "list", "data": [{"id": "big", "max_model_len": 40_960}, {"id": "small"}]}
    with LoopbackServer(lambda _: json_reply(listed)) as server:
        models = await opened(server).models()
    assert [(model.name, model.context_window) for model in models] == [("big", 40_960), ("small", None)]


async def test_a_llama_cpp_server_tells_the_window_it_was_started_with(opened: Open) -> None:
    def handler(asked: Recorded) -> Reply:
        if asked.path == "/props":
            return json_reply({"default_generation_settings": {"n_ctx": 8192}})
        return json_reply({"data": [{"id": "m"}]})

    with LoopbackServer(handler) as server:
        assert await opened(server).context_window("m") == 8192


async def test_a_window_that_nobody_tells_is_unknown(opened: Open) -> None:
    with LoopbackServer(lambda _: json_reply({"error": "no"}, 404)) as server:
        assert await opened(server).context_window("m") is None


def test_openai_without_a_key_says_where_to_put_one(tmp_path: Path) -> None:
    with pytest.raises(MissingKey, match="OPENAI_API_KEY"):
        connect("openai", ProviderSettings(), {}, tmp_path)


async def test_openai_base_url_moves_the_endpoint(tmp_path: Path) -> None:
    with OpenAIServer(["hello"]) as server:
        environ = {"OPENAI_BASE_URL": f"{server.base_url}/", "OPENAI_API_KEY": KEY}
        provider = connect("openai", ProviderSettings(), environ, tmp_path)
        assert (await played(provider, request("openai/m"))).text == "hello"
        await provider.aclose()
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "url", ["localhost:8080", "ftp://host/v1", "http://", "http://host:port/v1", "http://[::1"]
)
def test_a_base_url_that_is_none_is_refused_by_name(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url of gate"):
        connect("gate", ProviderSettings(base_url=url), {}, tmp_path)


def test_every_vendor_with_a_key_has_an_address_of_its_own() -> None:
    assert set(KEY_VARIABLES) - {"anthropic"} <= set(VENDORS)
    assert len({vendor.base_url for vendor in VENDORS.values()}) == len(VENDORS)


def test_making_a_provider_imports_no_sdk() -> None:
    code = (
        "import sys; from pathlib import Path; from providers.openai_chat import connect;"
        "from providers.settings import ProviderSettings;"
        "connect('x', ProviderSettings(base_url='http://h/v1'), {}, Path('.'));"
        "assert not {'openai', 'httpx2', 'genai_prices'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
