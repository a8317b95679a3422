"""What is measured of each server: how it answers many streams in turn, and how it holds many open."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from subprocess import PIPE
from typing import Any

from benchmarks.server.load import Report
from benchmarks.server.programs import memory
from benchmarks.server.side import Side
from benchmarks.server.sides import Upstream
from benchmarks.server.upstream import Mode

LOAD = Path(__file__).resolve().parent / "load.py"
TRICKLE = 2.0
"""Seconds between two pieces of an answer that is held open."""


class Failed(Exception):
    """Answers did not come as they must; says how many, and the first reason."""


@dataclass(frozen=True, slots=True)
class Steady:
    """A server's answers at one number of streams. Times are in milliseconds, one list a round."""

    side: str
    streams: int
    first: tuple[tuple[float, ...], ...]
    whole: tuple[tuple[float, ...], ...]
    rates: tuple[float, ...]
    """Answers a second, one a round."""
    calls: float
    """Requests to the upstream for each answer."""
    usage: dict[str, Any]
    """The usage that a client was told."""

    @property
    def p50(self) -> float:
        """To the first content: the median over rounds of their medians."""
        return median(map(median, self.first))

    @property
    def p99(self) -> float:
        """To the first content, over all rounds."""
        return percentile([value for values in self.first for value in values], 0.99)

    @property
    def whole_p50(self) -> float:
        return median(map(median, self.whole))

    @property
    def rate(self) -> float:
        return median(self.rates)

    @property
    def answers(self) -> int:
        return sum(map(len, self.first))


@dataclass(frozen=True, slots=True)
class Held:
    """Streams that a server held open for a while, each of them trickling. Memory is in megabytes."""

    side: str
    streams: int
    whole: int
    """How many ended as they must, with all of their text."""
    at_once: int
    """How many were open at the same time, content on the way."""
    seconds: float
    longest_silence: float
    """Seconds between two arrivals on one stream; the upstream sends every `TRICKLE`."""
    before: float
    during: float
    failures: dict[str, int]

    @property
    def per_stream(self) -> float:
        """Memory for each open stream, in kilobytes."""
        return 1024 * (self.during - self.before) / self.streams


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of all values is."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def steady(
    upstream: Upstream, sides: Sequence[Side], *, streams: int, seconds: float, rounds: int
) -> list[Steady]:
    """Every server in turn, `rounds` times: a machine that slows down slows all alike. Raises Failed."""
    mode = Mode()
    upstream.switch(mode)
    table: list[list[tuple[Report, float]]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, row in zip(sides, table, strict=True):
            before = upstream.answered
            report = _whole(side, _ask(side, streams=streams, seconds=seconds, mode=mode))
            row.append((report, (upstream.answered - before) / (len(report.first) + streams)))
    return [
        Steady(
            side=side.name,
            streams=streams,
            first=tuple(_milliseconds(report.first) for report, _ in row),
            whole=tuple(_milliseconds(report.whole) for report, _ in row),
            rates=tuple(len(report.first) / report.seconds for report, _ in row),
            calls=median(calls for _, calls in row),
            usage=row[-1][0].usage,
        )
        for side, row in zip(sides, table, strict=True)
    ]


def held(upstream: Upstream, side: Side, *, streams: int, seconds: float, pause: float = TRICKLE) -> Held:
    """So many streams at once on one server, each of which takes so many seconds."""
    upstream.switch(Mode())
    _whole(
        side, _ask(side, streams=1, seconds=1.0, mode=Mode())
    )  # what the first requests load isn't the streams'
    mode = Mode(pieces=max(2, round(seconds / pause)), pause=pause)
    upstream.switch(mode)
    sizes = [memory(side.pid)]
    report = _ask(
        side, streams=streams, seconds=0, mode=mode, meanwhile=lambda: sizes.append(memory(side.pid))
    )
    return Held(
        side=side.name,
        streams=streams,
        whole=len(report.first) - report.failures.get("another answer than the upstream gave", 0),
        at_once=report.most_open,
        seconds=report.seconds,
        longest_silence=report.longest_silence,
        before=sizes[0],
        during=max(sizes),
        failures=report.failures,
    )


def _ask(
    side: Side, *, streams: int, seconds: float, mode: Mode, meanwhile: Callable[[], object] = lambda: None
) -> Report:
    """What a client in a process of its own found; `meanwhile` is called every half second until then."""
    order: str | None = side.order(streams=streams, seconds=seconds, mode=mode)
    with subprocess.Popen([sys.executable, str(LOAD)], stdin=PIPE, stdout=PIPE, text=True) as client:
        told = ""
        while client.returncode is None:
            try:
                told, _ = client.communicate(order, timeout=0.5)
            except subprocess.TimeoutExpired:
                order = None  # sent
                meanwhile()
    if client.returncode:
        raise Failed(f"The client ended with {client.returncode}.")
    return Report(**json.loads(told))


def _whole(side: Side, report: Report) -> Report:
    if report.failures:
        reason, number = next(iter(report.failures.items()))
        raise Failed(
            f"{side.name}: {sum(report.failures.values())} streams failed, {number} of them: {reason[:500]}"
        )
    return report


def _milliseconds(seconds: Sequence[float]) -> tuple[float, ...]:
    return tuple(1000 * value for value in seconds)
