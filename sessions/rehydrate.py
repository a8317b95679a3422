"""A journal's records made into the conversation they tell of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.permissions import Rule
from agent.state import AgentState
from providers.types import Message, Prefix, ToolCall, Usage
from sessions.chain import Tree
from sessions.records import (
    MAIN,
    CallLine,
    CheckpointLine,
    MessageLine,
    NoteLine,
    Origin,
    PrefixLine,
    Record,
    SessionLine,
)
from sessions.seen import versions_seen
from sessions.traffic import Reached, Traffic, traffic
from sessions.untold import untold


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A session as its journal leaves it. Only `state` is meant to be changed further."""

    session: str
    """Empty where the journal's first line is unreadable; the file's name says it then."""
    cwd: str
    created: str
    origin: Origin | None
    prefix: Prefix | None
    """The latest one; None where nothing was ever sent."""
    state: AgentState
    """The live messages, and everything billed to date: rewinding lowers no total."""
    head: str | None
    """Id of the journal's live message that the next one follows."""
    turn: str | None
    """Id of the user message that began the latest live turn."""
    reached: Mapping[Prefix | None, Reached]
    """For each prefix that the live conversation was sent on; None stands for one that wasn't readable."""
    traffic: Traffic
    """The conversation's model calls, those that a rewind or a summary left behind too."""
    calls: tuple[CallLine, ...]
    checkpoints: tuple[CheckpointLine, ...]
    last_number: int
    """The highest checkpoint number; -1 where there is none."""
    title: str
    rules: tuple[Rule, ...]
    """Permissions granted in this session."""
    notes: tuple[NoteLine, ...]
    seen: Mapping[Path, tuple[int, int]]
    """The files that the live conversation has seen: which version of each (`sessions.seen`)."""
    untold: tuple[str, ...]
    """What the model must still be told before the next prompt."""
    dangling: tuple[ToolCall, ...]
    """Calls at the conversation's end that still need a result before anything can be sent."""
    repairs: tuple[str, ...]
    """What was mended while reading, one line each."""
    tree: Tree
    """All messages, for going back to one that is not live now."""


def rehydrate(records: Iterable[Record]) -> Conversation:
    """The conversation a journal tells of. Any part of a journal will do; nothing here raises.

    The totals are the sum of all `call` lines, whatever their purpose, lane and fate. A session imported from
    another tool goes on counting from the totals it came with; a fork starts at 0.
    """
    lines = tuple(records)
    first = next((line for line in lines if isinstance(line, SessionLine)), None)
    calls = tuple(line for line in lines if isinstance(line, CallLine))
    checkpoints = tuple(line for line in lines if isinstance(line, CheckpointLine))
    notes = tuple(line for line in lines if isinstance(line, NoteLine))
    tree = Tree(lines)
    live = tree.live(tree.head)
    turns = _turns(tree)
    origin = first.origin if first else None
    prefix = next((line.prefix for line in reversed(lines) if isinstance(line, PrefixLine)), None)
    told = {line.message.id for line in tree.chain(tree.head)}
    made = traffic(lines, tree)
    reached = made.reached(live.messages)
    present = reached.get(prefix)
    return Conversation(
        session=first.session if first else "",
        cwd=first.cwd if first else "",
        created=first.created if first else "",
        origin=origin,
        prefix=prefix,
        state=_state(
            live.messages, calls, carried_usage(origin), len(turns), present.end if present else None
        ),
        head=tree.head,
        turn=turns[-1] if turns else None,
        reached=reached,
        traffic=made,
        calls=calls,
        checkpoints=checkpoints,
        last_number=max((line.number for line in checkpoints), default=-1),
        title=next((note.text for note in reversed(notes) if note.topic == "title"), ""),
        rules=tuple(rule for note in notes if (rule := _rule(note))),
        notes=notes,
        seen=versions_seen(note for note in notes if note.parent in told),
        untold=untold(lines, tree.summaries),
        dangling=live.dangling,
        repairs=(*_cut_short(origin, lines), *live.repairs),
        tree=tree,
    )


def carried_usage(origin: Origin | None) -> Usage:
    """The usage a session counts as its own from before its first call: an import's, never a fork's."""
    return origin.inherited if origin is not None and origin.kind == "import" else Usage()


def _cut_short(origin: Origin | None, lines: Iterable[Record]) -> Iterator[str]:
    """What to say of a fork whose process died while it copied."""
    copied = sum(isinstance(line, MessageLine) and line.lane == MAIN for line in lines)
    if origin is not None and copied < origin.messages:
        yield (
            f"This fork was cut short: it has {copied} of {origin.messages} messages. "
            f"To have them all: agent resume {origin.path} --fork"
        )


def _state(
    messages: Sequence[Message],
    calls: Iterable[CallLine],
    carried: Usage,
    turn_count: int,
    previous_end: str | None,
) -> AgentState:
    state = AgentState(messages=list(messages), turn_count=turn_count, previous_end=previous_end)
    state.add(carried)
    for call in calls:
        state.add(call.usage)
    return state


def _turns(tree: Tree) -> tuple[str, ...]:
    """Ids of the live messages that began a turn: a person's, but not those sent while a turn was running."""
    summaries = tree.summaries
    return tuple(
        line.message.id
        for line in tree.chain(tree.head)
        if line.message.role == "user" and line.message.id not in summaries and _begins_turn(line)
    )


def _begins_turn(line: MessageLine) -> bool:
    return line.turn is None or line.turn == line.message.id


def _rule(note: NoteLine) -> Rule | None:
    if note.topic != "rule":
        return None
    tool, words = note.data.get("tool"), note.data.get("words", [])
    if not isinstance(tool, str) or not isinstance(words, list):
        return None
    return Rule(tool, tuple(word for word in words if isinstance(word, str)))
