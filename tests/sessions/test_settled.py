"""Parameters that only the endpoint can tell are decided before the first call, and frozen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.events import CacheMissed, Event
from providers.registry import open_provider
from providers.settings import ProviderSettings
from providers.types import ModelRef
from sessions import begin
from sessions.session import Session
from sessions.switch import Switch
from tests.support.ollama_server import MODEL, OllamaServer
from tests.support.setups import setup


def given(folder: Path, server: OllamaServer) -> Any:
    settings = {"ollama": ProviderSettings(base_url=server.url)}
    return setup(
        folder,
        providers=lambda name, encoder="": open_provider(name, settings, {}, folder, encoder=encoder),
    )


@asynccontextmanager
async def chat(folder: Path, server: OllamaServer) -> AsyncIterator[Session]:
    session = await begin.start(given(folder, server), ModelRef("ollama", MODEL))
    try:
        yield session
    finally:
        await session.close()


async def tell(session: Session, prompt: str) -> list[Event]:
    return [event async for event in session.turn(prompt)]


def sizes(server: OllamaServer) -> list[int | None]:
    """The context sizes that the calls asked for."""
    calls = (sent.json for sent in server.requests if sent.path == "/api/chat")
    return [call["options"].get("num_ctx") for call in calls]


async def test_every_call_asks_for_the_same_context_after_a_resume_too(tmp_path: Path) -> None:
    with OllamaServer(["one", "two", "three"]) as server:
        async with chat(tmp_path, server) as session:
            await tell(session, "a")
            await tell(session, "b")
        server.running[MODEL] = 32_768
        resumed = await begin.resume(given(tmp_path, server), session.path)
        await tell(resumed, "c")
        await resumed.close()
    assert sizes(server) == [32_768] * 3
    _, *later = resumed.calls
    assert [call.usage.cache_read_tokens > 0 for call in later] == [True, True]
    assert [call.miss for call in resumed.calls] == [None] * 3


async def test_a_larger_context_that_the_server_runs_already_is_kept(tmp_path: Path) -> None:
    with OllamaServer(["one"], context=131_072) as server:
        server.running[MODEL] = 65_536
        async with chat(tmp_path, server) as session:
            await tell(session, "a")
    assert sizes(server) == [65_536]


async def test_what_a_session_sends_is_what_its_journal_says(tmp_path: Path) -> None:
    with OllamaServer(["one"]) as server:
        async with chat(tmp_path, server) as session:
            await tell(session, "a")
        resumed = await begin.resume(given(tmp_path, server), session.path)
        await resumed.close()
    assert resumed.prefix == session.prefix
    assert resumed.prefix.parameters.context_window == 32_768
    assert session.path.read_text().count('"kind":"prefix"') == 1


async def test_another_model_does_not_inherit_the_size(tmp_path: Path) -> None:
    with OllamaServer(["one"]) as server:
        async with chat(tmp_path, server) as session:
            await tell(session, "a")
            after = session.after(Switch(model=ModelRef("ollama", "other")))
    assert after.parameters.context_window is None


async def test_a_model_that_was_loaded_anew_within_its_time_is_named(tmp_path: Path) -> None:
    with OllamaServer(["one", "two"]) as server:
        async with chat(tmp_path, server) as session:
            await tell(session, "a")
            server.running.clear()  # another program's model took its place
            missed = [event for event in await tell(session, "b") if isinstance(event, CacheMissed)]
    assert [(each.cause, each.detail) for each in missed] == [
        ("affinity_or_eviction", "the model was loaded anew")
    ]
