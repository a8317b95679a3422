"""What a request to Anthropic's Messages API says of thinking, and how an endpoint refuses to hear it.

An effort goes into `output_config.effort`, and `thinking` says that the model shall think as it sees fit
(`adaptive`; several models think only when told so) and that a summary may be read; `none` turns it off
(Anthropic's documentation of thinking and of effort). Models differ in what they take and refuse the rest
with a 400, so what one refused is left out from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.effort import nearest
from providers.types import JSON

LEVELS = ("low", "medium", "high", "xhigh", "max")

NOTHING_LEFT_OUT: frozenset[str] = frozenset()


def thinking_fields(effort: str | None, left_out: frozenset[str] = NOTHING_LEFT_OUT) -> dict[str, Any]:
    """The request's fields for an effort, without those in `left_out` (as `refused` names them).

    A model that cannot do without thinking is asked for as little of it as there is.
    """
    if not effort:
        return {}
    if effort == "none" and "thinking.disabled" not in left_out:
        return {"thinking": {"type": "disabled"}}
    fields: dict[str, Any] = {}
    if effort != "none" and "thinking.adaptive" not in left_out:
        shown = {} if "thinking.display" in left_out else {"display": "summarized"}
        fields["thinking"] = {"type": "adaptive", **shown}
    if "output_config.effort" not in left_out:
        fields["output_config"] = {"effort": LEVELS[0] if effort == "none" else nearest(effort, LEVELS)}
    return fields


def refused(fields: Mapping[str, JSON], status: int, message: str) -> str | None:
    """Which of these fields a refusal is about; None where it is about something else.

    `This model does not support the effort parameter.` · `adaptive thinking is not supported on this model` ·
    `"thinking.type.disabled" is not supported for this model.`
    """
    if status not in (400, 422) or message.startswith("messages"):  # a block of the conversation
        return None
    thinking = fields.get("thinking")
    if thinking is not None and "display" in thinking and "display" in message:
        return "thinking.display"
    if thinking is not None and "thinking" in message:
        return f"thinking.{thinking['type']}"
    if "output_config" in fields and ("effort" in message or "output_config" in message):
        return "output_config.effort"
    return None
