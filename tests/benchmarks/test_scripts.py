"""The benchmark's scripts, played small by the real program: nothing is paid for twice that could be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cache.billing import Bill, Rates
from benchmarks.cache.result import OPENAI_RATES, WIRES, play
from benchmarks.cache.scripts import SCRIPTS, read
from benchmarks.cache.server import Say
from benchmarks.cache.stage import Stage, stage

pytestmark = pytest.mark.slow

ALLOWED = {
    "compaction": {"compaction"},
    "model switch": {"model switch"},
}
PAUSES = {"30 steps, 6 min between", "12 turns with pauses"}
"""Where a person, or a tool, takes longer than five minutes: that can't be known before."""
EVERYDAY = {
    ("30-step loop", "openai"),
    ("30-step edit", "anthropic"),
}
WALKS = ("walks, 5m", "walks, 5m, kept warm", "walks, auto")
OF_THEIR_OWN = {"100-step loop", "12 reads in a step", "25 reads in a step", "40 reads in a step", *WALKS}
"""Small, the long loop is the short one; steps of many calls, and walks, have tests of their own."""
ON_RESPONSES = {"30-step loop", "a process per turn", "rewind and fork", "sub-agents", "another folder"}
SIZE = 0.2


def games(*, pauses: bool) -> Iterator[Any]:
    for script, told in SCRIPTS.items():
        for wire in ("anthropic", "openai", "responses"):
            if (script in PAUSES and wire == "anthropic") != pauses:
                continue
            if wire == "responses" and script not in ON_RESPONSES:
                continue
            if script not in OF_THEIR_OWN and told.plays_on(wire):
                marks = () if (script, wire) in EVERYDAY else pytest.mark.slow
                yield pytest.param(script, wire, marks=marks, id=f"{script} on {wire}")


@pytest.mark.parametrize(("script", "wire"), [*games(pauses=False)])
def test_nothing_that_was_sent_is_paid_for_again(script: str, wire: str) -> None:
    result = play(script, wire, size=SIZE)
    assert result.rebilled.keys() <= ALLOWED.get(script, set())
    assert result.cost <= 1.06 * result.best  # a short session's last write weighs more than a long one's
    assert result.cost < result.uncached


@pytest.mark.parametrize(("script", "wire"), [*games(pauses=True)])
def test_pauses_cost_less_than_they_would_with_five_minutes(script: str, wire: str) -> None:
    result = play(script, wire, size=0.5)
    five_minutes = result.fixed("5m")
    assert five_minutes is not None
    assert result.cost <= min(1.4 * result.best, 0.95 * five_minutes)


@pytest.mark.parametrize(
    ("calls", "wire"),
    [
        (25, "anthropic"),
        pytest.param(12, "anthropic", marks=pytest.mark.slow),
        pytest.param(40, "anthropic", marks=pytest.mark.slow),
        pytest.param(40, "openai", marks=pytest.mark.slow),
    ],
)
def test_however_many_calls_a_step_has_the_next_one_pays_for_what_is_new_alone(calls: int, wire: str) -> None:
    result = play(f"{calls} reads in a step", wire)
    for before, after in zip(result.calls, result.calls[1:], strict=False):
        new = after.segments.tokens - before.segments.tokens
        assert after.bill.uncached + after.bill.write <= new + result.rules.step - 1
    assert not result.rebilled


@pytest.mark.slow
@pytest.mark.terminal
def test_what_is_kept_warm_on_walks_costs_less_than_what_is_written_anew() -> None:
    cold, warm, auto = (play(script, "anthropic", size=SIZE) for script in WALKS)
    assert not cold.warmings
    assert len(warm.warmings) >= 2
    for call in warm.warmings:
        assert (call.bill.read, call.bill.write, call.bill.output) == (call.segments.tokens, 0, 0)
    assert cold.rebilled
    assert not warm.rebilled
    assert warm.cost < auto.cost < cold.cost
    assert [call.segments.tokens for call in warm.asked] == [call.segments.tokens for call in cold.asked]


@pytest.mark.parametrize(("wire", "rates"), [("anthropic", Rates()), *((w, OPENAI_RATES) for w in WIRES[1:])])
def test_the_ledger_says_what_the_provider_billed_to_the_token_and_the_dollar(
    tmp_path: Path, wire: str, rates: Rates
) -> None:
    with stage(tmp_path, wire) as scene:
        scene.ask("Look at the parts.", *(read(step) for step in range(4)), Say("Fine."))
        scene.clock.advance(400.0)
        scene.ask("Once more.", read(5), Say("Fine."), words=("--cache-ttl", "1h"))
        told = json.loads(scene.run("stats", "--json"))["total"]
    billed = sum((call.bill for call in scene.server.billing.calls), Bill())
    assert (told["input_tokens"], told["output_tokens"]) == (billed.uncached, billed.output)
    assert (told["cache_read_tokens"], told["cache_write_tokens"]) == (billed.read, billed.write)
    assert told["cache_write_1h_tokens"] == billed.write_1h
    assert told["cost_usd"] == pytest.approx(billed.cost(rates))


@pytest.mark.slow
@pytest.mark.parametrize("wire", ["anthropic", "openai", "responses"])
def test_after_an_upgrade_a_session_sends_what_it_always_sent_though_a_new_one_does_not(
    tmp_path: Path, wire: str
) -> None:
    with stage(tmp_path, wire) as scene:
        scene.ask("Look.", read(1), Say("Yes."))
        scene.upgrade()
        scene.ask("Again.", Say("Yes."))
        scene.ask("Look.", Say("Yes."), new=True)
        before, _, after, new = (static(request.json) for request in scene.server.requests)
    assert after == before
    assert "You are the newest Cachet" in str(new["system"])
    assert "You are the newest Cachet" not in str(after["system"])
    assert new["tools"] != after["tools"]


@pytest.mark.slow
def test_a_server_with_a_small_window_refuses_what_does_not_fit(tmp_path: Path) -> None:
    with stage(tmp_path, "anthropic") as scene:
        scene.server.billing.window = 10
        with pytest.raises(RuntimeError, match="no longer fits"):
            ask_once(scene)
    assert scene.server.billing.refused
    assert not scene.server.billing.calls


def ask_once(scene: Stage) -> None:
    scene.ask("Hello.", Say("Hello."))


def static(body: dict[str, Any]) -> dict[str, Any]:
    """Tools and system prompt, without cache markers."""
    match body:
        case {"system": [{"text": system}]} | {"instructions": system}:
            return {"tools": body["tools"], "system": system}
        case _:
            return {"tools": body["tools"], "system": body["messages"][0]["content"]}
