"""What `agent doctor` is made of: checks that run side by side, each in its time, and what they find."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from cli import figures
from cli.failure import explain


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; everything works without it."""
    PROBLEM = "problem"
    """Something that was set up, or is needed, does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: the thing, what is the matter with it, and what to do."""

    level: Level
    thing: str
    said: str
    todo: str = ""
    """The next step; empty where there is nothing to do."""


Findings: TypeAlias = Iterable[Finding]


@dataclass(frozen=True, slots=True)
class Check:
    """Looks at one thing. It may take so many seconds, and may fail in any way."""

    thing: str
    look: Callable[[], Awaitable[Findings]]
    seconds: float = 20.0


def ok(thing: str, said: str) -> Finding:
    return Finding(Level.OK, thing, said)


def note(thing: str, said: str, todo: str = "") -> Finding:
    return Finding(Level.NOTE, thing, said, todo)


def problem(thing: str, said: str, todo: str = "") -> Finding:
    return Finding(Level.PROBLEM, thing, said, todo)


def blocking(look: Callable[[], Findings]) -> Callable[[], Awaitable[Findings]]:
    """A look that blocks, run beside the event loop. One that hangs holds nothing up, the exit neither."""

    async def beside() -> Findings:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Findings] = loop.create_future()

        def settle(result: Findings | None, error: Exception | None) -> None:
            if found.done():
                return
            if error is not None:
                found.set_exception(error)
            elif result is not None:
                found.set_result(result)

        def work() -> None:
            result, error = None, None
            try:
                result = tuple(look())
            except Exception as failure:  # told by whoever awaits it
                error = failure
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, result, error)

        threading.Thread(target=work, daemon=True).start()
        return await found

    return beside


async def examine(checks: Sequence[Check]) -> tuple[Finding, ...]:
    """What all checks found, in their order; they run side by side."""
    found = await asyncio.gather(*map(_looked, checks))
    return tuple(finding for findings in found for finding in findings)


async def _looked(check: Check) -> Findings:
    try:
        async with asyncio.timeout(check.seconds):
            return tuple(await check.look())
    except TimeoutError:
        return (problem(check.thing, f"no answer within {figures.seconds(check.seconds)}.", _SLOW),)
    except Exception as error:  # a check that fails is a finding; the others must still be told
        return (problem(check.thing, explain(error)),)


_SLOW = "Look whether the disk, the network or the machine is busy, then run it again."
