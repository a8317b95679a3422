"""One answer of the model: the request, its retries, and the booking of every attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from agent.events import CallFinished, Event, Retrying
from agent.host import CallMade, CallReport, Host, MessageAdded
from agent.rig import Rig
from agent.state import AgentState
from providers.call import Call
from providers.errors import ProviderError
from providers.types import AssistantTurn, Message, Request, StopReason, Usage


class ModelCall:
    """Makes the call, again where that is safe.

    `usage` sums all attempts; `answer` is there after `events` ended.
    """

    def __init__(self, state: AgentState, host: Host, rig: Rig) -> None:
        self._state = state
        self._host = host
        self._rig = rig
        self.usage = Usage()
        self._answer: AssistantTurn | None = None

    @property
    def answer(self) -> AssistantTurn:
        assert self._answer is not None, "read after events() ended"
        return self._answer

    async def events(self) -> AsyncGenerator[Event]:
        """Stream the answer. What an attempt that failed had streamed is void once `Retrying` comes."""
        attempt = 1
        while True:
            await self._host.before_call()
            request = Request(
                prefix=self._rig.prefix,
                messages=tuple(self._state.messages),
                previous_end=self._state.previous_end,
            )
            call = self._rig.provider.stream(request)
            failure: ProviderError | None = None
            try:
                async with call:
                    async for event in call:
                        yield event
            except ProviderError as error:
                failure = error
                delay = self._rig.retry.delay(error, attempt)
                report = await self._book(call, type(error).__name__, keep=delay is None)
            except BaseException:
                await asyncio.shield(self._book(call, "cancelled", keep=True))
                raise
            else:
                report = await self._book(call, "ok", keep=True)
            yield CallFinished(report)
            if failure is None:
                return
            if delay is None:
                raise failure
            yield Retrying(delay, _cause(failure), attempt + 1, self._rig.retry.attempts)
            await asyncio.sleep(delay)
            attempt += 1

    async def _book(self, call: Call, outcome: str, *, keep: bool) -> CallReport:
        """Record the call, then (with `keep`) the message it made."""
        turn = call.turn
        report = CallReport(
            id=call.id,
            purpose=self._rig.purpose,
            model=turn.model if turn else self._rig.prefix.model.name,
            usage=call.usage,
            raw_usage=call.raw_usage,
            estimated=call.estimated,
            started=call.started,
            duration=call.duration,
            time_to_first_token=call.time_to_first_token,
            stop_reason=turn.stop_reason if turn else None,
            outcome=outcome,
        )
        self._state.add(call.usage)
        self.usage += call.usage
        await self._host.record(CallMade(report))
        if call.time_to_first_token is not None and self._state.messages:
            self._state.previous_end = self._state.messages[-1].id
        if turn is None or not keep:
            self._answer = AssistantTurn(
                message=Message("", "assistant", ()),
                usage=call.usage,
                stop_reason=StopReason.INTERRUPTED,
                model=report.model,
                call_id=call.id,
                raw_usage=call.raw_usage,
            )
            return report
        self._answer = turn
        if turn.message.blocks:
            self._state.messages.append(turn.message)
            await self._host.record(MessageAdded(turn.message, call.id))
        return report


def _cause(failure: ProviderError) -> str:
    """What a person reads beside the countdown: the status where there is one."""
    return str(failure.status) if failure.status else type(failure).__name__
