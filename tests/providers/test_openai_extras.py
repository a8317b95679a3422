"""What comes beside OpenAI's own fields goes back byte for byte, and only to the model that sent it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from providers.openai_messages import encode_messages
from providers.registry import open_provider
from providers.settings import ProviderSettings
from providers.types import Message, Opaque, Origin, Thinking, ToolCall
from tests.support.calls import TOOL, called, message, played, request, result
from tests.support.loopback import LoopbackServer, Recorded, sse
from tests.support.openai_server import DONE, chunk, fragment, usage

HERE = Origin("openai-chat", "http://h", "m")
SIGNATURE = "Et8BCmUIDxgCKkBz/é+=="
THOUGHT = {"google": {"thought_signature": "CrICAdHtim827fQ=="}}


def signed(*details: dict[str, Any]) -> list[str]:
    """The events of an answer that calls a tool after some reasoning, each detail in a chunk of its own."""
    events = [chunk({"reasoning_details": [detail]}) for detail in details]
    call = fragment(0, "call_1", "list_files", '{"path":"/srv"}')
    call["tool_calls"][0]["extra_content"] = THOUGHT
    return [*events, chunk(call), chunk({}, "tool_calls"), chunk(usage=usage(10, 2)), DONE]


async def second_request(
    tmp_path: Path, *details: dict[str, Any], provider: str = "openrouter", model: str | None = None
) -> list[Any]:
    """The messages of the request that follows an answer with these details."""
    bodies: list[Any] = []

    def answer(asked: Recorded) -> Any:
        bodies.append(asked.json)
        return sse(*signed(*details))

    with LoopbackServer(answer) as server:
        settings = {provider: ProviderSettings(base_url=f"{server.url}/v1", api_key="k")}
        gate = open_provider(provider, settings, {}, tmp_path)
        asked = message("user", "list /srv")
        first = await played(gate, request(f"{provider}/m", asked, tools=[TOOL]))
        assert first.call.turn is not None
        history = (asked, first.call.turn.message, result("call_1"))
        await played(gate, request(f"{provider}/{model or 'm'}", *history, tools=[TOOL]))
        await gate.aclose()
    return list(bodies[1]["messages"])


async def test_signed_reasoning_goes_back_whole(tmp_path: Path) -> None:
    sent = await second_request(
        tmp_path,
        {"type": "reasoning.text", "text": "Let", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "text": " me see.", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "signature": SIGNATURE, "format": "anthropic-claude-v1", "index": 0},
    )
    assert sent[2]["reasoning_details"] == [
        {
            "type": "reasoning.text",
            "text": "Let me see.",
            "format": "anthropic-claude-v1",
            "index": 0,
            "signature": SIGNATURE,
        }
    ]


async def test_details_of_different_kinds_or_places_stay_apart_and_in_order(tmp_path: Path) -> None:
    details = (
        {"type": "reasoning.summary", "index": 0, "summary": "First."},
        {"type": "reasoning.encrypted", "index": 0, "id": "rs_1", "data": "gAAA"},
        {"type": "reasoning.encrypted", "index": 0, "id": "rs_2", "data": "gBBB"},
        {"type": "reasoning.summary", "index": 2, "summary": "Second."},
        {"type": "reasoning.text", "text": "whole"},
        {"type": "reasoning.text", "text": "whole"},
    )
    assert (await second_request(tmp_path, *details))[2]["reasoning_details"] == list(details)


async def test_a_calls_thought_signature_goes_back_with_the_call(tmp_path: Path) -> None:
    sent = await second_request(tmp_path, provider="gemini")
    assert sent[2]["tool_calls"][0]["extra_content"] == THOUGHT


async def test_another_model_gets_neither(tmp_path: Path) -> None:
    detail = {"type": "reasoning.text", "text": "Hm.", "index": 0}
    sent = (await second_request(tmp_path, detail, model="other"))[2]
    assert "reasoning_details" not in sent
    assert "extra_content" not in sent["tool_calls"][0]


def encoded(answer: Message, **where: Origin) -> Any:
    return encode_messages(request("gate/m").prefix, [answer], **where)[-1]


@pytest.mark.parametrize("raw", ["{", "[]", "null", '{"tool_calls": 3, "other": 1}'])
def test_a_block_that_somebody_edited_adds_nothing(raw: str) -> None:
    answer = message("assistant", Opaque(raw, HERE), "fine")
    assert encoded(answer, origin=HERE) == {"role": "assistant", "content": "fine"}


def test_an_answer_without_extras_leaves_no_block() -> None:
    assert encoded(called("c1"), origin=HERE) == encoded(called("c1"))


def test_where_reasoning_goes_back_a_message_that_called_tools_has_it_even_empty() -> None:
    silent = message("assistant", ToolCall("c1", "list_files", "{}"))
    thought = message("assistant", Thinking("hm", HERE), ToolCall("c1", "list_files", "{}"))
    assert encoded(silent, reasoning_of=HERE)["reasoning_content"] == ""
    assert encoded(thought, reasoning_of=HERE)["reasoning_content"] == "hm"
    assert "reasoning_content" not in encoded(message("assistant", "fine"), reasoning_of=HERE)


async def test_deepseek_gets_its_reasoning_back(tmp_path: Path) -> None:
    with LoopbackServer(lambda _: sse(chunk({"reasoning_content": "hm"}), *signed())) as server:
        settings = {"deepseek": ProviderSettings(base_url=server.url, api_key="k")}
        gate = open_provider("deepseek", settings, {}, tmp_path)
        asked = message("user", "list /srv")
        first = await played(gate, request("deepseek/m", asked, tools=[TOOL]))
        assert first.call.turn is not None
        history = (asked, first.call.turn.message, result("call_1"))
        await played(gate, request("deepseek/m", *history, tools=[TOOL]))
        await gate.aclose()
    assert server.requests[1].json["messages"][2]["reasoning_content"] == "hm"
