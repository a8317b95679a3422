"""What LiteLLM's library says of usage, in each shape that it comes in."""

from __future__ import annotations

from typing import Any

import pytest

from providers.litellm_usage import litellm_usage
from providers.types import Usage

BOTH = Usage(
    input_tokens=3,
    output_tokens=9,
    cache_read_tokens=100,
    cache_write_tokens=50,
    reported_prompt_tokens=153,
)


@pytest.mark.parametrize(
    "raw",
    [
        {
            "input_tokens": 3,
            "output_tokens": 9,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 50,
        },
        {
            "prompt_tokens": 153,
            "completion_tokens": 9,
            "total_tokens": 162,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 50,
        },
        {
            "prompt_tokens": 153,
            "completion_tokens": 9,
            "total_tokens": 162,
            "prompt_tokens_details": {
                "cached_tokens": 100,
                "cache_write_tokens": 50,
                "cache_creation_tokens": 50,
                "text_tokens": 3,
            },
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 50,
            "cost": 0.0002,
        },
        {  # its releases of 2025 in front of Bedrock: the prompt leaves the writes out, the total doesn't
            "prompt_tokens": 103,
            "completion_tokens": 9,
            "total_tokens": 162,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 50,
        },
    ],
    ids=["as Anthropic sends it", "Anthropic's beside OpenAI's", "each twice", "writes outside the prompt"],
)
def test_anthropics_shape_gives_both_counters(raw: dict[str, Any]) -> None:
    assert litellm_usage(raw) == BOTH


def test_openais_shape_gives_what_was_read() -> None:
    raw = {"prompt_tokens": 103, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 100}}
    assert litellm_usage(raw) == Usage(
        input_tokens=3, output_tokens=9, cache_read_tokens=100, reported_prompt_tokens=103
    )


def test_openais_shape_gives_what_was_written_where_it_is_told() -> None:
    raw = {"prompt_tokens": 153, "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 50}}
    usage = litellm_usage(raw)
    assert (usage.input_tokens, usage.cache_write_tokens) == (3, 50)


def test_a_response_is_openais_shape_too() -> None:
    raw = {"input_tokens": 103, "output_tokens": 9, "input_tokens_details": {"cached_tokens": 100}}
    assert litellm_usage(raw).input_tokens == 3


@pytest.mark.parametrize(
    "raw",
    [{}, {"prompt_tokens": None}, {"prompt_tokens_details": "?"}, {"input_tokens": "many"}, {"cost": 1}],
)
def test_neither_gives_zeros_and_reports_nothing(raw: dict[str, Any]) -> None:
    assert litellm_usage(raw) == Usage()
    assert not litellm_usage(raw).cache_reported
