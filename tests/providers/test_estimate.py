"""What a call is booked at whose wire never told what it billed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from providers.call import StreamedCall
from providers.errors import KeyRefused
from providers.scripted import ScriptedAccumulator
from providers.types import Image, JSONObject, Message, ModelRef, Origin, Prefix, Request, Text

REQUEST = Request(
    prefix=Prefix(model=ModelRef("p", "m"), system="s" * 400, tools=(), encoder="p/1", affinity_key="k"),
    messages=(Message("m1", "user", (Text("t" * 400),)),),
)


def call(
    *events: JSONObject, request: Request = REQUEST, refused: bool = False, taken: bool = True
) -> StreamedCall:
    """A call whose events come, and after which nothing more does."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[AsyncIterator[JSONObject]]:
        if refused:
            raise KeyRefused("no", status=401)
        if not taken:
            await asyncio.Event().wait()

        async def stream() -> AsyncIterator[JSONObject]:
            for event in events:
                yield event
            await asyncio.Event().wait()

        yield stream()

    return StreamedCall(request, connect, ScriptedAccumulator(Origin("scripted", "", "")))


async def left(made: StreamedCall, *, after: int) -> StreamedCall:
    """The call, cancelled after so many events."""
    heard: list[Any] = []

    async def listen() -> None:
        async with made:
            async for event in made:
                heard.append(event)

    task = asyncio.create_task(listen())
    for _ in range(5 + after):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert len(heard) == after
    return made


async def test_reasoning_and_unfinished_tool_calls_are_estimated_too() -> None:
    made = await left(
        call({"thinking": "x" * 80}, {"id": "c", "name": "read"}, {"id": "c", "arguments": "y" * 36}), after=3
    )
    assert made.estimated
    assert made.usage.output_tokens == (80 + 4 + 36) // 4


async def test_a_call_left_before_its_first_token_is_estimated_at_its_prompt() -> None:
    made = await left(call(), after=0)
    assert made.estimated
    assert (made.usage.input_tokens, made.usage.output_tokens) == (200, 0)


async def test_a_request_that_was_not_taken_yet_is_booked_as_nothing() -> None:
    made = await left(call(taken=False), after=0)
    assert not made.estimated
    assert made.usage.total_tokens == 0


async def test_a_refused_request_is_booked_as_nothing() -> None:
    made = call(refused=True)
    with pytest.raises(KeyRefused):
        async with made:
            pass
    assert not made.estimated
    assert made.usage.total_tokens == 0


async def test_an_image_counts_for_about_what_it_costs() -> None:
    shown = Request(
        prefix=REQUEST.prefix,
        messages=(Message("m1", "user", (Image("image/png", "aGk="), Text("t" * 400))),),
    )
    made = await left(call(request=shown), after=0)
    assert made.usage.input_tokens == 1_700
