"""One answer of the model: the request, its retries, and the booking of every attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from math import inf

from agent.events import CallFinished, Event, Retrying
from agent.host import CallReport, Host
from agent.recording import Recorder
from agent.rig import Rig
from agent.settled import settled
from agent.state import AgentState
from providers.call import Call, new_id
from providers.errors import ProviderError, Stalled
from providers.types import (
    AssistantTurn,
    Block,
    Message,
    Request,
    StopReason,
    StreamEvent,
    ToolCall,
    Usage,
)


class ModelCall:
    """Makes the call, again where that is safe.

    `usage` sums all attempts; `answer` is there after `events` ended.
    """

    def __init__(self, state: AgentState, host: Host, rig: Rig, recorder: Recorder) -> None:
        self._state = state
        self._host = host
        self._rig = rig
        self._recorder = recorder
        self.usage = Usage()
        self._answer: AssistantTurn | None = None

    @property
    def answer(self) -> AssistantTurn:
        assert self._answer is not None, "read after events() ended"
        return self._answer

    async def events(self) -> AsyncGenerator[Event]:
        """Stream the answer. What an attempt that failed had streamed is void once `Retrying` comes."""
        attempt, patience = 1, _Patience(self._state.patience)
        while True:
            failure: ProviderError | None = None
            async with self._host.calling(self._request(patience.factor)) as request:
                call = self._rig.provider.stream(request)
                try:
                    async with call, _closed(call) as events:
                        async for event in events:
                            yield event
                except ProviderError as error:
                    failure = error
                    delay = self._rig.retry.delay(error, attempt)
                    report = await settled(self._book(call, type(error).__name__, keep=delay is None))
                except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
                    await settled(self._book(call, "cancelled", keep=True))
                    raise
                except BaseException as error:
                    await settled(self._book(call, type(error).__name__, keep=True))
                    raise
                else:
                    report = await settled(self._book(call, "ok", keep=True))
            yield CallFinished(report)
            if failure is None:
                self._state.patience = patience.kept(report.time_to_first_token)
                return
            if delay is None:
                raise failure
            attempt += 1
            void = report.time_to_first_token is not None
            yield Retrying(delay, failure.cause, attempt, self._rig.retry.attempts, void)
            await asyncio.sleep(delay)
            if isinstance(failure, Stalled):
                patience.stalled(report.duration)

    def _request(self, patience: float) -> Request:
        """The request to send now, but for what the host has to say of it."""
        request = self._state.request(self._rig.prefix)
        most = self._rig.answer_tokens if self._rig.purpose == "main" else None
        return replace(request, patience=patience, max_output_tokens=most)

    async def _book(self, call: Call, outcome: str, *, keep: bool) -> CallReport:
        """Record the call, then (with `keep`) the message it made."""
        turn = call.turn
        report = CallReport.of(call, self._rig.prefix, self._rig.purpose, outcome)
        self.usage += report.usage
        await self._recorder.book(report)
        if turn is None or not keep:
            self._answer = _nothing(call, report.model)
            return report
        self._answer = replace(turn, message=_with_own_ids(turn.message, self._state.messages))
        if self._answer.message.blocks:
            await self._recorder.add(self._answer.message, call.id)
        return report


class SideCall(ModelCall):
    """A call beside the conversation on the same prefix: neither what it sends nor its answer joins it."""

    def __init__(
        self,
        state: AgentState,
        host: Host,
        rig: Rig,
        recorder: Recorder,
        sent: tuple[Message, ...],
        most: int,
    ) -> None:
        """`sent` are its messages; its answer may have `most` tokens."""
        super().__init__(state, host, rig, recorder)
        self._sent = sent
        self._most = most

    def _request(self, patience: float) -> Request:
        ended = self._state.previous_end
        return Request(
            prefix=self._rig.prefix,
            messages=self._sent,
            previous_end=ended if ended in {message.id for message in self._sent} else None,
            patience=patience,
            max_output_tokens=self._most,
        )

    async def _book(self, call: Call, outcome: str, *, keep: bool) -> CallReport:
        report = CallReport.of(call, self._rig.prefix, "compaction", outcome)
        self.usage += report.usage
        await self._recorder.book_aside(report, self._sent)
        self._answer = call.turn or _nothing(call, report.model)
        return report


@asynccontextmanager
async def _closed(call: Call) -> AsyncIterator[AsyncIterator[StreamEvent]]:
    """The call's events. An iterator that is left half way ends its work here, before the call is booked."""
    events = aiter(call)
    try:
        yield events
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


def _nothing(call: Call, model: str) -> AssistantTurn:
    """The answer of a call that gave none."""
    return AssistantTurn(
        message=Message("", "assistant", ()),
        usage=call.usage,
        stop_reason=StopReason.INTERRUPTED,
        model=model,
        call_id=call.id,
        raw_usage=call.raw_usage,
    )


def _with_own_ids(answer: Message, before: Sequence[Message]) -> Message:
    """The answer with an id for each tool call that no other call of the conversation has.

    Providers are asked for that, but a result finds its call by nothing else.
    """
    taken = {call.id for message in before for call in message.tool_calls}
    blocks: list[Block] = []
    for block in answer.blocks:
        if isinstance(block, ToolCall):
            if not block.id or block.id in taken:
                block = replace(block, id=new_id("tool"))
            taken.add(block.id)
        blocks.append(block)
    return replace(answer, blocks=tuple(blocks))


@dataclass(slots=True)
class _Patience:
    """How long the endpoint may be silent: twice as long after each stall of this call.

    An endpoint that merely thinks long before its first word would else be paid for each thought twice.
    """

    usual: float
    """What the call began with, in times of an endpoint's own."""
    stalls: int = 0
    given_up_after: float = inf
    """Seconds that the shortest stalled attempt was given."""

    @property
    def factor(self) -> float:
        return float(self.usual * 2**self.stalls)

    def stalled(self, after: float) -> None:
        """An attempt was given up after so many seconds."""
        self.stalls += 1
        self.given_up_after = min(self.given_up_after, after)

    def kept(self, first_token: float | None) -> float:
        """The patience to begin the next call with, now that this one's first token took so many seconds.

        One that took longer than a stalled attempt was given shows a slow endpoint; any other, that it had
        hung and was mended.
        """
        slow = first_token is not None and first_token > self.given_up_after
        return self.factor if slow else self.usual
