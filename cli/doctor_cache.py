"""`agent doctor cache`: sends the same request twice, a longer one after it, and says what the cache did."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from agent.harmless import one_line
from cli import figures
from cli.choose import choose
from cli.config import Config
from cli.console import print_text
from cli.doctor_probe import REQUESTS, Probe
from cli.doctor_verdict import Endpoint, Kind, Verdict, judge, tells_writes
from cli.failure import ExitCode, UsageProblem
from cli.place import Place
from cli.tables import table
from providers.endpoint import endpoint_of
from providers.errors import CachetError, ProviderError
from providers.pricing import Quote, quote
from providers.provider import Provider
from providers.settings import ProviderSettings
from providers.types import JSON, ModelRef, Request, Usage
from sessions.aside import Aside
from sessions.bill import Cost, cost_of
from sessions.records import CallLine
from sessions.usagejson import usage_object

NAMES = ("new", "same", "longer")
"""The three requests."""

WINDOW_SECONDS = 10.0
"""How long an endpoint may take to tell a model's context window, which it may also not know."""

AFFINITY, AFFINITY_HEADER = "prompt_cache_key", "affinity"
"""The quirks of an OpenAI-compatible endpoint by which a session's key reaches it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be sent where, and what it costs at most."""

    model: ModelRef
    probe: Probe
    quote: Quote | None

    @property
    def line(self) -> str:
        """The plan in one line; a cost of 0 is `free`."""
        most = self.probe.most(self.quote)
        cost = "free" if most == 0 else f"at most about {figures.dollars(most)}"
        if most is None:
            cost = "at a price that isn't known"
        size = f"about {round(self.probe.tokens, -2):,} tokens each"
        return f"{REQUESTS} requests of {size} to {one_line(str(self.model))}, {cost}."

    @property
    def free(self) -> bool:
        return self.probe.most(self.quote) == 0


def diagnose(wish: str | None, *, yes: bool, as_json: bool) -> int:
    """Try the model that was named, else the default one. The exit code: 1 where the cache never hits.

    Raises CachetError; what was sent by then is booked.
    """
    return asyncio.run(_diagnose(wish, yes=yes, as_json=as_json))


async def _diagnose(wish: str | None, *, yes: bool, as_json: bool) -> int:
    place = Place.of(os.environ)
    config = place.configuration().config
    model = await choose(place, config, wish)
    provider = place.provider(model.provider, config)
    try:
        plan = await _plan(model, provider, config)
        if not (yes or plan.free or _agreed(plan)):
            print("Nothing was sent.")
            return ExitCode.DONE
        if (yes or plan.free) and not as_json:
            print_text(plan.line)
        aside = Aside(place.home, place.project, "doctor", config.prices)
        try:
            await _measure(provider, plan.probe, aside)
        finally:
            aside.close()
    finally:
        await provider.aclose()
    verdict = judge(aside.calls, _endpoint(plan, place, config))
    _print_json(plan, aside, verdict) if as_json else _print(aside, verdict)
    return ExitCode.FAILED if verdict.kind is Kind.MISSES else ExitCode.DONE


async def _plan(model: ModelRef, provider: Provider, config: Config) -> Plan:
    window: int | None = None
    with suppress(ProviderError, TimeoutError):
        async with asyncio.timeout(WINDOW_SECONDS):
            window = await provider.context_window(model.name)
    ttl: Literal["5m", "1h"] = "1h" if config.cache_ttl == "1h" else "5m"
    probe = Probe.fresh(model, provider.encoder, window=window, ttl=ttl)
    return Plan(model, probe, await asyncio.to_thread(quote, model, config.prices))


