"""`make bench-cache`: what the real program pays for the cache, against what it could have paid."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.cache.result import WIRES, Result, play
from benchmarks.cache.scripts import SCRIPTS

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
