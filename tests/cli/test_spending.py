"""`/cost`, `/stats` and the footer: what is known of a bill, and that the rest isn't."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.commands import Run
from cli.desk import Desk
from cli.footer import footer, text
from cli.front import Front
from cli.paint import Painter
from cli.screen import Screen
from cli.spending import cost, stats
from cli.vitals import vitals
from providers.types import Usage
from sessions import begin
from tests.support.journals import booked
from tests.support.script import say, script
from tests.support.setups import setup

KNOWN = booked("c1", Usage(input_tokens=10, output_tokens=5), model="a/known", cost=0.25, uncached_cost=0.5)
UNKNOWN = booked("c2", Usage(input_tokens=10, output_tokens=5), model="b/unknown", cost=None)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("hi")))
    yield Desk(session, paper([]), Front(tmp_path, tmp_path).prompt, lambda: None, lambda: None)
    await session.close()


def paper(printed: list[str]) -> Screen:
    return Screen(Painter(lambda: 120, {"NO_COLOR": "1"}), printed.append)


async def shown(desk: Desk, command: Run) -> str:
    printed: list[str] = []
    desk.screen = paper(printed)
    await command(desk, "")
    return re.sub(r"\x1b\[[0-9;]*m", "", "".join(printed))


def line(desk: Desk) -> str:
    return text(footer(vitals(desk.session, window=None, now=0.0), 120))


async def test_a_bill_known_in_part_is_at_least_that(desk: Desk) -> None:
    desk.session.calls.extend([KNOWN, UNKNOWN])
    rows = dict(row.rsplit(maxsplit=1) for row in (await shown(desk, cost)).splitlines() if row.strip())
    saved = [value for name, value in rows.items() if name.strip() == "saved by the cache"]
    assert saved == ["unknown"]
    assert "≥ $0.25" in await shown(desk, cost)
    assert "≥ $0.25" in line(desk)


async def test_the_models_are_told_apart_and_their_sum_is_at_least(desk: Desk) -> None:
    desk.session.calls.extend([KNOWN, UNKNOWN])
    known, unknown, both = [
        row.strip() for row in (await shown(desk, stats)).splitlines() if re.match(r" *(a/|b/|all)", row)
    ]
    assert known.endswith("$0.25")
    assert unknown.endswith("unknown")
    assert both.endswith("≥ $0.25")


async def test_a_bill_of_which_nothing_is_known_is_unknown_and_never_zero(desk: Desk) -> None:
    desk.session.calls.append(UNKNOWN)
    for face in (await shown(desk, cost), await shown(desk, stats), line(desk)):
        assert "unknown" in face
        assert "$0" not in face


async def test_a_bill_that_is_known_is_told_with_what_the_cache_saved(desk: Desk) -> None:
    desk.session.calls.append(KNOWN)
    assert "≥" not in await shown(desk, cost)
    assert "$0.25 saved $0.25" in line(desk)
