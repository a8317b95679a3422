"""Anthropic's wire against a real llama.cpp server, which speaks it beside its own."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from providers.anthropic import Anthropic, connect
from providers.call import Call
from providers.engine import Engine, EngineSettings
from providers.errors import ContextOverflow, KeyRefused, Unreachable
from providers.settings import ProviderSettings
from providers.types import Message, ModelRef, Parameters, Prefix, Request, StopReason, Text
from providers.weights import find_weights

pytestmark = pytest.mark.engine

TEMPLATE = Path(__file__).parents[2] / "providers" / "smollm2.jinja"
CONTEXT = 2048


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    home = tmp_path_factory.mktemp("engine")
    weights, package = find_weights(home), find_spec("xllamacpp")
    if weights is None or package is None or package.origin is None:
        pytest.skip("the embedded engine or its weights are not installed")
    settings = EngineSettings(
        name="smollm2",
        weights=str(weights),
        template=TEMPLATE.read_text(encoding="utf-8"),
        context=CONTEXT,
        slots=str(home),
        log=str(home / "engine.log"),
        packages=str(Path(package.origin).parent.parent),
    )
    running = Engine.start(settings, {})
    yield running
    running.stop()


def wire(engine: Engine, key: str | None = None) -> Anthropic:
    settings = ProviderSettings(base_url=engine.address, api_key=key or engine.key)
    return connect("llamacpp", settings, {}, Path())


def request(*messages: Message) -> Request:
    prefix = Prefix(
        model=ModelRef("llamacpp", "smollm2"),
        system="You are a helpful assistant who answers in few words.",
        tools=(),
        parameters=Parameters(max_output_tokens=12),
        encoder="anthropic/1",
        affinity_key="s1",
    )
    return Request(prefix=prefix, messages=messages)


def user(id: str, words: str) -> Message:
    return Message(id, "user", (Text(words),))


async def played(provider: Anthropic, *messages: Message) -> Call:
    """The call, made once more as the loop does where the engine closed an idle connection just then."""
    try:
        return await once(provider, *messages)
    except Unreachable:
        return await once(provider, *messages)


async def once(provider: Anthropic, *messages: Message) -> Call:
    async with provider.stream(request(*messages)) as call:
        async for _ in call:
            pass
    return call


async def test_each_turn_reads_all_that_the_turn_before_it_left_in_the_cache(engine: Engine) -> None:
    provider = wire(engine)
    messages, expected = [user("u1", "Name a city.")], None
    for turn in range(3):
        call = await played(provider, *messages)
        assert call.turn is not None
        assert call.turn.stop_reason in (StopReason.END_TURN, StopReason.MAX_TOKENS)
        assert call.usage.cache_reported
        if expected is not None:
            assert call.usage.cache_read_tokens >= expected
        expected = call.usage.prompt_tokens
        messages += [call.turn.message, user(f"u{turn + 2}", "And another one?")]
    await provider.aclose()


async def test_a_real_server_refuses_a_wrong_key(engine: Engine) -> None:
    provider = wire(engine, "wrong")
    with pytest.raises(KeyRefused, match=r"\[providers.llamacpp\] api_key"):
        await played(provider, user("u1", "Hello"))
    await provider.aclose()


async def test_a_real_servers_overflow_is_told_from_other_refusals(engine: Engine) -> None:
    provider = wire(engine)
    with pytest.raises(ContextOverflow):
        await played(provider, user("u1", "word " * (CONTEXT * 2)))
    await provider.aclose()
