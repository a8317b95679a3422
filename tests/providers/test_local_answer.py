"""What the embedded engine's chunks come to: text, tool calls, tokens, usage, and why it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from providers.call import estimate
from providers.errors import ServerFault
from providers.local_answer import COMPUTED, LocalAnswer
from providers.local_encoder import ENCODER, kept_tokens, maker
from providers.types import (
    JSON,
    Block,
    Message,
    ModelRef,
    Opaque,
    Prefix,
    Request,
    StopReason,
    StreamEvent,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)

HERE = maker("smollm2")
CALL = '<tool_call>\n{"name": "read", "arguments": {"path": "a.txt"}}\n</tool_call>'


def chunk(text: str, *tokens: int, at: int = 0) -> dict[str, JSON]:
    return {"content": text, "tokens": list(tokens), "stop": False, "tokens_predicted": at}


def last(sampled: int, why: str = "eos", **more: JSON) -> dict[str, JSON]:
    timings = {"cache_n": 69, "prompt_n": 23, "prompt_ms": 297.0, "predicted_n": sampled}
    return {
        "content": "",
        "tokens": [],
        "stop": True,
        "model": "smollm2",
        "stop_type": why,
        "tokens_predicted": sampled,
        "tokens_evaluated": 92,
        "tokens_cached": 92 + sampled - 1,
        "timings": timings,
        **more,
    }


def fed(events: Iterable[dict[str, JSON]], *, tools: bool = True) -> tuple[LocalAnswer, list[StreamEvent]]:
    answer = LocalAnswer(HERE, provider="local", tools=tools)
    return answer, [shown for event in events for shown in answer.feed(event)]


def spoken(text: str, *, size: int, why: str = "eos", tools: bool = True) -> LocalAnswer:
    """An answer whose text comes in pieces of `size` characters."""
    pieces = [chunk(text[at : at + size]) for at in range(0, len(text), size)]
    return fed([*pieces, last(0, why)], tools=tools)[0]


def without_tokens(blocks: tuple[Block, ...]) -> list[Block]:
    return [block for block in blocks if not isinstance(block, Opaque)]


def said_and_called(answer: LocalAnswer) -> list[tuple[str, ...]]:
    shown: list[tuple[str, ...]] = []
    for block in without_tokens(answer.blocks):
        match block:
            case Text(text):
                shown.append((text,))
            case ToolCall(name=name, raw_arguments=arguments):
                shown.append((name, arguments))
    return shown


def test_an_answer_is_its_text_and_the_tokens_it_was_generated_as_without_the_turns_end() -> None:
    answer, events = fed([chunk("Hm", 62, at=1), chunk(".", 30, at=2), chunk("", 2, at=3), last(3)])
    assert events == [TextDelta("Hm"), TextDelta(".")]
    assert answer.blocks == (Text("Hm."), kept_tokens([62, 30], HERE))
    assert (answer.stop_reason, answer.model) == (StopReason.END_TURN, "smollm2")


def test_an_answer_cut_at_its_limit_keeps_its_last_token() -> None:
    answer, _ = fed([chunk("Hm", 62, at=1), chunk(".", 30, at=2), last(2, "limit")])
    assert answer.blocks == (Text("Hm."), kept_tokens([62, 30], HERE))
    assert answer.stop_reason == StopReason.MAX_TOKENS


def test_tokens_of_split_characters_come_from_what_the_cache_holds() -> None:
    """Three tokens of a character bring one chunk with the last one's id."""
    ended = [chunk("é", 9, at=2), chunk("", 2, at=3), last(3, computed=[8, 9])]
    cut = [chunk("é", 9, at=2), chunk("!", 5, at=3), last(3, "limit", computed=[8, 9])]
    unfinished = [chunk("é", 9, at=2), last(3, "limit", computed=[8, 9])]
    assert fed(ended)[0].blocks == (Text("é"), kept_tokens([8, 9], HERE))
    assert fed(cut)[0].blocks == (Text("é!"), kept_tokens([8, 9, 5], HERE))
    assert fed(unfinished)[0].blocks == (Text("é"), kept_tokens([8, 9], HERE))


@pytest.mark.parametrize("looked_up", [{}, {COMPUTED: []}])
def test_tokens_that_are_not_all_known_are_not_kept(looked_up: dict[str, JSON]) -> None:
    answer, _ = fed([chunk("é", 9, at=2), chunk("", 2, at=3), last(3, **looked_up)])
    assert answer.blocks == (Text("é"),)


def test_progress_with_the_prompt_is_no_answer_yet() -> None:
    timings = {"cache_n": 0, "prompt_n": 2048, "predicted_n": 0}
    progress = {"content": "", "tokens": [0], "prompt_progress": {"total": 2711}, "timings": timings}
    answer, events = fed([{**progress, "stop": False, "tokens_predicted": 0, "tokens_evaluated": 2711}])
    assert events == []
    assert answer.blocks == ()
    assert answer.usage == Usage(input_tokens=2048, reported_prompt_tokens=2048)


