"""Whatever happens in a session, what it holds is what its journal tells."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.compaction import NothingToCompact
from agent.events import ToolStarted
from checkpoint.types import CheckpointError
from providers.errors import ProviderError
from providers.types import TextDelta, Usage
from sessions import begin
from sessions.journal import read
from sessions.rehydrate import rehydrate
from sessions.session import Session
from tests.support.script import say, script, use
from tests.support.setups import setup

pytestmark = pytest.mark.slow

USAGE = {"input_tokens": 3, "cache_read_tokens": 40, "cache_write_tokens": 5, "output_tokens": 2}
ANSWER = say("an answer", **USAGE)
TURNS: Mapping[str, tuple[dict[str, Any], ...]] = {
    "answer": (ANSWER,),
    "silence": (say("", **USAGE),),
    "tools": (use(("ls", {}), ("read", {"path": "none.txt"}), ("ls", {}), **USAGE), ANSWER),
    "unknown tool": (use(("teleport", {}), **USAGE), ANSWER),
    "cut off": ({**use(("ls", {}), text="so", **USAGE), "stop_reason": "max_tokens"},),
    "refused": ({"error": {"status": 401, "message": "no"}},),
    "fails twice": ({**ANSWER, "error": {"status": 503, "message": "busy", "times": 2}},),
    "breaks off": ({**ANSWER, "error": {"status": 400, "message": "no"}},),
    "stopped in its words": ({"text": "one two three", "chunk": 4, "pause_s": 30, "usage": USAGE},),
    "stopped in its tool": (use(("bash", {"command": "sleep 30"}), ("ls", {}), **USAGE),),
}
OTHERS = ("rewind", "rewind conversation", "undo", "resume", "compact")
step = st.tuples(st.sampled_from((*TURNS, *OTHERS)), st.integers(0, 3))


async def take_turn(session: Session, folder: Path, kind: str) -> None:
    answers = sum(message.role == "assistant" for message in session.state.messages)
    script(folder, *[ANSWER] * answers, *TURNS[kind])
    stop_at = {"stopped in its words": TextDelta, "stopped in its tool": ToolStarted}.get(kind)

    async def turn() -> None:
        async for event in session.turn(kind):
            if stop_at is not None and isinstance(event, stop_at):
                asyncio.current_task().cancel()  # type: ignore[union-attr]

    with suppress(asyncio.CancelledError, ProviderError):
        await asyncio.create_task(turn())


async def play(session: Session, folder: Path, kind: str, number: int) -> Session:
    try:
        match kind:
            case "resume" if session.path.exists():
                await session.close()
                return await begin.resume(setup(folder), session.path)
            case "undo" if session.path.exists():
                await session.undo()
            case "rewind":
                await session.rewind(number)
            case "rewind conversation":
                await session.rewind(number, files=False)
            case "compact":
                answers = sum(message.role == "assistant" for message in session.state.messages)
                script(folder, *[ANSWER] * (answers + 1))
                async for _ in session.compact():
                    pass
            case _ if kind in TURNS:
                await take_turn(session, folder, kind)
    except (CheckpointError, NothingToCompact):
        pass
    return session


def assert_equal(session: Session) -> None:
    told = rehydrate(read(session.path).records)
    assert told.state == session.state
    assert list(told.calls) == session.calls
    assert sum((call.usage for call in told.calls), Usage()) == session.usage
    assert told.repairs == ()
    assert told.dangling == ()


@settings(max_examples=25, deadline=None)
@given(st.lists(step, min_size=1, max_size=7))
def test_the_state_is_what_the_journal_tells_after_any_turns_cancels_and_rewinds(
    steps: list[tuple[str, int]],
) -> None:
    async def live() -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            session = await begin.start(setup(folder), script(folder, ANSWER))
            for kind, number in steps:
                session = await play(session, folder, kind, number)
                if session.path.exists():
                    assert_equal(session)
            await session.close()

    asyncio.run(live())
