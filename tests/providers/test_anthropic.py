"""Anthropic's wire through the real SDK, against a real server on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from providers.anthropic import Anthropic, connect
from providers.call import Call
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
from providers.settings import ProviderSettings
from providers.types import (
    Message,
    ModelRef,
    Opaque,
    Origin,
    Prefix,
    Request,
    StopReason,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    ToolSpec,
    Usage,
)
from tests.support.anthropic_server import AnthropicServer, answer, event, refusal, text, tool_use
from tests.support.calls import cancelled
from tests.support.loopback import LoopbackServer, Reply, json_reply, sse

FIXTURES = Path(__file__).parent.parent / "fixtures" / "wire"
KEY = "sk-ant-very-secret-0123456789"
USAGE = {"input_tokens": 21, "cache_creation_input_tokens": 1840, "cache_read_input_tokens": 12032}

FULL = (
    event(
        "message_start",
        message={
            "id": "msg_01",
            "model": "claude-opus-5-5",
            "content": [],
            "usage": {
                **USAGE,
                "cache_creation": {"ephemeral_5m_input_tokens": 1840, "ephemeral_1h_input_tokens": 0},
                "output_tokens": 1,
                "service_tier": "standard",
            },
        },
    ),
    event(
        "content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}
    ),
    event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "Let me see."}),
    event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "EqQB"}),
    event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "+/=="}),
    event("content_block_stop", index=0),
    event("ping"),
    event(
        "content_block_start",
        index=1,
        content_block={"type": "tool_use", "id": "toolu_01", "name": "list_files", "input": {}},
    ),
    event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": ""}),
    event(
        "content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"path": "/srv"}'}
    ),
    event("content_block_stop", index=1),
    event(
        "message_delta",
        delta={"stop_reason": "tool_use", "stop_sequence": None},
        usage={**USAGE, "output_tokens": 89, "output_tokens_details": {"thinking_tokens": 41}},
    ),
    event("message_stop"),
)


def endpoint(
    server: LoopbackServer, *, headers: Mapping[str, str] | None = None, quirks: frozenset[str] = frozenset()
) -> Anthropic:
    settings = ProviderSettings(base_url=server.url, api_key=KEY, headers=headers or {}, quirks=quirks)
    return connect("anthropic", settings, {}, Path())


def request(*messages: Message) -> Request:
    prefix = Prefix(
        model=ModelRef("anthropic", "claude-test"),
        system="You are an agent.",
        tools=(ToolSpec("list_files", "Lists files.", '{"type":"object"}'),),
        encoder="anthropic/1",
        affinity_key="s1",
    )
    return Request(prefix=prefix, messages=messages or (Message("u1", "user", (Text("hello"),)),))


async def played(server: LoopbackServer, asked: Request | None = None) -> tuple[Call, list[StreamEvent]]:
    """A call that is played to its end."""
    provider = endpoint(server)
    call, events = provider.stream(asked or request()), []
    try:
        async with call:
            async for shown in call:
                events.append(shown)
    finally:
        await provider.aclose()
    return call, events


async def failed(reply: Reply) -> tuple[Call, ProviderError]:
    """A call that the reply makes fail, and the error it raised."""
    with LoopbackServer(lambda _: reply) as server:
        provider = endpoint(server)
        call = provider.stream(request())
        with pytest.raises(ProviderError) as caught:
            await _play(call)
        await provider.aclose()
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
    return call, caught.value


async def _play(call: Call) -> None:
    async with call:
        async for _ in call:
            pass


def text_start(*, usage: dict[str, Any] = USAGE) -> tuple[str, ...]:
    """The beginning of an answer, cut after its first word."""
    return (
        event("message_start", message={"model": "m", "usage": {**usage, "output_tokens": 1}}),
        event("content_block_start", index=0, content_block=text("")),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello"}),
    )


TOOL_START = (
    event("content_block_start", index=1, content_block=tool_use("toolu_1", "list_files")),
    event(
        "content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"path": "/"}'}
    ),
)


# --- whole answers -----------------------------------------------------------------------------------------


async def test_the_whole_stream_of_a_tool_step() -> None:
    with LoopbackServer(lambda _: sse(*FULL)) as server:
        call, events = await played(server)
        origin = Origin("anthropic", server.url, "claude-test")
    assert events == [
        ThinkingDelta("Let me see."),
        ToolCallStarted("toolu_01", "list_files"),
        ToolCallDelta("toolu_01", '{"path": "/srv"}'),
    ]
    assert call.turn is not None
    assert call.turn.message.blocks == (
        Thinking("Let me see.", origin, "EqQB+/=="),
        ToolCall("toolu_01", "list_files", '{"path": "/srv"}'),
    )
    assert call.turn.stop_reason == StopReason.TOOL_USE
    assert call.turn.model == "claude-opus-5-5"
    assert call.usage == Usage(
        input_tokens=21,
        output_tokens=89,
        cache_read_tokens=12032,
        cache_write_tokens=1840,
        reasoning_tokens=41,
        reported_prompt_tokens=13893,
    )
    assert call.raw_usage["service_tier"] == "standard"
    assert not call.estimated


async def test_a_recorded_answer_of_llama_cpp() -> None:
    recorded = (FIXTURES / "llamacpp_messages.sse").read_bytes()
    with LoopbackServer(lambda _: sse(recorded)) as server:
        call, _ = await played(server)
    assert call.turn is not None
    assert call.turn.message.text == "Your friendly AI, I'll"
    assert call.turn.stop_reason == StopReason.MAX_TOKENS
    assert call.usage == Usage(
        input_tokens=1, output_tokens=6, cache_read_tokens=32, reported_prompt_tokens=33
    )


async def test_a_recorded_tool_call_of_llama_cpp_whose_block_begins_without_input() -> None:
    recorded = (FIXTURES / "llamacpp_messages_toolcall.sse").read_bytes()
    with LoopbackServer(lambda _: sse(recorded)) as server:
        call, _ = await played(server)
    assert call.turn is not None
    assert call.turn.message.tool_calls == (
        ToolCall("61XEco5Z1I4gcisZtPQ6Dt4O84ph7Ulu", "list_files", '{"path": "/tmp"}'),
    )
    assert call.turn.stop_reason == StopReason.TOOL_USE
    assert (call.usage.input_tokens, call.usage.cache_read_tokens, call.usage.output_tokens) == (1, 315, 31)


async def test_the_bytes_may_come_in_any_pieces() -> None:
    wire = "".join(answer(text("Grüße 🎉"), usage=USAGE)).encode()
    pieces = [wire[place : place + 7] for place in range(0, len(wire), 7)]
    with LoopbackServer(lambda _: sse(*pieces)) as server:
        call, events = await played(server)
    assert call.turn is not None
    assert call.turn.message.text == "Grüße 🎉"
    assert "".join(shown.text for shown in events if isinstance(shown, TextDelta)) == "Grüße 🎉"


async def test_a_proxy_that_sends_only_data_lines_is_understood() -> None:
    lines = "".join(FULL).splitlines(keepends=True)
    wire = "".join(line for line in lines if not line.startswith("event:"))
    with LoopbackServer(lambda _: sse(wire)) as server:
        call, _ = await played(server)
    assert call.turn is not None
    assert call.turn.stop_reason == StopReason.TOOL_USE
    assert call.usage.cache_read_tokens == 12032


async def test_unknown_events_and_deltas_pass_and_an_unknown_block_is_kept_as_it_came() -> None:
    start = text_start()
    block = {"type": "server_tool_use", "id": "srv_1", "name": "search", "input": {}, "caller": {"x": 1}}
    news = (
        event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {}}),
        event("content_block_delta", index=9, delta={"type": "text_delta", "text": "lost"}),
        event("weather_report", sky="blue"),
        event("content_block_stop", index=0),
        event("content_block_start", index=1, content_block=block),
        event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"q": 1}'}),
        event("content_block_stop", index=1),
        event("message_delta", delta={"stop_reason": "pause_turn"}, usage={"output_tokens": 5}),
        event("message_stop"),
    )
    with LoopbackServer(lambda _: sse(*start, *news)) as server:
        call, _ = await played(server)
    assert call.turn is not None
    assert call.turn.stop_reason == "pause_turn"
    words, opaque = call.turn.message.blocks
    assert words == Text("Hello")
    assert isinstance(opaque, Opaque)
    assert json.loads(opaque.raw) == {**block, "input": {"q": 1}}


async def test_a_tool_call_whose_whole_input_came_with_its_start() -> None:
    whole = (
        event("message_start", message={"model": "m"}),
        event("content_block_start", index=0, content_block=tool_use("t1", "list_files", path="/", all=True)),
        event("content_block_stop", index=0),
        event("content_block_start", index=1, content_block=tool_use("t2", "list_files")),
        event("content_block_stop", index=1),
        event("message_delta", delta={"stop_reason": "tool_use"}),
        event("message_stop"),
    )
    with LoopbackServer(lambda _: sse(*whole)) as server:
        call, events = await played(server)
    assert call.turn is not None
    assert call.turn.message.tool_calls == (
        ToolCall("t1", "list_files", '{"all":true,"path":"/"}'),
        ToolCall("t2", "list_files", ""),
    )
    assert ToolCallDelta("t1", '{"all":true,"path":"/"}') in events


async def test_tool_calls_without_an_id_or_with_one_id_twice_can_be_told_apart() -> None:
    calls = answer(
        tool_use("", "list_files"), tool_use("x", "list_files"), tool_use("x", "list_files"), usage={}
    )
    with LoopbackServer(lambda _: sse(*calls)) as server:
        call, _ = await played(server)
    assert call.turn is not None
    ids = [wanted.id for wanted in call.turn.message.tool_calls]
    assert len(set(ids)) == 3
    assert all(ids)
    assert ids[1] == "x"


async def test_an_endpoint_that_tells_no_usage_is_estimated_and_marked() -> None:
    silent = (
        event("message_start", message={"model": "m"}),
        event("content_block_start", index=0, content_block=text("")),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x" * 40}),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn"}),
        event("message_stop"),
    )
    with LoopbackServer(lambda _: sse(*silent)) as server:
        call, _ = await played(server)
    assert call.estimated
    assert call.usage.output_tokens == 10
    assert not call.usage.cache_reported


@pytest.mark.parametrize("told", [{}, {"usage": None}, {"usage": {"output_tokens": None}}])
async def test_a_whole_answer_whose_output_was_never_counted_is_estimated_beside_its_exact_prompt(
    told: dict[str, Any],
) -> None:
    rest = (
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x" * 35}),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn"}, **told),
        event("message_stop"),
    )
    with LoopbackServer(lambda _: sse(*text_start(), *rest)) as server:
        call, _ = await played(server)
    assert call.estimated
    assert (call.usage.output_tokens, call.usage.cache_read_tokens) == (len("Hello") * 8 // 4, 12032)
    assert call.raw_usage["output_tokens"] == 1


async def test_an_answer_is_whole_at_its_last_event_though_the_body_never_ends() -> None:
    with LoopbackServer(lambda _: sse(*answer(text("Hi."), usage=USAGE), cut=True)) as server:
        call, _ = await played(server)
    assert call.turn is not None
    assert call.turn.stop_reason == StopReason.END_TURN


async def test_a_conversation_reads_its_own_prefix_again() -> None:
    script = [(text("One."),), (tool_use("t1", "list_files", path="."),), (text("Two."),)]
    with AnthropicServer(script) as server:
        provider = endpoint(server)
        messages: list[Message] = []
        previous, cached = None, 0
        for number in range(3):
            messages.append(_next_message(number))
            asked = request(*messages)
            call = provider.stream(
                Request(prefix=asked.prefix, messages=asked.messages, previous_end=previous)
            )
            async with call:
                async for _ in call:
                    pass
            assert call.turn is not None
            assert call.usage.cache_read_tokens == cached
            cached += call.usage.cache_write_tokens
            previous = messages[-1].id
            messages.append(call.turn.message)
        await provider.aclose()
    assert cached > 0


def _next_message(number: int) -> Message:
    if number == 2:
        return Message("r1", "tool", (ToolResult("t1", "list_files", "a.py"),))
    return Message(f"u{number}", "user", (Text(f"question {number}"),))


# --- broken answers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [False, True])
async def test_an_answer_cut_before_its_last_event_keeps_its_text_and_hands_out_no_tool_call(
    cut: bool,
) -> None:
    stop = event("content_block_stop", index=1)
    delta = event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 7})
    call, error = await failed(sse(*text_start(), *TOOL_START, stop, delta, cut=cut))
    assert isinstance(error, StreamTruncated)
    assert error.retryable
    assert call.turn is not None
    assert call.turn.message.blocks == (Text("Hello"),)
    assert call.turn.stop_reason == StopReason.INTERRUPTED
    assert call.usage.output_tokens == 7
    assert call.usage.cache_read_tokens == 12032


async def test_a_tool_call_whose_block_never_ended_is_not_handed_out() -> None:
    delta = event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 7})
    with LoopbackServer(lambda _: sse(*text_start(), *TOOL_START, delta, event("message_stop"))) as server:
        call, _ = await played(server)
    assert call.turn is not None
    assert call.turn.message.blocks == (Text("Hello"),)


async def test_an_empty_stream_is_a_truncated_one() -> None:
    call, error = await failed(sse(""))
    assert isinstance(error, StreamTruncated)
    assert call.turn is None
    assert call.usage == Usage()


async def test_an_error_in_the_middle_of_an_answer_keeps_what_came() -> None:
    broken = event("error", error={"type": "overloaded_error", "message": "Overloaded"}, request_id="req_1")
    call, error = await failed(sse(*text_start(), broken))
    assert isinstance(error, ServerFault)
    assert "Overloaded" in str(error)
    assert call.turn is not None
    assert call.turn.message.text == "Hello"
    assert call.usage.cache_write_tokens == 1840


async def test_an_error_event_in_the_envelope_of_an_imitator() -> None:
    broken = 'data: {"error":{"code":500,"message":"out of memory","type":"server_error"}}\n\n'
    _, error = await failed(sse(*text_start(), broken))
    assert isinstance(error, ServerFault)
    assert "out of memory" in str(error)


async def test_an_event_that_is_not_json_is_a_fault_of_the_server() -> None:
    _, error = await failed(sse(*text_start(), 'event: content_block_delta\ndata: {"type": "cont\n\n'))
    assert isinstance(error, ServerFault)


async def test_an_overflow_told_inside_the_stream() -> None:
    broken = event("error", error={"type": "exceed_context_size_error", "message": "too long"})
    _, error = await failed(sse(broken))
    assert isinstance(error, ContextOverflow)


async def test_cancelling_keeps_the_text_and_what_the_start_said_was_billed() -> None:
    with LoopbackServer(lambda _: sse(*text_start(), *TOOL_START, hold=True)) as server:
        provider = endpoint(server)
        call = provider.stream(request())
        turn = await cancelled(call, after=ToolCallDelta)
        assert await asyncio.to_thread(server.client_left.wait, 10)
        await provider.aclose()
    assert turn.message.blocks == (Text("Hello"),)
    assert turn.stop_reason == StopReason.INTERRUPTED
    assert call.usage.prompt_tokens == 13893
    assert call.usage.cache_hit_rate == 12032 / 13893
    assert call.usage.output_tokens == len("Hello" + "list_files" + '{"path": "/"}') // 4
    assert call.estimated  # of the output the start says 1, whatever it becomes
    assert call.duration > 0


async def test_leaving_in_the_middle_closes_the_connection() -> None:
    with LoopbackServer(lambda _: sse(*text_start(), hold=True)) as server:
        provider = endpoint(server)
        async with provider.stream(request()) as call:
            async for _ in call:
                break
        assert await asyncio.to_thread(server.client_left.wait, 10)
        await provider.aclose()


# --- refusals ----------------------------------------------------------------------------------------------


async def test_a_refused_key_names_the_variable_and_another_way() -> None:
    _, error = await failed(refusal(401, "authentication_error", f"invalid x-api-key {KEY}"))
    assert isinstance(error, KeyRefused)
    assert error.status == 401
    assert "ANTHROPIC_API_KEY" in str(error)
    assert "agent -m local/smollm2" in str(error)


async def test_an_unknown_model() -> None:
    _, error = await failed(refusal(404, "not_found_error", "model: claude-nine"))
    assert isinstance(error, ModelNotFound)
    assert "claude-nine" in str(error)


async def test_a_rate_limit_tells_how_long_to_wait() -> None:
    _, error = await failed(refusal(429, "rate_limit_error", "slow down", {"retry-after": "17"}))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 17.0


async def test_a_refused_call_was_not_billed_and_is_sent_once() -> None:
    with LoopbackServer(lambda _: refusal(529, "overloaded_error", "Overloaded")) as server:
        with pytest.raises(ServerFault):
            await played(server)
        assert len(server.requests) == 1
    call, _ = await failed(refusal(529, "overloaded_error", "Overloaded"))
    assert call.usage == Usage()
    assert not call.estimated


@pytest.mark.parametrize(
    "body",
    [
        {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}},
        {
            "error": {
                "code": 400,
                "message": "exceeds the available context size",
                "type": "exceed_context_size_error",
            }
        },
    ],
)
async def test_a_conversation_that_no_longer_fits(body: dict[str, Any]) -> None:
    _, error = await failed(json_reply(body, 400))
    assert isinstance(error, ContextOverflow)


async def test_a_filled_context_window_passes_as_the_stop_reason() -> None:
    full = answer(text("So"), usage=USAGE, stop_reason="model_context_window_exceeded")
    with LoopbackServer(lambda _: sse(*full)) as server:
        call, _ = await played(server)
    assert call.turn is not None
    assert call.turn.stop_reason == StopReason.CONTEXT_EXCEEDED


async def test_an_error_page_of_a_gateway_stays_one_line() -> None:
    _, error = await failed(
        Reply(502, {"content-type": "text/html"}, (b"<html>\n<h1>Bad Gateway</h1></html>",))
    )
    assert isinstance(error, ServerFault)
    assert "<" not in str(error)


async def test_an_error_under_http_200_is_an_error() -> None:
    _, error = await failed(json_reply({"error": {"type": "overloaded_error", "message": "Overloaded"}}))
    assert isinstance(error, ServerFault)


async def test_an_answer_that_is_not_streamed_is_refused() -> None:
    _, error = await failed(json_reply({"type": "message", "content": [], "usage": {}}))
    assert isinstance(error, RequestRejected)
    assert "did not stream" in str(error)


async def test_nobody_at_the_address() -> None:
    with LoopbackServer(lambda _: sse("")) as server:
        url = server.url
    provider = connect("anthropic", ProviderSettings(base_url=url, api_key=KEY), {}, Path())
    with pytest.raises(Unreachable) as caught:
        async with provider.stream(request()):
            pass
    assert url in str(caught.value)
    await provider.aclose()


# --- what is sent ------------------------------------------------------------------------------------------


async def test_the_request_carries_the_key_as_a_bearer_token_and_the_settings_headers() -> None:
    with LoopbackServer(lambda _: sse(*FULL)) as server:
        provider = endpoint(server, headers={"X-Team": "blue"})
        async with provider.stream(request()) as call:
            async for _ in call:
                pass
        await provider.aclose()
    sent = server.requests[0]
    assert sent.path == "/v1/messages"
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert "x-api-key" not in sent.headers
    assert sent.headers["x-team"] == "blue"
    assert sent.headers["content-type"] == "application/json"
    assert sent.json["stream"] is True
    assert sent.json["messages"][0]["content"][0]["text"] == "hello"


async def test_a_gateway_that_wants_the_key_in_its_own_header_gets_it() -> None:
    with LoopbackServer(lambda _: sse(*FULL)) as server:
        provider = endpoint(server, quirks=frozenset({"x-api-key"}))
        async with provider.stream(request()) as call:
            async for _ in call:
                pass
        await provider.aclose()
    assert server.requests[0].headers["x-api-key"] == KEY


async def test_the_same_request_is_the_same_bytes() -> None:
    with LoopbackServer(lambda _: sse(*FULL)) as server:
        await played(server)
        await played(server)
    first, second = server.requests
    assert first.body == second.body


async def test_calls_reuse_their_connection() -> None:
    with LoopbackServer(lambda _: sse(*FULL)) as server:
        provider = endpoint(server)
        for _ in range(3):
            async with provider.stream(request()) as call:
                async for _shown in call:
                    pass
        await provider.aclose()
        assert len(server.requests) == 3
        assert server.connections == 1


def test_the_environments_address_is_used_with_the_environments_key() -> None:
    environ = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9/v1/", "ANTHROPIC_API_KEY": "k"}
    provider = connect("anthropic", ProviderSettings(), environ, Path())
    asked = provider.stream(request())
    assert asked.usage == Usage()
    assert provider.name == "anthropic"


def test_without_a_key_the_person_is_told_where_to_put_one() -> None:
    with pytest.raises(MissingKey, match=r"ANTHROPIC_API_KEY.*agent -m local/smollm2"):
        connect("anthropic", ProviderSettings(), {}, Path())


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="gateway"):
        connect("gateway", ProviderSettings(base_url="localhost:8080"), {}, Path())


async def test_the_models_an_endpoint_offers() -> None:
    listed = {
        "data": [{"type": "model", "id": "claude-test", "display_name": "Test", "max_input_tokens": 200000}],
        "has_more": False,
    }
    with LoopbackServer(lambda _: json_reply(listed)) as server:
        provider = endpoint(server)
        (model,) = await provider.models()
        await provider.aclose()
    assert (model.name, model.context_window, model.note) == ("claude-test", 200000, "Test")


async def test_models_of_an_endpoint_that_refuses_raise_a_provider_error() -> None:
    with LoopbackServer(lambda _: refusal(401, "authentication_error", "no")) as server:
        provider = endpoint(server)
        with pytest.raises(KeyRefused):
            await provider.models()
        await provider.aclose()


async def test_the_context_window_is_known_from_the_table() -> None:
    provider = connect("anthropic", ProviderSettings(api_key="k"), {}, Path())
    assert await provider.context_window("claude-sonnet-5-5") == 1_000_000
    assert await provider.context_window("claude-of-nobody") is None
