"""How many runs a client key gets, how often, and for how much, on a clock that stands until it is moved."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.admission import Admission, Slot
from server.errors import ApiError
from server.keys import ClientKey, Period
from server.purse import period_end, period_start

NOON = datetime(2026, 11, 22, 12, 0).timestamp()


class Office:
    """An admission with clocks to turn and a ledger to write in."""

    def __init__(self) -> None:
        self.clock = 1000.0
        self.now = NOON
        self.ledger: list[tuple[float, float]] = []
        """When, and how many US dollars."""
        self.asked = 0
        self.admission = Admission(self._spent, lambda: self.clock, lambda: self.now)

    def _spent(self, key_id: str, since: float) -> float:
        assert key_id == "key_1"
        self.asked += 1
        return sum(usd for moment, usd in self.ledger if moment >= since)

    def wait(self, seconds: float) -> None:
        self.clock += seconds
        self.now += seconds

    def run(self, key: ClientKey, usd: float) -> None:
        """A whole run, booked as a real one is."""
        with self.admission.admit(key) as slot:
            self.book(slot, usd)

    def book(self, slot: Slot, usd: float) -> None:
        self.ledger.append((self.now, usd))
        slot.spent(usd)

    def refusal(self, key: ClientKey) -> ApiError:
        with pytest.raises(ApiError) as caught:
            self.admission.admit(key)
        assert caught.value.status == 429
        return caught.value


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def key(
    *,
    concurrent: int = 4,
    per_minute: int = 600,
    budget: float | None = None,
    period: Period = "day",
    id: str = "key_1",
) -> ClientKey:
    return ClientKey(
        id=id,
        name="k",
        created=0.0,
        digest="0" * 64,
        concurrent=concurrent,
        per_minute=per_minute,
        budget_usd=budget,
        budget_period=period,
    )


def test_no_more_runs_begin_at_once_than_the_key_may_have(office: Office) -> None:
    two = key(concurrent=2)
    first, _ = office.admission.admit(two), office.admission.admit(two)
    refusal = office.refusal(two)
    assert (refusal.code, refusal.retry_after) == ("concurrency_limit_exceeded", 1)
    first.release()
    office.admission.admit(two)
    office.refusal(two)


def test_a_place_is_given_back_once(office: Office) -> None:
    one = key(concurrent=1)
    slot = office.admission.admit(one)
    slot.release()
    slot.release()
    office.admission.admit(one)
    office.refusal(one)


def test_a_run_that_fails_gives_its_place_back(office: Office) -> None:
    one = key(concurrent=1)
    with pytest.raises(RuntimeError), office.admission.admit(one):
        raise RuntimeError
    office.admission.admit(one)


def test_each_key_is_counted_by_itself(office: Office) -> None:
    office.admission.admit(key(concurrent=1, per_minute=1))
    office.admission.admit(key(concurrent=1, per_minute=1, id="key_2"))


def test_a_minutes_requests_may_come_at_once_and_then_evenly(office: Office) -> None:
    twelve = key(per_minute=12)
    for _ in range(12):
        office.run(twelve, 0)
    refusal = office.refusal(twelve)
    assert (refusal.code, refusal.retry_after) == ("rate_limit_exceeded", 5)
    office.wait(4.9)
    assert office.refusal(twelve).retry_after == 1
    office.wait(0.1)
    office.run(twelve, 0)
    assert office.refusal(twelve).retry_after == 5


def test_who_waits_as_long_as_told_is_admitted(office: Office) -> None:
    seven = key(per_minute=7)
    for _ in range(7):
        office.run(seven, 0)
    for _ in range(20):
        wait = office.refusal(seven).retry_after
        assert wait is not None
        office.wait(wait)
        office.run(seven, 0)


def test_a_long_rest_saves_up_no_more_than_a_minutes_requests(office: Office) -> None:
    three = key(per_minute=3)
    office.run(three, 0)
    office.wait(86_400)
    for _ in range(3):
        office.run(three, 0)
    office.refusal(three)


def test_a_refusal_for_want_of_a_place_costs_no_request(office: Office) -> None:
    two = key(concurrent=1, per_minute=2)
    slot = office.admission.admit(two)
    for _ in range(10):
        assert office.refusal(two).code == "concurrency_limit_exceeded"
    slot.release()
    office.run(two, 0)


def test_without_a_budget_nothing_is_limited_and_the_ledger_is_not_asked(office: Office) -> None:
    with office.admission.admit(key()) as slot:
        assert slot.allowance is None
    assert office.asked == 0


def test_runs_side_by_side_share_what_is_left(office: Office) -> None:
    four = key(budget=8, concurrent=4)
    shares = [office.admission.admit(four).allowance for _ in range(4)]
    assert shares == pytest.approx([2, 2, 2, 2])


def test_what_a_run_did_not_use_goes_back(office: Office) -> None:
    two = key(budget=8, concurrent=2)
    first, _second = office.admission.admit(two), office.admission.admit(two)
    assert first.allowance == 4
    office.book(first, 1)
    first.release()
    assert office.admission.admit(two).allowance == pytest.approx(3)


def test_a_run_that_came_to_more_than_its_share_is_taken_off_the_others(office: Office) -> None:
    two = key(budget=8, concurrent=2)
    first, second = office.admission.admit(two), office.admission.admit(two)
    office.book(first, 5)
    first.release()
    refusal = office.refusal(two)
    assert (refusal.code, refusal.retry_after) == ("budget_reserved", 1)
    second.release()
    assert office.admission.admit(two).allowance == pytest.approx(1.5)


def test_what_was_spent_before_the_server_started_counts(office: Office) -> None:
    office.ledger.append((NOON - 60, 6.0))
    assert office.admission.admit(key(budget=8, concurrent=1)).allowance == pytest.approx(2)


def test_a_spent_budget_is_told_as_openai_does_with_the_moment_it_renews(office: Office) -> None:
    daily = key(budget=2)
    office.run(daily, 2)
    refusal = office.refusal(daily)
    assert (refusal.type, refusal.code) == ("insufficient_quota", "insufficient_quota")
    assert refusal.retry_after == 12 * 3600
    assert "$" not in refusal.message
    assert "2 US dollars a day. It renews at 2026-11-23T00:00" in refusal.message
    assert refusal.headers()["x-should-retry"] == "false"


def test_a_daily_budget_renews_at_midnight(office: Office) -> None:
    daily = key(budget=2)
    office.run(daily, 2)
    office.wait(12 * 3600 - 1)
    office.refusal(daily)
    office.wait(1)
    office.run(daily, 1)


def test_a_monthly_budget_renews_on_the_first(office: Office) -> None:
    monthly = key(budget=2, period="month")
    office.run(monthly, 2)
    office.now = datetime(2026, 11, 30, 23, 59).timestamp()
    assert office.refusal(monthly).retry_after == 60
    office.now = datetime(2026, 12, 1).timestamp()
    office.run(monthly, 2)


def test_a_budget_in_total_never_renews(office: Office) -> None:
    total = key(budget=2, period="total")
    office.run(total, 2)
    office.now = datetime(2036, 1, 1).timestamp()
    refusal = office.refusal(total)
    assert refusal.retry_after is None
    assert "in total" in refusal.message


def test_a_run_past_midnight_keeps_its_share_of_the_new_day(office: Office) -> None:
    daily = key(budget=8, concurrent=2)
    late = office.admission.admit(daily)
    office.now += 12 * 3600
    assert office.admission.admit(daily).allowance == pytest.approx(4)
    office.book(late, 4)
    late.release()
    assert office.refusal(daily).code == "budget_reserved"


def test_yesterdays_spending_is_forgotten_at_midnight_even_while_a_run_goes_on(office: Office) -> None:
    daily = key(budget=8, concurrent=2)
    office.ledger.append((office.now, 6.0))
    late = office.admission.admit(daily)
    assert late.allowance == pytest.approx(1)
    office.now += 12 * 3600
    assert office.admission.admit(daily).allowance == pytest.approx(7)


def test_what_a_run_never_told_is_found_in_the_ledger(office: Office) -> None:
    daily = key(budget=2)
    with office.admission.admit(daily):
        office.ledger.append((office.now, 2.0))
    assert office.refusal(daily).code == "insufficient_quota"


def test_a_budget_that_was_changed_in_the_file_counts_at_once(office: Office) -> None:
    office.run(key(budget=2), 2)
    with office.admission.admit(key(budget=5, concurrent=1)) as slot:
        assert slot.allowance == pytest.approx(3)


@given(
    budget=st.floats(0.01, 100),
    concurrent=st.integers(1, 8),
    steps=st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=60),
)
def test_runs_that_keep_to_their_shares_never_spend_more_than_the_budget(
    budget: float, concurrent: int, steps: list[tuple[bool, float]]
) -> None:
    office, held = Office(), key(budget=budget, concurrent=concurrent, per_minute=10_000)
    running: list[Slot] = []
    for begin, part in steps:
        if begin:
            try:
                running.append(office.admission.admit(held))
            except ApiError:
                continue
        elif running:
            slot = running.pop(0)
            assert slot.allowance is not None
            office.book(slot, slot.allowance * part)
            slot.release()
        promised = sum(slot.allowance or 0.0 for slot in running)
        assert sum(usd for _, usd in office.ledger) + promised <= budget * (1 + 1e-9)


@pytest.mark.usefixtures("in_berlin")
def test_days_and_months_are_those_of_the_local_calendar_over_the_change_of_clocks() -> None:
    sunday = datetime(2026, 10, 25, 20, 0).timestamp()
    start, end = period_start("day", sunday), period_end("day", sunday)
    assert end is not None
    assert end - start == 25 * 3600
    assert datetime.fromtimestamp(start).isoformat() == "2026-10-25T00:00:00"
    month_end = period_end("month", datetime(2026, 12, 31, 23, 59).timestamp())
    assert month_end == datetime(2027, 1, 1).timestamp()
    assert os.environ["TZ"] == "Europe/Berlin"
