"""What a person and a program read of a compaction."""

from __future__ import annotations

from agent.events import Compacted, Compacting, NotCompacted
from cli.compaction import told
from cli.eventjson import event_object

DONE = Compacted(before=84_000, after=3_100, anew=1_300, shortened=False, cost=0.012, anew_cost=None)


def test_the_line_has_tokens_and_dollars_and_the_way_back() -> None:
    line = told(DONE)
    assert line == (
        "compacted: 84k → ~3.1k tokens · summary $0.012 · the next call reads ~1.3k anew (cost unknown) · "
        "back: /rewind"
    )


def test_why_it_happens_and_why_it_did_not() -> None:
    assert told(Compacting("as you asked", 84_000)).startswith("compacting ~84k tokens: as you asked")
    assert told(NotCompacted("no summary")) == "not compacted: no summary"


def test_in_the_stream_of_json_an_unknown_price_is_null() -> None:
    found = event_object(DONE)
    assert (found["type"], found["tokens_before"], found["tokens_after"]) == ("compacted", 84_000, 3_100)
    assert (found["cost_usd"], found["anew_cost_usd"]) == (0.012, None)
