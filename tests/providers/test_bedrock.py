"""Bedrock's Converse stream, through AWS's real SDK over loopback."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from providers.bedrock import Bedrock, connect
from providers.errors import (
    CachetError,
    ConfigurationError,
    ContextOverflow,
    KeyRefused,
    MissingKey,
    ModelNotFound,
    RateLimited,
    RequestRejected,
    ServerFault,
    Stalled,
    StreamTruncated,
    Unreachable,
)
from providers.settings import ProviderSettings
from providers.types import (
    Opaque,
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
from tests.support.bedrock_server import (
    MODEL,
    BedrockServer,
    answer,
    event,
    exception,
    redacted,
    refusal,
    segments,
    streamed,
    text,
    thinking,
    tool_use,
)
from tests.support.calls import TOOL, called, cancelled, message, played, request, result
from tests.support.loopback import LoopbackServer, Recorded, Reply

pytestmark = pytest.mark.slow

ASKED = f"bedrock/{MODEL}"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG"}


@pytest.fixture(autouse=True)
def _own_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's SDK reads the environment itself: only these settings, whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    settings = {
        **CREDENTIALS,
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def at(server: LoopbackServer, **settings: Any) -> Bedrock:
    return connect("bedrock", ProviderSettings(base_url=server.url, **settings), os.environ, Path())


def points(sent: Recorded) -> list[str]:
    """Where a request's cache points stand."""
    return [place for place, block in segments(sent.json) if "cachePoint" in block]


# --- answers ------------------------------------------------------------------------------------------------


async def test_an_answer_streams_and_is_billed_as_the_wire_says() -> None:
    with BedrockServer([(text("hello"),)]) as server:
        outcome = await played(at(server), request(ASKED))
    assert outcome.error is None
    assert outcome.events == [TextDelta("he"), TextDelta("llo")]
    assert (outcome.text, outcome.stop_reason) == ("hello", StopReason.END_TURN)
    [billed] = server.billed
    assert outcome.call.usage.cache_write_tokens == billed["cacheWriteInputTokens"] > 0
    assert outcome.call.usage.output_tokens == billed["outputTokens"]
    assert outcome.call.raw_usage == billed
    assert not outcome.call.estimated


async def test_the_request_is_converse_with_a_signature_for_its_region(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    with BedrockServer([(text("hi"),)]) as server:
        await played(at(server), request(ASKED, tools=[TOOL]))
    [sent] = server.requests
    assert sent.path == f"/model/{MODEL}/converse-stream"
    assert "AKIDEXAMPLE" in sent.headers["authorization"]
    assert "/eu-central-1/bedrock/aws4_request" in sent.headers["authorization"]
    assert sent.json["toolConfig"]["tools"][0]["toolSpec"]["name"] == "list_files"


async def test_a_tool_call_keeps_its_text() -> None:
    with BedrockServer([(tool_use("tooluse_1", "list_files", '{"path":  "/srv"}'),)]) as server:
        outcome = await played(at(server), request(ASKED))
    assert outcome.tool_calls == (ToolCall("tooluse_1", "list_files", '{"path":  "/srv"}'),)
    assert outcome.stop_reason == StopReason.TOOL_USE
    assert outcome.events[0] == ToolCallStarted("tooluse_1", "list_files")
    assert "".join(each.json_text for each in outcome.events if isinstance(each, ToolCallDelta)) == (
        '{"path":  "/srv"}'
    )


async def test_a_whole_message_that_calls_tools_means_them_whatever_its_reason() -> None:
    with BedrockServer([streamed(*answer(tool_use("t1", "list_files", {}), stop="end_turn"))]) as server:
        outcome = await played(at(server), request(ASKED))
    assert outcome.stop_reason == StopReason.TOOL_USE


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("max_tokens", StopReason.MAX_TOKENS),
        ("stop_sequence", StopReason.STOP_SEQUENCE),
        ("guardrail_intervened", StopReason.REFUSAL),
        ("content_filtered", StopReason.REFUSAL),
        ("model_context_window_exceeded", StopReason.CONTEXT_EXCEEDED),
        ("malformed_tool_use", "malformed_tool_use"),
        ("tool_use", StopReason.END_TURN),
    ],
)
async def test_why_a_model_stopped(said: str, meant: str) -> None:
    with BedrockServer([streamed(*answer(text("ab"), stop=said))]) as server:
        outcome = await played(at(server), request(ASKED))
    assert outcome.stop_reason == meant


