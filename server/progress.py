"""What a run tells beside its words, as extension objects that stock clients ignore.

Each has a `type` that begins with `cachet.`: `server.extensions` has their shapes.
"""

from __future__ import annotations

from agent.events import (
    CacheMissed,
    CheckpointMade,
    Compacted,
    Compacting,
    Event,
    NotCompacted,
    Retrying,
    ToolFinished,
    ToolOutput,
    ToolStarted,
)
from server.extensions import Extension


def extension(event: Event) -> Extension | None:
    """The event as an extension object; None where it is none of the client's business, or told otherwise."""
    match event:
        case ToolStarted(call, summary):
            return {
                "type": "cachet.tool.started",
                "call_id": call.id,
                "name": call.name,
                "arguments": call.raw_arguments,
                "summary": summary,
            }
        case ToolOutput(call_id, text):
            return {"type": "cachet.tool.output", "call_id": call_id, "text": text}
        case ToolFinished(call, text, display, is_error):
            return {
                "type": "cachet.tool.finished",
                "call_id": call.id,
                "name": call.name,
                "text": text,
                "display": display,
                "is_error": is_error,
            }
        case Retrying(seconds, reason, attempt, attempts, void):
            return {
                "type": "cachet.retrying",
                "seconds": seconds,
                "reason": reason,
                "attempt": attempt,
                "attempts": attempts,
                "void": void,
            }
        case _:
            return _of_the_session(event)


def _of_the_session(event: Event) -> Extension | None:
    match event:
        case CacheMissed(cause, detail, tokens, cost):
            return {
                "type": "cachet.cache_missed",
                "cause": cause,
                "detail": detail,
                "tokens": tokens,
                "cost_usd": cost,
            }
        case Compacting(reason, tokens):
            return {"type": "cachet.compacting", "reason": reason, "tokens": tokens}
        case Compacted(before, after):
            return {"type": "cachet.compacted", "before": before, "after": after}
        case NotCompacted(reason):
            return {"type": "cachet.not_compacted", "reason": reason}
        case CheckpointMade(number, _, files_off):
            return {"type": "cachet.checkpoint", "number": number, "files_off": files_off}
        case _:
            return None