def _agreed(plan: Plan) -> bool:
    """Whether the person agrees to what it costs. Raises UsageProblem where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageProblem(f"This would send {plan.line} To do it without a question: add --yes")
    print_text(plan.line)
    try:
        return input("Send them? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


async def _measure(provider: Provider, probe: Probe, aside: Aside) -> None:
    """Make the three calls, one after the other. Raises ProviderError."""
    await provider.prepare()
    await _ask(provider, probe.first(), aside)
    said = await _ask(provider, probe.again(), aside)
    await _ask(provider, probe.longer(said), aside)


async def _ask(provider: Provider, request: Request, aside: Aside) -> str:
    """Make one call and book it; the text of its answer."""
    with _telling(f"request {len(aside.calls) + 1} of {REQUESTS}"):
        async with aside.booked(provider.stream(request), request.prefix) as call:
            async for _ in call:
                pass
    return call.turn.message.text if call.turn else ""


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """Say on a terminal what is being waited for."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


def _endpoint(plan: Plan, place: Place, config: Config) -> Endpoint:
    name, wire = plan.model.provider, plan.probe.prefix.wire
    affinity = False
    if wire.startswith("openai"):
        with suppress(CachetError):
            quirks = endpoint_of(name, config.providers.get(name, ProviderSettings()), place.environ).quirks
            affinity = any(quirk == AFFINITY or quirk.startswith(f"{AFFINITY_HEADER}:") for quirk in quirks)
    return Endpoint(name, wire, affinity)


def _print(aside: Aside, verdict: Verdict) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    headings = ("request", "prompt", "read", "written", "uncached", "wait", "cost")
    rows = [_row(name, call) for name, call in zip(NAMES, aside.calls, strict=True)]
    console.print(table(headings, rows, numbers=len(headings) - 1))
    for sentence in (*verdict.says, _billed(aside)):
        print_text(sentence)


def _row(name: str, call: CallLine) -> tuple[str, ...]:
    usage, told = call.usage, call.usage.cache_reported
    return (
        name,
        f"{'~' if call.estimated else ''}{usage.prompt_tokens:,}",
        _count(usage.cache_read_tokens, told=told),
        _count(usage.cache_write_tokens, told=told and tells_writes(call.raw_usage)),
        _count(usage.input_tokens, told=told),
        _wait(call.time_to_first_token),
        figures.dollars(call.cost),
    )


def _count(tokens: int, *, told: bool) -> str:
    return f"{tokens:,}" if told else figures.NOT_AVAILABLE


def _wait(seconds: float | None) -> str:
    """Until the first token, to the millisecond where it is less than a second."""
    if seconds is None:
        return figures.NOT_AVAILABLE
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else figures.seconds(seconds)


def _billed(aside: Aside) -> str:
    usage = sum((call.usage for call in aside.calls), Usage())
    told = "an estimate, " if any(call.estimated for call in aside.calls) else ""
    return (
        f"Billed: {usage.prompt_tokens:,} prompt and {usage.output_tokens:,} output tokens, {told}"
        f"{_cost(cost_of(aside.calls))}; booked as the session {aside.id}."
    )


def _cost(cost: Cost) -> str:
    if cost.exact == 0:
        return "free"
    return figures.dollars(cost.exact)


def _print_json(plan: Plan, aside: Aside, verdict: Verdict) -> None:
    usage = sum((call.usage for call in aside.calls), Usage())
    print(
        json.dumps(
            {
                "model": str(plan.model),
                "requests": [
                    {"name": name, **_object(call)} for name, call in zip(NAMES, aside.calls, strict=True)
                ],
                "verdict": verdict.kind.value,
                "says": list(verdict.says),
                "billed_tokens": usage.total_tokens,
                "cost_usd": cost_of(aside.calls).exact,
                "session": aside.id,
            },
            indent=2,
            ensure_ascii=False,
        )
    )


def _object(call: CallLine) -> dict[str, JSON]:
    return {
        **usage_object(call.usage),
        "estimated": call.estimated,
        "time_to_first_token": call.time_to_first_token,
        "cost_usd": call.cost,
        "raw_usage": dict(call.raw_usage),
    }
