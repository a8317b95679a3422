"""What a turn tells while it runs. Events are for display only: nothing depends on anyone reading them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from agent.host import CallReport
from providers.types import StreamEvent, ToolCall, Usage


@dataclass(frozen=True, slots=True)
class TurnStarted:
    message_id: str


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A model call ended and is booked; a sub-agent's too: its purpose is `task`, or `compaction`."""

    report: CallReport


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A permitted tool begins. `summary` is one harmless line, such as `read src/app.py`."""

    call: ToolCall
    summary: str


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """A piece of a running tool's output, control sequences made harmless."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool ended, or was denied: `display` is for the person (a diff, a count), `text` for the model."""

    call: ToolCall
    text: str
    display: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class Retrying:
    """The call failed and will be made again after `seconds`."""

    seconds: float
    reason: str
    attempt: int
    """The number of the attempt to come, from 1."""
    attempts: int
    void: bool = False
    """Whether the attempt that failed had streamed something, which counts for nothing now."""


@dataclass(frozen=True, slots=True)
class CacheMissed:
    """The call read less from the provider's cache than it could have. `cause`: `agent.diagnosis.Cause`."""

    cause: str
    detail: str
    tokens: int
    """Paid for again."""
    cost: float | None
    """US dollars; None where no price is known."""


@dataclass(frozen=True, slots=True)
class Compacting:
    """A summary of the conversation is being asked for. Stopping it leaves everything as it was."""

    reason: str
    """In a few words: `as you asked`, `the context window is 91% full`."""
    tokens: int
    """What the conversation fills, estimated."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """A summary took the place of the conversation. Tokens are estimates."""

    before: int
    after: int
    """Tokens that the next call sends, system prompt and tools included."""
    anew: int
    """Those of them that no cache can hold: all behind system prompt and tools."""
    shortened: bool
    """Whether the conversation had to be shortened to be read at all, so that no cache could serve it."""
    calls: tuple[str, ...] = ()
    """Ids of the calls that asked for the summary, those that failed or gave none too."""
    cost: float | None = None
    """US dollars for the summary; None where no price is known."""
    anew_cost: float | None = None
    """US dollars for what is read anew; None where no price is known."""


@dataclass(frozen=True, slots=True)
class NotCompacted:
    """The summary that was asked for did not come; everything is as it was."""

    reason: str


@dataclass(frozen=True, slots=True)
class CheckpointMade:
    number: int
    path: str
    files_off: str
    """Why files are not part of it; empty when they are."""


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The turn's end: what it was billed in all its model calls, and why it stopped."""

    usage: Usage
    stop_reason: str
    text: str
    """The text of the last answer."""


Event: TypeAlias = (
    TurnStarted
    | StreamEvent
    | CallFinished
    | ToolStarted
    | ToolOutput
    | ToolFinished
    | Retrying
    | CacheMissed
    | Compacting
    | Compacted
    | NotCompacted
    | CheckpointMade
    | TurnFinished
)
