"""One answer of the model: the request, its retries, and the booking of every attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from agent.events import CallFinished, Event, Retrying
from agent.host import CallReport, Host
from agent.recording import Recorder
from agent.rig import Rig
from agent.settled import settled
from agent.state import AgentState
from providers.call import Call, new_id
from providers.errors import ProviderError
from providers.types import AssistantTurn, Block, Message, Request, StopReason, ToolCall, Usage


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
        attempt = 1
        while True:
            request = Request(
                prefix=self._rig.prefix,
                messages=tuple(self._state.messages),
                previous_end=self._state.previous_end,
            )
            limit = await self._host.before_call(request)
            call = self._rig.provider.stream(replace(request, max_output_tokens=limit))
            failure: ProviderError | None = None
            try:
                async with call:
                    async for event in call:
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
            wire=self._rig.prefix.encoder.partition("/")[0],
        )
        self.usage += report.usage
        await self._recorder.book(report)
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
        self._answer = replace(turn, message=_with_own_ids(turn.message, self._state.messages))
        if self._answer.message.blocks:
            await self._recorder.add(self._answer.message, call.id)
        return report


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


def _cause(failure: ProviderError) -> str:
    """What a person reads beside the countdown: the status where there is one."""
    return str(failure.status) if failure.status else type(failure).__name__
