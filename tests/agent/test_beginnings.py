"""What of a session's beginning the provider still has, call by call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.beginnings import Beginnings
from agent.cache import lifetime, marks_opening
from agent.digests import digests
from agent.prompt import OPENS
from agent.reuse import Sent
from providers.types import Message, ModelRef, Prefix, Text, Usage

ANTHROPIC = Prefix(
    model=ModelRef("anthropic", "claude-test"),
    system="s" * 6000,
    tools=(),
    encoder="anthropic/1",
    affinity_key="k",
)
BEDROCK = replace(ANTHROPIC, encoder="bedrock/1")
OPENAI = replace(ANTHROPIC, encoder="openai-chat/1")
STATIC = 1500
OPENED = STATIC + 100
OPENING = Text(OPENS + "o" * (400 - len(OPENS)))
PROMPT = Message("m1", "user", (OPENING, Text("p" * 400)))
ANSWER = Message("m2", "assistant", (Text("a" * 400),))
NEXT = Message("m3", "user", (Text("n" * 400),))
SUMMARY = (Message("m4", "user", (OPENING, Text("in short"))),)


def sent(read: int = 0, written: int = 0, *, at: float = 0.0, prefix: Prefix = ANTHROPIC) -> Sent:
    usage = Usage(cache_read_tokens=read, cache_write_tokens=written, reported_prompt_tokens=read + written)
    return Sent(prefix, "", at, usage, lifetime(prefix))


def after(*calls: tuple[Sent, tuple[Message, ...], int | None]) -> Beginnings:
    """After these calls: each with its messages, and the place up to which it wanted an hour."""
    known = Beginnings()
    for call, messages, border in calls:
        chain = digests(messages)
        known.add(replace(call, digest=chain[-1]), chain, messages, border)
    return known


FIRST = (sent(0, 1700), (PROMPT,), None)


def held(known: Beginnings, now: float, prefix: Prefix = ANTHROPIC) -> int:
    return known.found(prefix, SUMMARY, now)[0]


def test_a_first_call_leaves_the_opening_block_and_what_stands_before_it() -> None:
    known = after(FIRST)
    assert held(known, 299.0) == OPENED
    assert known.found(ANTHROPIC, (NEXT,), 299.0)[0] == STATIC
    assert known.bare(ANTHROPIC) == STATIC
    assert held(known, 301.0) == 0


def test_another_prompt_has_nothing_of_it() -> None:
    other = replace(ANTHROPIC, system="another")
    assert held(after(FIRST), 0.0, other) == 0
    assert after(FIRST).bare(other) == 0


def test_each_call_keeps_the_tools_and_the_system_prompt_for_their_whole_time_anew() -> None:
    turn = (sent(1700, 200, at=200.0), (PROMPT, ANSWER, NEXT), None)
    known = after(FIRST, turn)
    assert held(known, 299.0) == OPENED
    assert held(known, 301.0) == STATIC, "a turn's first call has no breakpoint left for the opening block"
    assert held(known, 501.0) == 0


def test_within_a_turn_the_opening_block_is_kept_too() -> None:
    result = Message("m3", "tool", ())
    known = after(FIRST, (sent(1700, 200, at=200.0), (PROMPT, ANSWER, result), None))
    assert held(known, 499.0) == OPENED


def test_what_was_written_for_an_hour_lives_so_long_whatever_the_later_calls_ask_for() -> None:
    known = after((sent(0, 1700), (PROMPT,), 0), (sent(1700, 200, at=60.0), (PROMPT, ANSWER, NEXT), None))
    assert held(known, 3659.0) == STATIC


def test_a_longer_wish_does_not_lengthen_what_was_written_for_five_minutes() -> None:
    known = after(FIRST, (sent(1700, 200, at=200.0), (PROMPT, ANSWER, NEXT), 2))
    assert held(known, 501.0) == 0


def test_what_expired_inside_of_what_is_still_read_is_not_written_again() -> None:
    hour = (sent(1700, 200, at=60.0), (PROMPT, ANSWER, NEXT), 2)
    back = (sent(1900, 50, at=1000.0), (PROMPT, ANSWER, NEXT), None)
    assert held(after(FIRST, hour, back), 1001.0) == 0


def test_what_expired_with_all_the_rest_is_written_again() -> None:
    assert held(after(FIRST, (sent(0, 1700, at=1000.0), (PROMPT,), None)), 1001.0) == OPENED


def test_a_prompt_that_was_too_short_to_be_cached_tells_that_its_beginning_is() -> None:
    short = sent()
    short = replace(short, usage=Usage(input_tokens=1700, reported_prompt_tokens=1700))
    long = (sent(0, 9000, at=1.0), (PROMPT, ANSWER, replace(NEXT, blocks=(Text("n" * 29_000),))), None)
    assert held(after((short, (PROMPT,), None), long), 2.0) == 0


def test_a_provider_that_says_nothing_of_its_cache_promises_nothing() -> None:
    silent = replace(sent(), usage=Usage(input_tokens=1700))
    assert held(after((silent, (PROMPT,), None)), 1.0) == 0


def test_elsewhere_it_is_read_in_the_providers_steps_and_by_every_call_kept() -> None:
    usage = Usage(input_tokens=1700, reported_prompt_tokens=1700)
    call = Sent(OPENAI, "", 0.0, usage, lifetime(OPENAI))
    assert held(after((call, (PROMPT,), None)), 60.0, OPENAI) == 1536
    small = replace(OPENAI, system="s" * 3000)
    call = replace(call, prefix=small, usage=Usage(input_tokens=950, reported_prompt_tokens=950))
    assert held(after((call, (PROMPT,), None)), 60.0, small) == 0


def test_what_a_call_read_alone_is_known_to_the_token() -> None:
    assert held(after((sent(1623, 100), (PROMPT,), None)), 1.0) == 1623
    known = after((sent(1490, 230), (PROMPT,), None))
    assert known.bare(ANTHROPIC) == 1490


@pytest.mark.parametrize(
    ("prefix", "messages", "border", "marked"),
    [
        (ANTHROPIC, (PROMPT,), None, True),
        (ANTHROPIC, (PROMPT, ANSWER, NEXT), None, False),
        (BEDROCK, (PROMPT, ANSWER, NEXT), None, True),
        (ANTHROPIC, (PROMPT, ANSWER, Message("t", "tool", ())), None, True),
        (ANTHROPIC, (PROMPT, ANSWER, NEXT, ANSWER, Message("t", "tool", ())), 0, False),
        (BEDROCK, (PROMPT, ANSWER, NEXT, ANSWER, Message("t", "tool", ())), 0, False),
        (OPENAI, (PROMPT, ANSWER, NEXT), None, True),
    ],
)
def test_the_opening_block_has_the_breakpoint_that_is_left(
    prefix: Prefix, messages: tuple[Message, ...], border: int | None, marked: bool
) -> None:
    assert marks_opening(prefix, messages, border) is marked
