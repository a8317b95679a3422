"""Says what a switch of model or effort costs: how much of the conversation the next call reads anew."""

from __future__ import annotations

import asyncio
import time

from cli import figures
from providers.types import Prefix
from sessions.session import Session


async def rereading(session: Session, prefix: Prefix, before: Prefix) -> str:
    """One sentence for a session whose prefix is, or would be, this one; it had `before`.

    Empty where no call was made yet. Dollars are by the person's own prices where they have some.
    """
    now = time.time()
    seen = session.outlook(prefix, now)
    if not seen.prompt:
        return ""
    cost = await asyncio.to_thread(seen.cost, session.setup.rates, now)
    whose = str(prefix.model)
    if prefix.parameters.effort != before.parameters.effort:
        whose += f" with effort {effort_of(prefix)}"
    anew = f"its next call reads {figures.tokens(seen.new)} tokens anew ({figures.dollars(cost)})"
    has = f"still has {figures.tokens(seen.held)} tokens" if seen.held else "has nothing"
    return f"{whose} {has} of this conversation in its cache: {anew}"


def effort_of(prefix: Prefix) -> str:
    return prefix.parameters.effort or "default"
