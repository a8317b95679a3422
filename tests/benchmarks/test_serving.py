"""The server's benchmark, played small: its programs work together, and it notices broken answers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.server.load import Load, Order, Report
from benchmarks.server.measures import Held, Steady
from benchmarks.server.run import targets
from benchmarks.server.side import Side
from benchmarks.server.upstream import FIRST_WORD, USAGE, Connection, Mode, Upstream
from tests.support.loopback import LoopbackServer, Reply, sse
from tests.support.openai_server import chunk

pytestmark = pytest.mark.slow

RUN = Path(__file__).resolve().parents[2] / "benchmarks" / "server" / "run.py"
SMALL = (
    "--streams",
    "3",
    "--seconds",
    "0.2",
    "--rounds",
    "1",
    "--held",
    "8",
    "--hold",
    "0.4",
    "--pause",
    "0.1",
)


def order(port: int, mode: Mode, *, streams: int = 3, seconds: float = 0) -> Order:
    side = Side.chat("direct", port, "k", "bench", 0)
    return Order(**json.loads(side.order(streams=streams, seconds=seconds, mode=mode)))


async def ask(mode: Mode, *, wanted: Mode | None = None, path: str = "", **more: float) -> Report:
    """What the load reports of an upstream in this mode."""
    upstream = Upstream(mode)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(upstream), "127.0.0.1", 0)
    async with server:
        given = order(server.sockets[0].getsockname()[1], wanted or mode, **more)
        return await Load(replace(given, path=path or given.path)).run()


async def hear(reply: Reply) -> Report:
    """What the load reports of a server that answers so."""
    with LoopbackServer(lambda _: reply) as server:
        return await Load(order(int(server.url.rpartition(":")[2]), Mode(), streams=1)).run()


async def test_streams_that_are_held_are_open_all_at_once() -> None:
    report = await ask(Mode(pieces=3, pause=0.1), streams=20)
    assert report.most_open == 20
    assert len(report.first) == len(report.whole) == 20
    assert not report.failures


async def test_a_stream_asks_again_until_its_time_is_over() -> None:
    report = await ask(Mode(), streams=2, seconds=0.1)
    assert len(report.first) > 2
    assert report.usage == USAGE
    assert not report.failures


@pytest.mark.parametrize(("content", "begun"), [("", 0), (FIRST_WORD, 1)])
async def test_a_stream_has_begun_with_its_first_content_not_its_first_byte(content: str, begun: int) -> None:
    report = await hear(sse(chunk({"role": "assistant", "content": content}), cut=True))
    assert report.most_open == begun


async def test_an_answer_that_says_something_else_is_a_failure() -> None:
    report = await ask(Mode(pieces=4), wanted=Mode(pieces=5))
    assert report.failures == {"another answer than the upstream gave": 3}


async def test_a_refusal_is_a_failure_and_tells_what_the_server_said() -> None:
    report = await ask(Mode(), path="/v1/elsewhere", streams=2, seconds=0.1)
    [(reason, number)] = report.failures.items()
    assert number == 2
    assert "404 Not Found" in reason
    assert "Only chat completions are here." in reason


async def test_a_stream_that_is_cut_is_dropped() -> None:
    report = await hear(sse(chunk({"content": FIRST_WORD}), cut=True))
    assert report.failures == {"dropped": 1}
    assert not report.whole


def steady(side: str, milliseconds: float) -> Steady:
    times = ((milliseconds,),)
    return Steady(side=side, streams=16, first=times, whole=times, rates=(1.0,), calls=1.0, usage={})


def held(whole: int) -> Held:
    return Held(
        side="agent serve",
        streams=500,
        whole=whole,
        at_once=500,
        seconds=60.0,
        longest_silence=2.0,
        before=100.0,
        during=150.0,
        failures={},
    )


@pytest.mark.parametrize(("ours", "met"), [(9.0, True), (11.0, False)])
def test_the_target_is_met_where_our_median_is_below_the_proxys(ours: float, met: bool) -> None:
    [target] = targets([steady("litellm", 10.0), steady("agent serve", ours)], [])
    assert target.met is met


@pytest.mark.parametrize(("whole", "met"), [(500, True), (499, False)])
def test_one_dropped_stream_misses_the_target(whole: int, met: bool) -> None:
    [target] = targets([], [held(whole)])
    assert target.met is met


def test_the_benchmark_measures_the_real_server_beside_its_upstream(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    argv = [sys.executable, str(RUN), "--sides", "direct,agent", *SMALL, "--json", str(written)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    figures = json.loads(written.read_text())
    ours = next(one for one in figures["steady"] if (one["server"], one["streams"]) == ("agent serve", 3))
    assert ours["answers"] >= 3
    assert ours["upstream_calls_an_answer"] == 1.0
    assert ours["usage"]["prompt_tokens_details"]["cached_tokens"] == 896
    assert [(one["side"], one["whole"]) for one in figures["held"]] == [("direct", 8), ("agent serve", 8)]
    assert "| 3 | agent serve |" in done.stdout


def test_the_other_ways_to_ask_are_measured_on_the_same_server(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    few = ("--streams", "1", "--seconds", "0.2", "--rounds", "1", "--held", "0")
    argv = [sys.executable, str(RUN), "--sides", "direct,responses,resumed", *few, "--json", str(written)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    figures = {one["server"]: one for one in json.loads(written.read_text())["steady"]}
    ways = ("agent serve, Responses", "agent serve, Responses, after 200 messages")
    assert [figures[way]["upstream_calls_an_answer"] for way in ways] == [1.0, 1.0]
    assert [figures[way]["usage"]["input_tokens_details"]["cached_tokens"] for way in ways] == [896, 896]
