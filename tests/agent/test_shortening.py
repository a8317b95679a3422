"""A conversation that no longer fits is cut down from its oldest tool results on."""

from __future__ import annotations

from agent.shortening import RESULT, WORDS, shortened
from providers.types import Message, Origin, Text, Thinking, ToolCall, ToolResult

OLD = "x" * 5000
FIRST = Message("u1", "user", (Text("<environment>" + OLD), Text("go")))
CALLED = Message("a1", "assistant", (Thinking(OLD, Origin("w", "e", "m")), ToolCall("c1", "bash", "{}")))
RESULTS = tuple(Message(f"r{n}", "tool", (ToolResult(f"c{n}", "bash", OLD),)) for n in (1, 2))
TALK = (FIRST, CALLED, RESULTS[0], Message("a2", "assistant", (ToolCall("c2", "bash", OLD),)), RESULTS[1])


def size(messages: tuple[Message, ...]) -> int:
    return len(str(messages))


def test_what_fits_is_left_as_it_is() -> None:
    assert shortened(TALK, lambda _: True) == TALK


def test_the_oldest_result_goes_first_and_the_newest_stays_where_that_is_enough() -> None:
    made = shortened(TALK, lambda messages: size(messages) < size(TALK) - 4000)
    (cut,) = made[2].blocks
    assert isinstance(cut, ToolResult)
    assert RESULT < len(cut.text) < RESULT + 20
    assert (made[:2], made[3:]) == (TALK[:2], TALK[3:])


def test_words_thoughts_and_arguments_follow_but_never_the_beginning_nor_a_pair() -> None:
    made = shortened(TALK, lambda _: False)
    assert made[0] == FIRST
    assert [message.role for message in made] == [message.role for message in TALK]
    assert [call.id for message in made for call in message.tool_calls] == ["c1", "c2"]
    assert size(made[1:]) < 4 * (RESULT + WORDS) + 1000
