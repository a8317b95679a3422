"""Puts a summary in the place of a conversation, before it no longer fits the model's context window.

The summary is asked for with the very bytes that were sent before and one more message, so that the
provider's cache serves all of it. Only what the model has not read yet stays behind the summary as it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from agent.events import CallFinished, Compacted, Compacting, Event, NotCompacted, Retrying
from agent.host import Host
from agent.modelcall import SideCall
from agent.recording import Recorder
from agent.rig import Rig
from agent.room import LEAST_SUMMARY, Room
from agent.shortening import shortened
from agent.state import AgentState
from agent.summary import ask, divide, is_summary, stand_in
from providers.errors import CachetError, ContextOverflow
from providers.types import AssistantTurn, Message, Request, StopReason, Usage

CUT_OFF = "\n[The summary was cut off here.]"


class NothingToCompact(CachetError):
    """The conversation holds nothing that a summary could stand for."""


class CompactionFailed(CachetError):
    """The model gave no summary; the conversation is as it was."""


class Compaction:
    """One attempt to make room. `usage` is what its calls were billed."""

    def __init__(self, state: AgentState, host: Host, rig: Rig, recorder: Recorder) -> None:
        self._state = state
        self._host = host
        self._rig = rig
        self._recorder = recorder
        self.usage = Usage()
        self._answer: AssistantTurn | None = None
        self._calls: list[str] = []

    async def events(self, room: Room, reason: str, keep: str = "") -> AsyncGenerator[Event]:
        """Ask for a summary and let it take the conversation's place.

        Whatever ends this before its `Compacted`, an error or a cancellation, leaves the conversation as it
        was; what was billed stays booked. Only a cancellation that comes while the summary is being written
        down is raised after that. Raises NothingToCompact, CompactionFailed, ContextOverflow where
        even the shortened conversation is too long, and what a model call raises.
        """
        opening, old = self._old(room)
        if not any(message.role == "assistant" for message in old):
            raise NothingToCompact("There is nothing to compact yet.")
        yield Compacting(reason, room.filled)
        sent, firmly = old, False
        while True:
            try:
                async with aclosing(self._asked((*opening, *sent), room, ask(keep, again=firmly))) as events:
                    async for event in events:
                        yield event
                text = self._text()
            except ContextOverflow:
                if sent is not old:
                    raise
                sent = self._shortened(opening, old, room)
                continue
            if text or firmly:
                break
            firmly = True
        if not text:
            raise CompactionFailed(
                f"{self._rig.prefix.model} gave no summary, and called tools or said nothing instead. "
                f"Nothing changed{self._remedy}."
            )
        rest = self._state.messages[len(opening) + len(old) :]
        asked_since = bool(rest) and rest[0].role == "user"
        summary = stand_in(old, self._host.redact(text), quoting=not asked_since)
        await self._recorder.compact(summary, old)
        yield self._compacted(len(opening), room, shortened=sent is not old)

    def worthwhile(self, room: Room) -> bool:
        """Whether a summary would free an eighth of the window: else each step would ask for another one."""
        _, old = self._old(room)
        rest = tuple(message for message in old[1:] if not is_summary(message))
        return (
            any(message.role == "assistant" for message in rest)
            and room.tokens_of(self._request(()), rest) >= (room.window or 0) // 8
        )

    @property
    def _remedy(self) -> str:
        """What a person can do; a sub-agent's conversation is out of their reach."""
        sub_agent = self._rig.purpose == "task"
        return "" if sub_agent else "; try /compact again, or /model for another one"

    def _old(self, room: Room) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
        """The opening that stays, and the messages to replace.

        These are all that was answered, and more where the rest would fill the window. A person's own words
        are never among that more.
        """
        parts = divide(self._state.messages)
        old, rest = parts.answered, parts.unread
        if not rest or rest[0].role == "user":
            return parts.opening, old
        limit = self._request(()).output_limit
        free = (room.window - room.reserve(limit)) if room.window else room.filled
        fits = room.tokens_of(self._request(()), rest) <= free // 2
        return parts.opening, old if fits else (*old, *rest)

    async def _asked(self, sent: tuple[Message, ...], room: Room, asked: Message) -> AsyncGenerator[Event]:
        """Make the call. What it streams is not shown: only its booking is, and its retries."""
        whole = (*sent, asked)
        request = self._request(whole)
        most = room.longest_summary(request)
        if most < min(LEAST_SUMMARY, request.output_limit):
            raise ContextOverflow("The summary would not fit behind the conversation.")
        call = SideCall(self._state, self._host, self._rig, self._recorder, whole, most)
        try:
            async with aclosing(call.events()) as events:
                async for event in events:
                    if isinstance(event, CallFinished):
                        self._calls.append(event.report.id)
                    if isinstance(event, CallFinished | Retrying):
                        yield event
        finally:
            self.usage += call.usage
        self._answer = call.answer

    def _text(self) -> str:
        """The summary; empty where the answer is none. Raises ContextOverflow where the window cut it off."""
        answer = self._answer
        assert answer is not None, "asked before"
        words = answer.message.text.strip()
        match answer.stop_reason:
            case StopReason.CONTEXT_EXCEEDED:
                raise ContextOverflow("The summary did not fit behind the conversation.")
            case StopReason.TOOL_USE | StopReason.REFUSAL | StopReason.INTERRUPTED:
                return ""  # words before a call announce it; they are no summary
            case StopReason.MAX_TOKENS if words:
                return words + CUT_OFF
            case _:
                return words

    def _shortened(
        self, opening: tuple[Message, ...], old: tuple[Message, ...], room: Room
    ) -> tuple[Message, ...]:
        """The messages to sum up, cut until they fill with the opening three fifths of the window, or of
        what they fill now."""
        most = (room.window or room.filled) * 3 // 5
        return shortened(old, lambda messages: room.tokens(self._request((*opening, *messages))) <= most)

    def _compacted(self, kept: int, room: Room, *, shortened: bool) -> Compacted:
        """What came of it; the first `kept` messages are those that were sent before."""
        request = self._state.request(self._rig.prefix)
        after = room.tokens(request)
        anew = room.tokens_of(request, request.messages[kept:])
        return Compacted(
            before=room.filled, after=after, anew=anew, shortened=shortened, calls=(*self._calls,)
        )

    def _request(self, messages: tuple[Message, ...]) -> Request:
        return Request(prefix=self._rig.prefix, messages=messages)


