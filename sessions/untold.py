"""What the model must still be told before the next prompt, kept in the journal until it was."""

from __future__ import annotations

from collections.abc import Iterable

from sessions.records import MAIN, MessageLine, NoteLine, Record

TOPIC = "untold"


def untold(lines: Iterable[Record], summaries: frozenset[str]) -> tuple[str, ...]:
    """The notes that no prompt has followed, in order. Messages with ids in `summaries` are no prompts."""
    waiting: list[str] = []
    for line in lines:
        match line:
            case NoteLine(topic=topic, text=text) if topic == TOPIC:
                waiting.append(text)
            case MessageLine(lane=lane) if lane == MAIN and line.message.role == "user":
                if line.message.id not in summaries:
                    waiting.clear()
            case _:
                pass
    return tuple(waiting)
