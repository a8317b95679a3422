"""What the loop awaits from whoever hosts it: records, permission, files kept, secrets masked."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from agent.room import Room
from agent.tools.contract import Intent
from providers.call import Call
from providers.types import JSONObject, Message, Prefix, Request, ToolCall, Usage

Purpose: TypeAlias = Literal["main", "task", "compaction", "warm", "title", "doctor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """One model call, whatever its fate: the ledger's line before it has a price."""

    id: str
    purpose: Purpose
    model: str
    """The model's name as the provider gave it, without the provider's name."""
    usage: Usage
    raw_usage: JSONObject
    estimated: bool
    started: float
    """Seconds since the epoch."""
    duration: float
    """Seconds."""
    time_to_first_token: float | None
    """Seconds; None when no token came."""
    stop_reason: str | None
    outcome: str
    """`ok`, `cancelled`, or the error's class name."""
    wire: str = ""
    """The wire that the raw usage came over: what stands before the `/` in the prefix's encoder."""

    @classmethod
    def of(cls, call: Call, prefix: Prefix, purpose: Purpose, outcome: str) -> CallReport:
        """Of a call that ended, however it did; `prefix` is the one that it was made on."""
        turn = call.turn
        return cls(
            id=call.id,
            purpose=purpose,
            model=turn.model if turn else prefix.model.name,
            usage=call.usage,
            raw_usage=call.raw_usage,
            estimated=call.estimated,
            started=call.started,
            duration=call.duration,
            time_to_first_token=call.time_to_first_token,
            stop_reason=turn.stop_reason if turn else None,
            outcome=outcome,
            wire=prefix.wire,
        )

    @property
    def answered(self) -> bool:
        """Whether the provider had read the prompt, so that its cache may hold it."""
        told = self.usage.prompt_tokens > 0 and (bool(self.raw_usage) or not self.estimated)
        return told or self.time_to_first_token is not None


@dataclass(frozen=True, slots=True)
class MessageAdded:
    """The conversation grew by this message. `call_id` names the model call that made it."""

    message: Message
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class CallMade:
    report: CallReport
    sent: tuple[Message, ...] | None = None
    """The messages that it sent, where they were not the conversation: a side request."""


@dataclass(frozen=True, slots=True)
class HistoryCompacted:
    """From now on `summary` stands in the conversation for the messages that it replaced, in their place."""

    summary: Message
    replaced: tuple[Message, ...]

    def apply(self, messages: list[Message]) -> int:
        """Put the summary there, and say in which place it stands."""
        place = [message.id for message in messages].index(self.replaced[0].id)
        messages[place : place + len(self.replaced)] = [self.summary]
        return place


Fact: TypeAlias = MessageAdded | CallMade | HistoryCompacted


@dataclass(frozen=True, slots=True)
class Lane:
    """A sub-agent's conversation beside the main one, in the same ledger."""

    id: str
    title: str
    """The job in a few words, as the model put them."""
    call_id: str
    """The tool call that asked for it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a tool call may run. `reason` is what the model reads when it may not."""

    allowed: bool
    reason: str = ""


class Host(Protocol):
    """The loop goes on only when these return."""

    async def record(self, fact: Fact) -> None:
        """Make the fact durable. Raises OSError when it can't be written; the turn then stops."""
        ...

    def calling(self, request: Request) -> AbstractAsyncContextManager[Request]:
        """Entered before each model call, and left once it is booked or was never made: what shall be sent.

        The host may limit its answer, choose how long the provider shall keep it, and let one call wait for
        another. Entering raises BudgetReached when the call would go over what the person set, and
        ConfigurationError where that cannot be told.
        """
        ...

    async def permit(self, call: ToolCall, intent: Intent) -> Verdict:
        """Decide, asking the person where the rules say so. A host with nobody to ask says no."""
        ...

    async def before_tool(self, call: ToolCall, intent: Intent) -> None:
        """Called before each tool that may change files, the shell included: time to capture them."""
        ...

    def redact(self, text: str) -> str:
        """The text without secrets, for the model and the journal."""
        ...

    def lane(self, lane: Lane) -> LaneHost:
        """The host of a sub-agent: it records beside this conversation, and spends from the same purse."""
        ...


class LaneHost(Host, Protocol):
    """What the loop of a sub-agent awaits."""

    async def room(self, request: Request) -> Room:
        """How full a request that continues this conversation leaves the model's context window."""
        ...

    @property
    def cost(self) -> float | None:
        """US dollars that its calls cost so far; None where a part is unknown."""
        ...
