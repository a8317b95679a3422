"""Requests on Anthropic's wire: the same bytes for ever, and breakpoints where they hit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cache.billing import AnthropicCache, anthropic_segments
from providers.anthropic_encoder import encode, request_body
from providers.types import (
    Block,
    Image,
    Message,
    ModelRef,
    Opaque,
    Origin,
    Parameters,
    Prefix,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    canonical,
)
from tests.support.anthropic_server import objection

ENDPOINT = "https://api.anthropic.com"
HERE = Origin("anthropic", ENDPOINT, "claude-test")
SCHEMA = canonical({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]})
TOOLS = (ToolSpec("read", "Reads a file.", SCHEMA), ToolSpec("bash", "Runs a command.", SCHEMA))


def prefix(**parameters: Any) -> Prefix:
    return Prefix(
        model=ModelRef("anthropic", "claude-test"),
        system="You are an agent.",
        tools=TOOLS,
        parameters=Parameters(**parameters),
        encoder="anthropic/1",
        affinity_key="s1",
    )


def user(id: str, *texts: str) -> Message:
    return Message(id, "user", tuple(map(Text, texts)))


def assistant(id: str, *blocks: Block) -> Message:
    return Message(id, "assistant", blocks)


def result(id: str, call_id: str, text: str = "done", **more: Any) -> Message:
    return Message(id, "tool", (ToolResult(call_id, "bash", text, **more),))


def body(*messages: Message, previous_end: str | None = None, **parameters: Any) -> dict[str, Any]:
    request = Request(prefix=prefix(**parameters), messages=messages, previous_end=previous_end)
    return request_body(request, ENDPOINT)


def content(*messages: Message, **more: Any) -> list[list[dict[str, Any]]]:
    """The blocks of each message sent, without cache markers."""
    return [message["content"] for message in bare(body(*messages, **more))["messages"]]


def bare(value: Any) -> Any:
    """A request body without its cache markers."""
    match value:
        case dict():
            return {key: bare(inner) for key, inner in value.items() if key != "cache_control"}
        case list():
            return [bare(inner) for inner in value]
        case _:
            return value


def marked(encoded: dict[str, Any]) -> list[str]:
    """The blocks that carry a breakpoint, by what can be told apart in them."""
    blocks = [*encoded.get("tools", []), *encoded.get("system", [])]
    blocks += [block for message in encoded["messages"] for block in message["content"]]
    return [
        block.get("text") or block.get("name") or block.get("tool_use_id")
        for block in blocks
        if "cache_control" in block
    ]


def test_the_whole_body_of_a_first_request() -> None:
    assert body(user("u1", "hello"), effort="high") == {
        "model": "claude-test",
        "max_tokens": 16_384,
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "high"},
        "tools": [
            {"name": "read", "description": "Reads a file.", "input_schema": json.loads(SCHEMA)},
            {"name": "bash", "description": "Runs a command.", "input_schema": json.loads(SCHEMA)},
        ],
        "system": [{"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}],
            }
        ],
        "stream": True,
    }


def test_without_effort_nothing_is_said_of_it() -> None:
    assert {"output_config", "thinking"}.isdisjoint(body(user("u1", "hello")))


def test_the_results_of_tools_and_the_message_after_them_are_one_message() -> None:
    calls = ToolCall("a", "bash", '{"path":"x"}'), ToolCall("b", "bash", "{}")
    sent = body(
        user("u1", "go"), assistant("a1", *calls), result("r1", "a"), result("r2", "b"), user("u2", "wait")
    )
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    kinds = [block["type"] for block in sent["messages"][2]["content"]]
    assert kinds == ["tool_result", "tool_result", "text"]


def test_a_message_typed_between_two_results_stands_behind_them() -> None:
    calls = ToolCall("a", "bash", "{}"), ToolCall("b", "bash", "{}")
    sent = body(
        user("u1", "go"), assistant("a1", *calls), result("r1", "a"), user("u2", "wait"), result("r2", "b")
    )
    assert objection(sent) == ""


def test_an_appended_instruction_keeps_its_role() -> None:
    sent = body(user("u1", "go"), Message("s1", "system", (Text("The date changed."),)))
    assert sent["messages"][1]["role"] == "system"


def test_a_failed_result_says_so_and_an_empty_one_has_no_text() -> None:
    call = assistant("a1", ToolCall("a", "bash", "{}"))
    sent = content(user("u1", "go"), call, result("r1", "a", "", is_error=True))[2]
    assert sent == [{"type": "tool_result", "tool_use_id": "a", "is_error": True}]


def test_images_go_in_messages_and_in_results() -> None:
    image = Image("image/png", "aGk=")
    source = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    call = assistant("a1", ToolCall("a", "bash", "{}"))
    sent = content(
        Message("u1", "user", (Text("see"), image)), call, result("r1", "a", "it", images=(image,))
    )
    assert sent[0] == [{"type": "text", "text": "see"}, source]
    assert sent[2][0]["content"] == [{"type": "text", "text": "it"}, source]


def test_thinking_goes_back_byte_for_byte_to_where_it_came_from() -> None:
    thinking = Thinking("Hm.\u00a0 ", HERE, "EqQB+/==")
    opaque = Opaque('{"type":"redacted_thinking","data":"x\\u00e9=="}', HERE)
    sent = content(user("u1", "go"), assistant("a1", thinking, opaque, Text("Yes.")))[1]
    assert sent[0] == {"type": "thinking", "thinking": "Hm.\u00a0 ", "signature": "EqQB+/=="}
    assert sent[1] == {"type": "redacted_thinking", "data": "x\u00e9=="}


@pytest.mark.parametrize(
    "origin",
    [
        Origin("openai", ENDPOINT, "claude-test"),
        Origin("anthropic", "https://gateway.test", "claude-test"),
        Origin("anthropic", ENDPOINT, "claude-other"),
    ],
)
def test_thinking_of_another_wire_endpoint_or_model_stays_here(origin: Origin) -> None:
    foreign = Thinking("Hm.", origin, "sig"), Opaque('{"type":"x"}', origin), Text("Yes.")
    assert content(user("u1", "go"), assistant("a1", *foreign))[1] == [{"type": "text", "text": "Yes."}]


def test_an_answer_that_broke_off_in_its_thinking_goes_back_without_it() -> None:
    sent = content(user("u1", "go"), assistant("a1", Text("So:"), Thinking("Hm", HERE)), user("u2", "on"))
    assert sent[1] == [{"type": "text", "text": "So:"}]


def test_an_answer_of_nothing_is_not_sent() -> None:
    sent = body(user("u1", "go"), assistant("a1", Text(" \n")), user("u2", "on"))
    assert [message["role"] for message in sent["messages"]] == ["user"]
    assert objection(sent) == ""


@pytest.mark.parametrize("raw", ["", "{", '{"a": ', "[1]", "3", '{"a": NaN}', "not json"])
def test_arguments_that_are_no_object_go_back_as_an_empty_one(raw: str) -> None:
    assert content(user("u1", "go"), assistant("a1", ToolCall("a", "bash", raw)))[1][0]["input"] == {}


def test_ids_and_names_of_other_models_are_put_in_the_characters_the_api_allows() -> None:
    call = assistant("a1", ToolCall("functions.bash:0|x", "bash.run", "{}"))
    sent = content(user("u1", "go"), call, result("r1", "functions.bash:0|x"))
    assert sent[1][0]["id"] == sent[2][0]["tool_use_id"] == "functions_bash_0_x"
    assert sent[1][0]["name"] == "bash_run"


def test_half_a_character_does_not_stop_a_session() -> None:
    request = Request(prefix=prefix(), messages=(user("u1", "broken \ud83d here é"),))
    assert "broken ? here é" in encode(request, ENDPOINT).decode()


def test_breakpoints_stand_behind_the_static_part_and_at_the_end_of_this_call_and_the_last() -> None:
    call = assistant("a1", ToolCall("a", "bash", "{}"))
    sent = body(user("u1", "go"), call, result("r1", "a"), previous_end="u1")
    assert marked(sent) == ["You are an agent.", "go", "a"]


def test_the_end_of_the_last_call_is_found_where_nobody_remembers_it() -> None:
    call = assistant("a1", ToolCall("a", "bash", "{}"))
    sent = body(user("u1", "go"), call, result("r1", "a"), assistant("a2", Text("Done.")), user("u2", "more"))
    assert marked(sent) == ["You are an agent.", "a", "Done.", "more"]


def lifetimes(*messages: Message, kept_until: str, **parameters: Any) -> list[str]:
    """The breakpoints' lifetimes in the order of the request."""
    request = Request(prefix=prefix(cache_ttl="auto", **parameters), messages=messages, kept_until=kept_until)
    sent = json.loads(encode(request, ENDPOINT))
    blocks = [*sent["system"], *(block for message in sent["messages"] for block in message["content"])]
    return [block["cache_control"].get("ttl", "5m") for block in blocks if "cache_control" in block]


