"""Another model in mid-conversation, and back: every wire gets what it made, and takes the rest."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import pytest

from agent.events import Event
from providers.effort import Effort
from providers.errors import ProviderError
from providers.registry import open_provider
from providers.retry import Retry
from providers.types import ModelRef, TextDelta, Thinking
from sessions import begin
from sessions.session import Session
from sessions.setup import Setup
from sessions.switch import Switch
from sessions.turns import TurnUnderWay
from tests.support import anthropic_server
from tests.support.anthropic_server import AnthropicServer
from tests.support.loopback import LoopbackServer, Recorded, sse
from tests.support.script import say, script, use
from tests.support.setups import setup
from tests.support.thinkers import ANTHROPIC, THINKERS, Thinker
from tests.support.wires import Sent

pytestmark = pytest.mark.slow

NEXT = set(pairwise([*THINKERS, THINKERS[0]]))
"""Each once before and once after another: these pairs are tried every day."""
PAIRS = [
    pytest.param(x, y, id=f"{x.name}-{y.name}", marks=() if (x, y) in NEXT else pytest.mark.slow)
    for x, y in permutations(THINKERS, 2)
]
AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}


@pytest.fixture(autouse=True)
def _own_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's SDK reads the environment itself: only these settings, whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    places = {"AWS_CONFIG_FILE": str(tmp_path / "c"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "d")}
    for name, value in {**AWS, **places, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two models with a server each, and a setup that reaches both."""

    servers: dict[str, LoopbackServer]
    setup: Setup

    def calls(self, who: Thinker) -> list[Recorded]:
        return self.servers[who.name].prompts

    def bodies(self, who: Thinker) -> list[str]:
        return [request.body.decode() for request in self.calls(who)]

    def assert_taken(self, who: Thinker) -> None:
        """Nothing that was sent would be refused by the strictest endpoint of that wire."""
        assert [who.objection(request.json) for request in self.calls(who)] == ["" for _ in self.calls(who)]

    def assert_goes_on(self, who: Thinker) -> None:
        """The last request is the one before it with more at its end, byte for byte."""
        *_, before, last = self.calls(who)
        assert Sent.of(last).goes_on_from(Sent.of(before))


@asynccontextmanager
async def meeting(folder: Path, **answers: list[Any]) -> AsyncIterator[Meeting]:
    """`answers` by the name of who gives them."""
    with ExitStack() as stack:
        settings, servers = {}, {}
        for who in THINKERS:
            if who.name in answers:
                servers[who.name] = stack.enter_context(who.serve(answers[who.name]))
                settings[who.name] = who.settings(servers[who.name])
        home = folder / "home"
        yield Meeting(
            servers,
            setup(
                folder,
                providers=lambda name, encoder="": open_provider(
                    name, settings, os.environ, home, encoder=encoder
                ),
                retry=Retry(attempts=1),
            ),
        )


async def tell(session: Session, text: str) -> list[Event]:
    return [event async for event in session.turn(text)]


@pytest.mark.parametrize(("x", "y"), PAIRS)
async def test_a_conversation_goes_on_with_another_model_and_comes_back(
    x: Thinker, y: Thinker, tmp_path: Path
) -> None:
    own = [x.calls(), x.says("one"), x.says("three")]
    async with meeting(tmp_path, **{x.name: own, y.name: [y.calls(), y.says("two")]}) as met:
        session = await begin.start(met.setup, x.ref)
        await tell(session, "first")
        await session.switch(Switch(model=y.ref))
        await tell(session, "second")
        await session.switch(Switch(model=x.ref))
        await tell(session, "third")
        await session.close()
        met.assert_taken(x)
        met.assert_taken(y)
        met.assert_goes_on(x)
        assert not any(x.mark in body for body in met.bodies(y))
        assert not any(y.mark in body for body in met.bodies(x))
        assert (x.mark in met.bodies(x)[-1]) == x.keeps
        assert "one" in met.bodies(y)[0]
        assert "two" in met.bodies(x)[-1]


@pytest.mark.parametrize(("x", "y"), PAIRS)
async def test_resumed_with_another_model_and_back_again(x: Thinker, y: Thinker, tmp_path: Path) -> None:
    own = [x.calls(), x.says("one"), x.says("three")]
    async with meeting(tmp_path, **{x.name: own, y.name: [y.says("two")]}) as met:
        session = await begin.start(met.setup, x.ref)
        await tell(session, "first")
        await session.close()
        for who, words in ((y, "second"), (x, "third")):
            session = await begin.resume(met.setup, session.path, switch=Switch(model=who.ref))
            assert session.left is not None
            await tell(session, words)
            await session.close()
        met.assert_taken(x)
        met.assert_taken(y)
        met.assert_goes_on(x)
        assert not any(x.mark in body for body in met.bodies(y))


@pytest.mark.parametrize(("x", "y"), PAIRS)
async def test_an_answer_that_was_only_thought_does_not_stop_another_model(
    x: Thinker, y: Thinker, tmp_path: Path
) -> None:
    answers = {x.name: [x.stares(), x.says("three")], y.name: [y.says("two")]}
    async with meeting(tmp_path, **answers) as met:
        session = await begin.start(met.setup, x.ref)
        await tell(session, "first")
        assert session.state.messages[-1].role == "assistant"
        await session.switch(Switch(model=y.ref))
        await tell(session, "second")
        await session.switch(Switch(model=x.ref))
        await tell(session, "third")
        await session.close()
        met.assert_taken(x)
        met.assert_taken(y)


