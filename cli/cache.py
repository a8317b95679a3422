"""`/cache` and `agent resume --dry-run`: what is cached, until when, and what the next turn will cost."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from agent.harmless import harmless, one_line
from agent.lifetimes import Choice
from agent.warming import Reason
from cli import figures
from cli.desk import Desk
from cli.home import home_folder
from cli.place import Place
from cli.tables import table
from cli.which import folder_of
from providers.pricing import Rates
from sessions.journal import read
from sessions.outlook import Outlook, outlook_of
from sessions.records import CallLine
from sessions.rehydrate import rehydrate
from sessions.session import Session

SHOWN = 8
"""Misses that are listed, the latest ones."""


async def cache(desk: Desk, argument: str) -> None:
    """What is cached, until when, what the next turn reads, writes and costs; and what was missed."""
    session, now = desk.session, time.time()
    if session.sent_at is None:
        desk.screen.note("Nothing was sent yet, so nothing is cached.")
        return
    seen = session.outlook(session.prefix, now)
    costs = await asyncio.to_thread(_costs, seen, session.setup.rates, now)
    rows = [*_rows(seen, costs, now), *_lifetime_rows(seen, session.cache_choice)]
    if session.warming.possible or session.setup.keep_warm:
        rows.append(("kept warm", await _kept_warm(session, now)))
    desk.screen.print(table(("", ""), rows))
    missed = [call for call in session.calls if call.miss is not None]
    if missed:
        desk.screen.print(table(("missed", "tokens", "cost", "why"), _miss_rows(missed, now)))
    else:
        desk.screen.note("No miss so far." if seen.reported else "This provider doesn't tell of its cache.")


def show(path: Path, folder: Path | None, environ: Mapping[str, str], *, as_json: bool) -> None:
    """Print what going on with a session would find and cost. Nothing is sent, nothing is written."""
    home, now = home_folder(environ), time.time()
    place = Place.of(environ, folder or folder_of(path, home))
    rates = place.configuration().config.prices
    told = rehydrate(read(path).records)
    seen = outlook_of(told, home, now)
    session = told.session or path.stem
    if seen is None or not seen.prompt:
        print(harmless(f"{session}: nothing was ever answered, so nothing is cached."))
        return
    costs = _costs(seen, rates, now)
    if as_json:
        print(json.dumps(_object(session, seen, costs[0], now), indent=2))
        return
    print(harmless(f"{session} · {seen.prefix.model}"))
    for name, value in _rows(seen, costs, now):
        print(f"{name:<16} {value}")


def _costs(seen: Outlook, rates: Mapping[str, Rates], now: float) -> tuple[float | None, ...]:
    """US dollars for the next call's prompt; where the cache may have lost it, then without it as well."""
    cases = (seen, replace(seen, held=0)) if seen.doubtful else (seen,)
    return tuple(case.cost(rates, now) for case in cases)


def _rows(seen: Outlook, costs: Iterable[float | None], now: float) -> Iterable[tuple[str, str]]:
    yield "cache", _state(seen, now)
    yield "next turn reads", _reads(seen)
    yield ("and writes" if seen.writes else "and anew"), f"{figures.tokens(seen.new)} and your words"
    yield "for about", ", or ".join(map(figures.dollars, costs))


def _state(seen: Outlook, now: float) -> str:
    if not seen.reported:
        return f"{figures.NOT_AVAILABLE}: this provider doesn't tell of its cache"
    if seen.doubtful:
        return "unused for so long that it may be gone; this provider names no time"
    if seen.expires is None:
        return "kept as long as the provider likes; it names no time"
    left = seen.expires - now
    if left <= 0:
        return f"cold since {figures.seconds(-left)}"
    return f"warm for {figures.countdown(left)}, {figures.tokens(seen.held)} of {figures.tokens(seen.prompt)}"


def _reads(seen: Outlook) -> str:
    if not seen.reported:
        return figures.NOT_AVAILABLE
    return f"{figures.tokens(seen.held)}, or nothing" if seen.doubtful else figures.tokens(seen.held)


def _lifetime_rows(seen: Outlook, choice: Choice | None) -> Iterable[tuple[str, str]]:
    """How long the last call's end is kept, and why."""
    if choice is None:
        return
    wish = seen.prefix.parameters.cache_ttl
    if wish != "auto":
        yield "lifetime", f"{_LONG_NAMES[choice.lifetime]}, as you asked (--cache-ttl {wish})"
        return
    yield (
        "lifetime",
        f"{_LONG_NAMES[choice.lifetime]}: the chance that you come back after more than five minutes, but "
        f"within the hour, is {figures.percent(choice.chance)}; that would cost "
        f"{figures.tokens(round(choice.at_stake))} tokens' worth, an hour costs "
        f"{figures.tokens(round(choice.surcharge))} more",
    )


async def _kept_warm(session: Session, now: float) -> str:
    """Whether the entry is kept alive while the person is away, what that did, and when it is done next."""
    if not session.setup.keep_warm:
        return "no (--keep-warm does it while you are away, where that can pay for itself)"
    plan, done = await session.warming.plan(now), session.warming.done
    so_far = f"{done.times} × since your last turn ({figures.dollars(done.cost)}); " if done.times else ""
    if plan is None:
        return f"yes; {so_far}there is no entry whose time and price are known"
    if not plan.verdict.worth:
        return f"yes; {so_far}{_NO_MORE[plan.verdict.reason]}"
    left, chance = figures.countdown(plan.at - now), figures.percent(plan.verdict.chance)
    return f"yes; {so_far}next in {left}: {chance} that you are back in time for it"


_NO_MORE: Mapping[Reason, str] = {
    "unlikely": "not again: you are hardly back in time for it",
    "spent": "not again: it would cost more than it can save",
}
_LONG_NAMES = {"5m": "five minutes", "1h": "an hour"}


def _miss_rows(calls: list[CallLine], now: float) -> Iterable[tuple[str, ...]]:
    for call in calls[-SHOWN:]:
        assert call.miss is not None
        why = call.miss.cause.replace("_", " ")
        yield (
            figures.ago(now - call.started),
            figures.tokens(call.miss.tokens),
            figures.dollars(call.miss.cost),
            one_line(f"{why} ({call.miss.detail})" if call.miss.detail else why),
        )


def _object(session: str, seen: Outlook, cost: float | None, now: float) -> dict[str, object]:
    return {
        "session": session,
        "model": str(seen.prefix.model),
        "cache_reported": seen.reported,
        "warm": seen.reported and seen.held > 0,
        "doubtful": seen.doubtful,
        "expires_in": None if seen.expires is None else max(0.0, seen.expires - now),
        "prompt_tokens": seen.prompt,
        "cache_read_tokens": seen.held if seen.reported else None,
        "new_tokens": seen.new,
        "cost_usd": cost,
    }