CONVERSATION = (
    user("u1", "go"),
    assistant("a1", ToolCall("a", "bash", "{}")),
    result("r1", "a"),
    assistant("a2", ToolCall("b", "bash", "{}")),
    result("r2", "b"),
)


def test_up_to_the_border_entries_are_kept_for_an_hour_and_behind_it_for_five_minutes() -> None:
    assert lifetimes(*CONVERSATION, kept_until="u1") == ["1h", "1h", "5m", "5m"]
    assert lifetimes(*CONVERSATION, kept_until="r2") == ["1h", "1h", "1h"]
    assert lifetimes(*CONVERSATION, kept_until="nowhere") == ["1h", "5m", "5m"]


def test_never_more_than_four_breakpoints_are_asked_for() -> None:
    asked = lifetimes(*CONVERSATION, assistant("a3", Text("So.")), user("u2", "on"), kept_until="u1")
    assert asked == ["1h", "1h", "5m", "5m"]


def test_a_breakpoint_that_is_left_stands_before_the_first_prompt() -> None:
    first = Message("u1", "user", (Text("Here is the place."), Text("go")))
    assert marked(body(first)) == ["You are an agent.", "Here is the place.", "go"]
    call = assistant("a1", ToolCall("a", "bash", "{}"))
    assert marked(body(first, call, result("r1", "a"))) == [
        "You are an agent.",
        "Here is the place.",
        "go",
        "a",
    ]
    done = (assistant("a2", Text("Done.")), user("u2", "more"))
    assert marked(body(first, call, result("r1", "a"), *done)) == ["You are an agent.", "a", "Done.", "more"]