async def test_an_id_that_the_conversation_has_already_is_replaced() -> None:
    with BedrockServer([(tool_use("t1", "list_files", {}),)]) as server:
        asked = request(ASKED, message("user", "a"), called("t1"), result("t1"), message("user", "again"))
        outcome = await played(at(server), asked)
    [call] = outcome.tool_calls
    assert call.id not in ("", "t1")


async def test_thinking_and_what_only_its_maker_can_read_go_back_as_they_came() -> None:
    script = [(thinking("hm", "EqQB+/="), redacted("/+8="), text("a")), (text("b"),)]
    with BedrockServer(script) as server:
        provider = at(server)
        first = await played(provider, request(ASKED))
        assert first.call.turn is not None
        said = first.call.turn.message
        await played(provider, request(ASKED, message("user", "hello"), said, message("user", "more")))
    kinds = [type(block) for block in said.blocks]
    assert kinds == [Thinking, Opaque, Text]
    assert first.events[0] == ThinkingDelta("hm")
    assert server.requests[1].json["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "EqQB+/="}}},
        {"reasoningContent": {"redactedContent": "/+8="}},
        {"text": "a"},
    ]


async def test_a_tool_of_the_providers_own_is_kept_and_never_handed_out() -> None:
    start = {"toolUse": {"toolUseId": "s1", "name": "nova_grounding", "type": "server_tool_use"}}
    events = [
        event("messageStart", role="assistant"),
        event("contentBlockStart", contentBlockIndex=0, start=start),
        event("contentBlockDelta", contentBlockIndex=0, delta={"toolUse": {"input": '{"q":1}'}}),
        event("contentBlockStop", contentBlockIndex=0),
        *answer(text("ok"))[-2:],
    ]
    with BedrockServer([streamed(*events)]) as server:
        outcome = await played(at(server), request(ASKED))
    assert outcome.stop_reason == StopReason.END_TURN
    assert outcome.call.turn is not None
    [block] = outcome.call.turn.message.blocks
    assert isinstance(block, Opaque)
    assert block.raw == (
        '{"toolUse":{"toolUseId":"s1","name":"nova_grounding","type":"server_tool_use","input":{"q":1}}}'
    )


async def test_events_that_nobody_knows_are_passed_over() -> None:
    whole = answer(text("ab"))
    with BedrockServer([streamed(whole[0], event("weather", sunny=True), *whole[1:])]) as server:
        outcome = await played(at(server), request(ASKED))
    assert (outcome.error, outcome.text) == (None, "ab")


async def test_two_calls_use_one_connection() -> None:
    with BedrockServer([(text("a"),), (text("b"),)]) as server:
        provider = at(server)
        await played(provider, request(ASKED))
        await played(provider, request(ASKED))
    assert server.connections == 1


# --- the cache ----------------------------------------------------------------------------------------------


async def test_the_next_call_reads_what_this_one_wrote() -> None:
    with BedrockServer([(text("a"),), (text("b"),)]) as server:
        provider = at(server)
        asked = message("user", "hello", id="1")
        first = await played(provider, request(ASKED, asked, tools=[TOOL]))
        assert first.call.turn is not None
        longer = (asked, first.call.turn.message, message("user", "more", id="2"))
        second = await played(provider, request(ASKED, *longer, tools=[TOOL]))
    assert second.call.usage.cache_read_tokens == first.call.usage.cache_write_tokens
    assert second.call.usage.input_tokens == 0
    assert points(server.requests[1]) == ["tool", "system", "user", "user"]


