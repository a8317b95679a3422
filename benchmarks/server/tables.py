"""The measurements as Markdown tables for people, and as JSON for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.server.measures import Held, Steady, percentile

DIRECT = "direct"


def steady_table(measured: Sequence[Steady]) -> str:
    """Times to the first content in milliseconds, and what each server adds to the upstream's own."""
    head = (
        "streams",
        "server",
        "first content p50",
        "p99",
        "added p50",
        "added p99",
        "whole p50",
        "answers/s",
        "n",
    )
    rows = []
    for one in measured:
        base = _base(measured, one.streams)
        added = (
            ("", "") if base in (None, one) else (f"{one.p50 - base.p50:.1f}", f"{one.p99 - base.p99:.1f}")
        )
        rows.append(
            (
                f"{one.streams}",
                one.side,
                f"{one.p50:.1f}",
                f"{one.p99:.1f}",
                *added,
                f"{one.whole_p50:.1f}",
                f"{one.rate:.0f}" if one.rate >= 20 else f"{one.rate:.1f}",
                f"{one.answers}",
            )
        )
    return table(head, rows)


def held_table(measured: Sequence[Held]) -> str:
    """Streams held open, and what they take."""
    head = (
        "server",
        "streams",
        "whole",
        "dropped",
        "open at once",
        "longest silence",
        "memory before",
        "with",
        "a stream",
    )
    return table(
        head,
        (
            (
                one.side,
                f"{one.streams}",
                f"{one.whole}",
                f"{one.streams - one.whole}",
                f"{one.at_once}",
                f"{one.longest_silence:.1f} s",
                f"{one.before:.0f} MB",
                f"{one.during:.0f} MB",
                f"{one.per_stream:.0f} KB",
            )
            for one in measured
        ),
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def document(steady: Sequence[Steady], held: Sequence[Held], versions: dict[str, str]) -> dict[str, Any]:
    """Everything measured, with what it was measured on. Times are in milliseconds, memory in megabytes."""
    return {
        "machine": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
        },
        "versions": versions,
        "steady": [_steady(one, _base(steady, one.streams)) for one in steady],
        "held": [{**asdict(one), "kilobytes_per_stream": one.per_stream} for one in held],
    }


def _steady(one: Steady, base: Steady | None) -> dict[str, Any]:
    """Without the single answers' times, which are many."""
    added = {} if base in (None, one) else {"added_p50": one.p50 - base.p50, "added_p99": one.p99 - base.p99}
    return {
        "server": one.side,
        "streams": one.streams,
        "first_content": {"p50": one.p50, "p99": one.p99, **added},
        "whole": {
            "p50": one.whole_p50,
            "p99": percentile([value for row in one.whole for value in row], 0.99),
        },
        "answers_a_second": one.rate,
        "answers": one.answers,
        "upstream_calls_an_answer": one.calls,
        "rounds": [
            {"p50": percentile(first, 0.5), "p99": percentile(first, 0.99), "answers_a_second": rate}
            for first, rate in zip(one.first, one.rates, strict=True)
        ],
        "usage": one.usage,
    }


def _base(measured: Sequence[Steady], streams: int) -> Steady | None:
    """What the upstream itself takes at so many streams."""
    return next((one for one in measured if (one.side, one.streams) == (DIRECT, streams)), None)
