"""Says what a switch of model or effort costs: how much of the conversation the next call reads anew."""

from __future__ import annotations

import asyncio
import time

from agent.cache import lifetime
from cli import figures
from providers.types import Prefix, Usage
from sessions.session import Session

WRITES = frozenset({"anthropic", "bedrock"})
"""Wires whose new tokens are written to a cache, at the price of writing."""


async def rereading(session: Session, prefix: Prefix, before: Prefix) -> str:
    """One sentence for a session whose prefix is, or would be, this one; it had `before`.

    Empty where no call was made yet. Dollars are by the person's own prices where they have some.
    """
    tokens = session.context_tokens
    if not tokens:
        return ""
    held = min(_held(session, prefix), tokens)
    cost = await asyncio.to_thread(_price, session, prefix, tokens - held, held)
    whose = str(prefix.model)
    if prefix.parameters.effort != before.parameters.effort:
        whose += f" with effort {effort_of(prefix)}"
    anew = f"its next call reads {figures.tokens(tokens - held)} tokens anew ({figures.dollars(cost)})"
    if held:
        return f"{whose} still has {figures.tokens(held)} tokens of this conversation in its cache: {anew}"
    return f"{whose} has nothing of this conversation in its cache: {anew}"


def effort_of(prefix: Prefix) -> str:
    return prefix.parameters.effort or "default"


def _held(session: Session, prefix: Prefix) -> int:
    """Tokens of the conversation that the provider says it keeps from an earlier call on this prefix."""
    keeps, reached = lifetime(prefix), session.reached(prefix)
    if keeps is None or reached is None or reached.started + keeps < time.time():
        return 0
    return reached.usage.prompt_tokens


def _price(session: Session, prefix: Prefix, anew: int, held: int) -> float | None:
    from providers.pricing import price

    usage = Usage(input_tokens=anew, cache_read_tokens=held)
    if prefix.encoder.partition("/")[0] in WRITES:
        long = anew if prefix.parameters.cache_ttl == "1h" else 0
        usage = Usage(cache_write_tokens=anew, cache_write_1h_tokens=long, cache_read_tokens=held)
    priced = price(prefix.model, usage, overrides=session.setup.rates)
    return priced.cost if priced else None
