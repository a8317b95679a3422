"""What the benchmark bills people for their pauses, worked out by hand."""

from __future__ import annotations

import pytest

from agent.lifetimes import ANTHROPIC, LONG, SHORT
from benchmarks.cache.billing import LIFETIMES, Rates
from benchmarks.cache.pauses import Step, bill

STEPS = [Step(0, False, 1000), Step(60, True, 100), Step(400, False, 50)]


def test_with_five_minutes_all_is_written_anew_after_400_seconds() -> None:
    # 1,000 written at $3.75; 1,000 read at $0.30 and 100 written; then all 1,150 written
    assert bill(STEPS, "5m").cost == pytest.approx((3750 + 300 + 375 + 1150 * 3.75) / 1e6)


def test_with_an_hour_it_is_read() -> None:
    # 1,000 written at $6; 1,000 read and 100 written; 1,100 read and 50 written
    assert bill(STEPS, "1h").cost == pytest.approx((6000 + 300 + 600 + 330 + 300) / 1e6)


def test_cachet_chooses_by_the_multiples_and_lifetimes_that_are_billed() -> None:
    billed = Rates()
    multiples = (billed.read, billed.write, billed.write_1h)
    chosen = (ANTHROPIC.read, ANTHROPIC.write, ANTHROPIC.write_1h)
    assert chosen == pytest.approx([rate / billed.input for rate in multiples])
    assert {"5m": SHORT, "1h": LONG} == LIFETIMES
