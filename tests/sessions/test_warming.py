"""What a session knows of the requests that kept its cache warm."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from providers.types import ModelRef
from sessions import begin
from sessions.journal import read
from sessions.rehydrate import rehydrate
from sessions.session import Session
from sessions.setup import Limits
from sessions.switch import Switch
from tests.sessions.test_cachebook import LONG, MODEL, given, serving, told
from tests.support.anthropic_server import AnthropicServer, text
from tests.support.loopback import Reply
from tests.support.script import say, script
from tests.support.setups import setup


async def opened(folder: Path, server: Any, **more: Any) -> Session:
    return await begin.start(given(folder, server, **more), MODEL)


async def test_a_resumed_session_knows_that_its_entry_was_kept_alive(tmp_path: Path) -> None:
    with serving("one", "") as server:
        session = await opened(tmp_path, server)
        await told(session, LONG)
        assert await session.warming.keep()
        until, filled, pauses = session.warm_until, session.context_tokens, session.path
        await session.close()
        again = await begin.resume(given(tmp_path, server), pauses)
        assert again.warm_until == until
        assert again.context_tokens == filled
        await again.close()
    asked, warmed = session.calls
    assert until is not None
    assert until >= warmed.started + 300
    assert warmed.parent == session.state.previous_end
    assert session.usage == asked.usage + warmed.usage


async def test_nobodys_pause_ends_with_it(tmp_path: Path) -> None:
    with serving("one", "") as server:
        session = await opened(tmp_path, server)
        await told(session, LONG)
        await session.warming.keep()
        await session.close()
    traffic = rehydrate(read(session.path).records).traffic
    assert traffic.pauses == ()
    assert traffic.latest == session.calls[0].started


async def test_a_reached_limit_holds_for_it_too(tmp_path: Path) -> None:
    with serving("one", "never") as server:
        session = await opened(tmp_path, server, limits=Limits(max_turns=1))
        await told(session, LONG)
        assert not await session.warming.keep()
        await session.close()
        assert len(server.requests) == 1


async def test_before_the_first_turn_there_is_nothing_to_keep(tmp_path: Path) -> None:
    with serving() as server:
        session = await opened(tmp_path, server)
        assert await session.warming.plan(time.time()) is None
        assert not await session.warming.keep()
        await session.close()


async def test_where_the_provider_names_no_time_nothing_is_planned(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one", input_tokens=9)))
    await told(session, "hi")
    assert await session.warming.plan(time.time()) is None
    await session.close()


async def test_the_plan_is_for_half_a_minute_before_the_end(tmp_path: Path) -> None:
    with serving("one") as server:
        session = await opened(tmp_path, server)
        await told(session, LONG)
        assert session.warm_until is not None
        plan = await session.warming.plan(session.last_call.started if session.last_call else 0.0)
        assert plan is not None
        assert plan.at == session.warm_until - 30
        assert plan.verdict.worth
        assert await session.warming.plan(session.warm_until + 1) is None
        await session.close()


async def test_it_saves_nothing_by_itself(tmp_path: Path) -> None:
    with serving("one", "") as server:
        session = await opened(tmp_path, server)
        await told(session, LONG)
        before = session.cost
        assert await session.warming.keep()
        after = session.cost
        await session.close()
    assert after.known > before.known
    assert after.saved == pytest.approx(before.saved - (after.known - before.known))


def aged(path: Path, seconds: float) -> None:
    """Let a journal's calls be so many seconds older."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["kind"] == "call":
            line["started"] -= seconds
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


async def test_only_what_is_still_there_is_read_and_nothing_behind_it_is_written_again(
    tmp_path: Path,
) -> None:
    clock = [0.0]
    answers = [(text(words),) for words in ("one", "two", "three", "")]
    with AnthropicServer(answers, now=lambda: clock[0]) as server:
        session = await opened(tmp_path, server)
        for prompt in (LONG, "b", LONG):
            await told(session, prompt)
        await session.close()
        aged(session.path, 600)
        clock[0] = 600.0
        again = await begin.resume(given(tmp_path, server), session.path)
        kept = [call.kept for call in again.calls]
        hour = again.outlook(again.prefix, time.time()).held
        assert await again.warming.keep()
        await again.close()
    assert kept == ["5m", "1h", "5m"]
    warmed = again.calls[-1].usage
    assert (warmed.cache_read_tokens, warmed.prompt_tokens) == (hour, hour)


async def test_what_is_gone_is_not_written_again_for_nobody(tmp_path: Path) -> None:
    with serving("one", "") as server:
        session = await opened(tmp_path, server)
        await told(session, LONG)
        await session.close()
        aged(session.path, 4000)
        again = await begin.resume(given(tmp_path, server), session.path)
        assert not await again.warming.keep()
        await again.close()
        assert len(server.requests) == 1


async def test_a_switch_of_the_model_books_first_what_is_on_its_way(tmp_path: Path) -> None:
    asked = threading.Event()

    def answers() -> Iterator[Any]:
        yield (text("one"),)
        asked.set()
        yield Reply(mute=True)

    with AnthropicServer(answers()) as server:
        session = await opened(tmp_path, server)
        await told(session, LONG)
        keeping = asyncio.create_task(session.warming.keep())
        await asyncio.to_thread(asked.wait, 30)
        await session.switch(Switch(model=ModelRef("anthropic", "claude-opus-4-5")))
        booked = session.calls[-1]
        await asyncio.gather(keeping, return_exceptions=True)
        await session.close()
    assert (booked.purpose, booked.outcome, booked.model) == ("warm", "cancelled", str(MODEL))


async def test_a_session_whose_end_is_stopped_has_booked_what_was_on_its_way_and_let_go_of_its_journal(
    tmp_path: Path,
) -> None:
    asked = threading.Event()

    def answers() -> Iterator[Any]:
        yield (text("one"),)
        asked.set()
        yield Reply(mute=True)

    with AnthropicServer(answers()) as server:
        session = await opened(tmp_path, server)
        await told(session, LONG)
        keeping = asyncio.create_task(session.warming.keep())
        await asyncio.to_thread(asked.wait)
        closing = asyncio.create_task(session.close())
        for _ in range(5):
            await asyncio.sleep(0)
            closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await asyncio.gather(keeping, return_exceptions=True)
        again = await begin.resume(given(tmp_path, server), session.path)
        await again.close()
    assert [(call.purpose, call.outcome) for call in again.calls] == [("main", "ok"), ("warm", "cancelled")]