async def test_an_hour_is_booked_as_one() -> None:
    with BedrockServer([(text("a"),)]) as server:
        outcome = await played(at(server), request(ASKED, cache_ttl="1h"))
    usage = outcome.call.usage
    assert usage.cache_write_1h_tokens == usage.cache_write_tokens > 0


@pytest.mark.parametrize(
    ("complaint", "left"),
    [
        (
            "Malformed input request: #/toolConfig/tools/18: extraneous key [cachePoint] is not permitted, "
            "please reformat your input and try again.",
            ["system", "user"],
        ),
        (
            "Malformed input request: #/messages/6/content/0: extraneous key [cachePoint] is not permitted",
            ["tool", "system"],
        ),
        ("You invoked an unsupported model or your request did not allow prompt caching. See the docs.", []),
    ],
)
async def test_cache_points_that_a_model_refuses_are_left_out_once_for_all(
    complaint: str, left: list[str]
) -> None:
    with BedrockServer(
        [refusal(400, "ValidationException", complaint), (text("a"),), (text("b"),)]
    ) as server:
        provider = at(server)
        for _ in range(2):
            assert (await played(provider, request(ASKED, tools=[TOOL]))).error is None
    assert list(map(points, server.requests)) == [["tool", "system", "user"], left, left]


@pytest.mark.parametrize(
    ("complaint", "without", "parameters"),
    [
        ("cachePoint: ttl '1h' is not supported for this model", "ttl", {"cache_ttl": "1h"}),
        ("The maximum tokens you requested exceeds the model limit of 8192.", "inferenceConfig", {}),
        ("adaptive thinking is not supported on this model", "adaptive", {"effort": "high"}),
        ("This model does not support the effort parameter.", "output_config", {"effort": "high"}),
    ],
)
async def test_what_else_a_model_refuses_is_left_out_once_for_all(
    complaint: str, without: str, parameters: dict[str, Any]
) -> None:
    with BedrockServer(
        [refusal(400, "ValidationException", complaint), (text("a"),), (text("b"),)]
    ) as server:
        provider = at(server)
        for _ in range(2):
            assert (await played(provider, request(ASKED, **parameters))).error is None
    assert [without in sent.body.decode() for sent in server.requests] == [True, False, False]


# --- streams that go wrong ----------------------------------------------------------------------------------

CUT: list[tuple[str, Reply]] = [
    ("its connection is cut", streamed(*answer(text("abcd"))[:3], cut=True)),
    ("it ends without its last word", streamed(*answer(text("abcd"))[:3])),
    ("a frame is cut", streamed(*answer(text("abcd"))[:3], answer(text("x"))[1][:20], cut=True)),
]


@pytest.mark.parametrize("reply", [reply for _, reply in CUT], ids=[name for name, _ in CUT])
async def test_an_answer_breaks_off(reply: Reply) -> None:
    with BedrockServer([reply]) as server:
        outcome = await played(at(server), request(ASKED))
    assert isinstance(outcome.error, StreamTruncated)
    assert (outcome.text, outcome.stop_reason) == ("abcd", StopReason.INTERRUPTED)
    assert outcome.call.estimated


async def test_no_tool_call_comes_out_of_an_answer_that_broke_off() -> None:
    events = answer(text("ab"), tool_use("t1", "list_files", {}))
    with BedrockServer([streamed(*events[:-2], cut=True)]) as server:
        outcome = await played(at(server), request(ASKED))
    assert outcome.tool_calls == ()


async def test_a_tool_call_that_was_never_finished_is_none_whatever_the_reason_says() -> None:
    whole = answer(text("ab"), tool_use("t1", "list_files", {}))
    unfinished = [*whole[:-3], *whole[-2:]]  # all but the call's own end
    with BedrockServer([streamed(*unfinished)]) as server:
        outcome = await played(at(server), request(ASKED))
    assert outcome.tool_calls == ()
    assert outcome.stop_reason == StopReason.END_TURN


