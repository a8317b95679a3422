"""What a session has spent, and whether it may spend more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.diagnosis import ANNOUNCED
from providers.errors import BudgetReached, ConfigurationError
from providers.pricing import Rates
from providers.types import Request, StopReason, Usage
from sessions.projection import Projection, project
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
    known = saved = 0.0
    unknown = 0
    for call in calls:
        if call.cost is None:
            unknown += 1
            continue
        known += call.cost
        saved += call.saved or 0.0
    return Cost(known, unknown, saved)


class UnknownCost(ConfigurationError):
    """A limit in dollars is set, and nobody knows what a call costs."""


LEAST_ANSWER = 256
"""Tokens. A call whose answer could not even have these is not made: its prompt would be paid for nothing."""


@dataclass(slots=True)
class Bill:
    """A session's calls in order, and the run's limits on them.

    A run begins with `paid`, the calls of its earlier sessions, and goes on with those that are added here.
    """

    session: str
    calls: list[CallLine]
    limits: Limits
    rates: Mapping[str, Rates] = field(default_factory=dict)
    """The person's own, by model."""
    paid: tuple[CallLine, ...] = ()
    opened: int = field(init=False)
    """How many calls there were when the session was opened: earlier runs made them."""
    limit: int | None = field(init=False, default=None)
    """The most tokens of an answer that `allowance` gave last."""

    def __post_init__(self) -> None:
        self.opened = len(self.calls)

    @property
    def made(self) -> tuple[CallLine, ...]:
        """This run's calls, whatever their purpose and lane."""
        return (*self.paid, *self.calls[self.opened :])

    @property
    def latest(self) -> CallLine | None:
        """The latest call of the main conversation that was answered: one that failed tells of no cache."""
        answered = (call for call in reversed(self.calls) if call.purpose == "main" and call.answered)
        return next(answered, None)

    def allowance(self, request: Request, now: float) -> int | None:
        """The most tokens that the answer to this request may have; None where the limits don't say.

        `now` in seconds since the epoch. Raises BudgetReached where the call would go over a limit, and
        UnknownCost where nobody can tell. The first price that is asked for takes a moment.
        """
        self.limit = None
        self._check_turns()
        self._check_missed()
        if self.limits.max_cost is not None:
            self.limit = self._affordable(request, self.limits.max_cost, now)
        return self.limit

    def check_cache(self) -> None:
        """Raise BudgetReached where the run that ends now used the cache less than the person demands."""
        self._check_missed()
        least = self.limits.min_hit_rate
        if least is None or not self.made:
            return
        rate = sum((call.usage for call in self.made), Usage()).cache_hit_rate
        if rate is None:
            raise BudgetReached(
                f"--min-hit-rate {least:.0%} cannot be judged: {self.made[-1].model} says nothing about its "
                "cache. Leave it out for this model, or try: agent doctor cache"
            )
        if rate < least:
            raise BudgetReached(
                f"The cache hit rate was {rate:.1%}, --min-hit-rate is {least:.1%}. "
                f"What was missed: agent resume {self.session}, then /cache"
            )

    def _check_missed(self) -> None:
        most = self.limits.max_missed_tokens
        missed = [call.miss for call in self.made if call.miss and call.miss.cause not in ANNOUNCED]
        tokens = sum(miss.tokens for miss in missed)
        if most is not None and tokens > most:
            raise BudgetReached(
                f"{tokens:,} tokens were paid for again though the cache could have had them "
                f"({', '.join(sorted({miss.cause for miss in missed}))}): --max-missed-tokens is {most:,}, "
                f"{self._spent()} is spent. {self._go_on}"
            )

    def check_cut(self, stop_reason: str) -> None:
        """Raise BudgetReached where the last answer ended because no more of it could be paid for."""
        if self.limit is not None and stop_reason == StopReason.MAX_TOKENS:
            raise BudgetReached(
                f"Stopped in the middle of an answer: --max-cost {_dollars(self.limits.max_cost or 0)} was "
                f"enough for {self.limit} tokens of it, {self._spent()} is spent. {self._go_on}"
            )

    def _check_turns(self) -> None:
        most = self.limits.max_turns
        # A failed try doesn't use up the person's limit.
        answered = sum(call.outcome == "ok" for call in self.made)
        if most is not None and answered >= most:
            raise BudgetReached(
                f"Stopped before model call {answered + 1}: --max-turns is {most}, {self._spent()} is spent. "
                f"{self._go_on}"
            )

    def _affordable(self, request: Request, max_cost: float, now: float) -> int | None:
        strict = not self.limits.allow_unknown_cost
        if strict and (unpriced := next((call for call in self.made if call.cost is None), None)):
            raise _unknown_cost(unpriced.model)
        left = max_cost - cost_of(self.made).known
        next_call = project(request, (*self.paid, *self.calls), now=now, rates=self.rates)
        if next_call is None:
            if strict:
                raise _unknown_cost(str(request.prefix.model))
            next_call = Projection(0.0, 0.0)
        tokens = next_call.affordable(left)
        if tokens is not None and tokens < min(LEAST_ANSWER, request.output_limit):
            least = next_call.prompt + LEAST_ANSWER * next_call.answer_token
            raise BudgetReached(
                f"Stopped before the next model call: {self._spent()} of --max-cost {_dollars(max_cost)} is "
                f"spent, and it would cost at least {_dollars(least)}. {self._go_on}"
            )
        return tokens if tokens is not None and tokens < request.output_limit else None

    def _spent(self) -> str:
        spent = cost_of(self.made)
        return f"{'at least ' if spent.unknown_calls else ''}{_dollars(spent.known)}"

    @property
    def _go_on(self) -> str:
        return f"Go on with: agent resume {self.session}"


def _unknown_cost(model: str) -> UnknownCost:
    return UnknownCost(
        f"--max-cost is set, but no price is known for {model}. "
        f'Set one under [prices."{model}"] in config.toml, or add --allow-unknown-cost.'
    )


def _dollars(amount: float) -> str:
    """To a hundredth of a cent, or to the first two digits of what is smaller."""
    return f"${amount:.4f}" if amount == 0 or amount >= 0.0001 else f"${amount:.2g}"
