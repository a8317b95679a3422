"""The encoder `bedrock/1`: what a conversation becomes, and where its cache points stand."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given

from providers.bedrock_messages import request_body, sdk_arguments
from providers.types import (
    Block,
    Image,
    Message,
    ModelRef,
    Opaque,
    Origin,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tests.support.bedrock_server import MODEL, objection, segments
from tests.support.calls import TOOL, called, message, request, result
from tests.support.conversations import CONVERSATIONS

HERE = "https://bedrock-runtime.amazonaws.com"
POINT = {"cachePoint": {"type": "default"}}
NOVA = "us.amazon.nova-pro-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"


def body(*messages: Message, model: str = MODEL, left_out: frozenset[str] = frozenset(), **rest: Any) -> Any:
    asked = request(ModelRef("bedrock", model), *messages, tools=[TOOL], **rest)
    return request_body(asked, HERE, left_out)


def places(encoded: Any) -> list[str]:
    """What each cache point follows."""
    blocks = list(segments(encoded))
    return [
        f"{role}:{next(iter(before))}"
        for (role, before), (_, point) in pairwise(blocks)
        if "cachePoint" in point
    ]


def bare(encoded: Any) -> list[str]:
    """The conversation's blocks without cache points, as text."""
    return [json.dumps([role, block]) for role, block in segments(encoded) if "cachePoint" not in block]


def test_a_conversation_as_converse_takes_it() -> None:
    encoded = body(
        message("user", "hi", Image("image/png", "aGk=")),
        message("assistant", "let me look", ToolCall("t1", "list_files", '{"path": "/srv"}')),
        result("t1", "a.py", images=(Image("image/jpeg", "eW8="),)),
        message("user", "thanks"),
        left_out=frozenset({"cachePoint.messages"}),
    )
    assert encoded["messages"] == [
        {
            "role": "user",
            "content": [{"text": "hi"}, {"image": {"format": "png", "source": {"bytes": "aGk="}}}],
        },
        {
            "role": "assistant",
            "content": [
                {"text": "let me look"},
                {"toolUse": {"toolUseId": "t1", "name": "list_files", "input": {"path": "/srv"}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "toolResult": {
                        "toolUseId": "t1",
                        "content": [
                            {"text": "a.py"},
                            {"image": {"format": "jpeg", "source": {"bytes": "eW8="}}},
                        ],
                    }
                },
                {"text": "thanks"},
            ],
        },
    ]
    assert encoded["modelId"] == MODEL
    assert encoded["inferenceConfig"] == {"maxTokens": 16384}


def test_bytes_reach_the_sdk_as_bytes_wherever_they_stand() -> None:
    mine = Origin("bedrock", HERE, MODEL)
    arguments = sdk_arguments(
        body(
            message("user", Image("image/png", "aGk=")),
            message("assistant", Opaque('{"reasoningContent":{"redactedContent":"eW8="}}', mine), "x"),
            message("user", "go on"),
        )
    )
    user, answer, _ = arguments["messages"]
    assert user["content"][0]["image"]["source"]["bytes"] == b"hi"
    assert answer["content"][0]["reasoningContent"]["redactedContent"] == b"yo"


def test_points_stand_behind_tools_system_the_call_before_and_this_one() -> None:
    encoded = body(
        message("user", "a", id="1"), message("assistant", "b", id="2"), message("user", "c", id="3")
    )
    assert places(encoded) == ["tool:toolSpec", "system:text", "user:text", "user:text"]
    assert encoded["messages"][0]["content"] == [{"text": "a"}, POINT]


def test_a_point_that_is_left_stands_before_the_first_prompt() -> None:
    opened = message("user", "the place", "a", id="1")
    encoded = body(opened)
    assert places(encoded) == ["tool:toolSpec", "system:text", "user:text", "user:text"]
    assert encoded["messages"][0]["content"] == [{"text": "the place"}, POINT, {"text": "a"}, POINT]
    longer = body(opened, message("assistant", "b", id="2"), message("user", "c", id="3"))
    assert places(longer) == ["system:text", "user:text", "user:text", "user:text"]
    assert longer["messages"][0]["content"] == encoded["messages"][0]["content"]
    assert objection(longer) == ""


def test_the_place_has_no_point_where_two_lifetimes_need_all_of_them() -> None:
    said = [message("user" if place % 2 == 0 else "assistant", "x", id=str(place)) for place in range(1, 7)]
    asked = request(
        ModelRef("bedrock", MODEL), message("user", "the place", "x", id="0"), *said, cache_ttl="auto"
    )
    encoded = request_body(replace(asked, kept_until="0", previous_end="4"), HERE)
    assert encoded["messages"][0]["content"][0] == {"text": "the place"}
    assert "cachePoint" not in encoded["messages"][0]["content"][1]
    assert objection(encoded) == ""


def test_the_call_before_ended_where_the_session_says() -> None:
    asked = request(
        ModelRef("bedrock", MODEL),
        message("user", "a", id="1"),
        message("assistant", "b", id="2"),
        message("user", "c", id="3"),
        message("user", "d", id="4"),
    )
    known = Request(prefix=asked.prefix, messages=asked.messages, previous_end="3")
    content = request_body(known, HERE)["messages"][-1]["content"]
    assert content == [{"text": "c"}, POINT, {"text": "d"}, POINT]


def test_a_conversation_that_only_began_has_one_point_of_its_own() -> None:
    assert places(body(message("user", "a"))) == ["tool:toolSpec", "system:text", "user:text"]


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (MODEL, ["tool:toolSpec", "system:text", "user:text"]),
        (NOVA, ["system:text", "user:text"]),
        (LLAMA, []),
        (
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2",
            ["tool:toolSpec", "system:text", "user:text"],
        ),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-5",
            ["tool:toolSpec", "system:text", "user:text"],
        ),
    ],
)
def test_each_family_gets_points_only_where_it_takes_them(model: str, wanted: list[str]) -> None:
    assert places(body(message("user", "a"), model=model)) == wanted


