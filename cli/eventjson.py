"""A turn's events as JSON objects: the lines of `--output-format stream-json`."""

from __future__ import annotations

from collections.abc import Sequence

from agent.events import (
    CacheMissed,
    CallFinished,
    CheckpointMade,
    Compacted,
    Compacting,
    Event,
    NotCompacted,
    Retrying,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from cli.usagejson import usage_object
from providers.types import JSON, TextDelta, ThinkingDelta, ToolCallDelta, ToolCallStarted
from sessions.records import CallLine


def event_object(event: Event, calls: Sequence[CallLine] = ()) -> dict[str, JSON]:
    """One object; `type` names the event in snake case. Times are in seconds.

    `calls` is the ledger, which knows what a call cost: null where no price is known.
    """
    match event:
        case TurnStarted(message_id):
            return {"type": "turn_started", "message_id": message_id}
        case TextDelta(text):
            return {"type": "text_delta", "text": text}
        case ThinkingDelta(text):
            return {"type": "thinking_delta", "text": text}
        case ToolCallStarted(call_id, name):
            return {"type": "tool_call_started", "call_id": call_id, "name": name}
        case ToolCallDelta(call_id, json_text):
            return {"type": "tool_call_delta", "call_id": call_id, "json": json_text}
        case CallFinished(report):
            return {
                "type": "call_finished",
                "call_id": report.id,
                "purpose": report.purpose,
                "model": report.model,
                "outcome": report.outcome,
                "usage": usage_object(report.usage),
                "cost_usd": next((call.cost for call in reversed(calls) if call.id == report.id), None),
                "estimated": report.estimated,
                "duration": report.duration,
                "time_to_first_token": report.time_to_first_token,
            }
        case ToolStarted(call, summary):
            return {"type": "tool_started", "call_id": call.id, "name": call.name, "summary": summary}
        case ToolOutput(call_id, text):
            return {"type": "tool_output", "call_id": call_id, "text": text}
        case ToolFinished(call, text, display, is_error):
            return {
                "type": "tool_finished",
                "call_id": call.id,
                "name": call.name,
                "text": text,
                "display": display,
                "is_error": is_error,
            }
        case Retrying(seconds, reason, attempt, attempts, void):
            return {
                "type": "retrying",
                "seconds": seconds,
                "reason": reason,
                "attempt": attempt,
                "attempts": attempts,
                "void": void,
            }
        case CacheMissed(cause, detail, tokens, cost):
            return {
                "type": "cache_missed",
                "cause": cause,
                "detail": detail,
                "tokens": tokens,
                "cost_usd": cost,
            }
        case Compacting(reason, tokens):
            return {"type": "compacting", "reason": reason, "tokens": tokens}
        case Compacted():
            return {
                "type": "compacted",
                "tokens_before": event.before,
                "tokens_after": event.after,
                "tokens_anew": event.anew,
                "shortened": event.shortened,
                "cost_usd": event.cost,
                "anew_cost_usd": event.anew_cost,
            }
        case NotCompacted(reason):
            return {"type": "not_compacted", "reason": reason}
        case CheckpointMade(number, path, files_off):
            return {"type": "checkpoint_made", "number": number, "path": path, "files_off": files_off}
        case TurnFinished(usage, stop_reason, text):
            return {
                "type": "turn_finished",
                "usage": usage_object(usage),
                "stop_reason": stop_reason,
                "text": text,
            }
