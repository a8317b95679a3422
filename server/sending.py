"""Sends answers: one JSON object, or a stream of events."""

from __future__ import annotations

import json

from starlette.types import Send

from providers.types import JSON

STREAM = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no"))
"""The headers of a stream; the second tells proxies not to hold it back."""


async def begin_stream(send: Send, headers: dict[str, str]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [*STREAM, *_raw(headers)]})


async def send_body(send: Send, data: bytes, *, more: bool = True) -> None:
    """Send a piece of the body; the last one with `more=False`."""
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def send_object(
    send: Send, status: int, body: dict[str, JSON], headers: dict[str, str] | None = None
) -> None:
    """Answer with one JSON object."""
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    named = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
    await send({"type": "http.response.start", "status": status, "headers": _raw(named)})
    await send_body(send, data, more=False)


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
