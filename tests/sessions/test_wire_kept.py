"""A session goes on with the wire it was begun on, whatever its provider speaks by now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from providers.registry import open_provider
from providers.settings import ProviderSettings
from providers.types import ModelRef
from sessions import begin
from sessions.session import Session
from sessions.setup import Setup
from sessions.switch import Switch
from tests.support.openai_server import OpenAIServer
from tests.support.responses_server import ResponsesServer, said, thought
from tests.support.setups import setup
from tests.support.wires import Sent

KEY = "sk-test-0123456789abcdef"
GPT = ModelRef("openai", "gpt-5.6")


def set_up(folder: Path, own: ProviderSettings | None = None, **environ: str) -> Setup:
    """A setup whose provider `openai` has these settings and this environment."""
    settings: Mapping[str, ProviderSettings] = {"openai": own} if own else {}
    variables = {"OPENAI_API_KEY": KEY, **environ}
    return setup(
        folder,
        providers=lambda name, encoder="": open_provider(
            name, settings, variables, folder / "home", encoder=encoder
        ),
    )


async def ask(session: Session, prompt: str) -> None:
    async for _ in session.turn(prompt):
        pass


async def begun_on_chat(folder: Path, server: OpenAIServer) -> Path:
    """The journal of a session that was begun on chat completions."""
    session = await begin.start(set_up(folder, OPENAI_BASE_URL=server.base_url), GPT)
    await ask(session, "hello")
    await session.close()
    return session.path


async def test_a_session_begun_on_chat_completions_stays_there_where_new_ones_begin_on_responses(
    tmp_path: Path,
) -> None:
    with OpenAIServer(["hi"]) as server:
        path = await begun_on_chat(tmp_path, server)
    fresh = await begin.start(set_up(tmp_path), GPT)
    assert fresh.prefix.encoder == fresh.provider.encoder == "openai-responses/1"
    resumed = await begin.resume(set_up(tmp_path), path)
    assert resumed.prefix.encoder == resumed.provider.encoder == "openai-chat/1"
    assert resumed.left is None
    copy = await begin.fork(set_up(tmp_path), path)
    assert copy.prefix == resumed.prefix
    assert copy.provider.encoder == "openai-chat/1"
    for session in (fresh, resumed, copy):
        await session.close()


async def test_it_sends_the_bytes_it_always_sent(tmp_path: Path) -> None:
    with OpenAIServer(["hi", "again"]) as server:
        path = await begun_on_chat(tmp_path, server)
        resumed = await begin.resume(set_up(tmp_path, OPENAI_BASE_URL=server.base_url), path)
        await ask(resumed, "and now?")
        await resumed.close()
        first, second = server.requests
    assert second.path == "/v1/chat/completions"
    assert Sent.of(second).goes_on_from(Sent.of(first))


async def test_a_configured_wire_moves_a_session_and_the_journal_says_so(tmp_path: Path) -> None:
    with OpenAIServer(["hi"]) as server:
        path = await begun_on_chat(tmp_path, server)
    with ResponsesServer([(thought("Hm."), said("again"))]) as server:
        own = ProviderSettings(base_url=server.base_url, wire="openai-responses")
        resumed = await begin.resume(set_up(tmp_path, own), path)
        assert resumed.left is not None
        assert (resumed.left.encoder, resumed.prefix.encoder) == ("openai-chat/1", "openai-responses/1")
        await ask(resumed, "and now?")
        await resumed.close()
        roles = [item["role"] for item in server.requests[0].json["input"]]
    assert roles == ["user", "assistant", "user"]
    again = await begin.resume(set_up(tmp_path, own), path)
    assert (again.left, again.prefix.encoder) == (None, "openai-responses/1")
    await again.close()


async def test_an_endpoint_elsewhere_is_not_asked_for_the_newer_wire_of_an_old_session(
    tmp_path: Path,
) -> None:
    with ResponsesServer([(thought("Hm."), said("hi"))]) as server:
        own = ProviderSettings(base_url=server.base_url, wire="openai-responses")
        session = await begin.start(set_up(tmp_path, own), GPT)
        await ask(session, "hello")
        await session.close()
    with OpenAIServer(["again"]) as other:
        resumed = await begin.resume(set_up(tmp_path, OPENAI_BASE_URL=other.base_url), session.path)
        await ask(resumed, "and now?")
        await resumed.close()
        sent = other.requests[0]
    assert sent.path == "/v1/chat/completions"
    assert [message["role"] for message in sent.json["messages"][1:]] == ["user", "assistant", "user"]
    assert b"encrypted" not in sent.body


async def test_another_model_of_the_provider_begins_on_its_newest_wire(tmp_path: Path) -> None:
    with OpenAIServer(["hi"]) as server:
        path = await begun_on_chat(tmp_path, server)
    switch = Switch(model=ModelRef("openai", "gpt-5.4"))
    resumed = await begin.resume(set_up(tmp_path), path, switch=switch)
    assert resumed.prefix.encoder == resumed.provider.encoder == "openai-responses/1"
    await resumed.close()
