"""What a request to the Responses API holds, and what it can do without."""

from __future__ import annotations

import re
from collections.abc import Mapping

from providers.effort import LEVELS
from providers.openai_endpoint import Body
from providers.openai_faults import WireError
from providers.openai_responses_diagnosis import FIELD, question, refused
from providers.openai_responses_messages import encode_input, encode_tools
from providers.types import JSON, Origin, Request

ENCRYPTED = "reasoning.encrypted_content"
"""What reasoning comes back as, so that it can be sent again though nothing is stored."""

NO_REASONING = re.compile(r"(?:gpt-(?:3|4)|chatgpt-4)", re.IGNORECASE)
"""OpenAI's models that refuse to be asked for encrypted reasoning; of others the refusal is remembered."""

EFFORT = "reasoning.effort"
OPTIONAL_FIELDS = (
    "include",
    "prompt_cache_key",
    "reasoning.summary",
    EFFORT,
    "reasoning",
    "max_output_tokens",
)
"""Fields that a request can do without, the inner ones first. `store` is none: nothing shall be stored."""

UNKNOWN_EFFORT = re.compile(
    r"unsupported[_ ]value|invalid[_ ](?:enum[_ ])?value|supported values", re.IGNORECASE
)


def request_body(request: Request, origin: Origin, quirks: frozenset[str], left_out: frozenset[str]) -> Body:
    """The request for the model at `origin`, without the optional fields in `left_out`.

    An effort that was refused (`reasoning.effort=max`) gives way to the next below it. The affinity key is
    part of this wire, so `quirks` need not ask for it; `cache_diagnostics` says that the endpoint can be
    asked why its cache missed.
    """
    prefix = request.prefix
    body: Body = {
        "model": prefix.model.name,
        "instructions": prefix.system,
        "tools": encode_tools(prefix.tools),
        "input": encode_input(request.messages, origin=origin),
        "stream": True,
        "store": False,
        "include": [] if NO_REASONING.match(prefix.model.name) else [ENCRYPTED],
        "reasoning": _reasoning(prefix.parameters.effort, left_out),
        "prompt_cache_key": prefix.affinity_key,
        "max_output_tokens": request.output_limit,
        FIELD: question(request, quirks),
    }
    return {name: value for name, value in body.items() if name not in left_out and value not in ("", [], {})}


def _reasoning(effort: str | None, left_out: frozenset[str]) -> dict[str, JSON]:
    """How hard to think, and to tell of it; nothing where the person said nothing."""
    while effort in LEVELS and f"{EFFORT}={effort}" in left_out:
        place = LEVELS.index(effort)
        effort = LEVELS[place - 1] if place else None
    said = {"effort": effort, "summary": "auto" if effort != "none" else None}
    if not effort:
        return {}
    return {name: value for name, value in said.items() if value and f"reasoning.{name}" not in left_out}


def refused_field(body: Mapping[str, JSON], status: int, said: WireError) -> str | None:
    """The optional field of `body` that an endpoint's refusal is about, if it is about one."""
    if refused(body, status, said):
        return FIELD
    if status not in (400, 422):
        return None
    field = next((name for name in OPTIONAL_FIELDS if _has(body, name) and _is_about(said, name)), None)
    if field == EFFORT and UNKNOWN_EFFORT.search(f"{said.kind} {said.message}"):
        return f"{EFFORT}={body['reasoning']['effort']}"
    return field


def _has(body: Mapping[str, JSON], field: str) -> bool:
    outer, _, inner = field.partition(".")
    return outer in body and (not inner or inner in body[outer])


def _is_about(said: WireError, field: str) -> bool:
    """By the parameter it names; where it names none, by its words."""
    if said.param:
        return re.split(r"\[", said.param)[0] == field
    return re.search(rf"(?<![\w.]){re.escape(field)}(?!\w)", said.message) is not None
