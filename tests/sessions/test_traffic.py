"""What a journal tells of the calls before a resume, and that the next one is planned as ever."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.lifetimes import Habits, learned
from providers.types import ModelRef, Prefix, Usage
from sessions import habits
from sessions.cachebook import CacheBook
from sessions.chain import Tree
from sessions.records import CompactionLine, MessageLine, PrefixLine, Record
from sessions.traffic import Traffic, traffic
from tests.support.journals import AT, EPOCH, answered, booked, said, session, went_back

CACHED = Usage(input_tokens=10, cache_write_tokens=900, output_tokens=5, reported_prompt_tokens=910)
PREFIX = Prefix(
    model=ModelRef("anthropic", "claude"), system="s", tools=(), encoder="anthropic/1", affinity_key="s1"
)


def told(*lines: Record) -> Traffic:
    whole = [session(), PrefixLine(id="p", parent=None, at=AT, prefix=PREFIX), *lines]
    return traffic(whole, Tree(whole))


def in_turn(turn: str | None, line: MessageLine) -> MessageLine:
    return MessageLine(id=line.id, parent=line.parent, at=AT, message=line.message, call=line.call, turn=turn)


def turn(number: int, parent: str | None, at: float) -> list[Record]:
    """A prompt, one call, its answer."""
    prompt, call = f"u{number}", f"c{number}"
    return [
        in_turn(prompt, said(prompt, parent)),
        booked(call, CACHED, parent=prompt, started=EPOCH + at),
        in_turn(prompt, answered(f"a{number}", prompt, call=call)),
    ]


def summed_up(summary: str, first: str, last: str) -> CompactionLine:
    return CompactionLine(id="k", parent=last, at=AT, summary=summary, first=first, last=last)


def sent(made: Traffic) -> list[tuple[str, list[str]]]:
    return [(each.call.id, [message.id for message in each.sent]) for each in made.sendings]


def test_a_sub_agents_summary_changes_nothing_in_what_the_main_conversation_sent() -> None:
    mark = replace(summed_up("u2", "u1", "a1"), lane="task_1")
    made = told(*turn(1, None, 0), *turn(2, "a1", 10), mark)
    assert sent(made) == [("c1", ["u1"]), ("c2", ["u1", "a1", "u2"])]
    assert made.change == ""


def test_a_call_that_was_taken_back_is_still_known() -> None:
    made = told(*turn(1, None, 0), *turn(2, "a1", 10), went_back("h", "a1"), *turn(3, "a1", 20))
    assert sent(made) == [
        ("c1", ["u1"]),
        ("c2", ["u1", "a1", "u2"]),
        ("c3", ["u1", "a1", "u3"]),
    ]
    assert made.change == ""


def test_how_far_the_live_conversation_was_sent_counts_only_its_own_calls() -> None:
    lines = [*turn(1, None, 0), *turn(2, "a1", 10), went_back("h", "a1")]
    made = told(*lines)
    reached = made.reached(Tree([session(), *lines]).live("a1").messages)
    assert {prefix: (found.call.id, found.end) for prefix, found in reached.items()} == {PREFIX: ("c1", "u1")}
    assert made.change == "rewound"


def test_a_summarys_call_is_known_by_what_it_read() -> None:
    made = told(
        *turn(1, None, 0),
        booked("c2", CACHED, parent="a1", purpose="compaction", started=EPOCH + 60),
        summed_up("s1", "u1", "a1"),
        said("s1", "a1"),
    )
    assert sent(made) == [("c1", ["u1"]), ("c2", ["u1", "a1"])]
    assert [each.aside for each in made.sendings] == [False, True]
    assert made.change == "compacted"
    assert made.reached(Tree([said("s1", None)]).live("s1").messages) == {}


def test_pauses_are_told_apart_by_the_turn_that_made_both_calls() -> None:
    step = booked("c9", CACHED, parent="a1", started=EPOCH + 30)
    made = told(*turn(1, None, 0), step, in_turn("u1", answered("a9", "a1", call="c9")), *turn(2, "a9", 500))
    assert made.pauses == ((30.0, True), (470.0, False))
    assert made.latest == EPOCH + 500


@pytest.mark.parametrize(("asked_in", "within"), [("u1", True), (None, False)])
def test_a_summary_belongs_to_the_turn_that_its_message_names(asked_in: str | None, within: bool) -> None:
    summary = booked("c2", CACHED, parent="a1", purpose="compaction", started=EPOCH + 400)
    made = told(*turn(1, None, 0), summary, summed_up("s1", "u1", "a1"), in_turn(asked_in, said("s1", "a1")))
    assert made.pauses == ((400.0, within),)


def test_a_session_with_slow_steps_is_planned_after_a_resume_as_before_it(tmp_path: Path) -> None:
    slow = ((400.0, True),) * 3
    running = learned(slow)
    habits.save(tmp_path, running)
    book = CacheBook(tmp_path)
    book.remember(Traffic(pauses=slow, latest=EPOCH))
    assert book.habits == running
    assert CacheBook(tmp_path).habits.lately_within == Habits().lately_within


def test_a_summarys_call_keeps_what_it_read_alive(tmp_path: Path) -> None:
    book = CacheBook(tmp_path)
    lines = [*turn(1, None, 0), booked("c2", CACHED, parent="a1", purpose="compaction", started=EPOCH + 200)]
    book.remember(told(*lines))
    live = Tree([session(), *lines]).live("a1").messages
    assert book.warm_until(PREFIX, live) == EPOCH + 200 + 300


def test_an_entry_that_was_kept_warm_is_warm_after_a_resume_and_nobody_paused(tmp_path: Path) -> None:
    book = CacheBook(tmp_path)
    warm = booked("c2", CACHED, parent="u1", purpose="warm", started=EPOCH + 280)
    lines = [*turn(1, None, 0), warm]
    made = told(*lines)
    book.remember(made)
    live = Tree([session(), *lines]).live("a1").messages
    assert book.warm_until(PREFIX, live) == EPOCH + 280 + 300
    assert (made.pauses, made.latest) == ((), EPOCH)
    assert [found.call.id for found in made.reached(live).values()] == ["c1"]
