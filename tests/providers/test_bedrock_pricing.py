"""Bedrock's many names for a model find its price, through LiteLLM's library too."""

from __future__ import annotations

import pytest

from providers.pricing import context_window, price
from providers.types import ModelRef, Usage

ASKED = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=1000, reported_prompt_tokens=2000)
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (SONNET, f"regional.{SONNET}"),
        (f"us.{SONNET}", f"regional.{SONNET}"),
        (f"eu.{SONNET}", f"regional.{SONNET}"),
        (f"apac.{SONNET}", f"regional.{SONNET}"),
        (f"us-gov.{SONNET}", f"regional.{SONNET}"),
        (f"global.{SONNET}", f"global.{SONNET}"),
        (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{SONNET}", f"regional.{SONNET}"),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{SONNET}", f"regional.{SONNET}"),
        ("us.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("us.meta.llama3-3-70b-instruct-v1:0", "meta.llama3-3-70b-instruct-v1:0"),
        ("openai.gpt-oss-120b-1:0", "openai.gpt-oss-120b-1:0"),
    ],
)
def test_a_model_of_bedrocks_has_the_price_of_its_kind_of_profile(name: str, found: str) -> None:
    billed = price(ModelRef("bedrock", name), ASKED)
    assert billed is not None
    assert billed.id == f"genai-prices:aws/{found}"
    assert context_window(ModelRef("bedrock", name))


def test_a_regional_profile_costs_more_than_the_global_one() -> None:
    regional = price(ModelRef("bedrock", f"us.{SONNET}"), ASKED)
    anywhere = price(ModelRef("bedrock", f"global.{SONNET}"), ASKED)
    assert regional is not None
    assert anywhere is not None
    assert regional.cost > anywhere.cost


@pytest.mark.parametrize(
    "name",
    ["arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3", "nobody.knows-v1:0"],
)
def test_a_name_that_hides_its_model_has_no_known_price(name: str) -> None:
    assert price(ModelRef("bedrock", name), ASKED) is None


@pytest.mark.parametrize(
    ("through", "directly"),
    [
        (f"bedrock/us.{SONNET}", ModelRef("bedrock", f"us.{SONNET}")),
        (f"bedrock/converse/us.{SONNET}", ModelRef("bedrock", f"us.{SONNET}")),
        ("anthropic/claude-sonnet-4-5", ModelRef("anthropic", "claude-sonnet-4-5")),
        ("openai/gpt-5.6-sol", ModelRef("openai", "gpt-5.6-sol")),
    ],
)
def test_through_litellms_library_a_model_costs_what_it_costs_directly(
    through: str, directly: ModelRef
) -> None:
    priced = price(ModelRef("litellm-sdk", through), ASKED)
    assert priced is not None
    assert priced == price(directly, ASKED)


def test_a_provider_that_only_the_library_knows_has_no_known_price() -> None:
    assert price(ModelRef("litellm-sdk", "watsonx/granite"), ASKED) is None
    assert price(ModelRef("litellm-sdk", "gpt-5.6"), ASKED) is None