def test_an_hour_is_asked_for_at_every_point() -> None:
    encoded = body(message("user", "a"), cache_ttl="1h")
    points = [block["cachePoint"] for _, block in segments(encoded) if "cachePoint" in block]
    assert points == [{"type": "default", "ttl": "1h"}] * 3


def lifetimes(kept_until: str, model: str = MODEL, **rest: Any) -> list[str]:
    """What each point of a conversation of two answers asks for; its third message is the second prompt."""
    said = (
        message("user", "a", id="1"),
        message("assistant", "b", id="2"),
        message("user", "c", id="3"),
        called("t1"),
        result("t1"),
        message("assistant", "d", id="6"),
        message("user", "e", id="7"),
    )
    asked = request(ModelRef("bedrock", model), *said, tools=[TOOL], cache_ttl="auto")
    asked = replace(asked, kept_until=kept_until, previous_end="3", **rest)
    found = [block["cachePoint"] for _, block in segments(request_body(asked, HERE)) if "cachePoint" in block]
    return [point.get("ttl", "5m") for point in found]


def test_what_is_kept_for_an_hour_ends_at_a_point_of_its_own_and_the_rest_has_five_minutes() -> None:
    assert lifetimes("1") == ["1h", "1h", "5m", "5m"]
    assert lifetimes("3") == ["1h", "1h", "1h", "5m"]
    assert lifetimes("7") == ["1h", "1h", "1h", "1h"]


def test_where_four_points_are_too_few_the_one_behind_the_tools_gives_way() -> None:
    asked = request(
        ModelRef("bedrock", MODEL),
        *(message("user" if place % 2 == 0 else "assistant", "x", id=str(place)) for place in range(7)),
        tools=[TOOL],
        cache_ttl="auto",
    )
    encoded = request_body(replace(asked, kept_until="0", previous_end="4"), HERE)
    assert places(encoded) == ["system:text", "user:text", "user:text", "user:text"]
    assert objection(encoded) == ""


