"""Whatever a wire says of usage, its reader raises nothing, and books no more than the wire said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.anthropic_answer import anthropic_cache_tokens, anthropic_usage, merged_usage
from providers.bedrock_usage import bedrock_usage
from providers.counts import count
from providers.litellm_usage import litellm_usage
from providers.ollama_chunks import ollama_usage
from providers.openai_usage import openai_billed_cost, openai_cached_read_tokens, openai_reading, openai_usage
from providers.types import Usage

pytestmark = pytest.mark.slow

COUNTS = st.integers(0, 5000)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(-(10**20), 10**20),
    st.just(10**400),
    st.text(max_size=4),
    st.integers(0, 5000).map(str),
    st.integers(0, 5000).map(float),
    st.lists(st.integers(-5, 5), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
VALUES = st.one_of(COUNTS, JUNK)


def usages(*fields: str, **inside: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with any of `fields`, a count or junk each, `inside` where one holds more, and strangers."""
    known = dict.fromkeys(fields, VALUES) | {name: st.one_of(inner, JUNK) for name, inner in inside.items()}
    strangers = st.dictionaries(st.text(max_size=5), VALUES, max_size=3)
    return st.builds(
        lambda said, more: {**more, **said}, st.fixed_dictionaries({}, optional=known), strangers
    )


ANTHROPIC = usages(
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    cache_creation=usages("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"),
    output_tokens_details=usages("thinking_tokens"),
)
PROMPT_DETAILS = usages(
    "cached_tokens",
    "num_cached_tokens",
    "cache_write_tokens",
    "cache_creation_tokens",
    "created_cache_tokens",
    "text_tokens",
    cache_write_tokens_details=usages("ttl_30m_tokens", "ttl_12h_tokens"),
    cache_creation_token_details=usages("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"),
)
OPENAI = usages(
    "prompt_tokens",
    "completion_tokens",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_tokens",
    "num_cached_tokens",
    "prompt_cache_hit_tokens",
    "prompt_cache_miss_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cost",
    "is_byok",
    "cost_in_usd_ticks",
    prompt_tokens_details=PROMPT_DETAILS,
    input_tokens_details=PROMPT_DETAILS,
    completion_tokens_details=usages("reasoning_tokens"),
    output_tokens_details=usages("reasoning_tokens"),
    timings=usages("prompt_n", "cache_n", "predicted_n"),
    cost_details=usages("upstream_inference_cost"),
)
OLLAMA = usages(
    "prompt_eval_count", "prompt_eval_cached_count", "eval_count", "total_duration", "done_reason"
)
BEDROCK = usages(
    "inputTokens",
    "outputTokens",
    "totalTokens",
    "cacheReadInputTokens",
    "cacheWriteInputTokens",
    "inputTokenCount",
    "cacheReadInputTokenCount",
    cacheDetails=st.lists(usages("inputTokens", ttl=st.sampled_from(["5m", "1h"])), max_size=3),
)


@dataclass(frozen=True, slots=True)
class Wire:
    """One wire's reader, and every shape of usage that it may meet."""

    name: str
    shapes: st.SearchStrategy[dict[str, Any]]
    read: Callable[[dict[str, Any]], Usage]


WIRES = (
    Wire("anthropic", ANTHROPIC, anthropic_usage),
    Wire("openai", OPENAI, openai_usage),
    Wire("litellm-sdk", st.one_of(OPENAI, ANTHROPIC), litellm_usage),
    Wire("ollama", OLLAMA, ollama_usage),
    Wire("bedrock", BEDROCK, bedrock_usage),
    Wire("bedrock, counted inclusively", BEDROCK, lambda raw: bedrock_usage(raw, "openai.gpt-5.6-sol")),
)
each_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)


def assert_sound(usage: Usage) -> None:
    buckets = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    assert min(*buckets, usage.cache_write_1h_tokens, usage.reasoning_tokens) >= 0
    assert usage.reasoning_tokens <= usage.output_tokens
    assert usage.cache_write_1h_tokens <= usage.cache_write_tokens
    assert usage.reported_prompt_tokens in (0, usage.prompt_tokens)
    assert usage.cache_reported or usage.cache_hit_rate is None
    assert usage.cache_hit_rate is None or 0 <= usage.cache_hit_rate <= 1


@each_wire
@given(data=st.data())
def test_nothing_raises_and_no_bucket_is_negative_or_larger_than_what_it_is_part_of(
    wire: Wire, data: st.DataObject
) -> None:
    assert_sound(wire.read(data.draw(wire.shapes)))


@each_wire
@given(shape=st.recursive(JUNK, lambda inner: st.dictionaries(st.text(max_size=8), inner, max_size=4)))
def test_an_object_that_is_no_usage_at_all_is_read_as_nothing(wire: Wire, shape: Any) -> None:
    usage = wire.read(shape if isinstance(shape, dict) else {"usage": shape})
    assert usage == Usage()


