"""What a chat completion's request holds, and what it can do without.

`[providers.NAME] quirks` may hold, for this wire (with `-` before it, a vendor's own does not hold):

- `prompt_cache_key`: the endpoint takes OpenAI's name for the session's affinity key
- `affinity:HEADER`: it takes the key in that header
- `max_completion_tokens`: it wants an answer's limit under this name, not `max_tokens`
- `reasoning_content`: it wants a model's reasoning back, with every message that called tools
- `effort:FIELD`: where it takes an effort: `reasoning_effort` (as without a quirk), `reasoning` (an object),
  `chat_template_kwargs`; nowhere, where no field stands behind the colon
- `efforts:LOW,HIGH`: the efforts it knows; another becomes the nearest below
- `effort_off:FIELD`: where `none` is said: as above, or `thinking` (an object)
- `short_call_ids`, `nine_letter_call_ids`: ids of tool calls have at most 40 characters, or are nine letters
  and digits
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from providers.call_ids import call_id_form
from providers.openai_effort import EFFORT_FIELDS, effort_fields
from providers.openai_faults import WireError
from providers.openai_messages import encode_messages, encode_tools
from providers.types import JSON, Origin, Request

OPTIONAL_FIELDS = (
    "stream_options",
    "prompt_cache_key",
    *EFFORT_FIELDS,
    "max_completion_tokens",
    "max_tokens",
)
"""Fields that a request can do without; the provider leaves one out once an endpoint refused it."""


def request_body(
    request: Request, origin: Origin, quirks: frozenset[str], left_out: frozenset[str]
) -> dict[str, Any]:
    """The request for the model at `origin`, without the optional fields in `left_out`.

    Where one name for the answer's limit was refused, the other takes its place.
    """
    prefix, parameters = request.prefix, request.prefix.parameters
    reasoning_of = origin if "reasoning_content" in quirks else None
    messages = encode_messages(
        prefix, request.messages, origin=origin, reasoning_of=reasoning_of, call_id=call_id_form(quirks)
    )
    body: dict[str, Any] = {
        "model": prefix.model.name,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prefix.tools:
        body["tools"] = encode_tools(prefix.tools)
    body |= effort_fields(parameters.effort, quirks)
    if "prompt_cache_key" in quirks and prefix.affinity_key:
        body["prompt_cache_key"] = prefix.affinity_key
    limits = ["max_tokens", "max_completion_tokens"]
    if "max_completion_tokens" in quirks:
        limits.reverse()
    limit = next((name for name in limits if name not in left_out), None)
    if limit:
        body[limit] = request.output_limit
    return {name: value for name, value in body.items() if name not in left_out}


def without_half_characters(body: dict[str, Any]) -> dict[str, Any]:
    """The body with each lone surrogate as `?`: it is not UTF-8, and no session should be stuck on one."""
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    mended: dict[str, Any] = json.loads(text)
    return mended


def affinity_headers(request: Request, quirks: frozenset[str]) -> dict[str, str]:
    """The session's affinity key, in the headers in which the endpoint looks for it."""
    headers = (quirk.removeprefix("affinity:") for quirk in quirks if quirk.startswith("affinity:"))
    return dict.fromkeys(headers, request.prefix.affinity_key)


def optional_field(body: Mapping[str, JSON], status: int, said: WireError) -> str | None:
    """The optional field of `body` that an endpoint's refusal is about, if it is about one."""
    if status not in (400, 422):
        return None
    present = (field for field in OPTIONAL_FIELDS if field in body)
    return next((field for field in present if said.names(field) or said.names(_camel(field))), None)


def _camel(field: str) -> str:
    """The name as xAI writes it in its refusals: `reasoningEffort`."""
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)
