"""The only place that builds a usage object: what a run's model calls came to, as OpenAI's clients read it.

OpenAI counts cached tokens as part of the input, in every field here; Cachet's own values and the command
line keep the buckets disjoint. `docs/server.md` has the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired

from typing_extensions import TypedDict

from providers.types import Usage
from sessions.bill import cost_of
from sessions.records import CallLine


class Counts(TypedDict):
    """Tokens under the Responses API's names, and what the prompt cache did, flat."""

    input_tokens: int
    """All input, what was read from or written to a cache included."""
    output_tokens: int
    """All output, reasoning included."""
    total_tokens: int
    """Input and output."""
    cache_read_tokens: int
    """The part of the input that was read from the provider's cache. It is in `input_tokens` already."""
    cache_write_tokens: int
    """The part of the input that was written to the provider's cache. It is in `input_tokens` already."""
    cache_hit_rate: float | None
    """Reads over the input of the calls whose provider says what its cache did; null where none does."""


class InputDetails(TypedDict):
    """Parts of the input."""

    cached_tokens: int
    """Read from the provider's cache: the same as `cache_read_tokens`."""
    cache_write_tokens: int
    """Written to the provider's cache."""


class OutputDetails(TypedDict):
    """Parts of the output."""

    reasoning_tokens: int
    """Spent on thinking before the answer."""


class ChatCounts(Counts):
    prompt_tokens: int
    """All input, cached tokens included, as OpenAI counts: the same as `input_tokens`."""
    completion_tokens: int
    """All output, reasoning included: the same as `output_tokens`."""
    prompt_tokens_details: InputDetails
    completion_tokens_details: OutputDetails


class ResponseCounts(Counts):
    input_tokens_details: InputDetails
    output_tokens_details: OutputDetails


class Bill(TypedDict):
    cost_usd: float | None
    """US dollars of all the calls; null where the price of one isn't known."""
    model_calls: int
    """How many calls of a model the turn made, those of sub-agents too: every count is their sum."""
    estimated: NotRequired[bool]
    """True where a call ended before its provider told what it came to, so the counts are an estimate."""


class OneBill(TypedDict):
    cost_usd: float | None
    """US dollars; null where the price isn't known."""
    model: str
    """Which model was called."""


class ChatCall(ChatCounts, OneBill):
    """One call of a model."""


class ResponseCall(ResponseCounts, OneBill):
    """One call of a model."""


class ChatUsage(ChatCounts, Bill):
    """What a turn came to: the sum of its calls. The cache counts are parts of the input."""

    last_call: ChatCall | None
    """The last call by itself: what the conversation fills of the context window. Null without any call."""


class ResponseUsage(ResponseCounts, Bill):
    """What a turn came to: the sum of its calls. The cache counts are parts of the input."""

    last_call: ResponseCall | None
    """The last call by itself: what the conversation fills of the context window. Null without any call."""


class Totals(Counts):
    """What many calls came to. The cache counts are parts of the input."""

    reasoning_tokens: int
    """The part of the output that was reasoning."""
    cost_usd: float | None
    """US dollars; null where the price of a call isn't known."""
    cost_at_least_usd: float
    """US dollars of the calls with a known price."""


def chat_usage(calls: Sequence[CallLine]) -> ChatUsage:
    """The `usage` of a chat completion: the sum of a run's calls, and the last one's own beside it."""
    last: ChatCall | None = {**_chat(calls[-1].usage), **_one_bill(calls[-1])} if calls else None
    return {**_chat(_total(calls)), **_bill(calls), "last_call": last}


def response_usage(calls: Sequence[CallLine]) -> ResponseUsage:
    """The `usage` of a response: the sum of a run's calls, and the last one's own beside it."""
    last: ResponseCall | None = {**_response(calls[-1].usage), **_one_bill(calls[-1])} if calls else None
    return {**_response(_total(calls)), **_bill(calls), "last_call": last}


def totals_of(usage: Usage, known_cost: float, unknown_calls: int) -> Totals:
    """Counters that were summed before, of a session or a day. `known_cost` in US dollars."""
    return {
        **_flat(usage),
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_usd": None if unknown_calls else known_cost,
        "cost_at_least_usd": known_cost,
    }


def _bill(calls: Sequence[CallLine]) -> Bill:
    bill: Bill = {"cost_usd": cost_of(calls).exact, "model_calls": len(calls)}
    if any(call.estimated for call in calls):
        bill["estimated"] = True
    return bill


def _one_bill(call: CallLine) -> OneBill:
    return {"cost_usd": call.cost, "model": call.model}


def _chat(usage: Usage) -> ChatCounts:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.output_tokens,
        "prompt_tokens_details": _input_details(usage),
        "completion_tokens_details": _output_details(usage),
        **_flat(usage),
    }


def _response(usage: Usage) -> ResponseCounts:
    return {
        "input_tokens_details": _input_details(usage),
        "output_tokens_details": _output_details(usage),
        **_flat(usage),
    }


def _flat(usage: Usage) -> Counts:
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_hit_rate": usage.cache_hit_rate,
    }


def _input_details(usage: Usage) -> InputDetails:
    return {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_write_tokens}


def _output_details(usage: Usage) -> OutputDetails:
    return {"reasoning_tokens": usage.reasoning_tokens}


def _total(calls: Sequence[CallLine]) -> Usage:
    return sum((call.usage for call in calls), Usage())
