"""What a journal tells of the model calls of a conversation: what each sent, and the pauses between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypeAlias

from providers.types import Message, Prefix
from sessions.chain import Tree
from sessions.records import MAIN, CallLine, CompactionLine, HeadLine, MessageLine, PrefixLine, Record

Change: TypeAlias = Literal["", "compacted", "rewound"]


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a conversation was sent on a prefix: the latest answered call, and the last message of it."""

    call: CallLine
    end: str | None


def filled(reached: Mapping[Prefix | None, Reached]) -> int:
    """Tokens of a conversation as its latest call left it; 0 where none sent it as it is."""
    latest = max((each.call for each in reached.values()), key=_started, default=None)
    return latest.usage.total_tokens if latest else 0


def _started(call: CallLine) -> float:
    return call.started


@dataclass(frozen=True, slots=True)
class Sending:
    """An answered call: its prefix, and the first `count` of `messages`, which are what it sent."""

    call: CallLine
    prefix: Prefix | None
    """None where it wasn't readable."""
    messages: tuple[Message, ...]
    """The conversation at that time: before the next summary took its place, or a rewind took it back."""
    count: int

    @property
    def sent(self) -> tuple[Message, ...]:
        return self.messages[: self.count]

    @property
    def aside(self) -> bool:
        """Whether it sent more behind these, which is in no journal: it asked for a summary."""
        return self.call.purpose == "compaction"


@dataclass(frozen=True, slots=True)
class Traffic:
    """The main conversation's calls in order, those that a rewind or a summary left behind too.

    So are those that only kept the cache warm: they are sendings as any other, but no end of a pause.
    """

    sendings: tuple[Sending, ...] = ()
    pauses: tuple[tuple[float, bool], ...] = ()
    """From each call's start to the next one's: seconds, and whether one turn made both. All tries count."""
    latest: float | None = None
    """When the last call began, answered or not: seconds since the epoch."""
    change: Change = ""
    """What became of the conversation since its last answered call."""

    def reached(self, live: tuple[Message, ...]) -> dict[Prefix | None, Reached]:
        """How far `live`, as it is now, was sent on each prefix: what a summary replaced is no part of it."""
        return {
            sending.prefix: Reached(sending.call, sending.sent[-1].id)
            for sending in self.sendings
            if sending.call.purpose == "main" and sending.sent == live[: sending.count]
        }


def traffic(lines: Sequence[Record], tree: Tree) -> Traffic:
    """The calls that these lines tell of; `tree` holds their messages."""
    walk = _Walk(tree, {line.call: line.parent for line in lines if isinstance(line, MessageLine)})
    for line in lines:
        walk.step(line)
    walk.settle()
    return Traffic(tuple(walk.sendings), tuple(_pauses(walk.starts)), walk.latest, walk.change)


@dataclass(slots=True)
class _Waiting:
    """An answered call whose conversation still grows."""

    call: CallLine
    prefix: Prefix | None
    end: str | None


@dataclass(slots=True)
class _Walk:
    """Reads a journal once, in order."""

    tree: Tree
    ends: Mapping[str | None, str | None]
    """By call: the message before the one that it made."""
    sendings: list[Sending] = field(default_factory=list)
    starts: list[tuple[float, str | None]] = field(default_factory=list)
    """When each call began, and in which turn; None for one that no turn made, such as for `/compact`."""
    change: Change = ""
    _prefix: Prefix | None = None
    _tip: str | None = None
    """The conversation's last message at this line."""
    _turn: str | None = None
    _undecided: list[int] = field(default_factory=list)
    """Places in `starts` of calls whose turn only the next message tells: they asked for a summary."""
    _waiting: list[_Waiting] = field(default_factory=list)

    @property
    def latest(self) -> float | None:
        return self.starts[-1][0] if self.starts else None

    def step(self, line: Record) -> None:
        match line:
            case PrefixLine():
                self._prefix = line.prefix
            case MessageLine(lane=lane) if lane == MAIN:
                self._tip, self._turn = line.message.id, line.turn
                self._decide(line.turn)
            case CallLine(lane=lane, purpose="main" | "compaction" | "warm") if lane == MAIN:
                self._called(line)
            case CompactionLine(summary=summary, lane=lane) if lane == MAIN and summary in self.tree:
                self.settle()
                self.change = "compacted"
            case HeadLine(message=message) if message is None or message in self.tree:
                self.settle()
                self._tip, self._turn, self.change = message, None, "rewound"
            case _:
                pass

    def settle(self) -> None:
        """The conversation grows no further from here: what the calls since the last change sent is known."""
        messages = self.tree.live(self._tip).messages if self._waiting else ()
        places = {message.id: place for place, message in enumerate(messages)}
        for one in self._waiting:
            if one.end in places:
                self.sendings.append(Sending(one.call, one.prefix, messages, places[one.end] + 1))
        self._waiting.clear()

    def _decide(self, turn: str | None) -> None:
        for place in self._undecided:
            self.starts[place] = (self.starts[place][0], turn)
        self._undecided.clear()

    def _called(self, line: CallLine) -> None:
        match line.purpose:
            case "main":
                self.starts.append((line.started, self._turn))
            case "compaction":
                self._undecided.append(len(self.starts))
                self.starts.append((line.started, None))
            case _:
                pass
        if line.answered:
            self._waiting.append(_Waiting(line, self._prefix, self.ends.get(line.id, line.parent)))
            self.change = ""


def _pauses(starts: Iterable[tuple[float, str | None]]) -> Iterator[tuple[float, bool]]:
    for (before, one), (now, other) in pairwise(starts):
        if now > before:
            yield now - before, one is not None and one == other
