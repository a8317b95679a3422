"""The objects that tell what a run does beside its words, which stock clients ignore: their shapes."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypeAlias

from pydantic import Field
from typing_extensions import TypedDict


class Told(TypedDict):
    sequence_number: NotRequired[int]
    """The event's place in its stream: only in the Responses API's, where this is an event of its own."""


class ToolStarted(Told):
    """A tool begins."""

    type: Literal["cachet.tool.started"]
    call_id: str
    name: str
    arguments: str
    """The JSON text that the model sent."""
    summary: str
    """The call in a few words."""


class ToolOutput(Told):
    """A tool has printed something."""

    type: Literal["cachet.tool.output"]
    call_id: str
    text: str


class ToolFinished(Told):
    """A tool ended, or was refused."""

    type: Literal["cachet.tool.finished"]
    call_id: str
    name: str
    text: str
    """What the model is told."""
    display: str
    """What a person is shown: a diff, a count."""
    is_error: bool


class Retrying(Told):
    """The provider failed and is asked again."""

    type: Literal["cachet.retrying"]
    seconds: float
    """How long it is waited."""
    reason: str
    attempt: int
    """The number of the attempt to come, from 1."""
    attempts: int
    void: bool
    """Whether the attempt that failed had said something, which counts for nothing now."""


class CacheMissed(Told):
    """A call read less from the provider's cache than it could have."""

    type: Literal["cachet.cache_missed"]
    cause: str
    detail: str
    tokens: int
    """Paid for again."""
    cost_usd: float | None
    """US dollars; null where the price isn't known."""


class Compacting(Told):
    """A summary that will take the conversation's place is being asked for."""

    type: Literal["cachet.compacting"]
    reason: str
    tokens: int
    """What the conversation fills, estimated."""


class Compacted(Told):
    """A summary took the conversation's place."""

    type: Literal["cachet.compacted"]
    before: int
    """What the conversation filled, in tokens."""
    after: int
    """What it fills now, in tokens."""


class NotCompacted(Told):
    """The summary did not come; everything is as it was."""

    type: Literal["cachet.not_compacted"]
    reason: str


class CheckpointMade(Told):
    """A checkpoint was made."""

    type: Literal["cachet.checkpoint"]
    number: int
    files_off: str
    """Why files are not part of it; empty where they are."""


Extension: TypeAlias = Annotated[
    ToolStarted
    | ToolOutput
    | ToolFinished
    | Retrying
    | CacheMissed
    | Compacting
    | Compacted
    | NotCompacted
    | CheckpointMade,
    Field(discriminator="type"),
]
