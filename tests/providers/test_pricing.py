"""Prices, checked against sums done by hand from the vendors' price lists."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from providers.pricing import Price, Rates, context_window, default_model, price
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
