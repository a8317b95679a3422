"""The lines that tell of a compaction, wherever one happens."""

from __future__ import annotations

from agent.events import Compacted, Compacting, NotCompacted
from cli import figures


def told(event: Compacting | Compacted | NotCompacted) -> str:
    """One line for a person: why, then what it came to in tokens and dollars."""
    match event:
        case Compacting(reason, tokens):
            return f"compacting ~{figures.tokens(tokens)} tokens: {reason} (stop it, and nothing changes)"
        case NotCompacted(reason):
            return f"not compacted: {reason}"
        case Compacted():
            sizes = f"compacted: {figures.tokens(event.before)} → ~{figures.tokens(event.after)} tokens"
            cold = ", read without a cache because it had to be shortened to fit" if event.shortened else ""
            anew = f"the next call reads ~{figures.tokens(event.anew)} anew"
            return (
                f"{sizes} · summary {_dollars(event.cost)}{cold} · {anew} ({_dollars(event.anew_cost)}) · "
                "back: /rewind"
            )


def _dollars(amount: float | None) -> str:
    return "cost unknown" if amount is None else figures.dollars(amount)