def test_a_model_that_sells_one_lifetime_is_asked_for_no_other_whatever_the_plan() -> None:
    assert set(lifetimes("3", model=NOVA)) == {"5m"}


def test_a_limit_of_one_answer_changes_nothing_that_the_cache_is_looked_up_by() -> None:
    claude = ModelRef("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0")
    asked = request(claude, message("user", "a"), effort="high")
    usual, tight = (request_body(each, HERE) for each in (asked, replace(asked, max_output_tokens=2000)))
    assert tight["additionalModelRequestFields"] == usual["additionalModelRequestFields"]
    # The API wants a limit above thinking's budget.
    assert tight["inferenceConfig"] == {"maxTokens": 8192 + 1024}
    free = request(claude, message("user", "a"))
    assert request_body(replace(free, max_output_tokens=2000), HERE)["inferenceConfig"] == {"maxTokens": 2000}


def test_nova_is_not_asked_for_an_hour() -> None:
    assert "ttl" not in json.dumps(body(message("user", "a"), model=NOVA, cache_ttl="1h"))


def test_thinking_goes_back_byte_for_byte_only_to_the_model_it_came_from() -> None:
    mine, other = Origin("bedrock", HERE, MODEL), Origin("bedrock", HERE, "us.anthropic.claude-opus-5")
    encoded = body(
        message("user", "a"),
        message("assistant", Thinking("hm", mine, "EqQB+/="), Thinking("no", other, "x"), "b"),
        message("user", "c"),
    )
    reasoning, text = encoded["messages"][1]["content"]
    assert reasoning == {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "EqQB+/="}}}
    assert text == {"text": "b"}


def test_thinking_without_a_signature_is_not_sent_back() -> None:
    mine = Origin("bedrock", HERE, MODEL)
    encoded = body(
        message("user", "a"), message("assistant", Thinking("hm", mine), "b"), message("user", "c")
    )
    assert encoded["messages"][1]["content"] == [{"text": "b"}]


def test_an_answer_that_broke_off_in_its_thinking_ends_before_it() -> None:
    mine = Origin("bedrock", HERE, MODEL)
    encoded = body(
        message("user", "a"), message("assistant", "b", Thinking("hm", mine, "s")), message("user", "c")
    )
    assert encoded["messages"][1]["content"] == [{"text": "b"}]


def test_results_stand_before_what_was_said_meanwhile() -> None:
    said = (message("user", "a"), called("t1"), message("user", "wait"), result("t1"))
    content = body(*said, left_out=frozenset({"cachePoint.messages"}))["messages"][2]["content"]
    assert [next(iter(block)) for block in content] == ["toolResult", "text"]


def test_a_tool_that_said_nothing_still_has_a_result() -> None:
    encoded = body(message("user", "a"), called("t1"), result("t1", " "))
    assert encoded["messages"][2]["content"][0]["toolResult"]["content"] == [{"text": "(no output)"}]


@pytest.mark.parametrize(("model", "status"), [(MODEL, "error"), (NOVA, "error"), (LLAMA, None)])
def test_a_failed_tool_says_so_to_models_that_hear_it(model: str, status: str | None) -> None:
    encoded = body(message("user", "a"), called("t1"), result("t1", "boom", is_error=True), model=model)
    assert encoded["messages"][2]["content"][0]["toolResult"].get("status") == status


def test_ids_and_names_of_other_wires_fit_and_stay_paired() -> None:
    long = "fc|" + "é" * 80
    encoded = body(message("user", "a"), called(long, name="no such.tool"), result(long))
    use, answer = encoded["messages"][1]["content"][0]["toolUse"], encoded["messages"][2]["content"][0]
    assert use["toolUseId"] == answer["toolResult"]["toolUseId"]
    assert len(use["toolUseId"]) == 64
    assert use["name"] == "no_such_tool"
    other = body(message("user", "a"), called(long + "x"), result(long + "x"))
    assert other["messages"][1]["content"][0]["toolUse"]["toolUseId"] != use["toolUseId"]


