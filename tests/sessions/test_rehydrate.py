"""From records to the live conversation: chains, rewinds, compaction, damage, totals."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.permissions import Rule
from agent.state import AgentState
from providers.types import Message, ModelRef, Prefix, ToolResult, Usage
from sessions.chain import LOST_RESULT
from sessions.journal import read
from sessions.lines import encode
from sessions.records import CheckpointLine, CompactionLine, NoteLine, Origin, PrefixLine, Record
from sessions.rehydrate import Conversation, rehydrate
from tests.support.journals import AT, answered, asked, booked, result, said, session, went_back

SMALL = Usage(
    input_tokens=10, output_tokens=2, cache_read_tokens=30, cache_write_tokens=4, reported_prompt_tokens=44
)


def ids(conversation: Conversation) -> list[str]:
    return [message.id for message in conversation.state.messages]


def prefix(name: str = "claude") -> PrefixLine:
    frozen = Prefix(
        model=ModelRef("anthropic", name), system="s", tools=(), encoder="anthropic/1", affinity_key="s1"
    )
    return PrefixLine(id=f"prefix-{name}", parent=None, at=AT, prefix=frozen)


def two_turns() -> list[Record]:
    return [
        session(),
        prefix(),
        said("u1", None),
        booked("c1", SMALL, parent="u1"),
        answered("a1", "u1", "looking", asked("t1"), call="c1"),
        result("r1", "a1", "t1"),
        booked("c2", SMALL, parent="r1"),
        answered("a2", "r1", call="c2"),
        CheckpointLine(id="k1", parent="a2", at=AT, number=1, message="a2", tree="abc"),
        said("u2", "a2"),
        booked("c3", SMALL, parent="u2"),
        answered("a3", "u2", call="c3"),
        CheckpointLine(id="k2", parent="a3", at=AT, number=2, message="a3", tree="def"),
    ]


def test_a_plain_conversation_comes_back_whole() -> None:
    found = rehydrate(two_turns())
    assert ids(found) == ["u1", "a1", "r1", "a2", "u2", "a3"]
    assert (found.session, found.cwd, found.head, found.turn) == ("s1", "/home/dev/project", "a3", "u2")
    assert found.state.turn_count == 2
    assert (found.last_number, found.dangling, found.repairs) == (2, (), ())


def test_every_counter_is_the_sum_of_the_call_lines() -> None:
    state = rehydrate(two_turns()).state
    assert state.usage == SMALL + SMALL + SMALL
    assert state.total_cache_read_tokens == 90
    assert state.total_cache_write_tokens == 12


def test_calls_of_every_purpose_lane_and_fate_count() -> None:
    more = [
        booked("x1", SMALL, purpose="task", lane="task-1"),
        booked("x2", SMALL, purpose="compaction"),
        booked("x3", SMALL, outcome="cancelled"),
    ]
    assert rehydrate([*two_turns(), *more]).state.total_input_tokens == 60


def test_a_sub_agents_messages_are_not_the_conversations() -> None:
    beside = [replace(said("t1", "a3"), lane="task_1"), replace(answered("t2", "t1"), lane="task_1")]
    found = rehydrate([*two_turns(), *beside])
    assert (ids(found)[-1], found.head, found.turn) == ("a3", "a3", "u2")
    assert rehydrate([*two_turns(), *beside, said("u3", "a3")]).state.messages[-1].id == "u3"


def test_an_empty_journal_is_an_empty_conversation_with_zeros() -> None:
    found = rehydrate([])
    assert found.state == AgentState()
    assert all(getattr(found.state, f.name) == 0 for f in fields(AgentState) if f.name.startswith("total_"))
    assert (found.session, found.head, found.prefix, found.last_number) == ("", None, None, -1)


def test_a_rewind_shortens_the_conversation_and_refunds_nothing() -> None:
    found = rehydrate([*two_turns(), went_back("h1", "a2")])
    assert ids(found) == ["u1", "a1", "r1", "a2"]
    assert found.state.turn_count == 1
    assert found.state.total_input_tokens == 30


def test_after_a_rewind_the_new_branch_is_live() -> None:
    found = rehydrate([*two_turns(), went_back("h1", "a2"), said("u3", "a2"), answered("a4", "u3")])
    assert ids(found) == ["u1", "a1", "r1", "a2", "u3", "a4"]


def test_undoing_a_rewind_brings_the_messages_back() -> None:
    found = rehydrate([*two_turns(), went_back("h1", "a2"), went_back("h2", "a3", "undo")])
    assert ids(found) == ["u1", "a1", "r1", "a2", "u2", "a3"]


def test_a_rewind_to_the_start_leaves_nothing_live() -> None:
    found = rehydrate([*two_turns(), went_back("h1", None)])
    assert (ids(found), found.head, found.state.turn_count) == ([], None, 0)
    assert found.state.total_output_tokens == 6


def test_a_head_that_names_an_unknown_message_is_ignored() -> None:
    assert rehydrate([*two_turns(), went_back("h1", "lost")]).head == "a3"


def test_messages_that_are_not_live_stay_within_reach() -> None:
    found = rehydrate([*two_turns(), went_back("h1", "a2")])
    assert "a3" in found.tree
    assert [message.id for message in found.tree.live("a3").messages][-2:] == ["u2", "a3"]


def test_the_previous_end_is_what_the_last_live_call_had_sent() -> None:
    assert rehydrate(two_turns()).state.previous_end == "u2"


def test_the_previous_end_after_a_rewind_is_the_latest_that_is_still_live() -> None:
    assert rehydrate([*two_turns(), went_back("h1", "a2")]).state.previous_end == "r1"


def test_a_call_that_was_answered_and_broke_off_left_its_prompt_in_the_cache() -> None:
    more = [said("u3", "a3"), booked("c4", SMALL, parent="u3", outcome="cancelled")]
    assert rehydrate([*two_turns(), *more]).state.previous_end == "u3"


def test_an_unanswered_or_side_call_is_no_previous_end() -> None:
    more = [said("u3", "a3"), booked("c4", Usage(), parent="u3", outcome="ServerFault")]
    more[1] = replace(more[1], usage=Usage(), time_to_first_token=None)
    assert rehydrate([*two_turns(), *more]).state.previous_end == "u2"
    side = booked("c4", SMALL, parent="u3", purpose="title")
    assert rehydrate([*two_turns(), said("u3", "a3"), side]).state.previous_end == "u2"


def test_an_answer_written_before_its_call_line_counts_too() -> None:
    lines = [session(), said("u1", None), answered("a1", "u1", call="c1"), booked("c1", parent="a1")]
    assert rehydrate(lines).state.previous_end == "u1"


def test_another_prefix_forgets_the_previous_end() -> None:
    assert rehydrate([*two_turns(), prefix("other")]).state.previous_end is None
    found = rehydrate([*two_turns(), prefix("other")]).prefix
    assert found is not None
    assert found.model.name == "other"


def test_open_calls_at_the_end_are_named() -> None:
    lines = [
        session(),
        said("u1", None),
        answered("a1", "u1", asked("t1"), asked("t2")),
        result("r1", "a1", "t1"),
    ]
    found = rehydrate(lines)
    assert [call.id for call in found.dangling] == ["t2"]
    assert ids(found) == ["u1", "a1", "r1"]


def test_a_result_lost_in_the_middle_is_stood_in_for_alike_each_time() -> None:
    lines = [line for line in two_turns() if line.id != "r1"]
    first, second = rehydrate(lines), rehydrate(lines)
    assert first.state.messages == second.state.messages
    stand_in = first.state.messages[2]
    assert stand_in.role == "tool"
    assert stand_in.blocks == (ToolResult("t1", "read", LOST_RESULT, True),)
    assert "read is missing" in first.repairs[0]


def test_a_result_whose_call_is_lost_is_left_out() -> None:
    found = rehydrate([line for line in two_turns() if line.id != "a1"])
    assert ids(found) == ["u1", "a2", "u2", "a3"]
    assert len(found.repairs) == 1


def test_a_lost_first_message_is_stood_in_for() -> None:
    found = rehydrate([line for line in two_turns() if line.id != "u1"])
    assert [message.role for message in found.state.messages][:2] == ["user", "assistant"]
    assert ids(found)[1:] == ["a1", "r1", "a2", "u2", "a3"]


def test_parents_that_run_in_a_circle_end() -> None:
    found = rehydrate([said("m1", None), answered("m2", "m1"), said("m1", "m2")])
    assert sorted(set(ids(found)) & {"m1", "m2"}) == ["m1", "m2"]


def compacted() -> list[Record]:
    """The first turn compacted; the second one kept."""
    summary = said("sum", "a3", "what happened")
    line = CompactionLine(id="x", parent="a3", at=AT, summary="sum", first="u1", last="a2")
    return [*two_turns(), summary, line, said("u3", "sum")]


def test_a_summary_stands_in_the_place_of_its_range() -> None:
    found = rehydrate(compacted())
    assert ids(found) == ["sum", "u2", "a3", "u3"]
    assert found.head == "u3"


def test_what_a_sub_agents_summary_stands_for_is_no_part_of_the_main_conversation() -> None:
    """Whatever its line names: by its lane alone it is another conversation's."""
    line = CompactionLine(id="x", parent="a3", at=AT, summary="u2", first="u1", last="a2", lane="task_1")
    found = rehydrate([*two_turns(), line])
    assert ids(found) == ids(rehydrate(two_turns()))
    assert found.state.turn_count == rehydrate(two_turns()).state.turn_count


