"""`make bench-server`: what `agent serve` adds to a model's answer, beside LiteLLM's proxy and no server.

    python benchmarks/server/run.py [--sides direct,litellm,agent] [--streams 1,16,128] …

All stand before the same upstream, which takes no time, and are asked in turn. Exits with 1 when a target is
missed, or when answers did not come as they must.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.server.measures import Failed, Held, Steady, held, steady
from benchmarks.server.programs import NotStarted, allow_many_files
from benchmarks.server.proxy import NotInstalled, install, proxy
from benchmarks.server.proxy import version as litellm_version
from benchmarks.server.side import Side
from benchmarks.server.sides import Agent, Upstream, agent, upstream
from benchmarks.server.tables import document, held_table, steady_table
from cachet import __version__

ROOT = Path(__file__).resolve().parents[2]
SIDES = ("direct", "litellm", "agent")
WAYS = ("agent", "responses", "resumed")
"""How `agent serve` may be asked: by chat, by the Responses API, to go on with a long session."""
EVERY = (*SIDES, *WAYS[1:])
LITELLM = ROOT / ".venv" / "litellm-proxy"
WORK = ROOT / "build"
"""Not the system's temporary folder: where that is in memory, a journal's fsync would cost nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is wanted, and whether it was so."""

    said: str
    met: bool

    def __str__(self) -> str:
        return f"{'ok    ' if self.met else 'MISSED'} {self.said}"


def targets(steadies: Sequence[Steady], helds: Sequence[Held]) -> Iterator[Target]:
    """The targets that the measurements speak of."""
    ours = {one.streams: one for one in steadies if one.side == "agent serve"}
    theirs = {one.streams: one for one in steadies if one.side == "litellm"}
    for streams in sorted(ours.keys() & theirs.keys()):
        mine, other = ours[streams].p50, theirs[streams].p50
        said = f"{mine:.1f} ms; litellm {other:.1f} ms (× {mine / other:.2f})"
        yield Target(f"{streams} streams, first content p50: {said}", mine < other)
    for one in helds:
        if one.side == "agent serve":
            lost = one.streams - one.whole
            yield Target(f"{one.streams} streams held for {one.seconds:.0f} s: {lost} dropped", not lost)


@contextmanager
def started(names: Sequence[str], scratch: Path) -> Iterator[tuple[Upstream, list[Side], dict[str, str]]]:
    """The upstream, the servers, and their versions. A proxy that can't be had is told, and left out."""
    with ExitStack() as stack:
        source = stack.enter_context(upstream(scratch))
        sides, versions = [], {"cachet": __version__}
        ours = stack.enter_context(agent(scratch, source.side.port)) if {*WAYS} & {*names} else None
        for name in names:
            match name:
                case "direct":
                    sides.append(source.side)
                case "litellm":
                    try:
                        install(LITELLM)
                        sides.append(stack.enter_context(proxy(LITELLM, scratch, source.side.port)))
                        versions["litellm"] = litellm_version(LITELLM)
                    except (NotInstalled, NotStarted, OSError) as error:
                        print(f"LiteLLM's proxy is left out. {error}", file=sys.stderr)
                case _ if ours is not None:
                    sides.append(_asked(ours, name))
        yield source, sides, versions


def _asked(ours: Agent, way: str) -> Side:
    match way:
        case "responses":
            return ours.responses
        case "resumed":
            return ours.resumed()
        case _:
            return ours.chat


def main() -> int:
    chosen = _arguments()
    allow_many_files()
    WORK.mkdir(exist_ok=True)
    steadies: list[Steady] = []
    helds: list[Held] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-server-", dir=WORK) as name,
        started(chosen.sides, Path(name)) as (source, sides, versions),
    ):
        try:
            for streams in chosen.streams:
                asked = [side for side in sides if streams == 1 or not side.alone]
                steadies += steady(
                    source, asked, streams=streams, seconds=chosen.seconds, rounds=chosen.rounds
                )
                print(f"{streams} streams measured", file=sys.stderr, flush=True)
            for side in (side for side in sides if chosen.held and not side.variant):
                helds.append(held(source, side, streams=chosen.held, seconds=chosen.hold, pause=chosen.pause))
                print(f"{side.name} held {chosen.held} streams", file=sys.stderr, flush=True)
        except Failed as error:
            written = "".join(f"\n{log.name}: {log.read_text()[-2000:]}" for log in Path(name).glob("*.log"))
            raise Failed(f"{error}\nWhat the servers wrote last:{written}") from error
    print(steady_table(steadies), held_table(helds), "", sep="\n\n")
    wanted = [*targets(steadies, helds)]
    print(*wanted, sep="\n")
    chosen.json.write_text(json.dumps(document(steadies, helds, versions), indent=1) + "\n")
    return 0 if all(target.met for target in wanted) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a server adds to a model's answer.")
    parser.add_argument(
        "--sides", type=_sides, default=SIDES, help=f"of {','.join(EVERY)}; {','.join(SIDES)} if left out"
    )
    parser.add_argument("--streams", type=_numbers, default=(1, 16, 128), help="how many at once: 1,16,128")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each is asked, each time")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is asked")
    parser.add_argument("--held", type=int, default=500, help="how many streams to hold open; 0 for none")
    parser.add_argument("--hold", type=float, default=60.0, help="for how many seconds")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between two pieces meanwhile")
    parser.add_argument(
        "--json", type=Path, default=WORK / "bench-server.json", help="where to write all of it"
    )
    return parser.parse_args()


def _sides(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - {*EVERY}:
        raise argparse.ArgumentTypeError(f"no such side: {', '.join(sorted(unknown))}")
    return names


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failed, NotStarted) as error:
        sys.exit(str(error))