@pytest.mark.parametrize("cut", [False, True])
async def test_an_answer_that_was_whole_stands_though_its_usage_never_came(cut: bool) -> None:
    with BedrockServer([streamed(*answer(text("abcd"), usage=None), cut=cut)]) as server:
        outcome = await played(at(server), request(ASKED))
    assert (outcome.error, outcome.text) == (None, "abcd")
    assert outcome.call.estimated
    assert not outcome.call.usage.cache_reported


@pytest.mark.parametrize(
    ("kind", "said", "error"),
    [
        ("throttlingException", "Too many tokens", RateLimited),
        ("validationException", "Input is too long for requested model.", ContextOverflow),
        ("validationException", "Something else", RequestRejected),
        ("internalServerException", "oops", ServerFault),
        ("serviceUnavailableException", "later", ServerFault),
        ("modelStreamErrorException", "the model broke", ServerFault),
        ("weatherException", "rain", ServerFault),
    ],
)
async def test_an_error_in_the_middle_of_a_stream(kind: str, said: str, error: type[CachetError]) -> None:
    events = answer(text("abcd"))[:3]
    with BedrockServer([streamed(*events, exception(kind, said))]) as server:
        outcome = await played(at(server), request(ASKED))
    assert type(outcome.error) is error
    assert outcome.text == "abcd"


async def test_what_is_no_event_stream_is_named() -> None:
    with BedrockServer(
        [Reply(200, {"content-type": "text/html"}, [b"<html>It works, but not so</html>"])]
    ) as server:
        outcome = await played(at(server), request(ASKED))
    assert isinstance(outcome.error, ServerFault)
    assert "not its wire" in str(outcome.error)


async def test_silence_in_the_middle_of_an_answer_is_a_stall() -> None:
    with BedrockServer([streamed(*answer(text("abcd"))[:3], hold=True)]) as server:
        outcome = await played(at(server, stall_seconds=1.0), request(ASKED))
        assert await asyncio.to_thread(server.client_left.wait, 10)
    assert isinstance(outcome.error, Stalled)
    assert outcome.text == "abcd"


async def test_an_endpoint_that_never_answers_is_a_stall() -> None:
    with _Slow() as (server, _):
        outcome = await played(at(server, stall_seconds=0.2), request(ASKED))
    assert isinstance(outcome.error, Stalled)


# --- leaving ------------------------------------------------------------------------------------------------


async def test_leaving_in_the_middle_closes_the_connection_and_books_an_estimate() -> None:
    with BedrockServer([streamed(*answer(text("abcd"))[:2], hold=True)]) as server:
        call = at(server).stream(request(ASKED))
        turn = await cancelled(call)
        assert await asyncio.to_thread(server.client_left.wait, 10)
    assert call.estimated
    assert turn.stop_reason == StopReason.INTERRUPTED


async def test_leaving_before_the_answer_does_not_wait_for_it() -> None:
    with _Slow() as (server, answer_now):
        call = at(server).stream(request(ASKED))
        entering = asyncio.create_task(call.__aenter__())
        await asyncio.to_thread(server.asked.wait, 10)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert server.requests
        assert not server.client_left.is_set()
        answer_now()
        assert await asyncio.to_thread(server.client_left.wait, 10)


class _Slow:
    """A server that answers only when told to, or at its end."""

    def __init__(self) -> None:
        self._now = threading.Event()
        self.server = _Asked(self._reply)

    def __enter__(self) -> tuple[_Asked, Callable[[], None]]:
        self.server.__enter__()
        return self.server, self._now.set

    def __exit__(self, *how: Any) -> None:
        self._now.set()
        self.server.__exit__(*how)

    def _reply(self, _: Recorded) -> Reply:
        self.server.asked.set()
        self._now.wait(30)
        return streamed(*answer(text("late"))[:2], hold=True)