def test_compaction_lowers_neither_totals_nor_the_turn_count() -> None:
    found = rehydrate(compacted())
    assert found.state.turn_count == 3
    assert found.state.total_input_tokens == 30


def test_going_back_to_before_a_compaction_brings_the_messages_back() -> None:
    found = rehydrate([*compacted(), went_back("h1", "a3")])
    assert ids(found) == ["u1", "a1", "r1", "a2", "u2", "a3"]


def test_a_second_compaction_may_swallow_the_first_summary() -> None:
    second = CompactionLine(id="y", parent="u3", at=AT, summary="sum2", first="sum", last="a3")
    assert ids(rehydrate([*compacted(), said("sum2", "u3"), second])) == ["sum2", "u3"]


def test_a_compaction_of_everything_may_begin_a_chain_of_its_own() -> None:
    line = CompactionLine(id="x", parent=None, at=AT, summary="sum", first="u1", last="a3")
    found = rehydrate([*two_turns(), said("sum", None, "what happened"), line, said("u3", "sum")])
    assert ids(found) == ["sum", "u3"]


def test_a_fork_has_the_messages_and_starts_its_totals_at_0() -> None:
    origin = Origin(kind="fork", path="/x/old.jsonl", sha256="ab", inherited=SMALL)
    found = rehydrate([session("s2", origin=origin), said("u1", None), answered("a1", "u1")])
    assert ids(found) == ["u1", "a1"]
    assert found.state.usage == Usage()
    assert found.origin == origin


