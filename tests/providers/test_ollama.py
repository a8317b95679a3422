"""Ollama's wire against a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import (
    ContextOverflow,
    ModelNotFound,
    ProviderError,
    RequestRejected,
    ServerFault,
    StreamTruncated,
    Unreachable,
)
from providers.ollama import OllamaProvider, connect, ollama_cached_read_tokens, ollama_usage, reachable
from providers.ollama_messages import encode_messages
from providers.settings import ProviderSettings
from providers.types import (
    Image,
    Message,
    Origin,
    StopReason,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)
from tests.support.calls import SCHEMA, TOOL, Outcome, called, cancelled, message, played, request, result
from tests.support.conversations import CONVERSATIONS, HERE
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply
from tests.support.ollama_server import MODEL, OllamaServer, end, line, ndjson, tool_call

ROOT = Path(__file__).parents[2]
ASKED = request(f"ollama/{MODEL}", tools=[TOOL])
COUNTS = {
    "prompt_eval_count": 29,
    "prompt_eval_cached_count": 20,
    "eval_count": 3,
    "total_duration": 30258609300,
}

Open = Callable[..., OllamaProvider]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens providers and closes them after the test."""
    opened: list[OllamaProvider] = []

    def open_one(server: LoopbackServer | str, **environ: str) -> OllamaProvider:
        url = server if isinstance(server, str) else server.url
        opened.append(connect("ollama", ProviderSettings(), {"OLLAMA_HOST": url, **environ}, tmp_path))
        return opened[-1]

    yield open_one
    for provider in opened:
        await provider.aclose()


async def replayed(opened: Open, *lines: str | bytes | Reply) -> Outcome:
    """What a call to a server that answers with these lines comes to."""
    reply = (
        lines[0] if isinstance(lines[0], Reply) else ndjson(*(e for e in lines if not isinstance(e, Reply)))
    )
    with LoopbackServer(lambda _: reply) as server:
        return await played(opened(server), ASKED)


# --- the stream ---------------------------------------------------------------------------------------------


async def test_thinking_a_call_and_its_usage_survive_the_wire(opened: Open) -> None:
    outcome = await replayed(
        opened,
        line({"thinking": "Need a listing."}),
        line({"tool_calls": [tool_call("list_files", {"path": "/srv", "all": True}, "call_8f2k")]}),
        end(**COUNTS),
    )
    assert outcome.error is None
    assert outcome.events == [
        ThinkingDelta("Need a listing."),
        ToolCallStarted("call_8f2k", "list_files"),
        ToolCallDelta("call_8f2k", '{"path":"/srv","all":true}'),
    ]
    assert outcome.stop_reason == StopReason.TOOL_USE
    assert outcome.tool_calls == (ToolCall("call_8f2k", "list_files", '{"path":"/srv","all":true}'),)
    assert outcome.call.usage == Usage(
        input_tokens=9, cache_read_tokens=20, output_tokens=3, reported_prompt_tokens=29
    )
    assert outcome.call.raw_usage == {**COUNTS, "done_reason": "stop"}
    assert outcome.call.turn is not None
    assert outcome.call.turn.model == MODEL


async def test_text_ends_the_turn(opened: Open) -> None:
    outcome = await replayed(opened, line({"content": "He"}), line({"content": "llo"}), end(**COUNTS))
    assert (outcome.text, outcome.stop_reason) == ("Hello", StopReason.END_TURN)
    assert outcome.events == [TextDelta("He"), TextDelta("llo")]


async def test_a_call_without_an_id_gets_one_that_stays(opened: Open) -> None:
    calls = [tool_call("ls", {}), tool_call("ls", {})]
    outcome = await replayed(opened, line({"tool_calls": calls}), end(**COUNTS))
    first, second = (call.id for call in outcome.tool_calls)
    assert first
    assert first != second
    assert [e.id for e in outcome.events if isinstance(e, ToolCallStarted)] == [first, second]


async def test_no_call_runs_of_a_message_cut_at_its_limit(opened: Open) -> None:
    outcome = await replayed(
        opened, line({"tool_calls": [tool_call("ls", {}, "a")]}), end("length", **COUNTS)
    )
    assert (outcome.stop_reason, outcome.tool_calls) == (StopReason.MAX_TOKENS, ())


async def test_an_old_server_gives_no_reason(opened: Open) -> None:
    outcome = await replayed(opened, line({"content": "x"}), end(None, **COUNTS))
    assert outcome.stop_reason == StopReason.END_TURN


