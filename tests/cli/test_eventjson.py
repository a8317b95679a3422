"""The lines of `--output-format stream-json`, as the manual lists them."""

from __future__ import annotations

import re
from pathlib import Path

from agent.events import (
    CacheMissed,
    CheckpointMade,
    Event,
    NotCompacted,
    Retrying,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnStarted,
)
from cli.eventjson import event_object
from providers.types import TextDelta, ThinkingDelta, ToolCall, ToolCallDelta, ToolCallStarted

MANUAL = Path(__file__).parents[2] / "docs" / "usage.md"
CALL = ToolCall("t1", "read", "{}")

EVENTS: tuple[Event, ...] = (
    TurnStarted("m1"),
    TextDelta("a"),
    ThinkingDelta("b"),
    ToolCallStarted("t1", "read"),
    ToolCallDelta("t1", "{}"),
    ToolStarted(CALL, "read a.py"),
    ToolOutput("t1", "out"),
    ToolFinished(CALL, "text", "shown", False),
    Retrying(1.5, "busy", 2, 5),
    CacheMissed("expired", "idle 7 min", 900, None),
    NotCompacted("no summary"),
    CheckpointMade(3, "/c/3.json", ""),
)


def test_each_event_has_the_name_that_the_manual_gives_it() -> None:
    listed = set(re.findall(r"`([a-z_]+)`", MANUAL.read_text()))
    assert {str(event_object(event)["type"]) for event in EVENTS} <= listed


def test_an_event_is_told_by_its_own_facts() -> None:
    assert event_object(ToolCallDelta("t1", "{}")) == {
        "type": "tool_call_delta",
        "call_id": "t1",
        "json": "{}",
    }
    assert event_object(CacheMissed("expired", "idle 7 min", 900, None)) == {
        "type": "cache_missed",
        "cause": "expired",
        "detail": "idle 7 min",
        "tokens": 900,
        "cost_usd": None,
    }
