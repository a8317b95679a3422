"""`agent models`: what can be used from here at which price, and fetching what runs on this machine."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.harmless import one_line
from cli import figures
from cli.choose import WAYS
from cli.config import Config
from cli.console import GAP, print_table, print_text
from cli.failure import UsageProblem, explain
from cli.place import Place
from cli.reach import Offer, offer, within_reach
from providers import local, ollama
from providers.pricing import Quote, Rates, context_window, default_model, quote
from providers.settings import NO_KEY_MODEL
from providers.types import JSON, ModelRef
from providers.weights import Progress
from providers.weights import pull as pull_weights

SHOWN = 25
"""Models of one provider that the table shows; JSON has all."""

HEADINGS = ("model", "context", "input", "output", "read", "write", "")
WIDTHS: tuple[tuple[int, ...], ...] = (
    tuple(range(len(HEADINGS))),
    (0, 1, 2, 3, 4, 5),
    (0, 1, 2, 3, 4),
    (0, 1, 2, 3),
    (0, 1),
    (0,),
)
"""The columns to show, by what the terminal has room for: notes and prices give way first."""

LONGEST_NAME = 36
"""Cells that the model's name gets before another column does; a longer one may be cut."""

DEFAULT = " *"
"""Behind the name of a provider's default model."""
NO_RATE = "–"
"""Where a rate is not listed: such tokens are charged as input."""
OVERRIDE = "override:"
LONGEST_NOTE = 24
"""Characters of a note beside its model."""
SENTENCE = 40
"""Characters from which on a note is a sentence, which gets a line of its own."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model as the table shows it."""

    model: ModelRef
    context_window: int | None
    quote: Quote | None
    note: str
    is_default: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """One provider's models, the default one first; `problem` says in one line why they aren't known."""

    provider: str
    rows: tuple[Row, ...]
    problem: str
    default: str | None


def show(*, as_json: bool) -> None:
    """Print the models of every provider within reach."""
    place = Place.of(os.environ)
    config = place.configuration().config
    listed = asyncio.run(_listed(place, config))
    if as_json:
        print(json.dumps([_object(each) for each in listed], indent=2))
        return
    rows = [row for each in listed for row in each.rows[:SHOWN]]
    _print(rows)
    for line in (*_legend(rows), *_remarks(listed)):
        print_text(line)
    if not any(each.rows for each in listed if each.provider != "local"):
        print_text(WAYS)


def pull(text: str) -> None:
    """Fetch a model to this machine, with a progress bar. Raises CachetError."""
    place = Place.of(os.environ)
    match text.partition("/"):
        case ("local", "/", local.MODEL):
            _with_progress(text, lambda tell: pull_weights(place.home, tell))
        case ("ollama", "/", name) if name:
            config = place.configuration().config
            _with_progress(text, lambda tell: asyncio.run(_pull_by_ollama(place, config, name, tell)))
        case _:
            raise UsageProblem(f"'{text}' can't be fetched. There is {NO_KEY_MODEL}, and ollama/MODEL.")
    print(f"{text} is here. Try: agent -m {text}")


async def _pull_by_ollama(place: Place, config: Config, name: str, tell: Progress) -> None:
    provider = place.provider("ollama", config)
    assert isinstance(provider, ollama.OllamaProvider)
    try:
        await provider.pull(name, tell)
    finally:
        await provider.aclose()


async def _listed(place: Place, config: Config) -> list[Listed]:
    reached = await within_reach(place, config)
    offers = await asyncio.gather(*(offer(place, config, one) for one in reached))
    return [await asyncio.to_thread(_priced, one, config.prices) for one in offers if one is not None]


def _priced(offer: Offer, overrides: Mapping[str, Rates]) -> Listed:
    """An offer with what the price table knows of its models; blocks while that is imported."""
    default = default_model(offer.provider)
    rows = []
    for info in offer.models:
        model = ModelRef(offer.provider, info.name)
        window = info.context_window or context_window(model)
        rows.append(Row(model, window, quote(model, overrides), info.note, info.name == default))
    rows.sort(key=lambda row: not row.is_default)
    return Listed(offer.provider, tuple(rows), explain(offer.error) if offer.error else "", default)