async def test_line_separators_inside_the_text_do_not_cut_it(opened: Open) -> None:
    said = json.dumps({"message": {"content": "a\u2028b\x85c"}}, ensure_ascii=False).encode() + b"\n"
    outcome = await replayed(opened, said[:25], said[25:], end(**COUNTS))
    assert outcome.text == "a\u2028b\x85c"


async def test_a_stream_without_done_is_truncated(opened: Open) -> None:
    outcome = await replayed(
        opened, line({"content": "half"}), line({"tool_calls": [tool_call("ls", {}, "a")]})
    )
    assert isinstance(outcome.error, StreamTruncated)
    assert (outcome.text, outcome.tool_calls) == ("half", ())
    assert outcome.call.estimated


async def test_a_connection_that_is_cut_is_truncated(opened: Open) -> None:
    outcome = await replayed(opened, ndjson(line({"content": "half"}), cut=True))
    assert isinstance(outcome.error, StreamTruncated)


@pytest.mark.parametrize("broken", ["{oops\n", "[1]\n", b"\xff\n"])
async def test_a_line_that_is_no_json_object_is_a_fault(opened: Open, broken: str | bytes) -> None:
    outcome = await replayed(opened, line({"content": "x"}), broken, end())
    assert isinstance(outcome.error, ServerFault)


async def test_an_error_line_under_200_is_an_error(opened: Open) -> None:
    outcome = await replayed(opened, line({"content": "x"}), '{"error":"llama runner has terminated"}\n')
    assert isinstance(outcome.error, ServerFault)
    assert "llama runner has terminated" in str(outcome.error)
    assert outcome.text == "x"


async def test_cancelling_closes_the_connection(opened: Open) -> None:
    with LoopbackServer(lambda _: ndjson(line({"content": "half"}), hold=True)) as server:
        call = opened(server).stream(ASKED)
        turn = await cancelled(call)
        assert await asyncio.to_thread(server.client_left.wait, 20)
    assert turn.stop_reason == StopReason.INTERRUPTED


# --- usage --------------------------------------------------------------------------------------------------


def test_what_was_cached_is_taken_out_of_the_prompt() -> None:
    assert ollama_usage({"prompt_eval_count": 29, "prompt_eval_cached_count": 20, "eval_count": 3}) == Usage(
        input_tokens=9, cache_read_tokens=20, output_tokens=3, reported_prompt_tokens=29
    )


def test_a_cached_count_of_zero_is_a_report() -> None:
    assert ollama_usage({"prompt_eval_count": 29, "prompt_eval_cached_count": 0}).reported_prompt_tokens == 29


def test_a_server_before_the_cached_count_reports_nothing() -> None:
    usage = ollama_usage({"prompt_eval_count": 29, "eval_count": 3})
    assert usage == Usage(input_tokens=29, output_tokens=3)
    assert usage.cache_hit_rate is None


def test_a_prompt_count_left_out_is_unknown() -> None:
    assert ollama_usage({"eval_count": 3}) == Usage(output_tokens=3)


@pytest.mark.parametrize("value", [None, "x", True, -1, float("nan"), {}, []], ids=repr)
def test_nonsense_in_the_cached_count_is_nothing_said(value: Any) -> None:
    raw = {"prompt_eval_count": 29, "prompt_eval_cached_count": value}
    assert ollama_cached_read_tokens(raw) == 0
    assert ollama_usage(raw) == Usage(input_tokens=29)


VALUES = st.one_of(st.none(), st.booleans(), st.integers(-5, 10**6), st.floats(), st.text(max_size=3))


@given(
    st.dictionaries(st.sampled_from(["prompt_eval_count", "prompt_eval_cached_count", "eval_count"]), VALUES)
)
def test_no_usage_raises_or_claims_more_than_the_prompt(raw: dict[str, Any]) -> None:
    usage = ollama_usage(raw)
    assert min(usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) >= 0
    prompt = raw.get("prompt_eval_count")
    if isinstance(prompt, int) and not isinstance(prompt, bool) and prompt >= 0:
        assert usage.prompt_tokens == prompt


async def test_the_next_step_reads_all_but_the_last_token_of_what_was_sent(opened: Open) -> None:
    turn = (message("user", "look"), called("a"), result("a", "x" * 400))
    with OllamaServer(["one", "two"]) as server:
        provider = opened(server)
        first = await played(provider, request(f"ollama/{MODEL}", *turn, tools=[TOOL]))
        longer = (*turn, message("assistant", first.text), message("user", "more"))
        second = await played(provider, request(f"ollama/{MODEL}", *longer, tools=[TOOL]))
        assert second.call.usage.cache_read_tokens >= first.call.usage.prompt_tokens - 1
        assert second.call.usage.prompt_tokens == server.billed[1]["prompt_eval_count"]


