"""The wires that llama.cpp's server speaks beside its own, each against a real one.

On these it tokenises its own answers anew: a call reads at least the last one's prompt but for a token.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from providers.call import Call
from providers.engine import Engine, EngineSettings
from providers.errors import ContextOverflow, KeyRefused, Unreachable
from providers.provider import Provider
from providers.registry import open_provider
from providers.settings import ProviderSettings
from providers.types import (
    AssistantTurn,
    Message,
    ModelRef,
    Parameters,
    Prefix,
    Request,
    StopReason,
    Text,
    ToolResult,
    ToolSpec,
)
from providers.weights import find_weights
from tests.support.embedded import LIST_FILES, taught_to_call

pytestmark = pytest.mark.engine

TEMPLATE = Path(__file__).parents[2] / "providers" / "smollm2.jinja"
CONTEXT = 2048
WIRES = ("anthropic", "openai-chat", "openai-responses")


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


def provider_on(engine: Engine, wire: str, key: str | None = None) -> Provider:
    """What `[providers.llamacpp]` with this wire makes. Anthropic's client adds the `/v1` itself."""
    address = engine.address if wire == "anthropic" else f"{engine.address}/v1"
    settings = ProviderSettings(base_url=address, api_key=key or engine.key, wire=wire)
    return open_provider("llamacpp", {"llamacpp": settings}, {}, Path())


def request(
    provider: Provider, *messages: Message, tools: tuple[ToolSpec, ...] = (), longest: int = 12
) -> Request:
    prefix = Prefix(
        model=ModelRef("llamacpp", "smollm2"),
        system="You are a helpful assistant who answers in few words.",
        tools=tools,
        parameters=Parameters(max_output_tokens=longest),
        encoder=provider.encoder,
        affinity_key="s1",
    )
    return Request(prefix=prefix, messages=messages)


def user(id: str, words: str) -> Message:
    return Message(id, "user", (Text(words),))


async def played(provider: Provider, asked: Request) -> AssistantTurn:
    """The answer; asked for again, as the loop does, where the engine had just closed an idle connection."""
    try:
        call = await once(provider, asked)
    except Unreachable:
        call = await once(provider, asked)
    assert call.turn is not None
    assert not call.estimated
    return call.turn


async def once(provider: Provider, asked: Request) -> Call:
    async with provider.stream(asked) as call:
        async for _ in call:
            pass
    return call


@pytest.mark.parametrize("wire", WIRES)
async def test_each_turn_reads_the_whole_prompt_of_the_turn_before_it(engine: Engine, wire: str) -> None:
    provider = provider_on(engine, wire)
    messages, turns = [user("u1", "Name a city.")], []
    for number in range(3):
        turns.append(await played(provider, request(provider, *messages)))
        messages += [turns[-1].message, user(f"u{number + 2}", "And another one?")]
    await provider.aclose()
    for turn in turns:
        assert turn.stop_reason in (StopReason.END_TURN, StopReason.MAX_TOKENS)
        assert turn.usage.reported_prompt_tokens == turn.usage.prompt_tokens > 0
        assert turn.usage.output_tokens > 0
    for before, after in itertools.pairwise(turns):
        assert after.usage.cache_read_tokens >= before.usage.prompt_tokens - 1
        assert after.usage.cache_read_tokens < after.usage.prompt_tokens


@pytest.mark.parametrize("wire", WIRES)
async def test_a_repeated_request_reads_all_of_it_but_one_token(engine: Engine, wire: str) -> None:
    provider = provider_on(engine, wire)
    asked = request(provider, user("u1", f"Which sea is nearest, by {wire}?"))
    first = await played(provider, asked)
    second = await played(provider, asked)
    await provider.aclose()
    assert second.usage.prompt_tokens == first.usage.prompt_tokens
    assert second.usage.cache_read_tokens == first.usage.prompt_tokens - 1


@pytest.mark.parametrize("wire", WIRES)
async def test_a_tool_is_called_and_its_result_read(engine: Engine, wire: str) -> None:
    provider = provider_on(engine, wire)
    messages = [*taught_to_call("s").messages, user("u", "List the files in /srv")]
    called = await played(provider, request(provider, *messages, tools=(LIST_FILES,), longest=64))
    [call] = called.message.tool_calls
    messages += [called.message, Message("r", "tool", (ToolResult(call.id, call.name, "www, ftp"),))]
    answered = await played(provider, request(provider, *messages, tools=(LIST_FILES,), longest=24))
    await provider.aclose()
    assert called.stop_reason == StopReason.TOOL_USE
    assert (call.name, call.arguments()) == ("list_files", {"path": "/srv"})
    assert answered.usage.cache_read_tokens >= called.usage.prompt_tokens - 1
    assert answered.usage.reported_prompt_tokens == answered.usage.prompt_tokens
    assert "www" in answered.message.text


@pytest.mark.parametrize("wire", WIRES)
async def test_a_real_server_refuses_a_wrong_key(engine: Engine, wire: str) -> None:
    provider = provider_on(engine, wire, "wrong")
    with pytest.raises(KeyRefused, match="llamacpp refused the key"):
        await played(provider, request(provider, user("u1", "Hello")))
    await provider.aclose()


@pytest.mark.parametrize("wire", WIRES)
async def test_a_real_servers_overflow_is_told_from_other_refusals(engine: Engine, wire: str) -> None:
    provider = provider_on(engine, wire)
    with pytest.raises(ContextOverflow):
        await played(provider, request(provider, user("u1", "word " * (CONTEXT * 2))))
    await provider.aclose()