def _print(rows: Sequence[Row]) -> None:
    from rich.cells import cell_len
    from rich.console import Console

    cells = [_cells(row) for row in rows]
    widest = [max(map(cell_len, column)) for column in zip(HEADINGS, *cells, strict=True)]
    room = Console().width
    widest[0] = min(widest[0], LONGEST_NAME)
    shown = next(
        (some for some in WIDTHS if sum(widest[n] for n in some) + GAP * (len(some) - 1) <= room), WIDTHS[-1]
    )
    print_table(
        [HEADINGS[n] for n in shown],
        [[row[n] for n in shown] for row in cells],
        narrow=range(len(shown)),
        text=[place for place, n in enumerate(shown) if n in (0, 6)],
    )


def _cells(row: Row) -> tuple[str, ...]:
    window = figures.tokens(row.context_window) if row.context_window else figures.UNKNOWN
    name = one_line(str(row.model)) + (DEFAULT if row.is_default else "")
    return (name, window, *_prices(row.quote), _note(row))


def _prices(quote: Quote | None) -> tuple[str, str, str, str]:
    """Input, output, cache read, cache write: US dollars for a million tokens."""
    if quote is None:
        return (figures.UNKNOWN, "", "", "")
    if quote.id == "free":
        return ("free", "", "", "")
    rates = quote.rates
    plus = "+" if quote.tiered else ""
    return (
        f"{_rate(rates.input)}{plus}",
        f"{_rate(rates.output)}{plus}",
        _rate(rates.cache_read),
        _rate(rates.cache_write),
    )


def _rate(rate: float | None) -> str:
    return NO_RATE if rate is None else f"{rate:.4f}".rstrip("0").rstrip(".")


def _note(row: Row) -> str:
    own = "your price" if row.quote is not None and row.quote.id.startswith(OVERRIDE) else ""
    said = one_line(row.note, LONGEST_NOTE) if len(row.note) < SENTENCE else ""
    return ", ".join(part for part in (own, said) if part)


def _legend(rows: Sequence[Row]) -> Iterator[str]:
    """What the marks and the prices are, as far as there are any."""
    if any(row.is_default for row in rows):
        yield f"{DEFAULT.strip()} is its provider's default."
    texts = [cell for row in rows for cell in _prices(row.quote)]
    if not any(row.quote is not None and row.quote.id != "free" for row in rows):
        return
    plus = " + is more for long prompts," if any(text.endswith("+") for text in texts) else ""
    dash = f" {NO_RATE} is charged as input" if NO_RATE in texts else ""
    details = f";{plus}{dash}".rstrip(",") if plus or dash else ""
    yield f"Prices are US dollars for a million tokens; read and write are the cache's{details}."


def _remarks(listed: Sequence[Listed]) -> Iterator[str]:
    """What did not fit into the table, and what is in the way."""
    for each in listed:
        if len(each.rows) > SHOWN:
            more = figures.plural(len(each.rows) - SHOWN, "model")
            yield f"{each.provider} has {more} more. All: agent models --json"
        for row in each.rows[:SHOWN]:
            if len(row.note) >= SENTENCE:
                yield f"{one_line(str(row.model))}: {one_line(row.note)}"
        if each.problem:
            yield f"{each.provider}: {each.problem}"


def _object(listed: Listed) -> dict[str, JSON]:
    return {
        "provider": listed.provider,
        "default": listed.default,
        "problem": listed.problem or None,
        "models": [
            {
                "model": str(row.model),
                "context_window": row.context_window,
                "default": row.is_default,
                "note": row.note,
                "prices": _price_object(row.quote),
            }
            for row in listed.rows
        ],
    }


def _price_object(quote: Quote | None) -> JSON:
    """Rates in US dollars for a million tokens; null for all where none is known, and for one not listed."""
    if quote is None:
        return None
    rates = quote.rates
    return {
        "input": rates.input,
        "output": rates.output,
        "cache_read": rates.cache_read,
        "cache_write": rates.cache_write,
        "cache_write_1h": rates.cache_write_1h,
        "more_for_long_prompts": quote.tiered,
        "source": quote.id,
    }


def _with_progress(title: str, work: Callable[[Progress], object]) -> None:
    """Do the work, which tells bytes done and bytes in all, under a progress bar."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns) as bar:
        task = bar.add_task(title, total=None)
        work(lambda done, total: bar.update(task, completed=done, total=total or None))
