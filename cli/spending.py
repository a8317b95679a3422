"""`/cost` and `/stats`: what this session was billed."""

from __future__ import annotations

from collections.abc import Iterable

from cli import figures
from cli.desk import Desk
from cli.tables import table
from providers.types import Usage
from sessions.records import CallLine


async def cost(desk: Desk, argument: str) -> None:
    """Tokens, hit rate, dollars and savings of the session."""
    session = desk.session
    usage, bill = session.usage, session.cost
    failed = sum(call.outcome != "ok" for call in session.calls)
    estimated = sum(call.estimated for call in session.calls)
    last = session.last_call
    rows = [
        ("input, uncached", figures.tokens(usage.input_tokens)),
        ("input, read from the cache", _reported(usage.cache_read_tokens, usage)),
        ("input, written to the cache", _reported(usage.cache_write_tokens, usage)),
        ("output", figures.tokens(usage.output_tokens)),
        ("cache hit rate", figures.percent(usage.cache_hit_rate)),
        ("  of the last call", figures.percent(last.usage.cache_hit_rate if last else None)),
        ("model calls", _calls(len(session.calls), failed, estimated)),
        ("cost", _bill(session.calls)),
        ("saved by the cache", figures.dollars(None if bill.unknown_calls else bill.saved)),
    ]
    desk.screen.print(table(("", ""), rows, numbers=1))


async def stats(desk: Desk, argument: str) -> None:
    """This session by model."""
    calls = desk.session.calls
    models = dict.fromkeys(call.model for call in calls)
    rows = [_row(model, [call for call in calls if call.model == model]) for model in models]
    if len(rows) != 1:
        rows.append(_row("all", calls))
    headings = ("model", "calls", "input", "output", "read", "written", "hit rate", "cost")
    desk.screen.print(table(headings, rows, numbers=7))
    desk.screen.note("All sessions: agent stats")


def _row(name: str, calls: list[CallLine]) -> tuple[str, ...]:
    usage = sum((call.usage for call in calls), Usage())
    return (
        name,
        str(len(calls)),
        figures.tokens(usage.input_tokens),
        figures.tokens(usage.output_tokens),
        _reported(usage.cache_read_tokens, usage),
        _reported(usage.cache_write_tokens, usage),
        figures.percent(usage.cache_hit_rate),
        _bill(calls),
    )


def _reported(tokens: int, usage: Usage) -> str:
    return figures.tokens(tokens) if usage.cache_reported else figures.NOT_AVAILABLE


def _bill(calls: Iterable[CallLine]) -> str:
    """Dollars; a lower bound where some call's price is unknown."""
    prices = [call.cost for call in calls]
    known = sum(price for price in prices if price is not None)
    if None not in prices:
        return figures.dollars(known)
    return f"≥ {figures.dollars(known)}" if known else figures.UNKNOWN


def _calls(count: int, failed: int, estimated: int) -> str:
    asides = [f"{failed} failed" * bool(failed), f"{estimated} estimated" * bool(estimated)]
    told = ", ".join(aside for aside in asides if aside)
    return f"{count} ({told})" if told else str(count)
