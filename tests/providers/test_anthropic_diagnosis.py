"""Anthropic's diagnosis of the cache: asked for in each request, and left out where it is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from providers.anthropic import Anthropic, connect
from providers.anthropic_diagnosis import refused
from providers.anthropic_encoder import encode
from providers.errors import ContextOverflow
from providers.settings import ProviderSettings
from providers.types import Request
from tests.support.anthropic_server import AnthropicServer, refusal, text
from tests.support.calls import message, played, request
from tests.support.loopback import Reply

ASKED = request("anthropic/claude-test", message("user", "hello"))
HERE = "https://api.anthropic.com"


def at(server: AnthropicServer) -> Anthropic:
    return connect("anthropic", ProviderSettings(base_url=server.url, api_key="k"), {}, Path())


async def asked_of(
    answers: Iterable[tuple[dict[str, Any], ...] | Reply], *asked: Request
) -> tuple[list[Any], list[Any]]:
    """The requests that were sent for these, and how each call ended."""
    with AnthropicServer(answers) as server:
        provider = at(server)
        ended = [(await played(provider, each)).error for each in asked]
        await provider.aclose()
    return [sent.json for sent in server.requests], ended


async def test_a_first_request_asks_with_nothing_to_compare_and_a_later_one_names_an_answer() -> None:
    later = replace(ASKED, compared_with="msg_1")
    sent, _ = await asked_of([(text("a"),), (text("b"),)], ASKED, later)
    assert [body["diagnostics"] for body in sent] == [
        {"previous_message_id": None},
        {"previous_message_id": "msg_1"},
    ]


def test_the_question_changes_no_other_byte_of_the_request() -> None:
    bare, asking = (json.loads(encode(each, HERE)) for each in (ASKED, replace(ASKED, compared_with="msg_1")))
    assert bare.pop("diagnostics") != asking.pop("diagnostics")
    assert bare == asking


async def test_the_answer_and_its_diagnosis_are_known_beside_the_usage() -> None:
    with AnthropicServer([(text("a"),), (text("b"),)]) as server:
        provider = at(server)
        first = await played(provider, ASKED)
        changed = replace(ASKED, messages=(message("user", "bye"),), compared_with="msg_1")
        second = await played(provider, changed)
        await provider.aclose()
    assert first.call.raw_usage["response_id"] == "msg_1"
    assert "diagnostics" not in first.call.raw_usage
    assert second.call.raw_usage["diagnostics"]["cache_miss_reason"]["type"] == "messages_changed"


@pytest.mark.parametrize(
    "complaint",
    [
        "diagnostics: Extra inputs are not permitted",
        "unrecognized key",
        "1 validation error: unexpected field",
    ],
)
async def test_an_endpoint_that_refuses_the_question_is_asked_once_and_no_more(complaint: str) -> None:
    refuses = refusal(400, "invalid_request_error", complaint)
    sent, ended = await asked_of([refuses, (text("a"),), (text("b"),)], ASKED, ASKED)
    assert ended == [None, None]
    assert ["diagnostics" in body for body in sent] == [True, False, False]


async def test_a_refusal_of_something_else_is_told_as_it_is() -> None:
    refuses = refusal(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")
    sent, ended = await asked_of([refuses], ASKED)
    assert len(sent) == 1
    assert isinstance(ended[0], ContextOverflow)


def test_anthropic_itself_says_what_it_refuses() -> None:
    nothing: frozenset[str] = frozenset()
    assert refused(400, "diagnostics.previous_message_id: invalid id", nothing, own=True)
    assert not refused(400, "tools.0: Extra inputs are not permitted", nothing, own=True)
    assert refused(422, "Extra inputs are not permitted", nothing, own=False)
    assert not refused(400, "messages.3: unexpected `tool_use_id`", nothing, own=False)
    assert not refused(500, "diagnostics", nothing, own=False)
    assert not refused(400, "diagnostics", frozenset({"diagnostics"}), own=False)
