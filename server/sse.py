"""Server-sent events: the bytes of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from providers.types import JSON

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment: it shows every proxy on the way that somebody is still there, and no client reads it."""

DONE = b"data: [DONE]\n\n"

_BREAKS = {ord(mark): f"\\u{ord(mark):04x}" for mark in "\x85\u2028\u2029"}
"""What Unicode calls a line's end and JSON lets stand: some readers split lines there."""


def frames(objects: Iterable[Mapping[str, JSON]], *, named: bool) -> bytes:
    """Each object as one event; `named` puts its `type` into the event's name."""
    return b"".join(_frame(each, named) for each in objects)


def _frame(value: Mapping[str, JSON], named: bool) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    data = (text if text.isascii() else text.translate(_BREAKS)).encode("utf-8", "replace")
    name = f"event: {value['type']}\n".encode() if named else b""
    return b"%sdata: %s\n\n" % (name, data)