def test_usage_is_what_the_engine_computed_and_read_from_its_cache() -> None:
    answer, _ = fed([last(60)])
    assert answer.usage == Usage(
        input_tokens=23, cache_read_tokens=69, output_tokens=60, reported_prompt_tokens=92
    )
    assert answer.raw_usage["tokens_cached"] == 151


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_call_is_found_wherever_the_chunks_cut_it(size: int) -> None:
    answer = spoken(f"Reading.\n{CALL}\n", size=size)
    assert said_and_called(answer) == [("Reading.",), ("read", '{"path": "a.txt"}')]
    assert answer.stop_reason == StopReason.TOOL_USE


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_several_calls_are_all_found_with_ids_of_their_own(size: int) -> None:
    answer = spoken(f"{CALL}\n{CALL}\nDone.", size=size)
    read = ("read", '{"path": "a.txt"}')
    assert said_and_called(answer) == [read, read, ("Done.",)]
    assert len({block.id for block in answer.blocks if isinstance(block, ToolCall)}) == 2


def test_a_call_is_told_as_it_is_found() -> None:
    answer, events = fed([chunk(f"Hm {CALL}"), last(0)])
    [call] = [block for block in answer.blocks if isinstance(block, ToolCall)]
    assert events == [
        TextDelta("Hm"),
        ToolCallStarted(call.id, "read"),
        ToolCallDelta(call.id, '{"path": "a.txt"}'),
    ]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "text", ["a < b <tool> c", "  <tool_cal", "x <", "\n\n", "<tool_call>\n{", "two  \n"]
)
def test_text_that_only_resembles_a_call_comes_whole(text: str, size: int) -> None:
    answer = spoken(text, size=size)
    assert said_and_called(answer) == [(text,)]
    assert answer.stop_reason == StopReason.END_TURN


def test_text_is_shown_as_soon_as_it_cannot_become_a_call() -> None:
    _, events = fed([chunk("a <"), chunk("too"), chunk("ls> b")])
    assert events == [TextDelta("a"), TextDelta(" <tools> b")]


def test_where_no_tools_were_offered_a_call_is_text() -> None:
    answer = spoken(CALL, size=4, tools=False)
    assert said_and_called(answer) == [(CALL,)]
    assert answer.stop_reason == StopReason.END_TURN


@pytest.mark.parametrize("cut", [CALL[:-1], CALL[:30], f"{CALL}\n{CALL[:30]}", CALL])
def test_no_call_of_an_answer_cut_at_its_limit_is_handed_out(cut: str) -> None:
    answer = spoken(cut, size=5, why="limit")
    assert said_and_called(answer) == []
    assert answer.stop_reason == StopReason.MAX_TOKENS


def test_no_call_is_handed_out_before_the_answer_has_ended() -> None:
    answer, _ = fed([chunk(CALL), chunk("and")])
    assert said_and_called(answer) == [("and",)]
    assert answer.stop_reason is None


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        ('{"name": "read", "arguments": {"path": "/et}', '{"path": "/et}'),
        ('{"name": "read", "arguments": [1]}', "[1]"),
        ('{"name": "read", {"path": 1}}', '{"name": "read", {"path": 1}}'),
    ],
)
def test_a_malformed_call_keeps_its_broken_arguments(body: str, arguments: str) -> None:
    answer = spoken(f"<tool_call>\n{body}\n</tool_call>", size=6)
    [call] = [block for block in answer.blocks if isinstance(block, ToolCall)]
    assert (call.name, call.raw_arguments) == ("read", arguments)
    with pytest.raises(ValueError):
        call.arguments()


@pytest.mark.parametrize("body", ["", "{}", "[1]", '{"name": ""}', '{"name": 3}', "read a.txt"])
def test_a_call_that_names_no_tool_is_text(body: str) -> None:
    text = f"<tool_call>\n{body}\n</tool_call>"
    answer = spoken(text, size=6)
    assert said_and_called(answer) == [(text,)]
    assert answer.stop_reason == StopReason.END_TURN


@pytest.mark.parametrize(
    ("arguments", "read"), [('"{\\"path\\": \\"a\\"}"', {"path": "a"}), ("null", {}), ('{"é": 1}', {"é": 1})]
)
def test_arguments_in_quotes_or_absent_are_understood(arguments: str, read: JSON) -> None:
    answer = spoken(f'<tool_call>{{"name": "read", "arguments": {arguments}}}</tool_call>', size=9)
    [call] = [block for block in answer.blocks if isinstance(block, ToolCall)]
    assert call.arguments() == read


def test_an_error_among_the_chunks_is_raised() -> None:
    with pytest.raises(ServerFault, match="Compute error"):
        fed(
            [
                chunk("Hm", 62, at=1),
                {"error": {"code": 500, "message": "Compute error.", "type": "server_error"}},
            ]
        )


def test_the_tokens_are_one_json_object() -> None:
    answer, _ = fed([chunk("Hm", 62, at=1), last(1, "limit")])
    [kept] = [block for block in answer.blocks if isinstance(block, Opaque)]
    assert json.loads(kept.raw) == {"tokens": [62]}
    assert kept.origin.wire == "local"


def test_the_tokens_count_once_where_a_prompt_is_estimated() -> None:
    def asked(*blocks: Block) -> Request:
        prefix = Prefix(
            model=ModelRef("local", "smollm2"), system="", tools=(), encoder=ENCODER, affinity_key="s"
        )
        return Request(prefix=prefix, messages=(Message("a", "assistant", blocks),))

    said = Text("A sentence of some length.")
    assert estimate(asked(said, kept_tokens(range(50), HERE)), 0) == estimate(asked(said), 0)
