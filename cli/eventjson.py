"""A turn's events as JSON objects: the lines of `--output-format stream-json`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

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
from agent.host import CallReport
from providers.types import JSON, TextDelta, ThinkingDelta, ToolCallDelta, ToolCallStarted
from sessions.records import CallLine
from sessions.usagejson import usage_object

_Fields: TypeAlias = dict[str, JSON]

_CAPITAL = re.compile(r"(?<=.)(?=[A-Z])")


def event_object(event: Event, calls: Sequence[CallLine] = ()) -> dict[str, JSON]:
    """One object; `type` names the event in snake case. Times are in seconds.

    `calls` is the ledger, which knows what a call cost: null where no price is known.
    """
    kind = _CAPITAL.sub("_", type(event).__name__).lower()
    match event:
        case TextDelta() | ThinkingDelta() | ToolCallStarted() | ToolCallDelta():
            fields = _streamed(event)
        case ToolStarted() | ToolOutput() | ToolFinished():
            fields = _of_tool(event)
        case CallFinished(report):
            fields = _of_call(report, calls)
        case CacheMissed() | Compacting() | Compacted() | NotCompacted():
            fields = _of_cache(event)
        case TurnStarted() | Retrying() | CheckpointMade() | TurnFinished():
            fields = _of_turn(event)
    return {"type": kind, **fields}


def _streamed(event: TextDelta | ThinkingDelta | ToolCallStarted | ToolCallDelta) -> _Fields:
    match event:
        case TextDelta(text) | ThinkingDelta(text):
            return {"text": text}
        case ToolCallStarted(call_id, name):
            return {"call_id": call_id, "name": name}
        case ToolCallDelta(call_id, json_text):
            return {"call_id": call_id, "json": json_text}


def _of_tool(event: ToolStarted | ToolOutput | ToolFinished) -> _Fields:
    match event:
        case ToolStarted(call, summary):
            return {"call_id": call.id, "name": call.name, "summary": summary}
        case ToolOutput(call_id, text):
            return {"call_id": call_id, "text": text}
        case ToolFinished(call, text, display, is_error):
            told: _Fields = {"text": text, "display": display, "is_error": is_error}
            return {"call_id": call.id, "name": call.name, **told}


def _of_call(report: CallReport, calls: Sequence[CallLine]) -> _Fields:
    return {
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


def _of_cache(event: CacheMissed | Compacting | Compacted | NotCompacted) -> _Fields:
    match event:
        case CacheMissed(cause, detail, tokens, cost):
            return {"cause": cause, "detail": detail, "tokens": tokens, "cost_usd": cost}
        case Compacting(reason, tokens):
            return {"reason": reason, "tokens": tokens}
        case Compacted():
            return {
                "tokens_before": event.before,
                "tokens_after": event.after,
                "tokens_anew": event.anew,
                "shortened": event.shortened,
                "cost_usd": event.cost,
                "anew_cost_usd": event.anew_cost,
            }
        case NotCompacted(reason):
            return {"reason": reason}


def _of_turn(event: TurnStarted | Retrying | CheckpointMade | TurnFinished) -> _Fields:
    match event:
        case TurnStarted(message_id):
            return {"message_id": message_id}
        case Retrying(seconds, reason, attempt, attempts, void):
            tries: _Fields = {"attempt": attempt, "attempts": attempts, "void": void}
            return {"seconds": seconds, "reason": reason, **tries}
        case CheckpointMade(number, path, files_off):
            return {"number": number, "path": path, "files_off": files_off}
        case TurnFinished(usage, stop_reason, text):
            return {"usage": usage_object(usage), "stop_reason": stop_reason, "text": text}
