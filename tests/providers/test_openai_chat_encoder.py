"""The encoder `openai-chat/1`: what was sent once is sent again, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from providers.openai_messages import encode_messages, encode_tools
from providers.types import Image, Message, Origin, Thinking, ToolCall, canonical
from tests.support.calls import SCHEMA, TOOL, called, message, request, result
from tests.support.conversations import CONVERSATIONS, HERE

PNG = Image("image/png", "aGk=")


def encoded(*messages: Message, reasoning_of: Origin | None = None) -> list[Any]:
    return encode_messages(request("gate/m", system="Sys").prefix, messages, reasoning_of=reasoning_of)[1:]


@given(CONVERSATIONS)
def test_what_was_sent_is_the_beginning_of_what_is_sent_next(exchanges: list[tuple[Message, ...]]) -> None:
    prefix = request("gate/m").prefix
    whole = encode_messages(prefix, sum(exchanges, ()), reasoning_of=HERE)
    for length in range(len(exchanges) + 1):
        part = encode_messages(prefix, sum(exchanges[:length], ()), reasoning_of=HERE)
        assert json.dumps(whole[: len(part)]) == json.dumps(part)


@given(CONVERSATIONS)
def test_every_call_is_answered_before_anything_else_is_said(exchanges: list[tuple[Message, ...]]) -> None:
    pending: list[str] = []
    for each in encode_messages(request("gate/m").prefix, sum(exchanges, ())):
        if each["role"] == "tool":
            assert each["tool_call_id"] == pending.pop(0)
        else:
            assert not pending
        pending += [call["id"] for call in each.get("tool_calls", [])]
    assert not pending


@given(CONVERSATIONS)
def test_every_arguments_text_parses(exchanges: list[tuple[Message, ...]]) -> None:
    for each in encode_messages(request("gate/m").prefix, sum(exchanges, ())):
        for call in each.get("tool_calls", []):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)


def test_the_system_prompt_comes_first() -> None:
    messages = encode_messages(request("gate/m", system="Sys").prefix, [message("user", "hi")])
    assert messages == [{"role": "system", "content": "Sys"}, {"role": "user", "content": "hi"}]


def test_a_tools_schema_stays_whole_and_tools_keep_their_order() -> None:
    tools = encode_tools(request("gate/m", tools=[TOOL, TOOL]).prefix.tools)
    assert [tool["type"] for tool in tools] == ["function", "function"]
    assert tools[0]["function"]["name"] == "list_files"
    assert canonical(tools[0]["function"]["parameters"]) == canonical(SCHEMA)


def test_a_call_and_its_result_go_back_as_they_came() -> None:
    assert encoded(called("a", arguments='{"path":  "/srv"}'), result("a", "x.py", is_error=True)) == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "list_files", "arguments": '{"path":  "/srv"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "x.py"},
    ]


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        ("", "{}"),
        ("  ", "{}"),
        ('{"p":', '{"malformed_arguments":"{\\"p\\":"}'),
        ("[1]", '{"malformed_arguments":"[1]"}'),
    ],
)
def test_arguments_that_are_no_object_go_back_inside_one(raw: str, sent: str) -> None:
    assert encoded(called("a", arguments=raw))[0]["tool_calls"][0]["function"]["arguments"] == sent


def test_a_persons_image_goes_as_a_data_url() -> None:
    assert encoded(message("user", "look", PNG))[0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    ]


def test_images_of_results_follow_once_every_call_is_answered() -> None:
    asked = message("assistant", ToolCall("a", "read", "{}"), ToolCall("b", "read", "{}"))
    roles = [
        each["role"]
        for each in encoded(asked, result("a", images=(PNG,)), result("b"), message("user", "so?"))
    ]
    assert roles == ["assistant", "tool", "tool", "user", "user"]


def test_a_system_message_is_appended_where_it_stands() -> None:
    assert encoded(message("user", "hi"), message("system", "now plan"))[1] == {
        "role": "system",
        "content": "now plan",
    }


def test_reasoning_goes_back_only_to_the_model_it_came_from() -> None:
    answer = message("assistant", Thinking("hm", HERE), "yes")
    assert encoded(answer) == [{"role": "assistant", "content": "yes"}]
    assert encoded(answer, reasoning_of=HERE)[0]["reasoning_content"] == "hm"
    assert "reasoning_content" not in encoded(answer, reasoning_of=Origin("wire", "elsewhere", "m"))[0]
