"""A run's limits hold over all sessions that follow each other in it, and over calls of every purpose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from providers.errors import BudgetReached
from providers.pricing import Rates
from sessions import begin
from sessions.bill import UnknownCost
from sessions.session import Session
from sessions.setup import Limits, Setup
from tests.support.script import say, script, use
from tests.support.setups import setup

DEAR = {"input_tokens": 200_000, "output_tokens": 100}
"""A call of $0.2005 at these rates."""
RATES = Rates(input=1, output=5)


async def tell(session: Session, text: str) -> None:
    async for _ in session.turn(text):
        pass


def limited(folder: Path, limits: Limits, *steps: dict[str, Any]) -> tuple[Setup, Any]:
    model = script(folder, *steps)
    return setup(folder, limits=limits, rates={str(model): RATES}), model


async def test_the_turn_stops_before_the_call_that_goes_over_max_cost(tmp_path: Path) -> None:
    made, model = limited(tmp_path, Limits(max_cost=0.3), use(("ls", {}), **DEAR), say("done", **DEAR))
    session = await begin.start(made, model)
    with pytest.raises(BudgetReached, match=r"\$0.2005 of --max-cost \$0.3000 is spent"):
        await tell(session, "go")
    assert len(session.calls) == 1
    await session.close()


async def test_a_new_conversation_in_the_same_run_has_only_what_is_left(tmp_path: Path) -> None:
    made, model = limited(tmp_path, Limits(max_cost=0.25), say("one", **DEAR))
    first = await begin.start(made, model)
    await tell(first, "go")
    second = await begin.anew(first)
    third = await begin.anew(second)
    with pytest.raises(BudgetReached, match=r"\$0.2005 of --max-cost"):
        await tell(third, "x" * 400_000)
    assert third.calls == []
    await third.close()


async def test_a_fork_in_the_same_run_has_only_what_is_left(tmp_path: Path) -> None:
    made, model = limited(tmp_path, Limits(max_turns=2), say("one"), say("two"), say("three"))
    first = await begin.start(made, model)
    await tell(first, "a")
    copy = await begin.fork(first.setup, first.path)
    await first.close()
    await tell(copy, "b")
    with pytest.raises(BudgetReached, match="max-turns is 2"):
        await tell(copy, "c")
    assert len(copy.calls) == 1
    await copy.close()


async def test_a_fork_knows_from_the_runs_bill_how_long_its_conversation_is(tmp_path: Path) -> None:
    cached = {"input_tokens": 0, "cache_write_tokens": 200_000, "output_tokens": 10}
    made, model = limited(tmp_path, Limits(max_cost=0.21), say("one", **cached), say("two"))
    made = replace(made, rates={str(model): Rates(1, 5, cache_read=0.1)})
    first = await begin.start(made, model)
    await tell(first, "a")
    copy = await begin.fork(first.setup, first.path)
    await first.close()
    with pytest.raises(BudgetReached, match=r"it would cost at least \$0.0213"):
        await tell(copy, "b")
    await copy.close()


async def test_another_run_begins_at_nothing(tmp_path: Path) -> None:
    made, model = limited(tmp_path, Limits(max_turns=1), say("one"), say("two"))
    first = await begin.start(made, model)
    await tell(first, "a")
    await first.close()
    second = await begin.resume(made, first.path)
    await tell(second, "b")
    await second.close()


@pytest.mark.parametrize("purpose", ["task", "compaction", "warm", "title"])
async def test_calls_beside_the_conversation_count(tmp_path: Path, purpose: Any) -> None:
    made, model = limited(tmp_path, Limits(max_cost=0.3), say("one"), say("two"))
    session = await begin.start(made, model)
    await tell(session, "a")
    session.calls.append(replace(session.calls[-1], id="call_beside", purpose=purpose, cost=0.3))
    with pytest.raises(BudgetReached, match=r"\$0.3000 of --max-cost \$0.3000"):
        await tell(session, "go")
    await session.close()


async def test_a_model_without_a_price_is_refused_under_max_cost(tmp_path: Path) -> None:
    made, _ = limited(tmp_path, Limits(max_cost=1.0))
    model = script(tmp_path, say("one"))
    session = await begin.start(made, model)
    await tell(session, "a free one")
    session.calls[-1] = replace(session.calls[-1], cost=None, price=None)
    with pytest.raises(UnknownCost):
        await tell(session, "go")
    await session.close()
