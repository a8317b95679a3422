"""Journal lines for tests, with everything that a test doesn't care about filled in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agent.host import Purpose
from providers.types import Block, Message, Role, Text, ToolCall, ToolResult, Usage
from sessions.journal import Journal
from sessions.records import CallLine, HeadLine, MessageLine, Origin, Record, SessionLine

AT = "2026-11-22T09:30:00.123Z"
EPOCH = 1795339800.123


def session(id: str = "s1", *, cwd: str = "/home/dev/project", origin: Origin | None = None) -> SessionLine:
    return SessionLine(id=f"{id}-line", parent=None, at=AT, session=id, cwd=cwd, created=AT, origin=origin)


def said(
    id: str, parent: str | None, *blocks: Block | str, role: Role = "user", call: str | None = None
) -> MessageLine:
    """A message; a plain string is a text block."""
    whole = tuple(Text(block) if isinstance(block, str) else block for block in blocks or (id,))
    return MessageLine(id=id, parent=parent, at=AT, message=Message(id, role, whole), call=call)


def answered(id: str, parent: str | None, *blocks: Block | str, call: str | None = None) -> MessageLine:
    return said(id, parent, *blocks, role="assistant", call=call)


def asked(id: str, name: str = "read") -> ToolCall:
    return ToolCall(id, name, '{"path": "a.py"}')


def result(id: str, parent: str | None, call: str, text: str = "done") -> MessageLine:
    return said(id, parent, ToolResult(call, "read", text), role="tool")


def booked(
    id: str,
    usage: Usage | None = None,
    *,
    parent: str | None = None,
    purpose: Purpose = "main",
    lane: str = "main",
    model: str = "anthropic/claude",
    cost: float | None = 0.5,
    uncached_cost: float | None = None,
    started: float = EPOCH,
    outcome: str = "ok",
) -> CallLine:
    return CallLine(
        id=id,
        parent=parent,
        at=AT,
        purpose=purpose,
        lane=lane,
        model=model,
        usage=usage or Usage(input_tokens=1),
        raw_usage={},
        estimated=False,
        cost=cost,
        price=None if cost is None else "test",
        uncached_cost=uncached_cost,
        started=started,
        duration=1.0,
        time_to_first_token=0.1,
        stop_reason="end_turn",
        outcome=outcome,
    )


def went_back(id: str, message: str | None, reason: str = "rewind") -> HeadLine:
    return HeadLine(id=id, parent=None, at=AT, message=message, reason=reason)


def write(path: Path, first: SessionLine, lines: Iterable[Record] = ()) -> Path:
    """A journal on disk, closed."""
    with Journal.create(path, first) as journal:
        for line in lines:
            journal.append(line, sync=False)
    return path
