"""Asks Anthropic's Messages API why its cache missed, and keeps what it answers beside the usage.

A request names an earlier answer; the API compares what both requests sent and says where they part
(Anthropic's documentation, "Cache diagnostics"). It knows only of requests that ask, so each one does, the
first with nothing to compare. The question is no part of the prompt, nor of what a cache is looked up by as
the documentation of prompt caching tells it: it may differ from call to call.
"""

from __future__ import annotations

import re
from typing import Any

from providers.types import JSONObject, Request

FIELD = "diagnostics"
"""In the request, in the answer's first event, and in the raw usage."""
RESPONSE = "response_id"
"""In the raw usage: the endpoint's own name for the answer."""

_UNKNOWN_FIELD = re.compile(r"\b(extra|unknown|unrecogni[sz]ed|unexpected|additional propert)", re.IGNORECASE)


def question(request: Request, left_out: frozenset[str]) -> dict[str, Any]:
    """The field that asks; nothing for a model or an endpoint that refused it."""
    return {} if FIELD in left_out else {FIELD: {"previous_message_id": request.compared_with}}


def refused(status: int, message: str, left_out: frozenset[str], *, own: bool) -> bool:
    """Whether a refusal is about the question. Another vendor's endpoint (not `own`) need not name it."""
    if status not in (400, 422) or FIELD in left_out:
        return False
    if FIELD in message or "previous_message_id" in message:
        return True
    return not own and not message.startswith("messages") and bool(_UNKNOWN_FIELD.search(message))


def told(message: JSONObject) -> JSONObject:
    """What the first event of an answer tells beside its usage: its id, and why the cache missed."""
    found = {RESPONSE: message.get("id"), FIELD: message.get(FIELD)}
    return {name: value for name, value in found.items() if value}
