"""`make bench-cache`: what the real program pays for the cache, against what it could have paid."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.cache.billing import Bill
from benchmarks.cache.pauses import regret
from benchmarks.cache.result import WIRES, Result, play
from benchmarks.cache.scripts import SCRIPTS

USUAL = ("anthropic", "openai")
"""The wires it plays on unless told otherwise."""

COLUMNS = (
    "script",
    "wire",
    "calls",
    "prompt",
    "read",
    "write",
    "uncached",
    "hit rate",
    "re-billed",
    "cost $",
    "÷ oracle",
    "÷ bare loop",
    "all 5 min $",
    "all 1 h $",
    "no cache $",
)
PEOPLE = 200


def cells(result: Result) -> tuple[str, ...]:
    bill, rebilled, floor = result.bill, result.rebilled, result.floor
    lost = " + ".join(f"{tokens:,}{f' ({why})' if why else ''}" for why, tokens in rebilled.items()) or "0"
    fixed = [result.fixed("5m"), result.fixed("1h")]
    return (
        result.script,
        result.wire,
        _calls(result),
        f"{bill.prompt:,}",
        f"{bill.read:,}",
        f"{bill.write:,}",
        f"{bill.uncached:,}",
        f"{bill.read / bill.prompt:.1%}",
        lost,
        f"{result.cost:.4f}",
        f"{result.cost / result.best:.3f}",
        f"{result.cost / floor:.3f}" if floor else "",
        *(f"{cost:.4f}" if cost is not None else "" for cost in fixed),
        f"{result.uncached:.4f}",
    )


def _calls(result: Result) -> str:
    """How many there were; of those that only kept an entry alive also what they cost."""
    asked, warmings = f"{len(result.asked)}", result.warmings
    if not warmings:
        return asked
    cost = sum((call.bill for call in warmings), Bill()).cost(result.rates)
    return f"{asked} + {len(warmings)} warm (${cost:.4f})"


def line(cells: Iterable[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def heading(columns: Sequence[str]) -> str:
    return f"{line(columns)}\n|{'---|' * len(columns)}"


def show_scripts(scripts: Iterable[str], wires: Sequence[str], size: float) -> None:
    print(heading(COLUMNS))
    for script in scripts:
        for wire in wires:
            if SCRIPTS[script].plays_on(wire):
                print(line(cells(play(script, wire, size=size))), flush=True)


def show_pauses() -> None:
    """What a lifetime chosen by itself costs people, against the better fixed one for each of them."""
    print(heading(("people", "sessions known before", "mean regret", "worst", "cheaper than both fixed")))
    for sessions in (0, 5):
        found = [regret(seed, sessions_before=sessions) for seed in range(PEOPLE)]
        cheaper = sum(share < 0 for share in found) / PEOPLE
        print(
            line((f"{PEOPLE}", f"{sessions}", f"{mean(found):+.1%}", f"{max(found):+.1%}", f"{cheaper:.0%}")),
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scripts", nargs="*", help="which scripts; if left out all, and the pauses")
    parser.add_argument("--wire", choices=WIRES, action="append", help="only on this wire; repeatable")
    parser.add_argument("--size", type=float, default=1.0, help="run this part of each script")
    chosen = parser.parse_args()
    show_scripts(chosen.scripts or SCRIPTS, chosen.wire or USUAL, chosen.size)
    if not chosen.scripts:
        print()
        show_pauses()


if __name__ == "__main__":
    main()
