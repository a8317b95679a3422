"""What a session foresees of its next call, against what the provider then bills for it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from providers.registry import open_provider
from providers.settings import ProviderSettings
from providers.types import ModelRef, Parameters
from sessions import begin
from sessions.journal import read
from sessions.outlook import Outlook, outlook_of
from sessions.rehydrate import rehydrate
from sessions.session import Session
from sessions.setup import Setup
from sessions.switch import Switch
from tests.support import bedrock_server
from tests.support.bedrock_server import BedrockServer
from tests.support.setups import setup
from tests.support.wires import ANTHROPIC, OLLAMA, OPENAI, RESPONSES, Bill, Wire

pytestmark = pytest.mark.slow

PROMPT = "Next."
LONG = "What is here? " + "word " * 400


def _bedrock_bill(usage: Mapping[str, Any]) -> Bill:
    return Bill(
        input_tokens=usage["inputTokens"],
        output_tokens=usage["outputTokens"],
        cache_read_tokens=usage["cacheReadInputTokens"],
        cache_write_tokens=usage["cacheWriteInputTokens"],
    )


@dataclass(frozen=True, slots=True)
class Place:
    """A session's setup before a server of one wire."""

    wire: Wire
    setup: Setup
    server: Any

    @property
    def billed(self) -> Bill:
        """What the latest answer was billed."""
        return self.wire.billed(self.server)[-1]


