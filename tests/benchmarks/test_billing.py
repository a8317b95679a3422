"""The benchmark's providers bill what the published rules say, worked out by hand."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cache.billing import (
    AnthropicCache,
    Bill,
    OpenAICache,
    Rates,
    Segments,
    anthropic_segments,
    openai_segments,
    responses_segments,
)

TRACES = Path(__file__).resolve().parents[2] / "benchmarks" / "cache" / "traces"
ENVELOPE = len('{"text":"","type":"text"}')
MESSAGE = len('{"content":"","role":"user"}')


def traces(name: str) -> list[Any]:
    found = tomllib.loads((TRACES / name).read_text())["trace"]
    return [pytest.param(trace["calls"], id=trace["name"]) for trace in found]


def block(name: str, tokens: int, envelope: int) -> str:
    """Text that makes a block of exactly so many tokens, and of no other name."""
    size = 4 * tokens - envelope
    return (name * size)[: max(0, size)] if size > 0 else ""


def rows(blocks: list[list[Any]]) -> list[tuple[str, int, str]]:
    """(name, tokens, lifetime); a fourth figure repeats the block under names of its own."""
    spread: list[tuple[str, int, str]] = []
    for name, tokens, *rest in blocks:
        lifetime = rest[0] if rest else ""
        times = rest[1] if len(rest) > 1 else 0
        spread += (
            [(f"{name}{n:02}", tokens, lifetime) for n in range(times)]
            if times
            else [(name, tokens, lifetime)]
        )
    return spread


def anthropic_body(blocks: list[list[Any]]) -> dict[str, Any]:
    messages = []
    for name, tokens, lifetime in rows(blocks):
        mark = {"cache_control": {"type": "ephemeral", "ttl": lifetime}} if lifetime else {}
        content = {"type": "text", "text": block(name, tokens, ENVELOPE), **mark}
        messages.append({"role": "assistant" if name[0] == "a" else "user", "content": [content]})
    return {"model": "m", "messages": messages}


def body(history: str, blocks: list[list[Any]]) -> dict[str, Any]:
    return {
        "model": "m",
        history: [
            {"role": "user", "content": block(name, tokens, MESSAGE)} for name, tokens, _ in rows(blocks)
        ],
    }


@pytest.mark.parametrize("calls", traces("anthropic.toml"))
def test_anthropics_bill(calls: list[Any]) -> None:
    now = [0.0]
    cache = AnthropicCache(lambda: now[0])
    for call in calls:
        now[0] = call["at"]
        bill, keep = cache.bill(anthropic_segments(anthropic_body(call["blocks"])))
        keep()
        assert bill == Bill(**call["bill"])


@pytest.mark.parametrize(
    "segments",
    [
        pytest.param(lambda blocks: openai_segments(body("messages", blocks)), id="chat"),
        pytest.param(lambda blocks: responses_segments(body("input", blocks)), id="responses"),
    ],
)
@pytest.mark.parametrize("calls", traces("openai.toml"))
def test_openais_bill(calls: list[Any], segments: Callable[[list[list[Any]]], Segments]) -> None:
    now = [0.0]
    cache = OpenAICache(lambda: now[0])
    for call in calls:
        now[0] = call["at"]
        bill, keep = cache.bill(segments(call["blocks"]), call["key"])
        keep()
        assert bill == Bill(**call["bill"])


def test_an_entry_is_not_there_before_the_answer_that_writes_it_has_begun() -> None:
    cache = AnthropicCache(lambda: 0.0)
    request = anthropic_segments(anthropic_body([["u1", 2000, "5m"]]))
    first, keep = cache.bill(request)
    beside, _ = cache.bill(request)
    keep()
    after, _ = cache.bill(request)
    assert (first.write, beside.write, after.read) == (2000, 2000, 2000)


@pytest.mark.parametrize("longer_first", [True, False])
def test_of_two_requests_side_by_side_the_longer_lifetime_stays(*, longer_first: bool) -> None:
    now = [0.0]
    cache = AnthropicCache(lambda: now[0])
    keeps = [
        cache.bill(anthropic_segments(anthropic_body([["u1", 2000, lifetime]])))[1]
        for lifetime in ("1h", "5m")
    ]
    for keep in keeps if longer_first else reversed(keeps):
        keep()
    now[0] = 400.0
    later, _ = cache.bill(anthropic_segments(anthropic_body([["u1", 2000, "5m"]])))
    assert later.read == 2000


def test_a_bill_in_dollars() -> None:
    # 1,000 uncached at $3, 10,000 read at $0.30, 500 of 700 written at $3.75, 200 at $6, 100 out at $15
    bill = Bill(uncached=1000, read=10_000, write=700, write_1h=200, output=100)
    assert bill.cost(Rates()) == pytest.approx((3000 + 3000 + 1875 + 1200 + 1500) / 1e6)
