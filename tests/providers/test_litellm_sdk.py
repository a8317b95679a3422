"""LiteLLM's real library in front of OpenAI, Anthropic and Bedrock over loopback."""

from __future__ import annotations

import asyncio
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from providers.errors import (
    CachetError,
    ConfigurationError,
    ContextOverflow,
    KeyRefused,
    ModelNotFound,
    RateLimited,
    RequestRejected,
    ServerFault,
    Stalled,
    StreamTruncated,
    Unreachable,
)
from providers.litellm_sdk import LitellmSDK, connect
from providers.settings import ProviderSettings
from providers.types import Opaque, StopReason, TextDelta, ThinkingDelta, ToolCall
from tests.support import anthropic_server, bedrock_server, openai_server
from tests.support.anthropic_server import AnthropicServer
from tests.support.bedrock_server import BedrockServer, segments
from tests.support.calls import TOOL, called, cancelled, message, played, request, result
from tests.support.loopback import LoopbackServer, sse
from tests.support.openai_server import OpenAIServer, chunk

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("litellm") is None, reason="the library is not installed"),
    # The library leaves a coroutine of its own logging behind.
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]

OPENAI = "litellm-sdk/openai/gpt-5.6"
ANTHROPIC = "litellm-sdk/anthropic/claude-sonnet-5-5"
BEDROCK = f"litellm-sdk/bedrock/{bedrock_server.MODEL}"
USAGE = {
    "input_tokens": 3,
    "output_tokens": 9,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 50,
}


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library reads the environment itself: only these settings, whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("AWS_") or name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    settings = {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def at(server: LoopbackServer, path: str = "", **settings: Any) -> LitellmSDK:
    own = ProviderSettings(base_url=server.url + path, **{"api_key": "key-1", **settings})
    return connect("litellm-sdk", own, {}, Path())


def points(server: BedrockServer) -> list[str]:
    return [place for place, block in segments(server.requests[-1].json) if "cachePoint" in block]


# --- OpenAI behind it ---------------------------------------------------------------------------------------


async def test_openais_answer_streams_and_its_usage_is_exact() -> None:
    with OpenAIServer(["hello"], writes=True) as server:
        outcome = await played(at(server, "/v1"), request(OPENAI))
    [billed] = server.billed
    details = billed["prompt_tokens_details"]
    usage = outcome.call.usage
    assert (outcome.error, outcome.text, outcome.stop_reason) == (None, "hello", StopReason.END_TURN)
    assert "".join(event.text for event in outcome.events if isinstance(event, TextDelta)) == "hello"
    assert usage.prompt_tokens == billed["prompt_tokens"]
    assert usage.cache_write_tokens == details["cache_write_tokens"] > 0
    assert usage.output_tokens == billed["completion_tokens"]
    assert server.requests[0].headers["authorization"] == "Bearer key-1"


async def test_a_tool_call_comes_through() -> None:
    with OpenAIServer([(("call_1", "list_files", {"path": "/srv"}),)]) as server:
        outcome = await played(at(server, "/v1"), request(OPENAI, tools=[TOOL]))
    assert outcome.tool_calls == (ToolCall("call_1", "list_files", '{"path": "/srv"}'),)
    assert server.requests[0].json["tools"][0]["function"]["name"] == "list_files"


async def test_a_usage_that_the_library_made_up_is_none() -> None:
    silent = sse(chunk({"content": "hi"}), chunk({}, "stop"), openai_server.DONE)
    with OpenAIServer([silent]) as server:
        outcome = await played(at(server, "/v1"), request(OPENAI))
    assert outcome.text == "hi"
    assert outcome.call.estimated
    assert outcome.call.raw_usage == {}


@pytest.mark.parametrize("cut", [False, True])
async def test_an_answer_that_breaks_off_is_not_taken_for_whole(cut: bool) -> None:
    with OpenAIServer([sse(chunk({"content": "hel"}), chunk({"content": "lo"}), cut=cut)]) as server:
        outcome = await played(at(server, "/v1"), request(OPENAI))
    assert isinstance(outcome.error, StreamTruncated)
    assert (outcome.text, outcome.stop_reason) == ("hello", StopReason.INTERRUPTED)


@pytest.mark.parametrize(
    ("status", "said", "error"),
    [
        (400, "This model's maximum context length is 8192 tokens", ContextOverflow),
        (400, "That will not do", RequestRejected),
        (401, "Invalid key", KeyRefused),
        (404, "No such model", ModelNotFound),
        (429, "Slow down", RateLimited),
        (500, "oops", ServerFault),
    ],
)
async def test_a_refusal_is_told_and_nothing_is_tried_again(
    status: int, said: str, error: type[CachetError]
) -> None:
    with OpenAIServer([openai_server.refusal(status, said, **{"retry-after": "7"})]) as server:
        outcome = await played(at(server, "/v1"), request(OPENAI))
    assert type(outcome.error) is error
    assert len(server.requests) == 1
    if isinstance(outcome.error, RateLimited):
        assert outcome.error.retry_after == 7
        assert "(429: Slow down)" in str(outcome.error).replace("OpenAIException - ", "")


async def test_an_effort_that_is_refused_is_left_out_once_for_all() -> None:
    refusal = openai_server.refusal(400, "reasoning_effort is not supported with this model")
    with OpenAIServer([refusal, "a", "b"]) as server:
        provider = at(server, "/v1")
        for _ in range(2):
            assert (await played(provider, request(OPENAI, effort="high"))).error is None
    assert ["reasoning_effort" in sent.json for sent in server.requests] == [True, False, False]


async def test_an_endpoint_that_is_not_there() -> None:
    nowhere = ProviderSettings(base_url="http://127.0.0.1:9/v1", api_key="k")
    outcome = await played(connect("litellm-sdk", nowhere, {}, Path()), request(OPENAI))
    assert isinstance(outcome.error, Unreachable)


async def test_a_name_without_its_provider_says_how_to_write_it() -> None:
    outcome = await played(
        connect("litellm-sdk", ProviderSettings(), {}, Path()), request("litellm-sdk/nobody")
    )
    assert isinstance(outcome.error, ModelNotFound)
    assert "litellm-sdk/PROVIDER/MODEL" in str(outcome.error)


async def test_silence_in_the_middle_of_an_answer_is_a_stall() -> None:
    whole = sse(chunk({"content": "hello"}), chunk({}, "stop"), openai_server.DONE)
    half = sse(chunk({"content": "hel"}), chunk({"content": "lo"}), hold=True)
    with OpenAIServer([whole, half]) as server:
        await played(at(server, "/v1"), request(OPENAI))  # the library takes its time before it first sends
        provider = at(server, "/v1", stall_seconds=1.0)
        outcome = await played(provider, request(OPENAI))
        assert await asyncio.to_thread(server.client_left.wait, 10)
    assert isinstance(outcome.error, Stalled)


async def test_leaving_in_the_middle_closes_the_connection() -> None:
    with OpenAIServer([sse(chunk({"content": "hel"}), chunk({"content": "lo"}), hold=True)]) as server:
        call = at(server, "/v1").stream(request(OPENAI))
        await cancelled(call)
        assert await asyncio.to_thread(server.client_left.wait, 10)
    assert call.estimated


# --- Anthropic behind it ------------------------------------------------------------------------------------


async def test_anthropics_usage_gives_reads_and_writes() -> None:
    whole = anthropic_server.answer(anthropic_server.text("hello"), usage=USAGE)
    with AnthropicServer([sse(*whole)]) as server:
        outcome = await played(at(server), request(ANTHROPIC))
    usage = outcome.call.usage
    assert outcome.text == "hello"
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (3, 100, 50)
    assert usage.output_tokens == 9


async def test_a_claude_reads_from_the_cache_what_the_call_before_wrote() -> None:
    answers = [(anthropic_server.text("a"),), (anthropic_server.text("b"),)]
    with AnthropicServer(answers) as server:
        provider = at(server)
        asked = message("user", "hello", id="1")
        first = await played(provider, request(ANTHROPIC, asked, tools=[TOOL]))
        assert first.call.turn is not None
        longer = (asked, first.call.turn.message, message("user", "more", id="2"))
        second = await played(provider, request(ANTHROPIC, *longer, tools=[TOOL]))
    assert second.call.usage.cache_read_tokens == first.call.usage.cache_write_tokens > 0
    assert second.call.usage.input_tokens == 0


async def test_an_hour_is_asked_for_and_booked() -> None:
    with AnthropicServer([(anthropic_server.text("a"),)]) as server:
        outcome = await played(at(server), request(ANTHROPIC, cache_ttl="1h"))
    usage = outcome.call.usage
    assert usage.cache_write_1h_tokens == usage.cache_write_tokens > 0


async def test_signed_thinking_goes_back_as_it_came() -> None:
    event = anthropic_server.event
    start = {"id": "m", "role": "assistant", "model": "c", "content": [], "usage": {"input_tokens": 3}}
    thought = [
        event("message_start", message=start),
        event(
            "content_block_start",
            index=0,
            content_block={"type": "thinking", "thinking": "", "signature": ""},
        ),
        event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "h"}),
        event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "m"}),
        event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "EqQB+/="}),
        event("content_block_stop", index=0),
        event("content_block_start", index=1, content_block={"type": "redacted_thinking", "data": "R=="}),
        event("content_block_stop", index=1),
        event("content_block_start", index=2, content_block={"type": "text", "text": ""}),
        event("content_block_delta", index=2, delta={"type": "text_delta", "text": "done"}),
        event("content_block_stop", index=2),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9}),
        event("message_stop"),
    ]
    with AnthropicServer([sse(*thought), (anthropic_server.text("b"),)]) as server:
        provider = at(server)
        first = await played(provider, request(ANTHROPIC, effort="high"))
        assert first.call.turn is not None
        said = first.call.turn.message
        await played(provider, request(ANTHROPIC, message("user", "hello"), said, message("user", "more")))
    assert first.events[:2] == [ThinkingDelta("h"), ThinkingDelta("m")]
    assert any(isinstance(block, Opaque) for block in said.blocks)
    thinking, hidden, text = server.requests[1].json["messages"][1]["content"]
    assert thinking == {"type": "thinking", "thinking": "hm", "signature": "EqQB+/="}
    assert hidden == {"type": "redacted_thinking", "data": "R=="}
    assert text["text"] == "done"