class _Asked(LoopbackServer):
    def __init__(self, handler: Callable[[Recorded], Reply]) -> None:
        super().__init__(handler)
        self.asked = threading.Event()


# --- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "said", "error"),
    [
        (429, "ThrottlingException", "Too many requests", RateLimited),
        (429, "ModelNotReadyException", "Model is loading", RateLimited),
        (400, "ValidationException", "The value at toolConfig is wrong", RequestRejected),
        (400, "ValidationException", "Input is too long for requested model.", ContextOverflow),
        (400, "ValidationException", "prompt is too long: 210000 tokens > 200000 maximum", ContextOverflow),
        (
            400,
            "ValidationException",
            "Input Tokens Exceeded: Number of input tokens exceeds maximum length.",
            ContextOverflow,
        ),
        (400, "ValidationException", "The provided model identifier is invalid.", ModelNotFound),
        (403, "AccessDeniedException", "You don't have access to the model", KeyRefused),
        (403, "ExpiredTokenException", "The security token included in the request is expired", KeyRefused),
        (404, "ResourceNotFoundException", "No such model", ModelNotFound),
        (408, "ModelTimeoutException", "Too slow", ServerFault),
        (424, "ModelErrorException", "The model broke", ServerFault),
        (500, "InternalServerException", "oops", ServerFault),
        (503, "ServiceUnavailableException", "later", ServerFault),
    ],
)
async def test_a_refusal_is_told_and_the_sdk_tries_nothing_again(
    status: int, kind: str, said: str, error: type[CachetError]
) -> None:
    with BedrockServer([refusal(status, kind, said)]) as server:
        outcome = await played(at(server), request(ASKED))
    assert type(outcome.error) is error
    assert len(server.requests) == 1
    assert outcome.call.usage == Usage()


async def test_how_long_to_wait_is_heard() -> None:
    with BedrockServer([refusal(429, "ThrottlingException", "slow down", **{"retry-after": "7"})]) as server:
        outcome = await played(at(server), request(ASKED))
    assert isinstance(outcome.error, RateLimited)
    assert outcome.error.retry_after == 7


async def test_a_model_that_one_may_not_use_says_where_to_ask() -> None:
    with BedrockServer([refusal(403, "AccessDeniedException", "You don't have access.")]) as server:
        outcome = await played(at(server), request(ASKED))
    assert "Bedrock console" in str(outcome.error)


async def test_an_endpoint_that_is_not_there() -> None:
    provider = connect("bedrock", ProviderSettings(base_url="http://127.0.0.1:9"), os.environ, Path())
    outcome = await played(provider, request(ASKED))
    assert isinstance(outcome.error, Unreachable)
    assert "http://127.0.0.1:9" in str(outcome.error)


# --- credentials and settings -------------------------------------------------------------------------------