@pytest.mark.parametrize("y", [who for who in THINKERS if who is not ANTHROPIC], ids=lambda who: who.name)
async def test_an_answer_that_broke_off_does_not_stop_another_model(y: Thinker, tmp_path: Path) -> None:
    whole = anthropic_server.answer(
        anthropic_server.thinking("thought-of-anthropic"),
        anthropic_server.text("It begins, and"),
        usage={"input_tokens": 10},
    )
    async with meeting(tmp_path, anthropic=[sse(*whole[:8], cut=True)], **{y.name: [y.says("two")]}) as met:
        session = await begin.start(met.setup, ANTHROPIC.ref)
        with suppress(ProviderError):
            await tell(session, "first")
        await session.switch(Switch(model=y.ref))
        await tell(session, "second")
        await session.close()
        met.assert_taken(y)
        assert "It begins" in met.bodies(y)[0]
        assert ANTHROPIC.mark not in met.bodies(y)[0]


@pytest.mark.parametrize("x", THINKERS, ids=lambda who: who.name)
async def test_a_model_without_a_wire_takes_over_and_gives_back(x: Thinker, tmp_path: Path) -> None:
    played = script(tmp_path, say("-"), say("-"), use(("ls", {}), text="so"), say("two"))
    async with meeting(tmp_path, **{x.name: [x.calls(), x.says("one"), x.says("three")]}) as met:
        session = await begin.start(met.setup, x.ref)
        await tell(session, "first")
        await session.switch(Switch(model=played))
        await tell(session, "second")
        assert session.state.messages[-1].text == "two"
        await session.switch(Switch(model=x.ref))
        await tell(session, "third")
        await session.close()
        met.assert_taken(x)
        met.assert_goes_on(x)


async def test_what_a_model_thought_is_read_from_its_cache_after_another_had_the_word(
    tmp_path: Path,
) -> None:
    other = next(who for who in THINKERS if who.name == "ollama")
    own = [ANTHROPIC.calls(), ANTHROPIC.says("one"), ANTHROPIC.says("three")]
    async with meeting(tmp_path, anthropic=own, ollama=[other.says(str(n)) for n in range(15)]) as met:
        session = await begin.start(met.setup, ANTHROPIC.ref)
        await tell(session, "first")
        await session.switch(Switch(model=other.ref))
        for _ in range(15):  # more blocks than a breakpoint looks back over
            await tell(session, "and?")
        await session.switch(Switch(model=ANTHROPIC.ref))
        await tell(session, "third")
        await session.close()
        server = met.servers["anthropic"]
        assert isinstance(server, AnthropicServer)
        before, last = server.billed[-2:]
    held = before["cache_read_input_tokens"] + before["cache_creation_input_tokens"]
    assert last["cache_read_input_tokens"] == held


async def test_another_effort_is_another_prefix_and_the_old_one_comes_back(tmp_path: Path) -> None:
    own = [ANTHROPIC.says(word) for word in ("one", "two", "three")]
    async with meeting(tmp_path, anthropic=own) as met:
        session = await begin.start(met.setup, ANTHROPIC.ref)
        await tell(session, "first")
        end = session.state.previous_end
        await session.switch(Switch(effort=Effort.HIGH))
        assert session.state.previous_end is None
        assert session.warm_until is None
        await tell(session, "second")
        await session.switch(Switch(effort=Effort.DEFAULT))
        assert session.state.previous_end == end
        await tell(session, "third")
        await session.close()
        sent = [request.json.get("output_config") for request in met.servers["anthropic"].requests]
    assert sent == [None, {"effort": "high"}, None]


async def test_the_journals_effort_stays_unless_another_is_asked_for(tmp_path: Path) -> None:
    made = setup(tmp_path)
    session = await begin.start(made, script(tmp_path, say("one"), say("two"), say("three")))
    await tell(session, "first")
    await session.switch(Switch(effort=Effort.LOW))
    await tell(session, "second")
    await session.close()
    same = await begin.resume(made, session.path)
    assert (same.prefix.parameters.effort, same.left) == ("low", None)
    await same.close()
    other = await begin.resume(made, session.path, switch=Switch(effort=Effort.MAX))
    assert (other.prefix.parameters.effort, other.left) == ("max", session.prefix)
    await other.close()


async def test_a_switch_to_what_is_there_already_changes_nothing(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one")))
    await tell(session, "first")
    end, provider = session.state.previous_end, session.provider
    await session.switch(Switch(model=session.model, effort=Effort.DEFAULT))
    assert (session.state.previous_end, session.provider) == (end, provider)
    await session.close()


async def test_a_second_turn_at_once_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one two three")))
    first = session.turn("first")
    async for event in first:
        if isinstance(event, TextDelta):
            break
    with pytest.raises(TurnUnderWay) as caught:
        await tell(session, "second")
    with pytest.raises(TurnUnderWay):
        await session.switch(Switch(model=ModelRef("scripted", "other.json")))
    assert "\n" not in str(caught.value)
    assert [event async for event in first]
    texts = [message.text for message in session.state.messages]
    assert len(texts) == 2
    assert texts[-1] == "one two three"
    await session.close()


async def test_a_turn_that_was_left_lets_the_next_one_begin(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one two"), say("three")))
    first = session.turn("first")
    await anext(first)
    await first.aclose()
    await tell(session, "second")
    assert not any(isinstance(block, Thinking) for m in session.state.messages for block in m.blocks)
    await session.close()
