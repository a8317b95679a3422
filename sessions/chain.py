"""The messages of a journal as a tree, and the one conversation in it that is live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from providers.types import Message, Text, ToolCall, ToolResult
from sessions.records import MAIN, CompactionLine, HeadLine, MessageLine, Record

LOST_RESULT = "The result of this tool call was lost. Run the tool again if it matters."
LOST_BEGINNING = "The beginning of this conversation was lost."
_LOST, _BEFORE = "-lost", "-before"
"""How the ids of messages end that stand in for what a journal lost, and are in no journal."""


@dataclass(frozen=True, slots=True)
class Live:
    """A conversation that can be sent as it is, once `dangling` is answered."""

    messages: tuple[Message, ...]
    dangling: tuple[ToolCall, ...]
    """Calls of the last message that asked for tools, whose results are not there yet."""
    repairs: tuple[str, ...]
    """What was mended while reading, one line each; the journal itself was not touched."""


class Tree:
    """Every message of a journal by its id, rewound ones too; those of sub-agents are not among them."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.head: str | None = None
        """Id of the live conversation's last message."""
        self._lines: dict[str, MessageLine] = {}
        self._parents: dict[str, str | None] = {}
        self._compactions: list[CompactionLine] = []
        for record in records:
            match record:
                case MessageLine() if record.lane == MAIN:
                    self._add(record)
                case HeadLine(message=None):
                    self.head = None
                case HeadLine(message=str(message)) if message in self._lines:
                    self.head = message
                case CompactionLine() if record.lane == MAIN:
                    self._compactions.append(record)
                case _:
                    pass

    def __contains__(self, message: object) -> bool:
        return message in self._lines

    def _add(self, line: MessageLine) -> None:
        id = line.message.id
        self._lines[id] = line
        # A parent that is not there was a bad line: what came before that is the best guess left.
        self._parents[id] = line.parent if line.parent is None or line.parent in self._lines else self.head
        self.head = id

    def chain(self, end: str | None) -> tuple[MessageLine, ...]:
        """The lines from the conversation's beginning to the message `end`, compacted ones too."""
        found: list[MessageLine] = []
        seen: set[str] = set()
        while end is not None and end in self._lines and end not in seen:
            seen.add(end)
            found.append(self._lines[end])
            end = self._parents[end]
        return tuple(reversed(found))

    def live(self, end: str | None) -> Live:
        """What the next request would send if `end` were the last message: compacted, gaps mended."""
        messages = [line.message for line in self.chain(end)]
        for compaction in self._compactions:
            messages = _compacted(messages, compaction)
        return _mended(messages)

    @property
    def summaries(self) -> frozenset[str]:
        """Ids of the messages that stand for others."""
        return frozenset(line.summary for line in self._compactions)


def made_up(message: Message) -> bool:
    """Whether a message stands in for one that the journal lost."""
    return message.id.endswith((_LOST, _BEFORE))


def _compacted(messages: list[Message], line: CompactionLine) -> list[Message]:
    """The messages with the summary in its range's place; unchanged where an end of it isn't among them."""
    places = {message.id: place for place, message in enumerate(messages)}
    if not {line.summary, line.first, line.last} <= places.keys() or places[line.first] > places[line.last]:
        return messages
    summary = messages[places[line.summary]]
    before, after = messages[: places[line.first]], messages[places[line.last] + 1 :]
    return [m for m in before if m is not summary] + [summary] + [m for m in after if m is not summary]


def _mended(messages: Sequence[Message]) -> Live:
    """Providers refuse a call without its result, a result without its call, an answer to nothing."""
    kept: list[Message] = []
    repairs: list[str] = []
    open_calls: dict[str, ToolCall] = {}
    for message in messages:
        if message.role == "tool":
            results = [block for block in message.blocks if isinstance(block, ToolResult)]
            if not results or any(result.call_id not in open_calls for result in results):
                repairs.append(f"Left out a tool result whose call is not there ({message.id}).")
                continue
            for result in results:
                del open_calls[result.call_id]
            kept.append(message)
            continue
        for call in open_calls.values():
            repairs.append(f"The result of {call.name} is missing ({call.id}).")
            kept.append(
                Message(f"{call.id}{_LOST}", "tool", (ToolResult(call.id, call.name, LOST_RESULT, True),))
            )
        open_calls = {call.id: call for call in message.tool_calls}
        kept.append(message)
    if kept and kept[0].role == "assistant":
        repairs.append("The conversation's first message is missing.")
        kept.insert(0, Message(f"{kept[0].id}{_BEFORE}", "user", (Text(LOST_BEGINNING),)))
    return Live(tuple(kept), tuple(open_calls.values()), tuple(repairs))