@pytest.mark.parametrize("arguments", ["", "{broken", "[1]", '{"a": NaN}'])
def test_arguments_that_are_no_object_are_sent_as_an_empty_one(arguments: str) -> None:
    encoded = body(message("user", "a"), called("t1", arguments=arguments), result("t1"))
    assert encoded["messages"][1]["content"][0]["toolUse"]["input"] == {}


@pytest.mark.parametrize(
    ("model", "effort", "fields"),
    [
        ("us.anthropic.claude-opus-4-7", "high", {"type": "adaptive", "display": "summarized"}),
        (
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "medium",
            {"type": "enabled", "budget_tokens": 4096},
        ),
        ("us.anthropic.claude-opus-4-20250514-v1:0", "max", {"type": "enabled", "budget_tokens": 12288}),
    ],
)
def test_an_effort_becomes_the_thinking_that_a_claude_knows(model: str, effort: str, fields: Any) -> None:
    extra = body(message("user", "a"), model=model, effort=effort)["additionalModelRequestFields"]
    assert extra["thinking"] == fields


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("openai.gpt-oss-120b-1:0", {"reasoning_effort": "high"}),
        (
            "us.amazon.nova-2-lite-v1:0",
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
        ),
        (NOVA, None),
        (LLAMA, None),
    ],
)
def test_an_effort_goes_where_other_families_look_for_it(model: str, fields: Any) -> None:
    assert (
        body(message("user", "a"), model=model, effort="xhigh").get("additionalModelRequestFields") == fields
    )


def test_a_budget_leaves_room_for_the_answer() -> None:
    claude = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    small = body(message("user", "a"), model=claude, effort="high", max_output_tokens=3000)
    assert small["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 1976
    assert "additionalModelRequestFields" not in body(
        message("user", "a"), model=claude, effort="high", max_output_tokens=2000
    )


@given(CONVERSATIONS, CONVERSATIONS)
def test_a_longer_conversation_begins_with_the_shorter_ones_bytes(earlier: Any, later: Any) -> None:
    first, more = _said(earlier), _said(later)
    shorter, longer = bare(body(*first)), bare(body(*first, *more))
    assert longer[: len(shorter)] == shorter


@given(CONVERSATIONS)
def test_whatever_was_said_before_the_api_takes_it(exchanges: Any) -> None:
    assert objection(body(*_said(exchanges), message("user", "go on"))) == ""


def _said(exchanges: Any) -> list[Message]:
    """A conversation of these exchanges, each message and each call with an id of its own."""
    said = [message("user", "start", id="0")]
    for number, exchange in enumerate(exchanges):
        for each in exchange:
            blocks = tuple(_own(block, number) for block in each.blocks)
            said.append(Message(str(len(said)), each.role, blocks))
    return said


def _own(block: Block, number: int) -> Block:
    match block:
        case ToolCall(id=call_id):
            return replace(block, id=f"{call_id}-{number}")
        case ToolResult(call_id=call_id):
            return replace(block, call_id=f"{call_id}-{number}")
        case _:
            return block


def test_half_a_character_does_not_stop_a_conversation() -> None:
    arguments = sdk_arguments(body(message("user", Text("a\ud800b"))))
    assert arguments["messages"][0]["content"][0]["text"] == "a?b"


def test_the_loopback_server_refuses_a_longer_lifetime_behind_a_shorter_one() -> None:
    def point(ttl: str) -> dict[str, Any]:
        return {"cachePoint": {"type": "default", "ttl": ttl}}

    def body(*lifetimes: str) -> dict[str, Any]:
        content = [piece for ttl in lifetimes for piece in ({"text": "a"}, point(ttl))]
        return {"messages": [{"role": "user", "content": content}]}

    assert objection(body("1h", "5m")) == ""
    assert "must not come after" in objection(body("5m", "1h"))