BEDROCK = Wire(
    name="bedrock",
    model="bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0",
    serve=BedrockServer,
    environ=lambda url: {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": url, "AWS_BEARER_TOKEN_BEDROCK": "k"},
    say=lambda words: ({"text": words},),
    use=lambda name, arguments: (),
    begin=lambda words: bedrock_server.streamed(),
    refuse=lambda status, message: bedrock_server.refusal(status, "ValidationException", message),
    bill=_bedrock_bill,
)
EVERY = (ANTHROPIC, BEDROCK, OPENAI, RESPONSES, OLLAMA)


@contextmanager
def place(folder: Path, wire: Wire, *answers: str) -> Iterator[Place]:
    with wire.serve([wire.say(answer) for answer in answers]) as server:
        environ = wire.environ(server.url)
        own = ProviderSettings(wire="openai-responses") if wire is RESPONSES else None
        settings = {"openai": own} if own else {}
        if wire is BEDROCK:
            settings = {"bedrock": ProviderSettings(base_url=server.url, api_key="k")}
        given = setup(
            folder,
            providers=lambda name, encoder="": open_provider(
                name, settings, environ, folder / "home", encoder=encoder
            ),
            parameters=Parameters(cache_ttl="auto"),
        )
        yield Place(wire, given, server)


@asynccontextmanager
async def chat(where: Place) -> AsyncIterator[Session]:
    session = await begin.start(where.setup, ModelRef.parse(where.wire.model))
    try:
        yield session
    finally:
        await session.close()


async def tell(session: Session, words: str) -> None:
    async for _ in session.turn(words):
        pass


async def compact(session: Session) -> None:
    async for _ in session.compact():
        pass


def foreseen(session: Session) -> Outlook:
    return session.outlook(session.prefix, time.time())


def told(session: Session) -> Outlook:
    """The same from its journal alone, as `resume --dry-run` has it."""
    found = outlook_of(rehydrate(read(session.path).records), session.setup.home, time.time())
    assert found is not None
    return found


@pytest.mark.parametrize("wire", EVERY, ids=lambda wire: wire.name)
async def test_after_a_summary_the_tools_and_the_system_prompt_are_foreseen_and_read(
    tmp_path: Path, wire: Wire
) -> None:
    with place(tmp_path, wire, "An empty folder.", "No more.", "It is empty.", "Go on.") as where:
        async with chat(where) as session:
            await tell(session, LONG)
            await tell(session, "And else?")
            await compact(session)
            live, dry = foreseen(session), told(session)
        again = await begin.resume(where.setup, session.path)
        resumed = foreseen(again)
        await tell(again, PROMPT)
        given = again.cache_choice
        await again.close()
    bill = where.billed
    assert bill["cache_read_tokens"] > 1000
    assert live.prompt == dry.prompt == resumed.prompt
    for seen in (live, dry, resumed):
        assert seen.held == pytest.approx(bill["cache_read_tokens"], rel=0.05, abs=128)
        assert seen.prompt == pytest.approx(sum(bill.values()) - bill["output_tokens"], rel=0.08)
        assert seen.writes == (bill["cache_write_tokens"] > 0)
        assert seen.hour == (given is not None and given.lifetime == "1h")


async def test_what_a_summary_left_is_known_to_the_token_once_it_was_read_alone(tmp_path: Path) -> None:
    with place(tmp_path, ANTHROPIC, "one", "in short", "two", "in short again", "three") as where:
        async with chat(where) as session:
            await tell(session, LONG)
            await compact(session)
            await tell(session, PROMPT)
            await compact(session)
            live, dry = foreseen(session), told(session)
            await tell(session, PROMPT)
    assert [seen.held for seen in (live, dry)] == [where.billed["cache_read_tokens"]] * 2


async def test_what_another_session_wrote_is_known_to_the_token(tmp_path: Path) -> None:
    with place(tmp_path, ANTHROPIC, "one", "two", "in short", "three") as where:
        async with chat(where) as session:
            await tell(session, LONG)
        async with chat(where) as session:
            await tell(session, "Something else.")
            await compact(session)
            seen = foreseen(session)
            await tell(session, PROMPT)
    assert seen.held == where.billed["cache_read_tokens"]


async def test_the_countdown_after_a_summary_is_that_of_what_will_be_read(tmp_path: Path) -> None:
    with place(tmp_path, ANTHROPIC, "one", "in short") as where:
        async with chat(where) as session:
            await tell(session, LONG)
            await compact(session)
            first, asked = (call.started for call in session.calls)
            expires = [foreseen(session).expires, told(session).expires, session.warm_until]
            static, cold = (session.outlook(session.prefix, then) for then in (first + 300.01, asked + 301))
    assert expires == [first + 300] * 3, "the summary was asked for without a breakpoint behind that block"
    assert 1000 < static.held < foreseen(session).held
    assert (cold.held, cold.expires) == (0, first + 300)


async def test_below_the_models_minimum_nothing_is_foreseen_and_nothing_read(tmp_path: Path) -> None:
    with place(tmp_path, ANTHROPIC, "one", "two", "in short", "three") as where:
        where.server.cache.minimum = 2000
        async with chat(where) as session:
            await tell(session, "Hello.")
            await tell(session, LONG * 3)
            await compact(session)
            seen = [foreseen(session), told(session)]
            await tell(session, PROMPT)
    assert session.calls[-2].usage.cache_read_tokens > 0
    assert where.billed["cache_read_tokens"] == 0
    assert [each.held for each in seen] == [0, 0]


@pytest.mark.parametrize("wire", EVERY, ids=lambda wire: wire.name)
async def test_back_at_its_beginning_a_conversation_reads_the_tools_and_the_system_prompt(
    tmp_path: Path, wire: Wire
) -> None:
    with place(tmp_path, wire, "one", "two") as where:
        async with chat(where) as session:
            await tell(session, LONG)
            await session.rewind(0)
            live, dry = foreseen(session), told(session)
            await tell(session, PROMPT)
    for seen in (live, dry):
        assert seen.held == pytest.approx(where.billed["cache_read_tokens"], rel=0.1, abs=128)
        assert seen.held > 1000


async def test_a_call_after_a_summary_is_planned_with_what_it_will_write(tmp_path: Path) -> None:
    with place(tmp_path, ANTHROPIC, "one", "in short " * 200, "two") as where:
        async with chat(where) as session:
            await tell(session, LONG)
            await compact(session)
            await tell(session, PROMPT)
            choice = session.cache_choice
    assert choice is not None
    dearer = 0.75  # an hour costs twice an uncached token, five minutes a quarter more than one
    assert choice.surcharge == pytest.approx(dearer * where.billed["cache_write_tokens"], rel=0.1)


@pytest.mark.parametrize("wire", EVERY, ids=lambda wire: wire.name)
async def test_a_fork_foresees_before_its_first_call_what_the_other_sessions_left_it(
    tmp_path: Path, wire: Wire
) -> None:
    with place(tmp_path, wire, "one", "two", "three") as where:
        async with chat(where) as session:
            await tell(session, LONG)
            await tell(session, LONG)
            there = foreseen(session)
        fork = await begin.fork(where.setup, session.path)
        here, filled, sent = foreseen(fork), fork.context_tokens, fork.sent_at
        await tell(fork, PROMPT)
        await fork.close()
    assert (here.prompt, here.held, here.reported) == (there.prompt, there.held, True)
    assert 1000 < here.held <= where.billed["cache_read_tokens"] + 128
    assert filled == session.context_tokens
    assert sent == session.calls[-1].started


@pytest.mark.parametrize("wire", EVERY, ids=lambda wire: wire.name)
async def test_a_summary_has_one_length_wherever_it_is_told_after_a_resume_too(
    tmp_path: Path, wire: Wire
) -> None:
    with place(tmp_path, wire, "one", "in short") as where:
        async with chat(where) as session:
            await tell(session, LONG)
            await compact(session)
            lengths = {foreseen(session).prompt, session.context_tokens, (await session.room()).filled}
        again = await begin.resume(where.setup, session.path)
        lengths |= {foreseen(again).prompt, again.context_tokens, (await again.room()).filled}
        await again.close()
    assert len(lengths) == 1, lengths


@pytest.mark.parametrize("wire", EVERY, ids=lambda wire: wire.name)
async def test_taken_back_by_a_turn_the_answer_before_it_is_foreseen_where_it_can_be_read(
    tmp_path: Path, wire: Wire
) -> None:
    with place(tmp_path, wire, "one " * 400, "two", "three") as where:
        async with chat(where) as session:
            await tell(session, LONG)
            first = where.billed
            await tell(session, LONG)
            await session.undo()
            live, dry = foreseen(session), told(session)
            await tell(session, PROMPT)
    read = where.billed["cache_read_tokens"]
    assert live.held == dry.held == pytest.approx(read, abs=128)
    assert (read > sum(first.values()) - 128) == (wire is not BEDROCK), "nor is it written there"


async def test_an_answer_that_expired_or_another_model_wrote_is_not_foreseen(tmp_path: Path) -> None:
    with place(tmp_path, ANTHROPIC, "one " * 400, "two") as where:
        async with chat(where) as session:
            await tell(session, LONG)
            await tell(session, LONG)
            await session.undo()
            second = session.calls[-1].started
            other = session.after(Switch(model=ModelRef("anthropic", "claude-haiku-4-5")))
            held = [session.outlook(session.prefix, second + idle).held for idle in (299, 301)]
            elsewhere = session.outlook(other, second).held
    assert held[0] == session.calls[0].usage.total_tokens
    assert (held[1], elsewhere) == (0, 0)