async def test_without_credentials_a_person_hears_how_to_get_some(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    with BedrockServer([]) as server:
        outcome = await played(at(server), request(ASKED))
    assert isinstance(outcome.error, MissingKey)
    assert "aws configure" in str(outcome.error)


async def test_without_a_region_a_person_hears_how_to_name_one() -> None:
    outcome = await played(connect("bedrock", ProviderSettings(), {}, Path()), request(ASKED))
    assert isinstance(outcome.error, ConfigurationError)
    assert "AWS_REGION" in str(outcome.error)


async def test_a_profile_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with BedrockServer([]) as server:
        outcome = await played(at(server), request(ASKED))
    assert isinstance(outcome.error, ConfigurationError)
    assert "nobody" in str(outcome.error)


async def test_a_profile_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n")
    (tmp_path / "config").write_text("[profile work]\nregion = ap-south-1\n")
    monkeypatch.setenv("AWS_PROFILE", "work")
    with BedrockServer([(text("a"),)]) as server:
        await played(at(server), request(ASKED))
    signature = server.requests[0].headers["authorization"]
    assert "AKIDWORK" in signature
    assert "/ap-south-1/" in signature


async def test_a_bedrock_key_in_the_environment_is_a_bearer_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-1")
    with BedrockServer([(text("a"),)]) as server:
        await played(at(server), request(ASKED))
    assert server.requests[0].headers["authorization"] == "Bearer bedrock-api-key-1"


async def test_a_configured_key_is_a_bearer_token_and_headers_are_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    with BedrockServer([(text("a"),)]) as server:
        await played(at(server, api_key="key-2", headers={"X-Team": "blue"}), request(ASKED))
    assert server.requests[0].headers["authorization"] == "Bearer key-2"
    assert server.requests[0].headers["x-team"] == "blue"


def test_without_the_sdk_a_person_hears_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cachet-agent\[bedrock\]'"):
        connect("bedrock", ProviderSettings(), {}, Path())


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not a web address"):
        connect("bedrock", ProviderSettings(base_url="bedrock.example"), {}, Path())


async def test_a_models_window_is_known_without_asking() -> None:
    provider = connect("bedrock", ProviderSettings(), {}, Path())
    assert await provider.context_window("us.anthropic.claude-sonnet-4-5-20250929-v1:0") == 200_000
    assert await provider.context_window("nobody.knows-this") is None


async def test_models_are_those_that_stream_text_and_the_profiles_for_them() -> None:
    arn = "arn:aws:bedrock:us-east-1::foundation-model/"
    claude = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    with BedrockServer([]) as server:
        server.lists["/foundation-models"] = {
            "modelSummaries": [
                _model("amazon.nova-lite-v1:0", "Nova Lite", ["ON_DEMAND"]),
                _model(claude, "Claude Sonnet 4.5", ["INFERENCE_PROFILE"]),
                {**_model("old.model-v1:0", "Old", ["ON_DEMAND"]), "modelLifecycle": {"status": "LEGACY"}},
                {**_model("batch.model-v1:0", "Batch", ["ON_DEMAND"]), "responseStreamingSupported": False},
            ]
        }
        server.lists["/inference-profiles"] = {
            "inferenceProfileSummaries": [
                _profile(f"us.{claude}", "US Claude Sonnet 4.5", "SYSTEM_DEFINED", arn + claude),
                _profile(
                    "us.stability.image-v1:0", "US Images", "SYSTEM_DEFINED", arn + "stability.image-v1:0"
                ),
                _profile("a1b2", "Team's", "APPLICATION", arn + claude),
            ]
        }
        listed = await at(server).models()
    assert [(model.name, model.context_window, model.note) for model in listed] == [
        ("amazon.nova-lite-v1:0", 300_000, "Nova Lite"),
        (f"us.{claude}", 200_000, "US Claude Sonnet 4.5"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/a1b2", None, "Team's"),
    ]


def _model(model_id: str, name: str, inference: list[str]) -> dict[str, Any]:
    return {
        "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{model_id}",
        "modelId": model_id,
        "modelName": name,
        "inferenceTypesSupported": inference,
        "responseStreamingSupported": True,
        "modelLifecycle": {"status": "ACTIVE"},
    }


def _profile(profile_id: str, name: str, kind: str, arn: str) -> dict[str, Any]:
    return {
        "inferenceProfileName": name,
        "inferenceProfileId": profile_id,
        "inferenceProfileArn": f"arn:aws:bedrock:us-east-1:1:inference-profile/{profile_id}",
        "models": [{"modelArn": arn}],
        "status": "ACTIVE",
        "type": kind,
    }


async def test_a_list_that_is_refused_says_why() -> None:
    def refuse(_: Recorded) -> Reply:
        return refusal(
            403, "AccessDeniedException", "not authorized to perform: bedrock:ListFoundationModels"
        )

    with LoopbackServer(refuse) as server, pytest.raises(KeyRefused, match="ListFoundationModels"):
        await at(server).models()


async def test_preparing_tells_nothing_of_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    await connect("bedrock", ProviderSettings(), {}, Path()).prepare()
