"""What a model call cost in US dollars, by `genai-prices`' maintained table or by a person's own rates.

The table is that package's own data, and nothing is fetched. Importing it takes a third of a second, which
is left to the first price that is asked for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from providers.types import ModelRef, Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

TABLE_IDS: Mapping[str, str] = {
    "anthropic": "anthropic",
    "openai": "openai",
    "gemini": "google",
    "groq": "groq",
    "xai": "x-ai",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "openrouter": "openrouter",
    "bedrock": "aws",
}
"""Our name of a provider to the table's. One that isn't here has no known prices: a gateway sets its own."""

FREE = frozenset({"local", "scripted"})
MILLION = 1_000_000

DEFAULT_FAMILY: Mapping[str, str] = {
    "anthropic": r"claude-sonnet-(\d{1,2}(?:-\d{1,2})?)",
    "openai": r"gpt-(\d+(?:\.\d+)?)(?:-[a-z]+)?",
    "gemini": r"gemini-(\d+(?:\.\d+)?)-[a-z]+",
    "groq": r"openai/gpt-oss-(\d+)b",
    "xai": r"grok-(\d+(?:\.\d+)?)",
    "deepseek": r"deepseek-v(\d+(?:\.\d+)?)(?:-[a-z]+)?",
    "mistral": r"mistral-(?:medium|large)-(\d{1,2}(?:-\d{1,2})?)",
    "openrouter": r"anthropic/claude-sonnet-(\d+(?:\.\d+)?)",
}
"""The models a provider's default is chosen from; the group is the generation, the highest of which wins."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a call cost, in US dollars."""

    cost: float
    uncached: float | None
    """What the same tokens had cost had nothing been read from a cache nor written to one.

    None where the provider told the cost itself and no rates are known.
    """
    id: str
    """Where it came from. The first of these wins: a person's own rates (`override:MODEL`), what the provider
    said it charged (`billed:PROVIDER`), `free`, the table (`genai-prices:PROVIDER/MODEL`)."""


@dataclass(frozen=True, slots=True)
class Rates:
    """A person's own rates, in US dollars for a million tokens.

    A rate that is left out is the next plainer one: reading and writing cost what input costs, writing for
    the long lifetime what writing costs.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """What a model's tokens cost now, before any call. A rate that `rates` leaves out is charged as input."""

    rates: Rates
    """Those of a short prompt where the price goes by the prompt's size."""
    id: str
    """Where they came from, as in `Price`."""
    tiered: bool = False
    """Long prompts cost more than this says."""


def price(
    model: ModelRef,
    usage: Usage,
    *,
    at: float | None = None,
    overrides: Mapping[str, Rates] | None = None,
    billed: float | None = None,
    hosted: bool = False,
) -> Price | None:
    """What one call cost; None where that is not known, which is never the same as 0.

    `at` is when the call was made, in seconds since the epoch (now if None): rates change by day and hour.
    `overrides` is keyed by `provider/model` or by the model's name alone. `billed` is what the provider says
    it charged for this call, in US dollars. `hosted`: a model that is free on this machine ran on somebody
    else's. Give it one call at a time: the rates of long prompts apply by the size of each.
    """
    for name in (str(model), model.name):
        if overrides and name in overrides:
            return _by_rates(overrides[name], usage, f"override:{name}")
    if billed is not None:
        listed = price(model, usage, at=at)
        return Price(billed, listed.uncached if listed else None, f"billed:{model.provider}")
    if _is_free(model):
        return None if hosted else Price(0.0, 0.0, "free")
    found = _find(model)
    if found is None:
        return None
    provider, info = found
    rates = info.get_prices(datetime.fromtimestamp(time.time() if at is None else at, UTC))
    if not _covers(rates, usage):
        return None
    return Price(
        cost=_by_table(rates, usage),
        uncached=_by_table(rates, _without_cache(usage)),
        id=f"genai-prices:{provider.id}/{info.id}",
    )


def reprice(
    id: str,
    model: ModelRef,
    usage: Usage,
    *,
    at: float,
    overrides: Mapping[str, Rates],
    billed: float | None = None,
) -> Price | None:
    """The price with this id once more, for an audit; None where its source is gone.

    The table's rates are applied by our own arithmetic, not by the table's package, which had the first word
    and takes fifty times as long.
    """
    source, _, name = id.partition(":")
    match source:
        case "override" if name in overrides:
            return _by_rates(overrides[name], usage, id)
        case "billed" if billed is not None:
            return price(model, usage, at=at, billed=billed)
        case "genai-prices":
            rates = _listed_rates(name, usage, at)
            return _by_rates(rates, usage, id) if rates else None
        case "free":
            return Price(0.0, 0.0, id)
        case _:
            return None


def quote(model: ModelRef, overrides: Mapping[str, Rates] | None = None) -> Quote | None:
    """What the model's tokens cost now; None where that is not known. `overrides` as in `price`."""
    for name in (str(model), model.name):
        if overrides and name in overrides:
            return Quote(overrides[name], f"override:{name}")
    if _is_free(model):
        return Quote(Rates(0.0, 0.0), "free")
    found = _find(model)
    if found is None:
        return None
    provider, info = found
    table = info.get_prices(datetime.now(UTC))
    named = (table.input_mtok, table.output_mtok)
    cached = (table.cache_read_mtok, table.cache_write_mtok, table.cache_write_1h_mtok)
    (plain, answer), kept = map(_base, named), tuple(map(_base, cached))
    if plain is None or answer is None:
        return None
    tiered = any(rate is not None and not isinstance(rate, Decimal) for rate in (*named, *cached))
    return Quote(Rates(plain, answer, *kept), f"genai-prices:{provider.id}/{info.id}", tiered)


