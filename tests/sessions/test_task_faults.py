"""Sub-agents on a third party's provider that breaks its word: whatever it does, the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.events import TurnFinished
from providers.call import Accumulator, Call, StreamedCall
from providers.provider import Provider
from providers.registry import open_provider
from providers.scripted import ScriptedAccumulator
from providers.types import JSONObject, Message, Origin, Request, StreamEvent, TextDelta, Usage
from sessions import begin
from sessions.records import MAIN
from sessions.session import Session
from sessions.setup import Limits, Setup
from tests.support.hosting import results
from tests.support.script import say, script, use
from tests.support.setups import setup

LIMITED = pytest.mark.parametrize("limits", [Limits(), Limits(max_turns=50)], ids=["unlimited", "limited"])


class Bug(Exception):
    """What no provider may raise."""


class Foreign(Provider):
    """Plays a script, but where `fault` makes another call of a request."""

    encoder = "scripted/1"

    def __init__(self, inner: Provider, fault: Callable[[Request], Call | None]) -> None:
        self.name = inner.name
        self._inner = inner
        self._fault = fault

    def stream(self, request: Request) -> Call:
        return self._fault(request) or self._inner.stream(request)


def broken(request: Request, opened: Callable[[], AsyncIterator[AsyncIterator[JSONObject]]]) -> Call:
    """A call that breaks while it is entered."""
    return StreamedCall(request, asynccontextmanager(opened), answer_to(request))


def answer_to(request: Request) -> Accumulator:
    return ScriptedAccumulator(Origin("scripted", "", request.prefix.model.name))


def asked(request: Request) -> str:
    """The job's prompt, or the person's."""
    return next(message for message in request.messages[::-1] if message.role == "user").text


def foreign(folder: Path, fault: Callable[[Request], Call | None], **more: Any) -> Setup:
    home = folder / "home"
    return setup(
        folder,
        providers=lambda name, encoder="": Foreign(open_provider(name, {}, {}, home, encoder=encoder), fault),
        **more,
    )


def job(name: str) -> tuple[str, dict[str, Any]]:
    return ("task", {"description": f"the {name}", "prompt": f"job {name}"})


NAMES = ("one", "two", "three", "four", "five", "six")
FINE = {f"job {name}": [say(f"{name} is fine")] for name in NAMES}


async def told(session: Session, prompt: str) -> list[str]:
    """What the tasks of a turn came to."""
    async with asyncio.timeout(120):  # who waits for ever shall not do so here
        finished = [event async for event in session.turn(prompt) if isinstance(event, TurnFinished)]
    assert len(finished) == 1
    return [result.text for result in results(since(session.state.messages, prompt))]


def since(messages: list[Message], prompt: str) -> list[Message]:
    start = max(place for place, message in enumerate(messages) if message.text.endswith(prompt))
    return messages[start:]


def raising(request: Request) -> Call | None:
    if asked(request) in ("job one", "job two"):
        raise Bug("stream() must not raise")
    return None


def raising_on_entry(request: Request) -> Call | None:
    async def opened() -> AsyncIterator[AsyncIterator[JSONObject]]:
        raise Bug("entering raises only ProviderError")
        yield  # a generator

    return broken(request, opened) if asked(request) in ("job one", "job two") else None


class Unbillable(StreamedCall):
    """A call that was answered, but can't say what it came to."""

    @property
    def usage(self) -> Usage:
        raise Bug("nothing was counted")


def unbookable(request: Request) -> Call | None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncIterator[JSONObject]]:
        async def events() -> AsyncIterator[JSONObject]:
            yield {"text": "words"}
            yield {"usage": {}, "stop_reason": "end_turn"}

        yield events()

    if asked(request) not in ("job one", "job two"):
        return None
    return Unbillable(request, opened, answer_to(request))


@LIMITED
@pytest.mark.parametrize("fault", [raising, raising_on_entry, unbookable])
async def test_a_task_whose_call_breaks_its_word_fails_alone(
    tmp_path: Path, fault: Callable[[Request], Call | None], limits: Limits
) -> None:
    model = script(tmp_path, use(*map(job, NAMES)), say("Done."), say("Again."), tasks=FINE)
    session = await begin.start(foreign(tmp_path, fault, limits=limits), model)
    one, two, *others = await told(session, "go")
    await session.close()
    assert "Bug" in one
    assert "Bug" in two
    assert others == [f"{name} is fine" for name in NAMES[2:]]


class Hanging:
    """The calls of the jobs named wait while they are entered, until they are cancelled."""

    def __init__(self, *jobs: str) -> None:
        self.waiting = asyncio.Event()
        self._jobs = {f"job {name}" for name in jobs}

    def __call__(self, request: Request) -> Call | None:
        async def opened() -> AsyncIterator[AsyncIterator[JSONObject]]:
            self.waiting.set()
            await asyncio.Event().wait()
            yield  # a generator

        return broken(request, opened) if asked(request) in self._jobs else None


@LIMITED
async def test_a_turn_that_is_stopped_while_a_tasks_call_is_entered_leaves_the_next_one_free(
    tmp_path: Path, limits: Limits
) -> None:
    hanging = Hanging("one")
    steps = (use(*map(job, NAMES)), use(job("two"), job("three")), say("Done."))
    session = await begin.start(
        foreign(tmp_path, hanging, limits=limits), script(tmp_path, *steps, tasks=FINE)
    )
    turn = asyncio.create_task(told(session, "go"))
    await hanging.waiting.wait()
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert await told(session, "on") == ["two is fine", "three is fine"]
    await session.close()
    stopped = [call for call in session.calls if call.outcome == "cancelled"]
    assert len(stopped) == 1
    assert stopped[0].lane != MAIN


class Counting(StreamedCall):
    """A call that knows what it came to only once its iterator is closed."""

    counted = Usage()

    async def __aiter__(self) -> AsyncIterator[StreamEvent]:
        try:
            async for event in super().__aiter__():
                yield event
        finally:
            self.counted = Usage(input_tokens=77)

    @property
    def usage(self) -> Usage:
        return self.counted


async def test_an_answer_that_is_left_half_way_is_closed_before_it_is_booked(tmp_path: Path) -> None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncIterator[JSONObject]]:
        async def events() -> AsyncIterator[JSONObject]:
            yield {"text": "words"}
            await asyncio.Event().wait()

        yield events()

    def fault(request: Request) -> Call:
        return Counting(request, opened, answer_to(request))

    session = await begin.start(foreign(tmp_path, fault), script(tmp_path, say("never")))
    async with aclosing(session.turn("go")) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    await session.close()
    assert [call.usage.input_tokens for call in session.calls] == [77]


async def test_a_task_that_fails_before_its_call_is_booked_books_nothing(tmp_path: Path) -> None:
    model = script(tmp_path, use(job("one")), say("Done."), tasks=FINE)
    session = await begin.start(foreign(tmp_path, raising), model)
    await told(session, "go")
    await session.close()
    assert [call.purpose for call in session.calls] == ["main", "main"]
