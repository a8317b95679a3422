"""Reads from a session what the footer tells."""

from __future__ import annotations

from agent.cache import minds_effort
from agent.harmless import one_line
from cli.footer import FooterValues
from sessions.session import Session


def vitals(session: Session, *, window: int | None, now: float) -> FooterValues:
    """The footer's values at `now`, seconds since the epoch; `window` is the context window in tokens."""
    prefix = session.prefix
    cost, last, warm_until = session.cost, session.last_call, session.warm_until
    return FooterValues(
        model=_short(session.model.name),
        effort=prefix.parameters.effort or "" if minds_effort(prefix) else "",
        mode=session.policy.mode.value,
        usage=session.usage,
        last=last.usage if last else None,
        known_cost=cost.known,
        unknown_calls=cost.unknown_calls,
        saved=cost.saved,
        context_tokens=session.context_tokens,
        context_window=window,
        warm_left=None if warm_until is None else warm_until - now,
    )


def _short(model: str) -> str:
    """The name behind the last slash: `meta/llama-4` is `llama-4`."""
    return one_line(model.rpartition("/")[2])
