"""A raw usage read anew, by its wire, comes to what the call was booked with."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.errors import ConfigurationError
from providers.readings import READERS, billed_cost, reading_of, usage_of
from providers.registry import BUILT_IN, open_provider
from providers.settings import KEY_VARIABLES, ProviderSettings
from providers.types import JSONObject, Usage

RAW: dict[str, tuple[JSONObject, Usage]] = {
    "anthropic": (
        {"input_tokens": 3, "cache_read_input_tokens": 20, "output_tokens": 5},
        Usage(input_tokens=3, cache_read_tokens=20, output_tokens=5, reported_prompt_tokens=23),
    ),
    "openai-chat": (
        {"prompt_tokens": 23, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 20}},
        Usage(input_tokens=3, cache_read_tokens=20, output_tokens=5, reported_prompt_tokens=23),
    ),
    "openai-responses": (
        {"input_tokens": 23, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 20}},
        Usage(input_tokens=3, cache_read_tokens=20, output_tokens=5, reported_prompt_tokens=23),
    ),
    "local": (
        {"timings": {"prompt_n": 3, "cache_n": 20, "predicted_n": 5}},
        Usage(input_tokens=3, cache_read_tokens=20, output_tokens=5, reported_prompt_tokens=23),
    ),
    "ollama": (
        {"prompt_eval_count": 23, "prompt_eval_cached_count": 20, "eval_count": 5},
        Usage(input_tokens=3, cache_read_tokens=20, output_tokens=5, reported_prompt_tokens=23),
    ),
    "bedrock": (
        {"inputTokens": 3, "cacheReadInputTokens": 20, "outputTokens": 5},
        Usage(input_tokens=3, cache_read_tokens=20, output_tokens=5, reported_prompt_tokens=23),
    ),
    "litellm-sdk": (
        {"input_tokens": 3, "cache_read_input_tokens": 20, "output_tokens": 5},
        Usage(input_tokens=3, cache_read_tokens=20, output_tokens=5, reported_prompt_tokens=23),
    ),
    "scripted": (
        {"input_tokens": 3, "cache_read_tokens": 20, "output_tokens": 5},
        Usage(input_tokens=3, cache_read_tokens=20, output_tokens=5, reported_prompt_tokens=23),
    ),
}


@pytest.mark.parametrize("wire", RAW)
def test_a_wires_own_reader_reads_its_raw_usage(wire: str) -> None:
    raw, usage = RAW[wire]
    assert usage_of(wire, raw) == usage


@pytest.mark.parametrize("wire", READERS)
def test_every_reader_is_there_and_takes_nothing_for_nothing(wire: str) -> None:
    assert usage_of(wire, {}) == Usage()


def test_a_wire_that_nobody_reads_is_none_and_not_zero() -> None:
    assert usage_of("carrier-pigeon", {"input_tokens": 3}) is None


def test_what_an_endpoint_says_it_charged_is_read_on_wires_that_have_a_word_for_it() -> None:
    raw = {"prompt_tokens": 3, "cost": 0.0042}
    assert billed_cost("openai-chat", raw, "openrouter") == 0.0042
    assert billed_cost("openai-chat", raw, "my-gateway") is None
    assert billed_cost("anthropic", raw, "openrouter") is None


def test_a_usage_that_contradicts_itself_is_read_with_notes() -> None:
    odd, plain = {"prompt_tokens": -3}, {"prompt_tokens": 3, "completion_tokens": 1}
    for raw, noted in ((odd, True), (plain, False)):
        reading = reading_of("openai-chat", raw)
        assert reading is not None
        assert (reading.usage, bool(reading.notes)) == (usage_of("openai-chat", raw), noted)


@pytest.mark.parametrize("wire", RAW)
def test_a_reading_has_the_usage_of_every_wire(wire: str) -> None:
    raw, usage = RAW[wire]
    reading = reading_of(wire, raw)
    assert reading is not None
    assert reading.usage == usage


def test_a_model_that_counts_otherwise_than_its_wire_is_read_by_its_name() -> None:
    raw = {"inputTokens": 23, "cacheReadInputTokens": 20, "outputTokens": 5}
    inclusive = usage_of("bedrock", raw, model="openai.gpt-5.6-sol")
    exclusive = usage_of("bedrock", raw, model="anthropic.claude-opus-5")
    assert inclusive is not None
    assert exclusive is not None
    assert (inclusive.input_tokens, exclusive.input_tokens) == (3, 23)


@pytest.mark.parametrize("name", [*BUILT_IN])
def test_every_built_in_provider_speaks_a_wire_that_can_be_read_anew(name: str, tmp_path: Path) -> None:
    environ = dict.fromkeys(KEY_VARIABLES.values(), "k")
    try:
        provider = open_provider(
            name, {name: ProviderSettings(base_url="http://127.0.0.1:9/v1")}, environ, tmp_path
        )
    except ConfigurationError:
        pytest.skip("its extra is not installed")
    assert provider.encoder.partition("/")[0] in READERS
