"""Model calls for tests: short requests, and what a call came to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from providers.call import Call
from providers.errors import CachetError
from providers.provider import Provider
from providers.types import (
    AssistantTurn,
    Block,
    Message,
    ModelRef,
    Parameters,
    Prefix,
    Request,
    Role,
    StreamEvent,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    canonical,
)

SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "edits": {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
    },
    "required": ["path"],
    "additionalProperties": False,
}
TOOL = ToolSpec("list_files", "List a folder.", canonical(SCHEMA))


def message(role: Role, *blocks: Block | str, id: str = "m") -> Message:
    return Message(id, role, tuple(Text(block) if isinstance(block, str) else block for block in blocks))


def called(call_id: str, name: str = "list_files", arguments: str = '{"path":"/srv"}') -> Message:
    return message("assistant", ToolCall(call_id, name, arguments))


def result(call_id: str, text: str = "a.py", **fields: Any) -> Message:
    return message("tool", ToolResult(call_id, "list_files", text, **fields))


def request(
    model: str | ModelRef,
    *messages: Message,
    tools: Iterable[ToolSpec] = (),
    system: str = "Be brief.",
    encoder: str = "",
    **parameters: Any,
) -> Request:
    """A request to a model; without messages, a person says hello."""
    prefix = Prefix(
        model=ModelRef.parse(model) if isinstance(model, str) else model,
        system=system,
        tools=tuple(tools),
        parameters=Parameters(**parameters),
        encoder=encoder,
        affinity_key="session-1",
    )
    return Request(prefix=prefix, messages=messages or (message("user", "hello"),))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call that is over: its events in order, and the error it ended with."""

    call: Call
    events: list[StreamEvent]
    error: CachetError | None

    @property
    def text(self) -> str:
        assert self.call.turn is not None
        return self.call.turn.message.text

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        assert self.call.turn is not None
        return self.call.turn.message.tool_calls

    @property
    def stop_reason(self) -> str:
        assert self.call.turn is not None
        return self.call.turn.stop_reason


async def played(provider: Provider, asked: Request) -> Outcome:
    """Make a call to its end, whatever end that is."""
    call = provider.stream(asked)
    events: list[StreamEvent] = []
    try:
        async with call:
            async for event in call:
                events.append(event)
    except CachetError as error:
        return Outcome(call, events, error)
    return Outcome(call, events, None)


async def cancelled(call: Call, after: type = object) -> AssistantTurn:
    """What is left of a call that is cancelled once an event of this kind came."""
    came = asyncio.Event()

    async def listen() -> None:
        async with call:
            async for event in call:
                if isinstance(event, after):
                    came.set()

    listening = asyncio.create_task(listen())
    await came.wait()
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening
    assert listening.cancelled()
    assert call.turn is not None
    return call.turn
