"""One turn that the server takes for a client: everything it told, and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent.events import Event, ToolStarted, TurnFinished
from agent.settled import settled
from providers.types import ModelRef, StopReason
from server.asked import Asked
from server.errors import ApiError, api_error
from server.pieces import Pieces
from sessions.records import CallLine
from sessions.session import Session

Status: TypeAlias = Literal["in_progress", "completed", "incomplete", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    status: Status
    reason: str = ""
    """Why an answer is incomplete: `max_output_tokens` or `content_filter`."""
    error: ApiError | None = None
    """Why it failed."""


_INCOMPLETE = {
    StopReason.MAX_TOKENS: "max_output_tokens",
    StopReason.CONTEXT_EXCEEDED: "max_output_tokens",
    StopReason.REFUSAL: "content_filter",
}


class Run:
    """A turn of a session, in a task of its own: it goes on when nobody listens, until it is cancelled.

    Every event is kept until the run is forgotten, so that any number of listeners hear all of it, those too
    who come late.
    """

    def __init__(self, id: str, client: str, asked: Asked, session: Session, *, created: float) -> None:
        """`client` is the id of the key it works for, `created` seconds since the epoch."""
        self.id = id
        self.client = client
        self.asked = asked
        self.created = created
        self.session = session
        self.events: list[Event] = []
        self.outcome: Outcome | None = None
        """None while it is at work."""
        self.fault: Exception | None = None
        """What made it fail, as it was raised."""
        self.pieces = Pieces()
        self._calls_before = len(session.calls)
        self._listeners: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self._unwanted = False
        self._because: ApiError | None = None

    @property
    def model(self) -> ModelRef:
        return self.session.model

    @property
    def calls(self) -> Sequence[CallLine]:
        """The model calls that it paid for so far, those of sub-agents too."""
        return self.session.calls[self._calls_before :]

    @property
    def over(self) -> bool:
        return self.outcome is not None

    @property
    def spoke(self) -> bool:
        """Whether there is anything to tell: words, or a tool that was begun."""
        return bool(self.pieces.all) or any(isinstance(event, ToolStarted) for event in self.events)

    @property
    def heard(self) -> bool:
        """Whether anyone listens."""
        return bool(self._listeners)

    async def take(
        self,
        *,
        begin: Callable[[], Coroutine[None, None, None]],
        before_end: Callable[[Outcome], Coroutine[None, None, None]],
    ) -> None:
        """Take the turn to its end, whichever that is: `outcome` tells.

        `begin` is awaited first, and where it fails, so does the run. `before_end` is awaited before anyone
        hears of the end: what it raises is raised here, after everybody has. To stop the run, call `cancel`:
        what was billed by then stays booked.
        """
        self._task = asyncio.current_task()
        outcome = self._stopped() if self._unwanted else await self._turn(begin)
        try:
            with suppress(asyncio.CancelledError):  # it has ended already
                await settled(before_end(outcome))
        finally:
            self.outcome = outcome
            self._wake()

    async def _turn(self, begin: Callable[[], Coroutine[None, None, None]]) -> Outcome:
        finished: TurnFinished | None = None
        try:
            await settled(begin())
            async with aclosing(self.session.turn(self.asked.prompt, self.asked.images)) as events:
                async for event in events:
                    if isinstance(event, TurnFinished):
                        finished = event
                    self._tell(event)
                    await asyncio.sleep(0)  # a provider sends many at once: let the first be heard now
        except asyncio.CancelledError:
            return self._stopped()
        except Exception as error:  # whatever it is, those who listen must hear of it
            self.fault = error
            return Outcome("failed", error=api_error(error))
        return _finished(finished)

    def cancel(self, because: ApiError | None = None) -> None:
        """Stop it; it is over a moment later. One that hasn't begun won't. Asking again changes nothing.

        It counts as cancelled by its client; or as failed, where it is stopped `because` of something else.
        """
        if self._unwanted:
            return  # a second cancellation would tear off what the first one still writes
        self._unwanted, self._because = True, because
        if self._task is not None and not self.over:
            self._task.cancel()

    def _stopped(self) -> Outcome:
        return Outcome("failed", error=self._because) if self._because else Outcome("cancelled")

    def listen(self) -> Listener:
        return Listener(self)

    async def ended(self) -> Outcome:
        """Wait for its end."""
        with self.listen() as listener:
            while self.outcome is None:
                await listener.more(None)
        return self.outcome

    def _tell(self, event: Event) -> None:
        for _ in self.pieces.feed(event):
            pass
        self.events.append(event)
        self._wake()

    def _wake(self) -> None:
        for listener in self._listeners:
            listener.set()


class Listener:
    """Hears everything a run tells, from its beginning."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._heard = 0
        self._news = asyncio.Event()
        self._news.set()

    def __enter__(self) -> Listener:
        self._run._listeners.add(self._news)
        return self

    def __exit__(self, *_: object) -> None:
        self._run._listeners.discard(self._news)

    async def more(self, patience: float | None) -> tuple[Event, ...] | None:
        """What was told since the last time; None once the run is over and all of it was heard.

        After `patience` seconds of silence nothing, as an empty tuple.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._news.wait()
        self._news.clear()
        told = tuple(self._run.events[self._heard :])
        self._heard += len(told)
        if not told and self._run.over:
            self._news.set()  # for whoever asks again
            return None
        if self._run.over:
            self._news.set()
        return told


def _finished(turn: TurnFinished | None) -> Outcome:
    reason = _INCOMPLETE.get(turn.stop_reason, "") if turn else ""
    return Outcome("incomplete", reason) if reason else Outcome("completed")
