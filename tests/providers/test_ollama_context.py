"""The context size that Ollama is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.cache import lifetime
from providers.ollama import OllamaProvider, connect
from providers.ollama_context import MOST, is_hosted, size_to_ask
from providers.settings import ProviderSettings
from providers.types import Parameters
from tests.support.calls import played, request
from tests.support.loopback import LoopbackServer
from tests.support.ollama_server import MODEL, OllamaServer


@asynccontextmanager
async def opened(server: LoopbackServer, **settings: Any) -> AsyncIterator[OllamaProvider]:
    provider = connect("ollama", ProviderSettings(base_url=server.url, **settings), {}, Path())
    try:
        yield provider
    finally:
        await provider.aclose()


@pytest.mark.parametrize(
    ("made", "own", "running", "wanted"),
    [
        (131_072, "", [], MOST),
        (8192, "", [], 8192),
        (131_072, "", [4096], MOST),
        (131_072, "", [65_536], 65_536),
        (40_960, "", [131_072], 40_960),
        (131_072, "stop x\nnum_ctx                        16384\ntop_k 20", [65_536], 16_384),
        (None, "", [8192], None),
    ],
)
def test_the_size_is_the_models_up_to_a_sane_one_and_never_smaller_than_it_runs_with(
    made: int | None, own: str, running: list[int], wanted: int | None
) -> None:
    assert size_to_ask(made, own, running) == wanted


async def test_a_conversation_begins_with_what_the_model_was_made_for() -> None:
    with OllamaServer(context=40_960) as server:
        async with opened(server) as provider:
            settled = await provider.settled(MODEL, Parameters())
            assert await provider.context_window(MODEL) == settled.context_window == MOST


async def test_the_persons_own_size_and_time_win_and_nobody_is_asked() -> None:
    with OllamaServer(["one"]) as server:
        async with opened(server, context_window=65_536, keep_alive=7200.0) as provider:
            settled = await provider.settled(MODEL, Parameters())
            assert (settled.context_window, settled.keep_alive) == (65_536, 7200.0)
            assert server.requests == []
            asked = request(f"ollama/{MODEL}", context_window=65_536, keep_alive=7200.0, encoder="ollama/1")
            await played(provider, asked)
        assert server.requests[0].json["keep_alive"] == 7200
    assert lifetime(asked.prefix) == 7200.0


def test_a_model_that_stays_loaded_for_ever_has_no_end_to_count_down_to() -> None:
    assert lifetime(request("ollama/m", keep_alive=-1.0, encoder="ollama/1").prefix) is None
    assert lifetime(request("ollama/m", encoder="ollama/1").prefix) == 1800.0


async def test_of_a_model_that_cannot_be_asked_about_nothing_is_decided() -> None:
    with OllamaServer() as server:
        async with opened(server) as provider:
            assert await provider.settled("other", Parameters()) == Parameters()
            assert await provider.settled("gpt-oss:120b-cloud", Parameters()) == Parameters()
    assert is_hosted("glm-4.6:cloud")
    assert not is_hosted("cloudy:8b")