async def test_an_overload_in_the_middle_of_an_answer_is_the_hosts_fault_and_its_prompt_is_booked() -> None:
    whole = anthropic_server.answer(anthropic_server.text("hello"), usage=USAGE)
    error = (
        'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    )
    with AnthropicServer([sse(*whole[:4], error)]) as server:
        outcome = await played(at(server), request(ANTHROPIC))
    assert isinstance(outcome.error, ServerFault)
    assert outcome.call.usage.cache_read_tokens == 100


# --- Bedrock behind it --------------------------------------------------------------------------------------


async def test_bedrocks_usage_gives_reads_and_writes() -> None:
    usage = {"inputTokens": 3, "outputTokens": 9, "totalTokens": 162}
    usage |= {"cacheReadInputTokens": 100, "cacheWriteInputTokens": 50}
    whole = bedrock_server.answer(bedrock_server.text("hello"), usage=usage)
    with BedrockServer([bedrock_server.streamed(*whole)]) as server:
        outcome = await played(at(server, api_key=None), request(BEDROCK))
    told = outcome.call.usage
    assert outcome.text == "hello"
    assert (told.input_tokens, told.cache_read_tokens, told.cache_write_tokens) == (3, 100, 50)
    assert told.output_tokens == 9


async def test_a_model_on_bedrock_without_a_cache_reports_none() -> None:
    whole = bedrock_server.answer(bedrock_server.text("hello"))
    llama = "litellm-sdk/bedrock/us.meta.llama3-3-70b-instruct-v1:0"
    with BedrockServer([bedrock_server.streamed(*whole)]) as server:
        outcome = await played(at(server, api_key=None), request(llama))
    assert (outcome.call.usage.input_tokens, outcome.call.usage.output_tokens) == (21, 9)
    assert (outcome.call.usage.cache_read_tokens, outcome.call.usage.cache_write_tokens) == (0, 0)


async def test_a_claude_on_bedrock_gets_its_cache_points() -> None:
    with BedrockServer([(bedrock_server.text("a"),)]) as server:
        asked = (message("user", "a"), called("t1"), result("t1"), message("user", "b"))
        outcome = await played(at(server, api_key=None), request(BEDROCK, *asked, tools=[TOOL]))
    assert outcome.error is None
    assert points(server) == ["tool", "system", "user", "user"]


async def test_a_throttled_stream_of_bedrocks_asks_to_wait() -> None:
    events = bedrock_server.answer(bedrock_server.text("abcd"))[:3]
    slow = bedrock_server.exception("throttlingException", "Too many tokens")
    with BedrockServer([bedrock_server.streamed(*events, slow)]) as server:
        outcome = await played(at(server, api_key=None), request(BEDROCK))
    assert isinstance(outcome.error, RateLimited)
    assert outcome.text == "abcd"


# --- the library --------------------------------------------------------------------------------------------


async def test_windows_and_models_come_from_the_librarys_table(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = connect("litellm-sdk", ProviderSettings(), {}, Path())
    assert await provider.context_window("anthropic/claude-sonnet-4-5") == 200_000
    assert await provider.context_window("nobody/knows-this") is None
    monkeypatch.setenv("GROQ_API_KEY", "k")
    assert all("/" in model.name for model in await provider.models())


async def test_the_library_can_be_used_again_after_it_was_closed() -> None:
    with OpenAIServer(["a", "b"]) as server:
        for said in ("a", "b"):
            provider = at(server, "/v1")
            assert (await played(provider, request(OPENAI))).text == said
            await provider.aclose()


def test_without_the_library_a_person_hears_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cachet-agent\[litellm\]'"):
        connect("litellm-sdk", ProviderSettings(), {}, Path())
