"""What a model's tokens cost before any call is made, by the price table or a person's own rates."""

from __future__ import annotations

import pytest

from providers.pricing import Quote, Rates, price, quote
from providers.types import ModelRef, Usage

MILLION = 1_000_000


def test_a_quote_is_what_a_call_is_charged_by() -> None:
    model = ModelRef("anthropic", "claude-sonnet-5-5")
    known = quote(model)
    billed = price(model, Usage(input_tokens=1000, cache_read_tokens=2000, output_tokens=100))
    assert known is not None
    assert billed is not None
    assert known.id == billed.id
    rates = known.rates
    assert rates.cache_read is not None
    assert billed.cost * MILLION == pytest.approx(
        1000 * rates.input + 2000 * rates.cache_read + 100 * rates.output
    )


def test_the_rates_of_a_short_prompt_are_told_and_that_there_are_others() -> None:
    model = ModelRef("openai", "gpt-6.1-sol")
    known = quote(model)
    short = price(model, Usage(input_tokens=1000))
    assert known is not None
    assert short is not None
    assert known.tiered
    assert short.cost * MILLION == pytest.approx(1000 * known.rates.input)


def test_a_persons_own_rates_win() -> None:
    rates = Rates(input=3, output=15)
    model = ModelRef("anthropic", "claude-sonnet-5-5")
    assert quote(model, {str(model): rates}) == Quote(rates, f"override:{model}")
    assert quote(model, {model.name: rates}) == Quote(rates, f"override:{model.name}")


@pytest.mark.parametrize("name", ["local/smollm2", "ollama/qwen3:8b"])
def test_what_runs_here_is_free(name: str) -> None:
    known = quote(ModelRef.parse(name))
    assert known is not None
    assert (known.rates.input, known.rates.output, known.id) == (0, 0, "free")


@pytest.mark.parametrize("name", ["gateway/big", "anthropic/no-such-model", "ollama/gpt-oss:120b-cloud"])
def test_what_nobody_priced_has_no_quote(name: str) -> None:
    assert quote(ModelRef.parse(name)) is None