def test_a_call_that_failed_before_the_last_answer_keeps_its_breakpoint() -> None:
    sent = body(
        user("u1", "go"), assistant("a1", Text("Yes.")), user("u2", "x"), user("u3", "y"), previous_end="u2"
    )
    assert marked(sent) == ["You are an agent.", "go", "x", "y"]


def test_an_end_that_is_no_longer_in_the_conversation_is_no_breakpoint() -> None:
    assert marked(body(user("u1", "go"), previous_end="gone")) == ["You are an agent.", "go"]


def test_without_a_system_prompt_the_tools_end_the_static_part() -> None:
    request = Request(
        prefix=Prefix(
            model=ModelRef("anthropic", "m"), system="", tools=TOOLS, encoder="anthropic/1", affinity_key=""
        ),
        messages=(user("u1", "go"),),
    )
    sent = request_body(request, ENDPOINT)
    assert "system" not in sent
    assert marked(sent) == ["bash", "go"]


def test_no_breakpoint_stands_on_thinking() -> None:
    thinking, opaque = Thinking("Hm.", HERE, "s"), Opaque('{"type":"redacted_thinking","data":"x"}', HERE)
    sent = body(user("u1", "go"), assistant("a1", Text("Well."), thinking, opaque))
    assert marked(sent) == ["You are an agent.", "go", "Well."]
    assert objection(sent) == ""


def test_no_breakpoint_stands_on_a_block_of_unknown_kind() -> None:
    unknown = Opaque('{"type":"search_result_of_tomorrow"}', HERE)
    assert marked(body(user("u1", "go"), assistant("a1", Text("Well."), unknown)))[-1] == "Well."