class Space:
    """Keeps one turn's conversation within the context window. `usage` is what that was billed.

    It compacts before a call that would find too little room, and once more where the provider says that a
    call did not fit; a second refusal in a row stands.
    """

    def __init__(self, state: AgentState, host: Host, rig: Rig, recorder: Recorder) -> None:
        self._state = state
        self._host = host
        self._rig = rig
        self._recorder = recorder
        self.usage = Usage()
        self._gave_up = False
        self._overflowed = False

    async def before_call(self) -> AsyncGenerator[Event]:
        """Compact if the next call needs it. A summary that doesn't come is told, and the call is made."""
        if self._rig.gauge is None or self._gave_up:
            return
        request = self._state.request(self._rig.prefix)
        room = await self._rig.gauge(request)
        if room.window is None or not room.crowded(request.output_limit):
            return
        compaction = self._compaction()
        if not compaction.worthwhile(room):
            return
        full = f"the context window is {min(100 * room.filled // room.window, 100)}% full"
        try:
            async with aclosing(self._made(compaction, room, full)) as events:
                async for event in events:
                    yield event
        except (CompactionFailed, ContextOverflow) as error:
            self._gave_up = True
            yield NotCompacted(str(error))

    async def after(self, overflow: ContextOverflow) -> AsyncGenerator[Event]:
        """Compact because a call did not fit. Raises the overflow where that can't be, or was no use."""
        if self._rig.gauge is None or self._overflowed or self._gave_up:
            raise overflow
        self._overflowed = True
        room = await self._rig.gauge(self._state.request(self._rig.prefix))
        try:
            full = "the conversation no longer fits the context window"
            async with aclosing(self._made(self._compaction(), room, full)) as events:
                async for event in events:
                    yield event
        except (NothingToCompact, CompactionFailed, ContextOverflow) as error:
            overflow.add_note(str(error))
            raise overflow from error

    def answered(self) -> None:
        """A call found room."""
        self._overflowed = False

    async def _made(self, compaction: Compaction, room: Room, reason: str) -> AsyncGenerator[Event]:
        try:
            async with aclosing(compaction.events(room, reason)) as events:
                async for event in events:
                    yield event
        finally:
            self.usage += compaction.usage

    def _compaction(self) -> Compaction:
        return Compaction(self._state, self._host, self._rig, self._recorder)
