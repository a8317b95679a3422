"""Says before a turn what its call reads anew: after a switch of model or effort, or after a long pause."""

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


MANY_TOKENS = 20_000
MUCH = 0.05
"""From so many tokens, or US dollars, on a person is told before a turn what it pays for once more."""


async def expired(session: Session) -> str:
    """What the next turn pays for once more because its entry expired: `cache expired 12m ago: …`.

    Empty where that isn't much, and where the provider names no time after which an entry expires.
    """
    now, last = time.time(), session.sent_at
    if last is None:
        return ""
    seen = session.outlook(session.prefix, now)
    then = session.outlook(session.prefix, last)
    tokens = then.held - seen.held
    if tokens <= 0 or then.expires is None or then.expires > now:
        return ""
    costs = [await asyncio.to_thread(each.cost, session.setup.rates, now) for each in (seen, then)]
    dear, cheap = costs
    more = None if dear is None or cheap is None else dear - cheap
    if tokens < MANY_TOKENS and (more is None or more < MUCH):
        return ""
    price = "cost unknown" if more is None else f"{figures.dollars(more)} more"
    ago = figures.ago(now - then.expires)
    return f"cache expired {ago}: this turn re-reads {figures.tokens(tokens)} tokens ({price})"


def effort_of(prefix: Prefix) -> str:
    return prefix.parameters.effort or "default"
