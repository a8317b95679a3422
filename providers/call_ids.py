"""Puts ids of tool calls into the form that a strict endpoint takes: other models' ids have another one.

An id that fits goes out as it is. One that doesn't becomes a piece of its own hash, the same wherever the
conversation names it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TypeAlias

from providers.types import Request

CallId: TypeAlias = Callable[[str], str]

AT_MOST_40, NINE_LETTERS = "short_call_ids", "nine_letter_call_ids"
"""Quirks: OpenAI takes at most 40 characters, Mistral exactly nine letters and digits."""


def taken_ids(request: Request) -> frozenset[str]:
    """The tool call ids that the conversation already uses."""
    return frozenset(call.id for message in request.messages for call in message.tool_calls)


def call_id_form(quirks: frozenset[str]) -> CallId:
    """What makes an id fit an endpoint with these quirks."""
    if NINE_LETTERS in quirks:
        return _nine_letters
    return _at_most_40 if AT_MOST_40 in quirks else str


def _nine_letters(call_id: str) -> str:
    return call_id if re.fullmatch(r"[a-zA-Z0-9]{9}", call_id) else _hash(call_id)[:9]


def _at_most_40(call_id: str) -> str:
    return call_id if len(call_id) <= 40 else _hash(call_id)[:40]


def _hash(call_id: str) -> str:
    return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()