# --- no more prompt than the wire said there was ------------------------------------------------------------


def said(raw: dict[str, Any], *names: str) -> int:
    """The largest count under any of these names, wherever in the object."""
    counts = [count(value) or 0 for key, value in raw.items() if key in names]
    counts += [said(value, *names) for value in raw.values() if isinstance(value, dict)]
    return max(counts, default=0)


READ = ("cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
WRITE = ("cache_write_tokens", "cache_creation_tokens", "created_cache_tokens", "cache_creation_input_tokens")


@given(ANTHROPIC)
def test_anthropics_prompt_is_what_met_no_cache_plus_reads_plus_writes(raw: dict[str, Any]) -> None:
    read, write = anthropic_cache_tokens(raw)
    assert anthropic_usage(raw).prompt_tokens == (count(raw.get("input_tokens")) or 0) + read + write


@given(OLLAMA)
def test_ollamas_prompt_is_the_count_it_gives_for_all_of_it(raw: dict[str, Any]) -> None:
    prompt = count(raw.get("prompt_eval_count"))
    if prompt is not None:
        assert ollama_usage(raw).prompt_tokens == prompt


@given(BEDROCK)
def test_bedrocks_prompt_is_never_more_than_its_parts(raw: dict[str, Any]) -> None:
    prompt = said(raw, "inputTokens", "inputTokenCount")
    read = said(raw, "cacheReadInputTokens", "cacheReadInputTokenCount")
    lifetimes = (
        [each for each in raw.get("cacheDetails") or () if isinstance(each, dict)]
        if isinstance(raw.get("cacheDetails"), list)
        else []
    )
    write = max(said(raw, "cacheWriteInputTokens"), sum(said(each, "inputTokens") for each in lifetimes))
    assert bedrock_usage(raw).prompt_tokens <= prompt + read + write


@given(st.one_of(OPENAI, ANTHROPIC))
def test_what_the_library_hands_on_is_never_more_than_its_parts(raw: dict[str, Any]) -> None:
    prompt = said(raw, "prompt_tokens", "input_tokens") + said(raw, "prompt_cache_miss_tokens")
    lifetimes = said(raw, "ephemeral_5m_input_tokens") + said(raw, "ephemeral_1h_input_tokens")
    timings = said(raw, "prompt_n") + said(raw, "cache_n")
    beside = 2 * said(raw, *READ) + max(said(raw, *WRITE), lifetimes)
    assert litellm_usage(raw).prompt_tokens <= prompt + beside + timings


@given(OPENAI)
def test_openais_prompt_is_never_more_than_the_prompt_it_names_and_what_may_stand_beside_it(
    raw: dict[str, Any],
) -> None:
    """By the rules for ambiguous sums, reads and writes stand beside the prompt's count at the most."""
    prompt = max(
        said(raw, "prompt_tokens", "input_tokens"),
        said(raw, "prompt_cache_hit_tokens") + said(raw, "prompt_cache_miss_tokens"),
        said(raw, "prompt_n"),
    )
    beside = max(said(raw, *READ), said(raw, "cache_n")) + said(raw, *WRITE)
    assert openai_usage(raw).prompt_tokens <= prompt + beside


@given(COUNTS, COUNTS, COUNTS, COUNTS, st.one_of(st.none(), st.integers(0, 20_000)))
@example(100, 60, 30, 5, 105)
@example(100, 80, 40, 5, 145)
@example(10, 80, 40, 5, 135)
def test_where_the_sums_fit_the_prompt_is_exactly_what_the_wire_said_it_was(
    prompt: int, read: int, write: int, completion: int, total: int | None
) -> None:
    """The inclusive count where there is room in it, and nothing in the total says otherwise."""
    raw: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": write},
    }
    usage = openai_usage(raw)
    extra = max(0, (total or 0) - prompt - completion)
    if prompt >= read + write and extra not in (write, read + write):
        assert usage.prompt_tokens == prompt
    if total is not None and total >= usage.prompt_tokens + completion:
        assert usage.total_tokens == total, "all that the total holds is in a bucket"
    assert usage.prompt_tokens in (prompt, prompt + write, prompt + read + write)


@given(OPENAI)
def test_what_else_is_read_from_openais_usage_raises_nothing(raw: dict[str, Any]) -> None:
    assert openai_reading(raw).usage == openai_usage(raw)
    assert openai_cached_read_tokens(raw) in (0, openai_usage(raw).cache_read_tokens)
    cost = openai_billed_cost(raw, "openrouter")
    assert cost is None or cost >= 0


@given(st.lists(ANTHROPIC, max_size=4))
def test_usage_that_a_stream_tells_bit_by_bit_is_as_sound(said: list[dict[str, Any]]) -> None:
    merged: dict[str, Any] = {}
    for each in said:
        merged = dict(merged_usage(merged, each))
    assert_sound(anthropic_usage(merged))