# --- what is sent -------------------------------------------------------------------------------------------


async def test_the_request_holds_schemas_whole_and_forbids_silent_truncation(opened: Open) -> None:
    with OllamaServer(["hello"]) as server:
        asked = request(f"ollama/{MODEL}", tools=[TOOL], context_window=32_768, max_output_tokens=99)
        await played(opened(server), asked)
        sent = server.requests[0].json
    assert sent["tools"][0]["function"]["parameters"] == SCHEMA
    assert sent["options"] == {"num_predict": 99, "num_ctx": 32_768}
    assert (sent["truncate"], sent["shift"], sent["keep_alive"]) == (False, False, "30m")
    assert "think" not in sent


async def test_the_context_size_is_the_servers_own_unless_it_was_set(opened: Open) -> None:
    with OllamaServer(["hello"]) as server:
        await played(opened(server), ASKED)
        assert "num_ctx" not in server.requests[0].json["options"]


async def test_a_key_for_a_hosted_server_is_sent(opened: Open) -> None:
    with OllamaServer(["hello"]) as server:
        await played(opened(server, OLLAMA_API_KEY="k"), ASKED)
        assert server.requests[0].headers["authorization"] == "Bearer k"


async def test_thinking_that_is_refused_is_asked_for_more_plainly_then_not_at_all(opened: Open) -> None:
    def handler(asked: Recorded) -> Reply:
        match asked.json.get("think"):
            case str():
                return json_reply({"error": 'invalid think value: "high" (must be true or false)'}, 400)
            case None:
                return ndjson(line({"content": "fine"}), end(**COUNTS))
            case _:
                return json_reply({"error": f'"{MODEL}" does not support thinking'}, 400)

    with LoopbackServer(handler) as server:
        provider = opened(server)
        outcomes = [await played(provider, request(f"ollama/{MODEL}", effort="high")) for _ in range(2)]
        assert [each.json.get("think") for each in server.requests] == ["high", True, None, None]
    assert [outcome.text for outcome in outcomes] == ["fine", "fine"]


@pytest.mark.parametrize(
    ("effort", "think"),
    [("low", "low"), ("max", "max"), ("minimal", "low"), ("xhigh", "high"), ("none", False), (None, None)],
)
async def test_effort_becomes_think(opened: Open, effort: str | None, think: str | bool | None) -> None:
    with OllamaServer(["hello"]) as server:
        await played(opened(server), request(f"ollama/{MODEL}", effort=effort))
        assert server.requests[0].json.get("think") == think


def encoded(*messages: Message, origin: Origin = HERE) -> list[Any]:
    return encode_messages(request("ollama/m", system="Sys").prefix, messages, origin)


@given(CONVERSATIONS)
def test_what_was_sent_is_the_beginning_of_what_is_sent_next(exchanges: list[tuple[Message, ...]]) -> None:
    messages = sum(exchanges, ())
    whole = encoded(*messages)
    for length in range(len(messages) + 1):
        part = encoded(*messages[:length])
        assert json.dumps(whole[: len(part)]) == json.dumps(part)


def test_a_call_and_its_result_go_back_with_id_and_name() -> None:
    assert encoded(
        called("a", arguments='{"b":1,"a":2}'), result("a", "x.py", images=(Image("image/png", "aGk="),))
    ) == [
        {"role": "system", "content": "Sys"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "a", "function": {"name": "list_files", "arguments": {"b": 1, "a": 2}}}],
        },
        {
            "role": "tool",
            "tool_name": "list_files",
            "tool_call_id": "a",
            "content": "x.py",
            "images": ["aGk="],
        },
    ]


def test_broken_arguments_go_back_inside_an_object() -> None:
    sent = encoded(called("a", arguments='{"p":'))[1]["tool_calls"][0]["function"]["arguments"]
    assert sent == {"malformed_arguments": '{"p":'}


def test_thinking_goes_back_only_to_the_model_it_came_from() -> None:
    answer = message("assistant", Thinking("hm", HERE), "yes")
    assert encoded(answer)[1] == {"role": "assistant", "content": "yes", "thinking": "hm"}
    assert encoded(answer, origin=Origin("ollama", "x", "m"))[1] == {"role": "assistant", "content": "yes"}


def test_a_persons_image_goes_as_base64() -> None:
    assert encoded(message("user", "look", Image("image/png", "aGk=")))[1]["images"] == ["aGk="]


