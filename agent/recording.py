"""Lets a conversation grow: recorded first, then in the state, in one order, never one without the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent.host import CallMade, CallReport, HistoryCompacted, Host, MessageAdded
from agent.settled import settled
from agent.state import AgentState
from providers.call import new_id
from providers.types import Message, ToolCall, ToolResult

INTERRUPTED = "Interrupted before it finished; what it had done so far may stand."


class Recorder:
    """The one place where a turn's state grows.

    A cancellation doesn't come between the record and the state; it is raised after both. A message that
    can't be recorded isn't in the state either. All methods raise the host's OSError.
    """

    def __init__(self, state: AgentState, host: Host) -> None:
        self._state = state
        self._host = host
        self._order = asyncio.Lock()

    async def begin(self, prompt: Message) -> None:
        """Begin a turn. Calls that an earlier one could not answer, for want of space, are answered first."""
        await settled(self._begin(prompt))

    async def add(self, message: Message, call_id: str | None = None) -> None:
        """Let the conversation grow by a message; `call_id` names the model call that made it."""
        await settled(self._add(message, call_id))

    async def book(self, report: CallReport) -> None:
        """Count a model call. It was billed, so that it counts even where it can't be recorded now."""
        await settled(self._book(report))

    async def book_aside(self, report: CallReport, sent: tuple[Message, ...]) -> None:
        """Count a model call that is no part of the conversation, and sent these messages."""
        await settled(self._book_aside(report, sent))

    async def compact(self, summary: Message, replaced: tuple[Message, ...]) -> None:
        """Let the summary stand for the messages that are `replaced`; what stands before them was sent."""
        await settled(self._compact(summary, replaced))

    async def answer_open(self, reason: str) -> None:
        """Answer every call of the last answer that has no result, so that the next request is whole."""
        await settled(self._answer_open(reason))

    async def _begin(self, prompt: Message) -> None:
        await self._answer_open(INTERRUPTED)
        await self._add(prompt, None)
        self._state.turn_count += 1

    async def _add(self, message: Message, call_id: str | None) -> None:
        async with self._order:
            await self._host.record(MessageAdded(message, call_id))
            self._state.messages.append(message)

    async def _book(self, report: CallReport) -> None:
        self._state.add(report.usage)
        if report.answered and self._state.messages:
            self._state.previous_end = self._state.messages[-1].id
        await self._host.record(CallMade(report))

    async def _book_aside(self, report: CallReport, sent: tuple[Message, ...]) -> None:
        self._state.add(report.usage)
        await self._host.record(CallMade(report, sent))

    async def _compact(self, summary: Message, replaced: tuple[Message, ...]) -> None:
        async with self._order:
            fact = HistoryCompacted(summary, replaced)
            await self._host.record(fact)
            place = fact.apply(self._state.messages)
            self._state.previous_end = self._state.messages[place - 1].id if place else None

    async def _answer_open(self, reason: str) -> None:
        for call in open_calls(self._state.messages):
            await self._add(refused(call, reason), None)


def open_calls(messages: Sequence[Message]) -> tuple[ToolCall, ...]:
    """Calls of the conversation's last answer that have no result yet."""
    answered: set[str] = set()
    for message in reversed(messages):
        if message.role != "tool":
            return tuple(call for call in message.tool_calls if call.id not in answered)
        answered.update(block.call_id for block in message.blocks if isinstance(block, ToolResult))
    return ()


def refused(call: ToolCall, reason: str) -> Message:
    """The message that answers a call which was not run, or not to its end."""
    return Message(new_id("msg"), "tool", (ToolResult(call.id, call.name, reason, is_error=True),))
