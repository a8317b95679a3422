"""What one script came to on one wire."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cache import oracle
from benchmarks.cache.billing import Bill, Rates
from benchmarks.cache.oracle import Made, Rules
from benchmarks.cache.scripts import SCRIPTS
from benchmarks.cache.stage import stage

WIRES = ("anthropic", "openai", "responses")
OPENAI_RATES = Rates(input=1.25, output=10.0, read=0.125, write=1.25, write_1h=1.25)


@dataclass(frozen=True, slots=True)
class Result:
    """One script on one wire. Costs are in US dollars."""

    script: str
    wire: str
    calls: Sequence[Made]
    rates: Rates
    rules: Rules

    @property
    def bill(self) -> Bill:
        return sum((call.bill for call in self.calls), Bill())

    @property
    def cost(self) -> float:
        return self.bill.cost(self.rates)

    @property
    def warmings(self) -> Sequence[Made]:
        """The calls that only kept an entry alive."""
        return [call for call in self.calls if call.warms]

    @property
    def asked(self) -> Sequence[Made]:
        """The others: what is compared with another bill is theirs."""
        return [call for call in self.calls if not call.warms]

    @property
    def best(self) -> float:
        """With hindsight."""
        return oracle.best(self.asked, self.rates, self.rules)

    @property
    def floor(self) -> float | None:
        """A bare loop's; None where there were several conversations, each with an opening of its own."""
        if len({call.segments.hashes[call.segments.opening - 1] for call in self.asked}) > 1:
            return None
        return oracle.floor(self.asked, self.rates, self.rules)

    @property
    def rebilled(self) -> dict[str, int]:
        """Tokens, by why that was allowed; "" stands for what was not."""
        return oracle.rebilled(self.calls, self.rules)

    @property
    def uncached(self) -> float:
        return oracle.without_cache(self.asked, self.rates)

    def fixed(self, lifetime: str) -> float | None:
        """With this lifetime for all; None where the provider sells no choice."""
        if not self.rules.writes:
            return None
        return oracle.with_lifetime(self.asked, lifetime, self.rates, self.rules)


def play(script: str, wire: str, *, size: float = 1.0) -> Result:
    """Run one script in a scratch folder. `size` below 1 runs a part of it."""
    chosen = SCRIPTS[script]
    minimum = chosen.minimum if wire == "anthropic" else 1024
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder), wire, minimum=minimum) as scene:
        chosen.act(scene, size)
        calls = tuple(scene.server.billing.calls)
    if wire == "anthropic":
        return Result(script, wire, calls, Rates(), Rules(minimum))
    return Result(script, wire, calls, OPENAI_RATES, Rules.of_openai(minimum))
