"""What fills the context window, by where it came from."""

from __future__ import annotations

from agent.parts import PARTS, shares
from agent.summary import stand_in
from providers.types import (
    Message,
    ModelRef,
    Prefix,
    Request,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
)

PREFIX = Prefix(
    model=ModelRef("anthropic", "claude"),
    system="s" * 400,
    tools=(ToolSpec("read", "d" * 190, "{}" * 3),),
    encoder="anthropic/1",
    affinity_key="k",
)
OPENING = Text("<environment>\n" + "e" * 86)
ASKED = Message("u1", "user", (OPENING, Text("a" * 50), Text("w" * 60)))
CALLED = Message(
    "a1", "assistant", (Text("m" * 30), ToolCall("c1", "read", "{}"), ToolCall("c2", "grep", "{}"))
)
READ = Message("r1", "tool", (ToolResult("c1", "read", "f" * 200),))
FOUND = Message("r2", "tool", (ToolResult("c2", "grep", "g" * 100),))


def request(*messages: Message) -> Request:
    return Request(prefix=PREFIX, messages=messages)


def test_each_block_counts_where_it_came_from() -> None:
    found = shares(request(ASKED, CALLED, READ, FOUND), 1152)
    assert found == {
        "system": 400,
        "tools": 200,
        "project": 100,
        "summary": 0,
        "person": 60,
        "model": 42,
        "files": 250,
        "results": 100,
    }


def test_the_parts_together_are_what_was_counted() -> None:
    for filled in (0, 1, 7, 999, 123_457):
        assert sum(shares(request(ASKED, CALLED, READ, FOUND), filled).values()) == filled
    assert sum(shares(request(), 100).values()) == 100


def test_a_summary_is_a_part_and_the_projects_instructions_stay_theirs() -> None:
    summary = stand_in((ASKED, CALLED, READ, FOUND), "what happened", quoting=True)
    found = shares(request(summary), 10_000)
    assert found["summary"] > 0
    assert found["project"] > 0
    assert (found["person"], found["files"], found["model"]) == (0, 0, 0)


def test_every_part_is_told() -> None:
    assert tuple(shares(request(), 10)) == PARTS
