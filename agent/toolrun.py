"""Running the tool calls of one answer: in order, side by side where they only read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from agent.crew import Crew
from agent.events import Event, ToolFinished, ToolOutput, ToolStarted
from agent.harmless import harmless
from agent.host import Host
from agent.recording import Recorder
from agent.rig import Rig
from agent.tools.contract import Arguments, BadArguments, Delegate, Intent, Job, Outcome, Tool, ToolContext
from providers.call import new_id
from providers.errors import BudgetReached, ConfigurationError
from providers.types import Message, ToolCall, ToolResult

MOVED = "While this waited for permission, its path came to lead somewhere else. Look again, then repeat it."


@dataclass(frozen=True, slots=True)
class Ready:
    """A call that is understood, not yet permitted."""

    call: ToolCall
    tool: Tool
    arguments: Arguments
    intent: Intent
    places: tuple[Path, ...]
    """Where the intent's paths lead, which is what is permitted."""

    def moved(self) -> bool:
        """Whether a link was put in the way since: a question may stand for hours, and others work here."""
        return self.places != places(self.intent)


@dataclass(frozen=True, slots=True)
class Unready:
    """A call that can't run, and what the model is told."""

    call: ToolCall
    reason: str


class ToolRun:
    """Answers every call of one message; left before its end, it leaves the rest for the loop to answer."""

    def __init__(
        self,
        host: Host,
        rig: Rig,
        recorder: Recorder,
        calls: tuple[ToolCall, ...],
        crew: Crew | None = None,
    ) -> None:
        """`crew` are the sub-agents that tools may have do a job."""
        self._host = host
        self._rig = rig
        self._recorder = recorder
        self._calls = calls
        self._crew = crew

    async def events(self) -> AsyncGenerator[Event]:
        for batch in _batches(self._calls, self._prepare):
            async with aclosing(self._run_batch(batch)) as events:
                async for event in events:
                    yield event

    def _prepare(self, call: ToolCall) -> Ready | Unready:
        tool = self._rig.toolbox.find(call.name)
        if tool is None:
            return Unready(call, f"The tool {call.name!r} is no longer available.")
        try:
            arguments = call.arguments()
            intent = tool.intend(arguments, self._rig.workspace)
            return Ready(call, tool, arguments, intent, places(intent))
        except BadArguments as error:
            return Unready(call, str(error))
        except (ValueError, OSError) as error:
            return Unready(call, f"The arguments of {call.name} can't be used: {error}")

    async def _run_batch(self, batch: tuple[Ready | Unready, ...]) -> AsyncGenerator[Event]:
        """Permit one after the other, run side by side, and pass on what they tell."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        tasks: list[asyncio.Task[None]] = []
        try:
            for item in batch:
                if isinstance(item, Unready):
                    yield await self._finish(
                        item.call, Outcome(text=item.reason, display=item.reason, is_error=True)
                    )
                    continue
                verdict = await self._host.permit(item.call, item.intent)
                if not verdict.allowed:
                    yield await self._finish(
                        item.call, Outcome(text=verdict.reason, display=verdict.reason, is_error=True)
                    )
                    continue
                if item.intent.access != "read":
                    await self._host.before_tool(item.call, item.intent)
                if item.moved():
                    yield await self._finish(item.call, Outcome(text=MOVED, display=MOVED, is_error=True))
                    continue
                yield ToolStarted(item.call, harmless(item.intent.summary))
                tasks.append(asyncio.create_task(self._run_one(item, queue)))
            running = len(tasks)
            while running:
                event = await queue.get()
                if event is None:
                    running -= 1
                else:
                    yield event
            for task in tasks:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_one(self, item: Ready, queue: asyncio.Queue[Event | None]) -> None:
        def emit(text: str) -> None:
            queue.put_nowait(ToolOutput(item.call.id, self._host.redact(harmless(text))))

        context = ToolContext(
            workspace=self._rig.workspace,
            environment=self._rig.environment,
            scratch=self._rig.scratch,
            seen=self._rig.seen,
            emit=emit,
            delegate=self._delegate(item.call, emit, queue.put_nowait),
        )
        try:
            try:
                outcome = await item.tool.run(item.arguments, context)
            except (BudgetReached, ConfigurationError):
                raise  # a sub-agent's call that must not be made ends the turn, as the turn's own would
            except BadArguments as error:
                outcome = Outcome(text=str(error), display=str(error), is_error=True)
            except Exception as error:  # a tool's fault is the model's to read, not the turn's end
                text = f"{item.call.name} failed: {type(error).__name__}: {error}"
                outcome = Outcome(text=text, display=text, is_error=True)
            queue.put_nowait(await self._finish(item.call, outcome))
        finally:
            queue.put_nowait(None)

    def _delegate(
        self, call: ToolCall, emit: Callable[[str], None], booked: Callable[[Event], None]
    ) -> Delegate | None:
        crew = self._crew
        if crew is None:
            return None

        async def delegate(job: Job) -> Outcome:
            return await crew.work(call, job, emit, booked)

        return delegate

    async def _finish(self, call: ToolCall, outcome: Outcome) -> ToolFinished:
        """Record the result, without secrets and control sequences, and tell it."""
        result = ToolResult(
            call_id=call.id,
            name=call.name,
            text=self._host.redact(harmless(outcome.text)),
            is_error=outcome.is_error,
            images=outcome.images,
        )
        await self._recorder.add(Message(new_id("msg"), "tool", (result,)))
        return ToolFinished(call, result.text, self._host.redact(harmless(outcome.display)), outcome.is_error)


def places(intent: Intent) -> tuple[Path, ...]:
    return tuple(path.resolve() for path in intent.paths)


def _batches(
    calls: Iterable[ToolCall], prepare: Callable[[ToolCall], Ready | Unready]
) -> Iterator[tuple[Ready | Unready, ...]]:
    """Runs of calls that only read, and each other call by itself.

    A call is prepared when its turn comes, not before: what an edit intends depends on the file as the call
    before it left it.
    """
    reading: list[Ready | Unready] = []
    for call in calls:
        item = prepare(call)
        if isinstance(item, Ready) and item.intent.access != "read":
            if reading:
                yield tuple(reading)
                reading = []
                item = prepare(call)
            yield (item,)
        else:
            reading.append(item)
    if reading:
        yield tuple(reading)