def context_window(model: ModelRef) -> int | None:
    """The model's context window in tokens, as the table knows it; None where it doesn't."""
    found = _find(model)
    return found[1].context_window if found else None


def default_model(provider: str) -> str | None:
    """The name of the model to use where a person named none; None where the provider's list isn't known.

    Of the newest generation of the provider's general models, the one in the middle by price.
    """
    family = DEFAULT_FAMILY.get(provider)
    if family is None:
        return None
    generations: dict[float, list[tuple[float, str]]] = {}
    for info in _listed(TABLE_IDS[provider]):
        match = re.fullmatch(family, info.id)
        if match and info.context_window and not info.deprecated:
            generation = float(match[1].replace("-", "."))
            generations.setdefault(generation, []).append((_input_rate(info), info.id))
    if not generations:
        return None
    newest = sorted(generations[max(generations)])
    return newest[len(newest) // 2][1]


def _is_free(model: ModelRef) -> bool:
    """Models that run on this machine. Ollama's hosted ones say so in their tag: `gpt-oss:120b-cloud`."""
    return model.provider in FREE or (model.provider == "ollama" and not model.name.endswith("cloud"))


def _without_cache(usage: Usage) -> Usage:
    return Usage(input_tokens=usage.prompt_tokens, output_tokens=usage.output_tokens)


def _by_rates(rates: Rates, usage: Usage, name: str) -> Price:
    read = rates.input if rates.cache_read is None else rates.cache_read
    write = rates.input if rates.cache_write is None else rates.cache_write
    long_write = write if rates.cache_write_1h is None else rates.cache_write_1h
    output = usage.output_tokens * rates.output
    cost = (
        usage.input_tokens * rates.input
        + usage.cache_read_tokens * read
        + (usage.cache_write_tokens - usage.cache_write_1h_tokens) * write
        + usage.cache_write_1h_tokens * long_write
        + output
    )
    return Price(cost / MILLION, (usage.prompt_tokens * rates.input + output) / MILLION, name)


def _by_table(rates: ModelPrice, usage: Usage) -> float:
    """The table's Usage counts inclusively: its `input_tokens` is the whole prompt, the others are parts."""
    from genai_prices import Usage as Billed

    billed = Billed(
        input_tokens=usage.prompt_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_tokens=usage.output_tokens,
    )
    return float(rates.calc_price(billed)["total_price"])


def _covers(rates: ModelPrice, usage: Usage) -> bool:
    """Whether the table has the rates that this usage needs; what it lacks it would count too cheap."""
    if rates.input_mtok is None or (usage.output_tokens and rates.output_mtok is None):
        return False
    return not (usage.cache_write_1h_tokens and rates.cache_write_mtok and rates.cache_write_1h_mtok is None)


def _listed_rates(name: str, usage: Usage, at: float) -> Rates | None:
    """The table's rates for `PROVIDER/MODEL`, both its own ids, for a call of this size at this time."""
    provider, _, model = name.partition("/")
    found = _look_up(provider, model)
    if found is None or found[1].id != model:
        return None
    rates = found[1].get_prices(datetime.fromtimestamp(at, UTC))
    if not _covers(rates, usage):
        return None
    size = usage.prompt_tokens
    return Rates(
        input=_at_size(rates.input_mtok, size) or 0.0,
        output=_at_size(rates.output_mtok, size) or 0.0,
        cache_read=_at_size(rates.cache_read_mtok, size),
        cache_write=_at_size(rates.cache_write_mtok, size),
        cache_write_1h=_at_size(rates.cache_write_1h_mtok, size),
    )


def _at_size(rate: Decimal | TieredPrices | None, prompt_tokens: int) -> float | None:
    """A rate for a prompt of this size: the highest tier whose start it exceeds holds for all of it."""
    if rate is None:
        return None
    if isinstance(rate, Decimal):
        return float(rate)
    reached = [tier.price for tier in rate.tiers if prompt_tokens > tier.start]
    return float(reached[-1] if reached else rate.base)


def _find(model: ModelRef) -> tuple[Provider, ModelInfo] | None:
    seller = _seller(model)
    table_id = TABLE_IDS.get(seller.provider)
    return _look_up(table_id, seller.name) if table_id else None


def _seller(model: ModelRef) -> ModelRef:
    """The model by who is paid for it: LiteLLM's library is called with that name, AWS's ARNs end in it."""
    name = model.name
    if model.provider == "litellm-sdk" and "/" in name:
        return _seller(ModelRef.parse(name))
    return ModelRef(model.provider, name.rpartition("/")[2]) if model.provider == "bedrock" else model


def _look_up(provider: str, model: str) -> tuple[Provider, ModelInfo] | None:
    """A model by the table's own id of its provider and any of its names."""
    from genai_prices.data_snapshot import get_snapshot

    try:
        found: tuple[Provider, ModelInfo] = get_snapshot().find_provider_model(model, None, provider, None)
    except LookupError:
        return None
    return found


def _listed(table_id: str) -> list[ModelInfo]:
    from genai_prices.data_snapshot import get_snapshot

    provider: Provider = get_snapshot().find_provider(None, table_id, None)
    return provider.models


def _input_rate(info: ModelInfo) -> float:
    return _base(info.get_prices(datetime.now(UTC)).input_mtok) or 0.0


def _base(rate: Decimal | TieredPrices | None) -> float | None:
    """A rate of the table, for short prompts where it goes by their size."""
    if rate is None:
        return None
    return float(rate if isinstance(rate, Decimal) else rate.base)
