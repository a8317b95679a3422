"""How a chat completion's request says how hard to think: each endpoint has its own field for it."""

from __future__ import annotations

from providers.effort import LEVELS, Effort, nearest
from providers.types import JSON

FIELD = "reasoning_effort"
EFFORT_FIELDS = (FIELD, "reasoning", "thinking", "chat_template_kwargs")
"""Every field that may say it, the one whose name holds another's first."""

WHERE = "effort:"
OFFERED = "efforts:"
WHERE_OFF = "effort_off:"


def effort_fields(effort: str | None, quirks: frozenset[str]) -> dict[str, JSON]:
    """What a request says of `effort` to an endpoint with these quirks; nothing where it takes none."""
    if not effort:
        return {}
    if effort == Effort.NONE:
        return _off(_named(quirks, WHERE_OFF, otherwise=_named(quirks, WHERE, otherwise=FIELD)))
    said = _named(quirks, OFFERED, otherwise="").split(",")
    offered = [level for level in LEVELS if level in said]
    level = nearest(effort, offered) if offered else effort
    match _named(quirks, WHERE, otherwise=FIELD):
        case "":
            return {}
        case "reasoning":
            return {"reasoning": {"effort": level}}
        case "chat_template_kwargs":
            return {"chat_template_kwargs": {FIELD: level}}
        case field:
            return {field: level}


def _off(where: str) -> dict[str, JSON]:
    """Not to think at all."""
    match where:
        case "":
            return {}
        case "thinking":
            return {"thinking": {"type": "disabled"}}
        case "chat_template_kwargs":
            return {"chat_template_kwargs": {"enable_thinking": False}}
        case "reasoning":
            return {"reasoning": {"effort": Effort.NONE.value}}
        case field:
            return {field: Effort.NONE.value}


def _named(quirks: frozenset[str], prefix: str, *, otherwise: str) -> str:
    """What stands behind `prefix` in the quirk that has it; the first by name: requests must not vary."""
    return next((q.removeprefix(prefix) for q in sorted(quirks) if q.startswith(prefix)), otherwise)
