"""Each provider's own usage shape, sent by a loopback server to the real SDK behind the real provider."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from providers.registry import open_provider
from providers.settings import ProviderSettings
from providers.types import Usage
from tests.support import anthropic_server, ollama_server, responses_server
from tests.support.anthropic_server import event
from tests.support.calls import Outcome, played, request
from tests.support.loopback import LoopbackServer, Reply, sse
from tests.support.openai_server import DONE, chunk

FIXTURES = Path(__file__).parents[1] / "fixtures" / "wire"
TEXT = chunk({"role": "assistant", "content": "fine"})
STOP = chunk({}, "stop")


@dataclass(frozen=True, slots=True)
class Row:
    """One wire's answer, and what it comes to."""

    name: str
    provider: str
    reply: Reply
    usage: Usage
    raw: dict[str, Any]
    """The usage that is kept beside the buckets."""
    path: str = "/v1"
    wire: str = ""


def reported(uncached: int, output: int, read: int = 0, write: int = 0, **buckets: int) -> Usage:
    """The buckets of a call whose provider said something of caching."""
    return silent(uncached, output, read, write, reported_prompt_tokens=uncached + read + write, **buckets)


def silent(uncached: int, output: int, read: int = 0, write: int = 0, **buckets: int) -> Usage:
    """The buckets of a call whose provider said nothing of caching."""
    return Usage(
        input_tokens=uncached,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=write,
        **buckets,
    )


def counts(prompt: int, completion: int, total: int | None = None, **fields: Any) -> dict[str, Any]:
    """A chat completion's usage."""
    whole = prompt + completion if total is None else total
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": whole, **fields}


def read_of(cached: int, **fields: Any) -> dict[str, Any]:
    return {"prompt_tokens_details": {"cached_tokens": cached, **fields}}


def thought_of(tokens: int) -> dict[str, Any]:
    return {"completion_tokens_details": {"reasoning_tokens": tokens}}


def chat(name: str, provider: str, raw: dict[str, Any], usage: Usage, *, path: str = "/v1") -> Row:
    """A chat completion whose last chunk has no choices and the usage."""
    return Row(name, provider, sse(TEXT, STOP, chunk(usage=raw), DONE), usage, raw, path)


def messages(
    name: str, provider: str, start: dict[str, Any], end: dict[str, Any], usage: Usage, raw: dict[str, Any]
) -> Row:
    """An answer of Anthropic's wire: usage at its start, cumulative at its end."""
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    said = anthropic_server.answer(anthropic_server.text("fine"), usage={})
    reply = sse(
        event("message_start", message={**head, "usage": start}),
        *said[1:-2],
        event("message_delta", delta={"stop_reason": "end_turn"}, usage=end),
        said[-1],
    )
    return Row(name, provider, reply, usage, raw, "", "anthropic")


def ollama(name: str, usage: Usage, **sent: int) -> Row:
    sent["total_duration"] = 30_258_609_300
    reply = ollama_server.ndjson(ollama_server.end(**sent))
    return Row(name, "ollama", reply, usage, {"done_reason": "stop", **sent}, "", "ollama")


def responses(name: str, provider: str, raw: dict[str, Any], usage: Usage) -> Row:
    """An answer of the Responses API: one message, the usage with the response that is completed."""
    reply = sse(*responses_server.answer(responses_server.said("fine"), usage=raw))
    return Row(name, provider, reply, usage, raw, "/v1", "openai-responses")


def captured(name: str, file: str, wire: str, usage: Usage, raw: dict[str, Any]) -> Row:
    """A real llama.cpp server's stream, byte for byte."""
    return Row(
        name,
        "llamacpp",
        sse((FIXTURES / file).read_bytes()),
        usage,
        raw,
        "" if wire == "anthropic" else "/v1",
        wire,
    )


