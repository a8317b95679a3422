"""Prices, checked against sums done by hand from the vendors' price lists."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.pricing import Price, Rates, context_window, default_model, price, reprice
from providers.types import ModelRef, Usage

SONNET = ModelRef("anthropic", "claude-sonnet-5-5")
NOVEMBER = datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()
ROOT = Path(__file__).parents[2]


def cost(model: ModelRef, *, at: float = NOVEMBER, **usage: int) -> float:
    known = price(model, Usage(**usage), at=at)
    assert known is not None
    return known.cost


def test_every_bucket_has_its_own_rate() -> None:
    usage = Usage(
        input_tokens=1_000_000,
        output_tokens=1_000_000,
        cache_read_tokens=1_000_000,
        cache_write_tokens=1_000_000,
        cache_write_1h_tokens=400_000,
        reasoning_tokens=500_000,
        reported_prompt_tokens=3_000_000,
    )
    known = price(SONNET, usage, at=NOVEMBER)
    assert known is not None
    assert known.cost == pytest.approx(2.0 + 10.0 + 0.1 + 0.6 * 2.5 + 0.4 * 4.0)
    assert known.uncached == pytest.approx(3 * 2.0 + 10.0)
    assert known.id == "genai-prices:anthropic/claude-sonnet-5-5"


@pytest.mark.parametrize(
    ("bucket", "dollars"),
    [
        ({"input_tokens": 1_000_000}, 2.0),
        ({"output_tokens": 1_000_000}, 10.0),
        ({"cache_read_tokens": 1_000_000}, 0.1),
        ({"cache_write_tokens": 1_000_000}, 2.5),
        ({"cache_write_tokens": 1_000_000, "cache_write_1h_tokens": 1_000_000}, 4.0),
    ],
)
def test_a_million_tokens_of_one_bucket(bucket: dict[str, int], dollars: float) -> None:
    assert cost(SONNET, **bucket) == pytest.approx(dollars)


def test_a_dated_name_is_the_model() -> None:
    dated = ModelRef("anthropic", "claude-sonnet-5-5-20260928")
    assert cost(dated, input_tokens=1_000_000) == pytest.approx(2.0)


def test_a_long_prompt_pays_the_long_rate_for_all_of_it() -> None:
    model = ModelRef("openai", "gpt-5.6-sol")
    assert cost(model, input_tokens=272_000) == pytest.approx(0.272 * 4)
    assert cost(model, input_tokens=272_001) == pytest.approx(0.272001 * 8)


def test_a_long_prompt_is_long_by_all_of_it_cached_parts_too() -> None:
    model = ModelRef("openai", "gpt-5.6-sol")
    read = cost(model, input_tokens=1_000, cache_read_tokens=299_000)
    assert read == pytest.approx(0.001 * 8 + 0.299 * 0.8)


def test_the_rate_is_that_of_the_day_of_the_call() -> None:
    model = ModelRef("openai", "gpt-5.6-sol")
    july = datetime(2026, 7, 1, tzinfo=UTC).timestamp()
    assert cost(model, at=july, input_tokens=100_000) == pytest.approx(0.5)
    assert cost(model, at=NOVEMBER, input_tokens=100_000) == pytest.approx(0.4)


@pytest.mark.parametrize(
    "model",
    [
        ModelRef("anthropic", "claude-of-nobody"),
        ModelRef("my-gateway", "claude-sonnet-5-5"),
        ModelRef("ollama", "gpt-oss:120b-cloud"),
        ModelRef("mistral", "devstral-small:free"),
    ],
)
def test_an_unknown_price_is_none_and_never_zero(model: ModelRef) -> None:
    assert price(model, Usage(input_tokens=10, output_tokens=10)) is None


def test_long_lifetime_writes_without_a_rate_of_their_own_are_unknown_not_cheap() -> None:
    usage = Usage(cache_write_tokens=10, cache_write_1h_tokens=10)
    assert price(ModelRef("openai", "gpt-6.1-sol"), usage) is None


@pytest.mark.parametrize(
    "model", [ModelRef("local", "smollm2"), ModelRef("scripted", "demo"), ModelRef("ollama", "qwen3:8b")]
)
def test_what_runs_on_this_machine_is_free(model: ModelRef) -> None:
    assert price(model, Usage(input_tokens=1_000_000)) == Price(0.0, 0.0, "free")


def test_a_person_s_own_rates_win() -> None:
    rates = {"anthropic/claude-sonnet-5-5": Rates(1.0, 2.0, 0.5, 3.0, 6.0)}
    usage = Usage(
        input_tokens=1_000_000,
        output_tokens=1_000_000,
        cache_read_tokens=1_000_000,
        cache_write_tokens=1_000_000,
        cache_write_1h_tokens=250_000,
    )
    known = price(SONNET, usage, overrides=rates)
    assert known == Price(
        1.0 + 2.0 + 0.5 + 0.75 * 3.0 + 0.25 * 6.0, 5.0, "override:anthropic/claude-sonnet-5-5"
    )


def test_own_rates_may_name_the_model_alone_and_leave_out_the_cache() -> None:
    usage = Usage(input_tokens=1, cache_read_tokens=1_000_000, cache_write_tokens=999_999)
    known = price(ModelRef("gateway", "big"), usage, overrides={"big": Rates(1.0, 2.0)})
    assert known is not None
    assert known.cost == known.uncached == pytest.approx(2.0)


def test_own_rates_put_a_price_on_a_local_model() -> None:
    known = price(
        ModelRef("local", "smollm2"), Usage(input_tokens=1_000_000), overrides={"smollm2": Rates(3, 4)}
    )
    assert known is not None
    assert known.cost == 3.0


def test_context_windows_are_known_or_none() -> None:
    assert context_window(SONNET) == 1_000_000
    assert context_window(ModelRef("anthropic", "claude-of-nobody")) is None
    assert context_window(ModelRef("local", "smollm2")) is None


@pytest.mark.parametrize(
    "provider", ["anthropic", "openai", "gemini", "groq", "xai", "deepseek", "mistral", "openrouter"]
)
def test_a_default_model_has_a_price_with_a_cache_rate_and_a_context_window(provider: str) -> None:
    name = default_model(provider)
    assert name is not None
    model = ModelRef(provider, name)
    assert (context_window(model) or 0) >= 100_000
    assert cost(model, cache_read_tokens=1_000) < cost(model, input_tokens=1_000)


def test_anthropics_default_is_its_newest_sonnet() -> None:
    assert default_model("anthropic") == "claude-sonnet-5-5"
    assert default_model("openrouter") == "anthropic/claude-sonnet-5.5"


def test_a_default_is_among_the_models_that_the_vendors_sdk_lists() -> None:
    from typing import Literal, get_args, get_origin

    from anthropic.types import ModelParam

    listed = {name for part in get_args(ModelParam) if get_origin(part) is Literal for name in get_args(part)}
    assert default_model("anthropic") in listed


def test_a_provider_without_a_list_has_no_default() -> None:
    assert default_model("ollama") is None
    assert default_model("my-gateway") is None


def test_the_table_is_not_imported_before_a_price_is_asked_for() -> None:
    code = (
        "import sys; from providers.pricing import price; from providers.types import ModelRef, Usage;"
        "price(ModelRef('local', 'x'), Usage()); sys.exit('genai_prices' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# --- tiers and lifetimes, against the table's own figures ---------------------------------------------------

LONG_PROMPTS = [
    # model, the size that is still short, then dollars per million: short and long, by bucket
    (ModelRef("anthropic", "claude-sonnet-4-5"), 200_000, (3, 0.3, 3.75, 6, 15), (6, 0.6, 7.5, 12, 22.5)),
    (
        ModelRef("anthropic", "claude-haiku-5-5"),
        100_000,
        (0.1, 0.01, 0.125, 0.2, 0.5),
        (0.5, 0.05, 0.625, 1, 2.5),
    ),
    (
        ModelRef("bedrock", "global.anthropic.claude-haiku-5-5"),
        100_000,
        (0.1, 0.01, 0.125, 0.2, 0.5),
        (0.5, 0.05, 0.625, 1, 2.5),
    ),
]


def filled(size: int, rates: tuple[float, ...]) -> tuple[Usage, float]:
    """A call whose prompt has this size, every bucket in use, and its price done by hand."""
    read, write, write_1h, output = size // 2, size // 4, size // 8, 1_000
    usage = Usage(
        input_tokens=size - read - write,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=write_1h,
        output_tokens=output,
    )
    counts = (usage.input_tokens, read, write - write_1h, write_1h, output)
    return usage, sum(count * rate for count, rate in zip(counts, rates, strict=True)) / 1_000_000


@pytest.mark.parametrize(("model", "most", "short", "long"), LONG_PROMPTS, ids=lambda value: str(value))
def test_every_bucket_has_the_rate_of_the_whole_prompts_size_and_lifetime(
    model: ModelRef, most: int, short: tuple[float, ...], long: tuple[float, ...]
) -> None:
    for size, rates in ((most, short), (most + 1, long)):
        usage, dollars = filled(size, rates)
        known = price(model, usage, at=NOVEMBER)
        assert known is not None
        assert known.cost == pytest.approx(dollars)
        again = reprice(known.id, model, usage, at=NOVEMBER, overrides={})
        assert again is not None
        assert again.cost == pytest.approx(dollars)


@pytest.mark.parametrize(
    ("rate", "bucket"),
    [
        ("input", {"input_tokens": 1_000_000}),
        ("output", {"output_tokens": 1_000_000}),
        ("cache_read", {"cache_read_tokens": 1_000_000}),
        ("cache_write", {"cache_write_tokens": 1_000_000}),
        ("cache_write_1h", {"cache_write_tokens": 1_000_000, "cache_write_1h_tokens": 1_000_000}),
    ],
)
def test_each_rate_of_ones_own_is_for_its_bucket_alone(rate: str, bucket: dict[str, int]) -> None:
    own = Rates(
        **{
            **dict.fromkeys(("input", "output", "cache_read", "cache_write", "cache_write_1h"), 0.0),
            rate: 7.0,
        }
    )
    known = price(SONNET, Usage(**bucket), overrides={str(SONNET): own})
    assert known is not None
    assert known.cost == pytest.approx(7.0)


# --- what the provider says it charged ----------------------------------------------------------------------

ROUTED = ModelRef("openrouter", "anthropic/claude-sonnet-5.5")


def test_the_providers_own_cost_wins_over_the_table_which_still_tells_what_no_cache_had_cost() -> None:
    usage = Usage(input_tokens=1_000, cache_read_tokens=9_000)
    listed = price(ROUTED, usage)
    assert listed is not None
    assert price(ROUTED, usage, billed=0.0123) == Price(0.0123, listed.uncached, "billed:openrouter")


def test_a_billed_call_of_an_unlisted_model_has_a_cost_and_no_saving() -> None:
    known = price(ModelRef("openrouter", "nobody/nothing"), Usage(input_tokens=5), billed=0.5)
    assert known == Price(0.5, None, "billed:openrouter")


def test_a_billed_cost_of_nothing_is_known_and_free() -> None:
    known = price(ROUTED, Usage(input_tokens=5), billed=0.0)
    assert known is not None
    assert known.cost == 0.0


def test_a_persons_own_rates_win_over_the_bill_too() -> None:
    known = price(ROUTED, Usage(input_tokens=1_000_000), overrides={str(ROUTED): Rates(1, 2)}, billed=9.0)
    assert known == Price(1.0, 1.0, f"override:{ROUTED}")


# --- once more, for an audit --------------------------------------------------------------------------------

OWN = {"gateway/big": Rates(3, 15, 0.3)}
AUDITED = [
    (SONNET, None),
    (ModelRef("anthropic", "claude-sonnet-4-5-20250929"), None),
    (ModelRef("openai", "gpt-5.6-sol"), None),
    (ModelRef("xai", "grok-4.5"), None),
    (ModelRef("deepseek", "deepseek-chat"), None),
    (ModelRef("gateway", "big"), None),
    (ModelRef("local", "smollm2"), None),
    (ROUTED, 0.0042),
]


@pytest.mark.parametrize(("model", "billed"), AUDITED, ids=lambda value: str(value))
@given(
    st.tuples(*[st.integers(0, 300_000)] * 4),
    st.booleans(),
    st.sampled_from([NOVEMBER, NOVEMBER - 100 * 86_400, NOVEMBER + 5 * 3600]),
)
def test_the_audit_comes_to_what_the_table_came_to(
    model: ModelRef, billed: float | None, counts: tuple[int, int, int, int], long: bool, at: float
) -> None:
    plain, read, write, output = counts
    usage = Usage(
        input_tokens=plain,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=write // 2 if long else 0,
        output_tokens=output,
    )
    first = price(model, usage, at=at, overrides=OWN, billed=billed)
    if first is None:
        return
    again = reprice(first.id, model, usage, at=at, overrides=OWN, billed=billed)
    assert again is not None
    assert again.cost == pytest.approx(first.cost)
    assert again.uncached == pytest.approx(first.uncached)
    assert again.id == first.id


@pytest.mark.parametrize(
    "id",
    [
        "override:gone",
        "genai-prices:anthropic/claude-of-nobody",
        "genai-prices:nobody/x",
        "genai-prices:anthropic/claude-sonnet-5-5-20260928",
        "billed:openrouter",
        "billed",
        "test",
        "",
    ],
)
def test_a_price_whose_source_is_gone_cannot_be_told_again(id: str) -> None:
    assert reprice(id, SONNET, Usage(input_tokens=1), at=NOVEMBER, overrides={}) is None