# --- the server ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (json_reply({"error": f"model '{MODEL}' not found"}, 404), ModelNotFound, f"ollama pull {MODEL}"),
        (Reply(404, {"content-type": "text/plain"}, (b"404 page not found",)), ModelNotFound, "OLLAMA_HOST"),
        (
            json_reply({"error": f"registry/{MODEL} does not support tools"}, 400),
            RequestRejected,
            "another model",
        ),
        (
            json_reply({"error": "the input length exceeds the context length"}, 400),
            ContextOverflow,
            "OLLAMA_CONTEXT",
        ),
        (json_reply({"error": "boom"}, 500), ServerFault, "boom"),
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
    assert outcome.call.usage == Usage()


async def test_a_server_that_is_not_there_says_how_to_start_it(opened: Open) -> None:
    with OllamaServer() as server:
        url = server.url
    provider = opened(url)
    outcome = await played(provider, ASKED)
    assert isinstance(outcome.error, Unreachable)
    assert "ollama serve" in str(outcome.error)
    with pytest.raises(Unreachable, match="ollama serve"):
        await provider.models()
    assert not await reachable({"OLLAMA_HOST": url})


async def test_a_running_server_is_reachable_and_asked_nothing() -> None:
    with OllamaServer() as server:
        assert await reachable({"OLLAMA_HOST": server.url})
        assert server.requests == []


async def test_an_address_that_is_none_is_not_reachable() -> None:
    assert not await reachable({"OLLAMA_HOST": "ftp://x"})


async def test_the_models_are_listed(opened: Open) -> None:
    with OllamaServer() as server:
        models = await opened(server).models()
    assert [(model.name, model.note) for model in models] == [(MODEL, "8.2B Q4_K_M")]


async def test_something_else_at_the_address_is_not_taken_for_ollama(opened: Open) -> None:
    page = Reply(200, {"content-type": "text/html"}, (b"<html>",))
    with LoopbackServer(lambda _: page) as server, pytest.raises(ServerFault, match="OLLAMA_HOST"):
        await opened(server).models()


async def test_the_window_is_what_the_loaded_model_runs_with(opened: Open) -> None:
    with OllamaServer() as server:
        assert await opened(server).context_window(MODEL) == 8192


async def test_the_window_is_what_was_asked_for_but_never_more_than_the_model_has(opened: Open) -> None:
    with OllamaServer(["one", "two"]) as server:
        provider = opened(server)
        await played(provider, request(f"ollama/{MODEL}", context_window=16_384))
        assert await provider.context_window(MODEL) == 16_384
        await played(provider, request(f"ollama/{MODEL}", context_window=131_072))
        assert await provider.context_window(MODEL) == 40_960


async def test_the_window_of_a_model_that_is_not_there_is_unknown(opened: Open) -> None:
    with OllamaServer() as server:
        assert await opened(server).context_window("other") is None


async def test_pulling_tells_how_far_it_is(opened: Open) -> None:
    steps = [
        {"status": "pulling manifest"},
        {"status": "pulling a", "digest": "sha256:a", "total": 100, "completed": 40},
        {"status": "pulling a", "digest": "sha256:a", "total": 100, "completed": 100},
        {"status": "pulling b", "digest": "sha256:b", "total": 10},
        {"status": "success"},
    ]
    told: list[tuple[int, int]] = []
    with LoopbackServer(lambda _: ndjson(*(json.dumps(step) + "\n" for step in steps))) as server:
        await opened(server).pull(MODEL, lambda done, total: told.append((done, total)))
    assert told == [(40, 100), (100, 100), (100, 110)]


async def test_pulling_what_does_not_exist_is_an_error(opened: Open) -> None:
    failed = '{"status":"pulling manifest"}\n{"error":"pull model manifest: file does not exist"}\n'
    with (
        LoopbackServer(lambda _: ndjson(failed)) as server,
        pytest.raises(ProviderError, match="does not exist"),
    ):
        await opened(server).pull("nope", lambda done, total: None)


async def test_a_chat_never_imports_ollamas_package_or_any_sdk() -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from providers.ollama import connect;"
        "from providers.settings import ProviderSettings;"
        "from tests.support.calls import cancelled, played, request;"
        "assert 'httpx2' not in sys.modules;"
        "provider = connect('ollama', ProviderSettings(base_url=sys.argv[1]), {}, Path('.'));"
        "outcome = asyncio.run(played(provider, request('ollama/m')));"
        "assert outcome.text == 'hello', outcome;"
        "assert not {'ollama', 'openai', 'anthropic', 'httpx', 'pydantic'} & set(sys.modules)"
    )
    with OllamaServer(["hello"]) as server:
        await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", code, server.url], cwd=ROOT, check=True
        )
