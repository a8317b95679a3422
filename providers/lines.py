"""Cuts a streamed body into lines and server-sent events, at line feeds only.

An HTTP client's own line iterator also cuts at U+0085, U+2028 and other characters that JSON text may hold
as they are.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from providers.types import JSON, JSONObject

DONE = "[DONE]"
"""The data of the event that ends an OpenAI-shaped stream."""


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a body that comes in chunks, without their ends; a last one without an end too."""
    async for line, _ in _cut(chunks):
        yield line


async def json_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[JSONObject]:
    """The JSON objects of a body that has one on each line. Raises ValueError for a line that is none.

    A last line without an end counts if it is whole: otherwise the body broke off inside it.
    """
    async for line, ended in _cut(chunks):
        if line.strip() and (ended or _whole(line)):
            yield json_object(line)


async def _cut(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[bytes, bool]]:
    """Each line, and whether it had an end."""
    pending: list[bytes] = []
    async for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        pending.append(first)
        for part in rest:
            yield b"".join(pending).removesuffix(b"\r"), True
            pending = [part]
    if last := b"".join(pending):
        yield last.removesuffix(b"\r"), False


@dataclass(frozen=True, slots=True)
class SentEvent:
    """One server-sent event: the name it was given, "" where it has none, and its data."""

    name: str
    data: str


async def sent_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[SentEvent]:
    """The server-sent events of a body; comments and ids are dropped.

    An `error:` line, with which older llama.cpp servers tell a failure, counts as an event of its own. The
    event before the stream's end need not be closed by an empty line, as long as it came whole.
    """
    name, data = "", list[str]()
    async for line in lines(chunks):
        field, _, value = line.decode("utf-8").partition(":")
        match field:
            case "" if not line:
                if name or data:
                    yield SentEvent(name, "\n".join(data))
                name, data = "", []
            case "data":
                data.append(value.removeprefix(" "))
            case "event":
                name = value.strip()
            case "error":
                yield SentEvent("error", f'{{"error":{value}}}')
    last = "\n".join(data)
    if last == DONE or _whole(last):
        yield SentEvent(name, last)


async def event_data(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The data of each server-sent event that has any."""
    async for sent in sent_events(chunks):
        if sent.data:
            yield sent.data


def json_object(text: str | bytes) -> JSONObject:
    """The JSON object that `text` is. Raises ValueError."""
    try:
        value: JSON = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"a JSON {type(value).__name__} where an object was expected")
    return value


def _whole(text: str | bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
