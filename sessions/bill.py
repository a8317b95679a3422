"""What a session has spent, and whether it may spend more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from providers.errors import BudgetReached
from sessions.records import CallLine
from sessions.setup import Limits


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars spent on calls with a known price, calls without one, US dollars the cache saved."""

    known: float = 0.0
    unknown_calls: int = 0
    saved: float = 0.0

    @property
    def exact(self) -> float | None:
        """The whole cost; None where a part of it is unknown."""
        return None if self.unknown_calls else self.known


def cost_of(calls: Iterable[CallLine]) -> Cost:
    """Unknown prices are counted, never taken for $0."""
    known = uncached = 0.0
    unknown = 0
    for call in calls:
        if call.cost is None:
            unknown += 1
            continue
        known += call.cost
        uncached += call.uncached_cost if call.uncached_cost is not None else call.cost
    return Cost(known, unknown, uncached - known)


@dataclass(slots=True)
class Bill:
    """A session's calls in order; `limits` count from `opened`, how many there were when it was opened."""

    session: str
    calls: list[CallLine]
    limits: Limits
    opened: int = field(init=False)

    def __post_init__(self) -> None:
        self.opened = len(self.calls)

    @property
    def latest(self) -> CallLine | None:
        """The latest call of the main conversation that was answered: one that failed tells of no cache."""
        answered = (call for call in reversed(self.calls) if call.purpose == "main" and call.answered)
        return next(answered, None)

    def check(self) -> None:
        """Raise BudgetReached when one more model call would go over a limit."""
        made = self.calls[self.opened :]
        go_on = f"Go on with: agent resume {self.session}"
        most = self.limits.max_turns
        answered = sum(
            call.outcome == "ok" for call in made
        )  # a failed try doesn't use up the person's limit
        if most is not None and answered >= most:
            raise BudgetReached(f"Stopped before model call {answered + 1}: --max-turns is {most}. {go_on}")
        if self.limits.max_cost is None:
            return
        spent = cost_of(made)
        if unknown := next((call.model for call in made if call.cost is None), None):
            raise BudgetReached(
                f"Stopped: --max-cost is set, but no price is known for {unknown}. "
                f'Set one under [prices."{unknown}"] in config.toml, or leave --max-cost out.'
            )
        if spent.known >= self.limits.max_cost:
            raise BudgetReached(
                f"Stopped before the next model call: ${spent.known:.4f} of --max-cost "
                f"${self.limits.max_cost:.4f} is spent. {go_on}"
            )
