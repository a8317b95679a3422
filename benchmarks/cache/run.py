"""`make bench-cache`: what the real program pays for the cache, against what it could have paid."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.cache import oracle
from benchmarks.cache.billing import Bill, Rates
from benchmarks.cache.oracle import Made
from benchmarks.cache.scripts import SCRIPTS
from benchmarks.cache.stage import stage

OPENAI_RATES = Rates(input=1.25, output=10.0, read=0.125, write=1.25, write_1h=1.25)


@dataclass(frozen=True, slots=True)
class Result:
    """One script on one wire."""

    script: str
    wire: str
    calls: Sequence[Made]
    minimum: int
    step: int
    rates: Rates

    @property
    def bill(self) -> Bill:
        return sum((call.bill for call in self.calls), Bill())

    @property
    def cost(self) -> float:
        """US dollars."""
        return self.bill.cost(self.rates)

    @property
    def best(self) -> float:
        writes = self.wire == "anthropic"
        return oracle.best(self.calls, self.rates, minimum=self.minimum, step=self.step, writes=writes)

    @property
    def rebilled(self) -> dict[str, int]:
        """Tokens, by why that was allowed."""
        return oracle.rebilled(self.calls, minimum=self.minimum, step=self.step)

    def fixed(self, lifetime: str) -> float | None:
        if self.wire != "anthropic":
            return None
        return oracle.with_lifetime(self.calls, lifetime, self.rates, minimum=self.minimum)

    @property
    def uncached(self) -> float:
        return oracle.without_cache(self.calls, self.rates)


def play(script: str, wire: str, *, size: float = 1.0) -> Result:
    """Run one script in a scratch folder. `size` below 1 runs a part of it."""
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder), wire) as scene:
        SCRIPTS[script](scene, size)
        billing = scene.server.billing
        anthropic = wire == "anthropic"
        return Result(
            script,
            wire,
            tuple(billing.calls),
            billing.minimum,
            1 if anthropic else 128,
            Rates() if anthropic else OPENAI_RATES,
        )


WIRES = ("anthropic", "openai")
HEAD = (
    "script | wire | calls | prompt | read | write | uncached | hit rate | re-billed | cost $ | ÷ oracle"
    " | all 5 min $ | all 1 h $ | no cache $"
)


def row(result: Result) -> str:
    """The result as a row of a Markdown table."""
    bill, rebilled = result.bill, result.rebilled
    lost = " + ".join(f"{tokens:,}{f' ({why})' if why else ''}" for why, tokens in rebilled.items()) or "0"
    fixed = [result.fixed("5m"), result.fixed("1h")]
    cells = [
        result.script,
        result.wire,
        f"{len(result.calls)}",
        f"{bill.prompt:,}",
        f"{bill.read:,}",
        f"{bill.write:,}",
        f"{bill.uncached:,}",
        f"{bill.read / bill.prompt:.1%}",
        lost,
        f"{result.cost:.4f}",
        f"{result.cost / result.best:.3f}",
        *(f"{cost:.4f}" if cost is not None else "" for cost in fixed),
        f"{result.uncached:.4f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scripts", nargs="*", help="which scripts; all if left out")
    parser.add_argument("--wire", choices=WIRES, action="append", help="only on this wire; repeatable")
    parser.add_argument("--size", type=float, default=1.0, help="run this part of each script")
    chosen = parser.parse_args()
    print(f"| {HEAD} |")
    print("|" + "---|" * (HEAD.count("|") + 1))
    for script in chosen.scripts or SCRIPTS:
        for wire in chosen.wire or WIRES:
            print(row(play(script, wire, size=chosen.size)), flush=True)


if __name__ == "__main__":
    main()
