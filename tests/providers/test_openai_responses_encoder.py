"""The encoder `openai-responses/1`: what was sent once is sent again, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from providers.openai_responses_events import ResponseAccumulator
from providers.openai_responses_messages import encode_input, encode_tools
from providers.types import Image, Message, Opaque, Origin, Text, Thinking, ToolCall, canonical
from tests.support.calls import SCHEMA, TOOL, called, message, result
from tests.support.conversations import CONVERSATIONS, HERE

PNG = Image("image/png", "aGk=")
ELSEWHERE = [
    Origin("other", HERE.endpoint, HERE.model),
    Origin(HERE.wire, "other", HERE.model),
    Origin(HERE.wire, HERE.endpoint, "other"),
]


def encoded(*messages: Message, origin: Origin = HERE) -> list[Any]:
    return encode_input(messages, origin=origin)


def opaque(**item: Any) -> Opaque:
    return Opaque(json.dumps(item), HERE)


@given(CONVERSATIONS)
def test_what_was_sent_is_the_beginning_of_what_is_sent_next(exchanges: list[tuple[Message, ...]]) -> None:
    whole = encoded(*sum(exchanges, ()))
    for length in range(len(exchanges) + 1):
        part = encoded(*sum(exchanges[:length], ()))
        assert json.dumps(whole[: len(part)]) == json.dumps(part)


@given(CONVERSATIONS)
def test_each_message_is_encoded_from_itself_alone(exchanges: list[tuple[Message, ...]]) -> None:
    messages = sum(exchanges, ())
    assert encoded(*messages) == [item for each in messages for item in encoded(each)]


@given(CONVERSATIONS)
def test_every_call_has_its_answer_and_arguments_that_parse(exchanges: list[tuple[Message, ...]]) -> None:
    pending: list[str] = []
    for item in encoded(*sum(exchanges, ())):
        match item["type"]:
            case "function_call":
                assert isinstance(json.loads(item["arguments"]), dict)
                pending.append(item["call_id"])
            case "function_call_output":
                assert item["call_id"] == pending.pop(0)
    assert not pending


def test_a_tools_schema_stays_whole_and_is_not_made_strict() -> None:
    (tool,) = encode_tools([TOOL])
    assert canonical(tool["parameters"]) == canonical(SCHEMA)
    assert tool["strict"] is False


def test_a_persons_text_and_images_are_parts_of_one_message() -> None:
    assert encoded(message("user", "look", PNG)) == [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,aGk="},
            ],
        }
    ]


def test_an_appended_instruction_is_the_developers() -> None:
    (item,) = encoded(message("system", "now plan"))
    assert (item["role"], item["content"]) == ("developer", [{"type": "input_text", "text": "now plan"}])


def test_a_message_that_says_nothing_is_not_sent() -> None:
    assert encoded(message("user", ""), message("assistant", ""), message("system")) == []


def test_an_items_own_fields_stand_around_its_text_and_its_call() -> None:
    answer = message(
        "assistant",
        opaque(type="reasoning", id="rs_1", encrypted_content="gA+/="),
        opaque(type="message", id="msg_1", role="assistant", phase="commentary"),
        "Looking.",
        opaque(type="function_call", id="fc_1", status="completed"),
        ToolCall("a", "ls", '{"p":  1}'),
    )
    assert [(item["type"], item["id"]) for item in encoded(answer)] == [
        ("reasoning", "rs_1"),
        ("message", "msg_1"),
        ("function_call", "fc_1"),
    ]
    assert encoded(answer)[2] == {
        "type": "function_call",
        "id": "fc_1",
        "status": "completed",
        "call_id": "a",
        "name": "ls",
        "arguments": '{"p":  1}',
    }


def test_an_items_own_fields_are_no_other_items() -> None:
    frame = opaque(type="message", id="msg_1")
    assert ["id" in item for item in encoded(message("assistant", frame, "one", "two"))] == [True, False]
    (call,) = encoded(message("assistant", frame, ToolCall("a", "ls", "{}")))
    assert "id" not in call
    two_calls = (
        opaque(type="function_call", id="fc_1"),
        ToolCall("a", "ls", "{}"),
        ToolCall("b", "ls", "{}"),
    )
    assert ["id" in item for item in encoded(message("assistant", *two_calls))] == [True, False]


def test_reasoning_goes_back_with_its_keys_in_the_order_in_which_they_came() -> None:
    raw = '{"type":"reasoning","summary":[],"id":"rs_1","encrypted_content":"gA+/="}'
    (item, _) = encoded(message("assistant", Opaque(raw, HERE), "yes"))
    assert json.dumps(item, separators=(",", ":")) == raw


@pytest.mark.parametrize("origin", ELSEWHERE, ids=["wire", "endpoint", "model"])
def test_nothing_opaque_goes_anywhere_but_where_it_came_from(origin: Origin) -> None:
    answer = message(
        "assistant",
        Thinking("hm", HERE),
        opaque(type="reasoning", id="rs_1"),
        opaque(type="message", id="msg_1", phase="commentary"),
        Text("yes"),
    )
    assert encoded(answer, origin=origin) == [
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "yes", "annotations": []}],
        }
    ]


@pytest.mark.parametrize("raw", ["", "[]", "{}", '{"id":"rs_1"}', '{"type'])
def test_a_kept_item_that_somebody_broke_is_left_out(raw: str) -> None:
    assert [item["type"] for item in encoded(message("assistant", Opaque(raw, HERE), "yes"))] == ["message"]


@pytest.mark.parametrize(("raw", "sent"), [("", "{}"), ('{"p":', '{"malformed_arguments":"{\\"p\\":"}')])
def test_arguments_that_are_no_object_go_back_inside_one(raw: str, sent: str) -> None:
    assert encoded(called("a", arguments=raw))[0]["arguments"] == sent


def test_a_results_images_are_part_of_it() -> None:
    assert encoded(result("a", "x"), result("b", "", images=(PNG,))) == [
        {"type": "function_call_output", "call_id": "a", "output": "x"},
        {
            "type": "function_call_output",
            "call_id": "b",
            "output": [{"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,aGk="}],
        },
    ]


def test_reasoning_before_a_message_without_words_goes_back_with_the_call_behind_it() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "blob"}
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "list_files", "arguments": "{}"}
    silence = {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": ""}]}
    answer = ResponseAccumulator(HERE)
    answer.feed({"status": "completed", "output": [thought, silence, call]})
    items = encoded(Message("m", "assistant", answer.blocks))
    assert [item["type"] for item in items] == ["reasoning", "function_call"]
