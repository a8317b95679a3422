"""The benchmark's servers over HTTP: what they bill reaches the client, what the API refuses is refused."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cache.server import AnthropicBench, Clock, OpenAIBench, ResponsesBench, Say, Server

SAID = "word " * 1600
MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "ls", "input": {}}


def bench(kind: type[Server], folder: Path) -> Server:
    return kind(Clock(folder / "clock"), lambda _: Say("fine"))


def ask(server: Server, body: dict[str, Any]) -> tuple[int, str]:
    """Status and text of the answer."""
    sent = urllib.request.Request(f"{server.url}/", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(sent, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def anthropic(*blocks: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": role, "content": [*blocks]}]}


def text(words: str, mark: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "text", "text": words, **(mark or {})}


USER = {"role": "user", "content": SAID}
CHAT_CALL = {"id": "call_1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
ITEM_CALL = {"type": "function_call", "call_id": "call_1", "name": "ls", "arguments": "{}"}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(AnthropicBench, anthropic(*[text(f"{n}", MARK) for n in range(5)]), id="5 breakpoints"),
        pytest.param(AnthropicBench, anthropic(text("a", MARK), text("b", HOUR)), id="5 min before an hour"),
        pytest.param(
            AnthropicBench,
            anthropic(text("a", {"cache_control": {"type": "ephemeral", "ttl": "2h"}})),
            id="a lifetime that is not sold",
        ),
        pytest.param(AnthropicBench, anthropic(CALL, role="assistant"), id="a call without its result"),
        pytest.param(
            OpenAIBench,
            {
                "model": "m",
                "messages": [USER, {"role": "assistant", "content": None, "tool_calls": [CHAT_CALL]}, USER],
            },
            id="a call without its result, chat",
        ),
        pytest.param(
            ResponsesBench,
            {"model": "m", "input": [{"type": "message", **USER}, ITEM_CALL]},
            id="a call without its result, responses",
        ),
    ],
)
def test_what_the_api_refuses_is_refused_and_nothing_is_billed(
    tmp_path: Path, kind: type[Server], body: dict[str, Any]
) -> None:
    with bench(kind, tmp_path) as server:
        status, said = ask(server, body)
    assert (status, server.billing.calls) == (400, [])
    assert "invalid_request_error" in said


def test_what_anthropics_bench_bills_is_what_its_client_is_told(tmp_path: Path) -> None:
    body = anthropic(text(SAID, HOUR), text("b", MARK))
    with bench(AnthropicBench, tmp_path) as server:
        (_, first), (_, second) = ask(server, body), ask(server, body)
    one, two = (call.bill for call in server.billing.calls)
    assert f'"ephemeral_1h_input_tokens": {one.write_1h}' in first
    assert f'"ephemeral_5m_input_tokens": {one.write - one.write_1h}' in first
    assert (two.write, two.read) == (0, one.write)
    assert f'"cache_read_input_tokens": {two.read}' in second


@pytest.mark.parametrize(
    ("kind", "history"),
    [
        pytest.param(OpenAIBench, {"messages": [USER]}, id="chat"),
        pytest.param(ResponsesBench, {"input": [{"type": "message", **USER}]}, id="responses"),
    ],
)
def test_what_openais_benches_bill_is_what_their_client_is_told(
    tmp_path: Path, kind: type[Server], history: dict[str, Any]
) -> None:
    body = {"model": "m", "prompt_cache_key": "k", **history}
    with bench(kind, tmp_path) as server:
        (_, first), (_, second) = ask(server, body), ask(server, body)
    one, two = (call.bill for call in server.billing.calls)
    assert (one.read, two.read) == (0, one.uncached // 128 * 128)
    assert '"cached_tokens": 0' in first
    assert f'"cached_tokens": {two.read}' in second