def test_an_import_goes_on_from_the_totals_it_came_with() -> None:
    origin = Origin(kind="import", path="/x/old.json", sha256="ab", inherited=SMALL, inexact=True)
    found = rehydrate([session("s2", origin=origin), said("u1", None), booked("c1", SMALL)])
    assert found.state.usage == SMALL + SMALL


def test_the_last_title_and_the_granted_rules_are_found() -> None:
    notes = [
        NoteLine(id="n1", parent=None, at=AT, topic="title", text="old"),
        NoteLine(
            id="n2", parent=None, at=AT, topic="rule", text="", data={"tool": "bash", "words": ["git", "log"]}
        ),
        NoteLine(id="n3", parent=None, at=AT, topic="title", text="new"),
        NoteLine(id="n4", parent=None, at=AT, topic="rule", text="", data={"tool": 7}),
    ]
    found = rehydrate([session(), *notes])
    assert found.title == "new"
    assert found.rules == (Rule("bash", ("git", "log")),)


def test_a_message_sent_while_a_turn_runs_begins_no_turn() -> None:
    steering = said("u2", "u1")
    object.__setattr__(steering, "turn", "u1")
    assert rehydrate([session(), said("u1", None), steering]).state.turn_count == 1


JOURNAL = b"".join(
    encode(line).encode() + b"\n"
    for line in (
        *compacted(),
        went_back("h1", "a2"),
        said("u4", "a2", "Grüße ☕"),
        answered("a4", "u4", asked("t9")),
    )
)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(JOURNAL)))
def test_a_journal_cut_off_anywhere_rehydrates_with_no_more_than_the_whole(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / "cut.jsonl"
    path.write_bytes(JOURNAL[:cut])
    found = rehydrate(read(path).records)
    assert found.state.total_input_tokens <= 30
    assert found.state.total_cache_read_tokens <= 90
    assert sendable(found)


@settings(max_examples=300, deadline=None)
@given(st.sets(st.integers(0, JOURNAL.count(b"\n") - 1), max_size=6))
def test_a_journal_with_any_lines_lost_rehydrates_into_something_sendable(lost: set[int]) -> None:
    lines = (*compacted(), went_back("h1", "a2"), said("u4", "a2"), answered("a4", "u4", asked("t9")))
    assert sendable(rehydrate(line for number, line in enumerate(lines) if number not in lost))


def sendable(found: Conversation) -> bool:
    """Every call but the dangling ones has its result right after it, and no result stands alone."""
    open_calls: set[str] = set()
    for message in found.state.messages:
        if message.role == "tool":
            answers = results(message)
            if not answers <= open_calls:
                return False
            open_calls -= answers
            continue
        if open_calls:
            return False
        open_calls = {call.id for call in message.tool_calls}
    return open_calls == {call.id for call in found.dangling}


def results(message: Message) -> set[str]:
    return {block.call_id for block in message.blocks if isinstance(block, ToolResult)}
