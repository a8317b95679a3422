"""What the families of Bedrock's models take of a Converse request beyond what all of them do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from providers.anthropic_thinking import NOTHING_LEFT_OUT, thinking_fields
from providers.effort import nearest
from providers.types import JSON

PLACES = ("tools", "system", "messages")
"""Where cache points may stand, in the order of the prompt."""

_BUDGETED = re.compile(r"claude-(?:3-7-|(?:opus|sonnet|haiku)-4(?:-[0-5])?(?:-20\d{6}|-v\d|$))")
"""Claude models that think within a budget of tokens; later ones judge for themselves (AWS's guide, "Adaptive
thinking"; those before 3.7 don't think, and refuse to be told to)."""

_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 4096, "high": 8192, "xhigh": 12288, "max": 12288}
LEAST_BUDGET = 1024
"""Tokens. A budget has to leave some of the answer's limit."""

Thinking = Callable[[str, str, int, frozenset[str]], dict[str, Any]]
"""The fields for an effort: `(effort, model, most tokens of any answer, what was refused)`."""


@dataclass(frozen=True, slots=True)
class Family:
    """One maker's models."""

    thinking: Thinking
    points: frozenset[str] = frozenset()
    """Where they take cache points (AWS's guide, "Prompt caching"; what it says is not always so: a place
    that a model refuses is left out from then on)."""
    hour: bool = False
    """Whether a cache point may ask for an hour."""
    tells_errors: bool = False
    """Whether the result of a tool may say that it failed."""


def family_of(model: str) -> Family:
    """The family of a model by its id or ARN. One that an ARN hides is taken for a Claude."""
    if "anthropic." in model or "claude" in model:
        return CLAUDE
    if "amazon.nova" in model:
        return NOVA
    if "openai." in model:
        return OPENAI
    return HIDDEN if re.search(r":(application-inference|provisioned|custom|imported)-", model) else OTHER


def _claude(effort: str, model: str, limit: int, left_out: frozenset[str]) -> dict[str, Any]:
    if not _BUDGETED.search(model):
        return thinking_fields(effort, left_out)
    budget = min(_BUDGETS.get(effort, 0), limit - LEAST_BUDGET)
    if budget < LEAST_BUDGET or "thinking.enabled" in left_out:
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _nova(effort: str, model: str, limit: int, left_out: frozenset[str]) -> dict[str, Any]:
    """Only the second generation thinks."""
    if "nova-2" not in model or effort == "none" or "reasoningConfig" in left_out:
        return {}
    level = nearest(effort, ("low", "medium", "high"))
    return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}


def _openai(effort: str, model: str, limit: int, left_out: frozenset[str]) -> dict[str, Any]:
    if "reasoning_effort" in left_out:
        return {}
    levels = ("low", "medium", "high")
    return {"reasoning_effort": levels[0] if effort == "none" else nearest(effort, levels)}


def _nothing(effort: str, model: str, limit: int, left_out: frozenset[str]) -> dict[str, Any]:
    return {}


def least_limit(fields: Mapping[str, JSON]) -> int:
    """The smallest limit of an answer that goes with these fields, in tokens: more than thinking's budget."""
    budget = fields.get("thinking", {}).get("budget_tokens")
    return budget + LEAST_BUDGET if budget else 0


CLAUDE = Family(_claude, frozenset(PLACES), hour=True, tells_errors=True)
NOVA = Family(_nova, frozenset({"system", "messages"}), tells_errors=True)
OPENAI = Family(_openai)
HIDDEN = Family(_claude, frozenset(PLACES), hour=True)
OTHER = Family(_nothing)


__all__ = ["NOTHING_LEFT_OUT", "PLACES", "Family", "family_of", "least_limit"]