OPENAI_DETAILS = read_of(1536, cache_write_tokens=384, audio_tokens=0) | thought_of(128)
ANTHROPIC_START = {
    "input_tokens": 21,
    "cache_creation_input_tokens": 1840,
    "cache_read_input_tokens": 12032,
    "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 840},
    "output_tokens": 1,
    "service_tier": "standard",
}
ANTHROPIC_END = {
    "input_tokens": 21,
    "cache_creation_input_tokens": 1840,
    "cache_read_input_tokens": 12032,
    "output_tokens": 89,
    "output_tokens_details": {"thinking_tokens": 41},
}
GROQ = counts(4641, 1817, **read_of(4608), queue_time=0.03, prompt_time=0.2, total_time=1.9)
LITELLM = counts(
    1000,
    50,
    **read_of(
        600,
        cache_write_tokens=300,
        cache_creation_tokens=300,
        cache_creation_token_details={"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
        text_tokens=100,
    ),
    cache_read_input_tokens=600,
    cache_creation_input_tokens=300,
)
LITELLM_2025 = counts(
    700, 50, 1050, **read_of(600), cache_read_input_tokens=600, cache_creation_input_tokens=300
)

ROWS = (
    # --- Anthropic Messages: exclusive counts ------------------------------------------------------------
    messages(
        "anthropic",
        "anthropic",
        ANTHROPIC_START,
        ANTHROPIC_END,
        reported(21, 89, 12032, 1840, cache_write_1h_tokens=840, reasoning_tokens=41),
        {**ANTHROPIC_START, **ANTHROPIC_END},
    ),
    messages(
        "anthropic: a null at the end erases nothing",
        "anthropic",
        ANTHROPIC_START,
        {"input_tokens": None, "cache_read_input_tokens": None, "output_tokens": 89},
        reported(21, 89, 12032, 1840, cache_write_1h_tokens=840),
        {**ANTHROPIC_START, "output_tokens": 89},
    ),
    messages(
        "anthropic: the end corrects the writes, and their split is cut to fit",
        "anthropic",
        ANTHROPIC_START,
        {"cache_creation_input_tokens": 500, "output_tokens": 89},
        reported(21, 89, 12032, 500, cache_write_1h_tokens=500),
        {**ANTHROPIC_START, "cache_creation_input_tokens": 500, "output_tokens": 89},
    ),
    messages(
        "anthropic: writes told only by lifetime",
        "anthropic",
        {"input_tokens": 21, "cache_creation": ANTHROPIC_START["cache_creation"], "output_tokens": 1},
        {"output_tokens": 89},
        reported(21, 89, 0, 1840, cache_write_1h_tokens=840),
        {"input_tokens": 21, "cache_creation": ANTHROPIC_START["cache_creation"], "output_tokens": 89},
    ),
    # --- OpenAI: inclusive of reads and writes -----------------------------------------------------------
    chat(
        "openai chat",
        "openai",
        counts(2006, 300, **OPENAI_DETAILS),
        reported(86, 300, 1536, 384, reasoning_tokens=128),
    ),
    responses(
        "openai responses",
        "openai",
        {
            "input_tokens": 2006,
            "input_tokens_details": {
                "cached_tokens": 1536,
                "cache_write_tokens": 384,
                "cache_write_tokens_details": {"ttl_30m_tokens": 84, "ttl_12h_tokens": 300},
            },
            "output_tokens": 300,
            "output_tokens_details": {"reasoning_tokens": 128},
            "total_tokens": 2306,
        },
        reported(86, 300, 1536, 384, cache_write_1h_tokens=300, reasoning_tokens=128),
    ),
    # --- vendors -----------------------------------------------------------------------------------------
    chat(
        "gemini: thoughts are hidden from completion",
        "gemini",
        counts(1469, 744, 2496),
        silent(1469, 1027, reasoning_tokens=283),
        path="/v1beta/openai",
    ),
    chat(
        "gemini: with implicit caching",
        "gemini",
        counts(5000, 744, 6027, **read_of(4096)),
        reported(904, 1027, 4096, reasoning_tokens=283),
        path="/v1beta/openai",
    ),
    chat(
        "xai: reasoning stands beside completion",
        "xai",
        counts(199, 1, 800, **read_of(163, text_tokens=199), **thought_of(600), cost_in_usd_ticks=37_756_000),
        reported(36, 601, 163, reasoning_tokens=600),
    ),
    chat(
        "xai: should it one day count as OpenAI does",
        "xai",
        counts(199, 601, 800, **read_of(163), **thought_of(600)),
        reported(36, 601, 163, reasoning_tokens=600),
    ),
    chat(
        "deepseek",
        "deepseek",
        counts(
            1000,
            200,
            prompt_cache_hit_tokens=896,
            prompt_cache_miss_tokens=104,
            **read_of(896),
            **thought_of(150),
        ),
        reported(104, 200, 896, reasoning_tokens=150),
        path="",
    ),
    chat(
        "deepseek: without details",
        "deepseek",
        counts(1000, 200, prompt_cache_hit_tokens=896, prompt_cache_miss_tokens=104),
        reported(104, 200, 896),
        path="",
    ),
    chat("groq", "groq", GROQ, reported(33, 1817, 4608), path="/openai/v1"),
    Row(
        "groq: only in x_groq",
        "groq",
        sse(
            chunk({"role": "assistant", "content": "fine"}, x_groq={"id": "req_1"}),
            chunk({}, "stop", x_groq={"id": "req_1", "usage": GROQ}),
            DONE,
        ),
        reported(33, 1817, 4608),
        GROQ,
        "/openai/v1",
    ),
    chat("mistral: silent", "mistral", counts(300, 20), silent(300, 20)),
    chat("mistral: openai's name", "mistral", counts(300, 20, **read_of(256)), reported(44, 20, 256)),
    chat("mistral: its own", "mistral", counts(300, 20, num_cached_tokens=256), reported(44, 20, 256)),
    chat(
        "openrouter",
        "openrouter",
        counts(
            10339,
            60,
            **read_of(10318, cache_write_tokens=12, audio_tokens=0),
            **thought_of(40),
            cost=0.0033789,
            cost_details={"upstream_inference_cost": 0.0033789},
            is_byok=False,
        ),
        reported(9, 60, 10318, 12, reasoning_tokens=40),
        path="/api/v1",
    ),
    # --- local servers -----------------------------------------------------------------------------------
    captured(
        "llama.cpp chat: cold",
        "llamacpp_chat_cold.sse",
        "",
        reported(33, 6),
        counts(33, 6, **read_of(0)),
    ),
    captured(
        "llama.cpp chat: warm",
        "llamacpp_chat_warm.sse",
        "",
        reported(1, 6, 32),
        counts(33, 6, **read_of(32)),
    ),
    captured(
        "llama.cpp chat: a tool call",
        "llamacpp_chat_toolcall_auto_b.sse",
        "",
        reported(1, 31, 333),
        counts(334, 31, **read_of(333)),
    ),
    Row(
        "llama.cpp chat: timings alone",
        "llamacpp",
        sse(TEXT, chunk({}, "stop", timings={"cache_n": 333, "prompt_n": 1, "predicted_n": 31}), DONE),
        reported(1, 31, 333),
        {"timings": {"cache_n": 333, "prompt_n": 1, "predicted_n": 31}},
    ),
    captured(
        "llama.cpp responses",
        "llamacpp_responses.sse",
        "openai-responses",
        reported(1, 6, 32),
        {
            "input_tokens": 33,
            "output_tokens": 6,
            "total_tokens": 39,
            "input_tokens_details": {"cached_tokens": 32},
        },
    ),
    captured(
        "llama.cpp responses: a tool call",
        "llamacpp_responses_toolcall.sse",
        "openai-responses",
        reported(1, 31, 315),
        {
            "input_tokens": 316,
            "output_tokens": 31,
            "total_tokens": 347,
            "input_tokens_details": {"cached_tokens": 315},
        },
    ),
    captured(
        "llama.cpp messages",
        "llamacpp_messages.sse",
        "anthropic",
        reported(1, 6, 32),
        {"cache_read_input_tokens": 32, "input_tokens": 1, "output_tokens": 6},
    ),
    captured(
        "llama.cpp messages: a tool call",
        "llamacpp_messages_toolcall.sse",
        "anthropic",
        reported(1, 31, 315),
        {"cache_read_input_tokens": 315, "input_tokens": 1, "output_tokens": 31},
    ),
    chat(
        "vllm: without its flag",
        "vllm",
        counts(512, 20, prompt_tokens_details=None),
        silent(512, 20),
    ),
    chat("vllm: with its flag", "vllm", counts(512, 20, **read_of(496)), reported(16, 20, 496)),
    chat(
        "vllm: what it stored",
        "vllm",
        counts(512, 20, **read_of(256, created_cache_tokens=240)),
        reported(16, 20, 256, 240),
    ),
    messages(
        "vllm messages",
        "vllm",
        {
            "input_tokens": 16,
            "cache_read_input_tokens": 496,
            "cache_creation_input_tokens": 0,
            "output_tokens": 0,
        },
        {"output_tokens": 20},
        reported(16, 20, 496),
        {
            "input_tokens": 16,
            "cache_read_input_tokens": 496,
            "cache_creation_input_tokens": 0,
            "output_tokens": 20,
        },
    ),
    messages(
        "vllm messages: what it cached is not known",
        "vllm",
        {"input_tokens": 512, "output_tokens": 0},
        {"output_tokens": 20},
        silent(512, 20),
        {"input_tokens": 512, "output_tokens": 20},
    ),
    chat("lm studio", "lmstudio", counts(64, 9, **thought_of(4)), silent(64, 9, reasoning_tokens=4)),
    chat("lm studio: should it say", "lmstudio", counts(64, 9, **read_of(48)), reported(16, 9, 48)),
    # --- LiteLLM's proxy ---------------------------------------------------------------------------------
    chat(
        "litellm proxy: every count three times",
        "litellm",
        LITELLM,
        reported(100, 50, 600, 300, cache_write_1h_tokens=100),
        path="",
    ),
    chat(
        "litellm proxy: 2025, before Bedrock, writes outside the prompt",
        "litellm",
        LITELLM_2025,
        reported(100, 50, 600, 300),
        path="",
    ),
    chat(
        "litellm proxy: silent", "litellm", counts(80, 5, prompt_tokens_details=None), silent(80, 5), path=""
    ),
    # --- Ollama ------------------------------------------------------------------------------------------
    ollama(
        "ollama: since 0.33.3",
        reported(9, 3, 20),
        prompt_eval_count=29,
        prompt_eval_cached_count=20,
        eval_count=3,
    ),
    ollama(
        "ollama: since 0.33.3, nothing cached",
        reported(29, 3),
        prompt_eval_count=29,
        prompt_eval_cached_count=0,
        eval_count=3,
    ),
    ollama("ollama: 0.30 to 0.33.2", silent(29, 3), prompt_eval_count=29, eval_count=3),
    ollama("ollama: before 0.30, all of it cached", silent(0, 3), eval_count=3),
    Row(
        "ollama chat completions",
        "gate",
        sse(TEXT, STOP, chunk(usage=counts(29, 3, **read_of(20))), DONE),
        reported(9, 3, 20),
        counts(29, 3, **read_of(20)),
    ),
    messages(
        "ollama messages",
        "gate",
        {"input_tokens": 9, "cache_read_input_tokens": 20, "output_tokens": 0},
        {"output_tokens": 3},
        reported(9, 3, 20),
        {"input_tokens": 9, "cache_read_input_tokens": 20, "output_tokens": 3},
    ),
)


async def called(row: Row, tmp_path: Path) -> Outcome:
    with LoopbackServer(lambda _: row.reply) as server:
        own = ProviderSettings(base_url=server.url + row.path, api_key="k", wire=row.wire)
        provider = open_provider(row.provider, {row.provider: own}, {}, tmp_path)
        outcome = await played(provider, request(f"{row.provider}/m"))
        await provider.aclose()
    assert outcome.error is None
    return outcome


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_providers_own_counts_fall_into_the_right_buckets(row: Row, tmp_path: Path) -> None:
    outcome = await called(row, tmp_path)
    assert outcome.call.usage == row.usage
    assert not outcome.call.estimated


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_providers_own_counts_are_kept_as_they_came(row: Row, tmp_path: Path) -> None:
    raw = (await called(row, tmp_path)).call.raw_usage
    assert {key: value for key, value in raw.items() if key != "response_id"} == row.raw
