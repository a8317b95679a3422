"""What a session expects of the provider's cache, and what it says when that didn't come."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.events import CacheMissed, Event
from agent.lifetimes import Habits, learned
from providers.registry import open_provider
from providers.settings import ProviderSettings
from providers.types import ModelRef, Parameters
from sessions import begin, habits
from sessions.cachebook import CacheBook
from sessions.journal import read
from sessions.outlook import outlook_of
from sessions.rehydrate import rehydrate
from sessions.session import Session
from sessions.traffic import Traffic
from tests.support.anthropic_server import AnthropicServer, text
from tests.support.setups import setup

MODEL = ModelRef("anthropic", "claude-sonnet-4-5")
LONG = "word " * 2000


@contextmanager
def serving(*answers: str) -> Iterator[AnthropicServer]:
    with AnthropicServer([(text(answer),) for answer in answers]) as server:
        yield server


def given(folder: Path, server: AnthropicServer, **more: Any) -> Any:
    settings = {"anthropic": ProviderSettings(base_url=server.url, api_key="k")}
    return setup(
        folder,
        providers=lambda name, encoder="": open_provider(name, settings, {}, folder, encoder=encoder),
        parameters=Parameters(cache_ttl="auto"),
        **more,
    )


@asynccontextmanager
async def chat(folder: Path, server: AnthropicServer) -> AsyncIterator[Session]:
    session = await begin.start(given(folder, server), MODEL)
    try:
        yield session
    finally:
        await session.close()


async def told(session: Session, prompt: str) -> list[Event]:
    return [event async for event in session.turn(prompt)]


def misses(events: list[Event]) -> list[CacheMissed]:
    return [event for event in events if isinstance(event, CacheMissed)]


async def test_a_conversation_that_goes_on_misses_nothing(tmp_path: Path) -> None:
    with serving("one", "two", "three") as server:
        async with chat(tmp_path, server) as session:
            events = [event for prompt in (LONG, "b", "c") for event in await told(session, prompt)]
    assert misses(events) == []
    assert all(call.miss is None for call in session.calls)


async def test_an_entry_that_the_provider_dropped_is_named_with_tokens_and_dollars(tmp_path: Path) -> None:
    with serving("one", "two") as server:
        async with chat(tmp_path, server) as session:
            await told(session, LONG)
            server.cache.entries.clear()
            (missed,) = misses(await told(session, "b"))
    first, second = session.calls
    assert missed.cause == "affinity_or_eviction"
    assert missed.tokens == first.usage.prompt_tokens
    # written again instead of read: $3.75 or $6 for a million tokens, less the $0.30 of a read
    written = second.usage
    dear = 6.0 if written.cache_write_1h_tokens else 3.75
    assert missed.cost == pytest.approx(missed.tokens * (dear - 0.3) / 1e6)
    assert second.miss is not None
    assert second.miss.cost == missed.cost


async def test_a_forecast_has_the_lifetime_that_the_next_call_is_given(tmp_path: Path) -> None:
    with serving("one", "two") as server:
        async with chat(tmp_path, server) as session:
            await told(session, LONG)
            first, now = session.cache_choice, time.time()
            seen = session.outlook(session.prefix, now)
            dry = outlook_of(rehydrate(read(session.path).records), tmp_path / "home", now)
            await told(session, "b")
            given = session.cache_choice
    assert [choice and choice.lifetime for choice in (first, given)] == ["5m", "1h"]
    assert [each and each.hour for each in (seen, dry)] == [True, True]


async def test_a_resumed_session_still_knows_what_it_may_expect(tmp_path: Path) -> None:
    with serving("one", "two", "three") as server:
        async with chat(tmp_path, server) as session:
            await told(session, LONG)
        server.cache.entries.clear()
        again = await begin.resume(given(tmp_path, server), session.path)
        (missed,) = misses(await told(again, "b"))
        await again.close()
    assert missed.cause == "affinity_or_eviction"


def compared(server: AnthropicServer) -> list[str | None]:
    return [sent.json["diagnostics"]["previous_message_id"] for sent in server.requests]


async def test_each_call_asks_the_provider_about_the_one_it_goes_on_from_after_a_resume_too(
    tmp_path: Path,
) -> None:
    with serving("one", "two", "three") as server:
        async with chat(tmp_path, server) as session:
            await told(session, LONG)
            await told(session, "b")
        again = await begin.resume(given(tmp_path, server), session.path)
        assert misses(await told(again, "c")) == []
        await again.close()
    assert compared(server) == [None, "msg_1", "msg_2"]


async def test_the_providers_diagnosis_names_a_miss(tmp_path: Path) -> None:
    with serving("one", "two") as server:
        async with chat(tmp_path, server) as session:
            await told(session, LONG)
            server.cache.entries.clear()
            server.fingerprints["msg_1"][2] = "another system prompt"
            (missed,) = misses(await told(session, "b"))
    assert (missed.cause, missed.detail) == ("system_changed", "the provider says so")
    reason = session.calls[-1].raw_usage["diagnostics"]["cache_miss_reason"]
    assert reason["type"] == "system_changed"


async def test_a_diagnosis_that_found_no_change_leaves_a_miss_to_the_providers_side(tmp_path: Path) -> None:
    with serving("one", "two") as server:
        async with chat(tmp_path, server) as session:
            await told(session, LONG)
            server.cache.entries.clear()
            server.fingerprints.clear()
            (missed,) = misses(await told(session, "b"))
    assert missed.cause == "affinity_or_eviction"


async def test_a_conversation_taken_back_is_no_miss(tmp_path: Path) -> None:
    with serving("one", "two", "three") as server:
        async with chat(tmp_path, server) as session:
            await told(session, LONG)
            await told(session, LONG + "more")
            await session.undo()
            assert misses(await told(session, "elsewhere")) == []


async def test_by_itself_a_short_pause_buys_five_minutes_and_a_person_who_leaves_buys_an_hour(
    tmp_path: Path,
) -> None:
    with serving("one", "two") as server:
        async with chat(tmp_path, server) as session:
            await told(session, LONG)
            assert session.calls[-1].kept == "5m"
            assert session.calls[-1].usage.cache_write_1h_tokens == 0
        habits.save(tmp_path / "home", _away())
        async with chat(tmp_path, server) as session:
            await told(session, "Otherwise. " + LONG)
    assert session.calls[-1].kept == "1h"
    assert session.calls[-1].usage.cache_write_1h_tokens > 2000


async def test_the_pauses_between_turns_are_remembered_for_the_next_session(tmp_path: Path) -> None:
    with serving("one", "two") as server:
        async with chat(tmp_path, server) as session:
            await told(session, "a")
            await told(session, "b")
    before, after = Habits(), habits.load(tmp_path / "home")
    assert after.between_turns.short > before.between_turns.short
    assert after.within_turns == before.within_turns


@pytest.mark.parametrize(
    "damage", ["", "[]", "{}", '{"between_turns": {"short": -1, "middle": 0, "long": 0}}']
)
def test_a_damaged_file_of_habits_is_a_newcomers(tmp_path: Path, damage: str) -> None:
    (tmp_path / habits.FILE).write_text(damage)
    assert habits.load(tmp_path) == Habits()


def test_habits_come_back_as_they_were_saved(tmp_path: Path) -> None:
    known = learned([(10.0, True), (400.0, False), (5000.0, False)])
    habits.save(tmp_path, known)
    loaded = habits.load(tmp_path)
    assert (loaded.between_turns, loaded.within_turns) == (known.between_turns, known.within_turns)
    assert loaded.lately_within == Habits().lately_within  # a new session begins anew
    assert json.loads((tmp_path / habits.FILE).read_text()).keys() == {"between_turns", "within_turns"}


async def test_an_end_that_was_only_read_keeps_the_lifetime_it_was_written_with(tmp_path: Path) -> None:
    with serving("one", "two") as server:
        async with chat(tmp_path, server) as session:
            await told(session, LONG)
        habits.save(tmp_path / "home", _away())
        async with chat(tmp_path, server) as session:
            await told(session, LONG)
    assert session.calls[-1].usage.cache_write_tokens == 0
    assert session.calls[-1].kept == "5m"


async def test_the_footers_countdown_goes_by_the_entrys_own_lifetime(tmp_path: Path) -> None:
    with serving("one") as server:
        (tmp_path / "home").mkdir()
        habits.save(tmp_path / "home", _away())
        async with chat(tmp_path, server) as session:
            await told(session, LONG)
            assert session.warm_until == pytest.approx(session.calls[-1].started + 3600)


def _away() -> Habits:
    """Somebody who is away for six minutes after every call."""
    return learned([(400.0, False), (400.0, True)] * 60)


async def test_a_branch_that_was_taken_back_is_warm_after_a_resume_too(tmp_path: Path) -> None:
    with serving("one", "two") as server:
        async with chat(tmp_path, server) as session:
            await told(session, LONG)
            await told(session, LONG + "more")
            latest = session.checkpoints()[-1].number
            whole = session.calls[-1].usage.prompt_tokens
            await session.undo()
        again = await begin.resume(given(tmp_path, server), session.path)
        await again.rewind(latest)
        assert again.outlook(again.prefix, again.calls[-1].started + 1).held == whole
        await again.close()


@pytest.mark.parametrize("resumed", [False, True])
async def test_after_a_summary_the_provider_is_asked_about_the_call_that_made_it(
    tmp_path: Path, resumed: bool
) -> None:
    with serving("one", "a summary", "two") as server:
        session = await begin.start(given(tmp_path, server), MODEL)
        await told(session, LONG)
        async for _ in session.compact():
            pass
        if resumed:
            await session.close()
            session = await begin.resume(given(tmp_path, server), session.path)
        await told(session, "b")
        await session.close()
    assert compared(server) == [None, "msg_1", "msg_2"]


def test_a_task_is_not_planned_for_the_persons_pauses_in_this_session(tmp_path: Path) -> None:
    rested, hurried = CacheBook(tmp_path), CacheBook(tmp_path)
    rested.remember(Traffic(pauses=((1000.0, False),) * 5))
    assert rested.habits.chance > hurried.habits.chance
    assert rested.beside("task").habits.chance == hurried.beside("task").habits.chance