def test_the_long_lifetime_is_asked_for_on_every_breakpoint() -> None:
    sent = body(user("u1", "go"), cache_ttl="1h")
    assert sent["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert sent["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


# --- properties --------------------------------------------------------------------------------------------

words = st.text(min_size=0, max_size=12)
origins = st.sampled_from([HERE, Origin("openai", ENDPOINT, "claude-test")])
thoughts = st.one_of(
    st.builds(Thinking, words, origins, words),
    st.builds(Opaque, st.sampled_from(['{"type":"redacted_thinking","data":"x"}']), origins),
)
says = st.builds(Text, words)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[tuple[Message, ...], tuple[int, ...]]:
    """A conversation as a session makes it, and the lengths at which it was sent."""
    messages: list[Message] = []
    sent: list[int] = []

    def add(role: Any, *blocks: Block) -> None:
        messages.append(Message(f"m{len(messages)}", role, blocks))

    for turn in range(draw(st.integers(1, 3))):
        for _ in range(draw(st.integers(1, 2))):
            add("user", Text(f"turn {turn} "), *draw(st.lists(says, max_size=2)))
        for step in range(draw(st.integers(1, 3))):
            sent.append(len(messages))
            names = [f"call.{turn}.{step}.{number}" for number in range(draw(st.integers(0, 2)))]
            calls = [
                ToolCall(name, "bash", draw(st.sampled_from(["", "{", '{"b":1,"a":[2]}']))) for name in names
            ]
            add("assistant", *draw(st.lists(st.one_of(thoughts, says), max_size=3)), *calls)
            for name in names:
                add("tool", ToolResult(name, "bash", draw(words)))
            if not names:
                break
        if draw(st.booleans()):
            add("system", Text("A fact."))
    sent.append(len(messages))
    return tuple(messages), tuple(sent)


@given(conversations())
def test_a_longer_conversation_begins_with_the_bytes_of_a_shorter_one(
    talk: tuple[tuple[Message, ...], tuple[int, ...]],
) -> None:
    messages, lengths = talk
    whole = bare(body(*messages))
    for length in lengths:
        part = bare(body(*messages[:length]))
        assert {**part, "messages": 0} == {**whole, "messages": 0}
        *closed, last = part["messages"]
        place = len(closed)
        assert whole["messages"][:place] == closed
        assert whole["messages"][place]["role"] == last["role"]
        assert whole["messages"][place]["content"][: len(last["content"])] == last["content"]


@given(conversations())
def test_what_is_sent_is_never_refused_for_its_shape(
    talk: tuple[tuple[Message, ...], tuple[int, ...]],
) -> None:
    messages, lengths = talk
    for length in lengths:
        assert objection(body(*messages[:length])) == ""


@given(conversations(), st.booleans())
def test_every_call_reads_what_the_call_before_it_wrote(
    talk: tuple[tuple[Message, ...], tuple[int, ...]], remembered: bool
) -> None:
    messages, lengths = talk
    cache, cached = AnthropicCache(lambda: 0.0, minimum=0), 0
    for call, length in enumerate(lengths):
        previous = messages[lengths[call - 1] - 1].id if call and remembered else None
        billed, keep = cache.bill(anthropic_segments(body(*messages[:length], previous_end=previous)))
        keep()
        assert billed.read >= cached
        assert billed.uncached == 0 or messages[length - 1].role == "assistant"
        cached = billed.read + billed.write


def test_many_blocks_in_one_step_do_not_lose_the_prefix() -> None:
    calls = tuple(ToolCall(f"c{number}", "bash", "{}") for number in range(60))
    results = tuple(result(f"r{number}", f"c{number}") for number in range(60))
    start, cache = user("u1", "go"), AnthropicCache(lambda: 0.0, minimum=0)
    first, keep = cache.bill(anthropic_segments(body(start)))
    keep()
    longer = body(start, assistant("a1", *calls), *results, previous_end="u1")
    second, _ = cache.bill(anthropic_segments(longer))
    assert second.read == first.write


def test_arguments_nested_too_deeply_dont_hold_a_session_up() -> None:
    call = ToolCall("c1", "read", "[" * 200_000)
    messages = (Message("m1", "user", (Text("go"),)), Message("m2", "assistant", (call,)))
    body = request_body(Request(prefix=prefix(), messages=messages), "https://example.test")
    assert body["messages"][1]["content"][0]["input"] == {}
