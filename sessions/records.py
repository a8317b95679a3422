"""The journal's words: one frozen value per kind of line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from agent.host import Purpose
from providers.types import JSON, JSONObject, Message, Prefix, Usage

FORMAT_VERSION = 1

MAIN = "main"
"""The lane of the session's own conversation; any other is a sub-agent's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What every line has: its id, the id of the line before it in its chain, and when it was written."""

    id: str
    parent: str | None
    at: str
    """ISO 8601 in UTC with milliseconds: `2026-11-22T09:30:00.123Z`."""
    extra: JSONObject = field(default_factory=dict)
    """Keys this version doesn't know. They are written back as they came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a forked or imported session came from. `inherited` is usage it names but wasn't billed for."""

    kind: str
    """`fork` or `import`."""
    path: str
    sha256: str
    """Of the file at `path` when it was read: importing twice reopens the first import."""
    inherited: Usage = field(default_factory=Usage)
    inexact: bool = False
    """It is not known whether the inherited input includes cached tokens: don't price it as exact."""
    tool: str = ""
    """The program that wrote an imported file."""
    session: str = ""
    """The session's id there."""
    model: str = ""
    """The model's name there, `provider/name` where the file tells both."""
    messages: int = 0
    """How many a fork begins with; 0 where the file doesn't say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLine(Line):
    """The first line."""

    version: int = FORMAT_VERSION
    session: str
    cwd: str
    created: str
    origin: Origin | None = None
    client: str = ""
    """Id of the server's client that began it; empty where a person did, in the terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixLine(Line):
    """The frozen prefix; again after a model switch."""

    prefix: Prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLine(Line):
    """One message; `parent` is the message before it. An assistant's names its call."""

    message: Message
    call: str | None = None
    turn: str | None = None
    """Id of the user message that began the turn."""
    lane: str = MAIN
    """`main`, or a sub-agent's id. Its first message follows the one in the main conversation that it was
    begun after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissLine:
    """Why a call read less from the cache than it could have."""

    cause: str
    """One of `agent.diagnosis.Cause`."""
    detail: str
    expected: int
    """Tokens."""
    read: int
    """Tokens."""
    cost: float | None
    """US dollars that it cost; None where no price is known."""

    @property
    def tokens(self) -> int:
        return self.expected - self.read


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLine(Line):
    """The ledger's line for one model call, and the only owner of its usage."""

    purpose: Purpose
    lane: str
    """`main`, or a sub-agent's id."""
    model: str
    """`provider/name`."""
    usage: Usage
    raw_usage: JSONObject
    estimated: bool
    cost: float | None
    """US dollars; None where no price is known."""
    price: str | None
    """Which price was applied."""
    uncached_cost: float | None = None
    """US dollars the same tokens would have cost without any cache; None where no price is known."""
    started: float
    duration: float
    time_to_first_token: float | None
    stop_reason: str | None
    outcome: str
    wire: str = ""
    """The wire that the raw usage came over; empty in older lines, where the prefix in force tells it."""
    kept: str = ""
    """The lifetime that the call's end was given: `5m` or `1h`; empty where the provider sells only one."""
    miss: MissLine | None = None
    client: str = ""
    """Id of the server's client that it was made for; empty where a person's terminal was."""

    @property
    def saved(self) -> float | None:
        """US dollars that the cache saved, below 0 where it cost more than that; None where that is unknown.

        Without a cache nobody makes a call that only keeps one warm: it saves nothing, and costs its price.
        """
        if self.cost is None or self.uncached_cost is None:
            return None
        return (0.0 if self.purpose == "warm" else self.uncached_cost) - self.cost

    @property
    def answered(self) -> bool:
        """Whether the provider had read the prompt, so that its cache may hold it."""
        told = self.usage.prompt_tokens > 0 and (bool(self.raw_usage) or not self.estimated)
        return told or self.time_to_first_token is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLine(Line):
    """The live conversation now ends at `message`; None is the empty conversation."""

    message: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionLine(Line):
    """The message `summary` stands for those from `first` to `last`."""

    summary: str
    first: str
    last: str
    lane: str = MAIN
    """That of these messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointLine(Line):
    number: int
    message: str | None
    """The conversation's end at this checkpoint."""
    tree: str | None
    """The file tree; None while files are not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteLine(Line):
    """A title, a tag, a granted rule, a repair: `topic` says which."""

    topic: str
    text: str
    data: JSONObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownLine(Line):
    """A kind that this version doesn't know, kept as it came."""

    kind: str
    body: dict[str, JSON]


Record: TypeAlias = (
    SessionLine
    | PrefixLine
    | MessageLine
    | CallLine
    | HeadLine
    | CompactionLine
    | CheckpointLine
    | NoteLine
    | UnknownLine
)
