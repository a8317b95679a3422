"""Asks OpenAI's Responses API why its cache missed, and keeps what it answers beside the usage.

A request names an earlier response; the API compares the two and says what changed
(`prompt_cache_options.comparison_response_id` in OpenAI's reference of the Responses API). It wants a model
of GPT-5.6 or later and something to compare with, so that a session's first request asks nothing.
"""

from __future__ import annotations

import re
from typing import Any

from providers.openai_faults import WireError
from providers.types import JSONObject, Request

QUIRK = "cache_diagnostics"
"""Of an endpoint that can be asked."""
FIELD = "prompt_cache_options"
"""In the request."""
COMPARED = "comparison_response_id"
DIAGNOSTICS = "prompt_cache_diagnostics"
"""In the answer, and in the raw usage."""
RESPONSE = "response_id"
"""In the raw usage: the endpoint's own name for the answer."""

TOO_OLD = re.compile(r"(?:chatgpt-|gpt-[34]|gpt-5(?:-|$|\.[0-5](?!\d))|o\d|codex-)", re.IGNORECASE)
"""OpenAI's models that refuse the field; of others a refusal is remembered."""


def question(request: Request, quirks: frozenset[str]) -> dict[str, Any]:
    """The field's value; empty where nothing can be asked."""
    asks = QUIRK in quirks and request.compared_with and not TOO_OLD.match(request.prefix.model.name)
    return {COMPARED: request.compared_with} if asks else {}


def refused(body: JSONObject, status: int, said: WireError) -> bool:
    """Whether a refusal is about the question: the field, or the response that it names."""
    if status not in (400, 404, 422) or FIELD not in body:
        return False
    words = f"{said.param} {said.message}"
    return any(name in words for name in (FIELD, COMPARED, body[FIELD][COMPARED]))


def told(response: JSONObject) -> JSONObject:
    """What a response tells beside its usage: its id, and why the cache missed."""
    found = {RESPONSE: response.get("id"), DIAGNOSTICS: response.get(DIAGNOSTICS)}
    return {name: value for name, value in found.items() if value}
