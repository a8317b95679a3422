"""OpenAI's diagnosis of the cache: asked of endpoints that know it, and left out where it is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from providers.endpoint import endpoint_of
from providers.errors import ModelNotFound, ProviderError
from providers.openai_endpoint import OpenAIProvider
from providers.openai_responses import connect
from providers.openai_responses_request import request_body
from providers.settings import ProviderSettings
from providers.types import Origin, Request
from tests.support.calls import message, played, request
from tests.support.loopback import Reply, json_reply, sse
from tests.support.responses_server import (
    ResponsesServer,
    began,
    ended,
    event,
    refusal,
    said,
    streamed,
    whole,
)

QUIRK = frozenset({"cache_diagnostics"})
ASKED = request("gate/gpt-5.6", message("user", "hello"))
LATER = replace(ASKED, compared_with="resp_1")


def at(server: ResponsesServer, quirks: frozenset[str] = QUIRK) -> OpenAIProvider:
    own = ProviderSettings(base_url=server.base_url, api_key="k", quirks=quirks)
    return connect("gate", own, {}, Path())


async def asked_of(
    answers: Iterable[tuple[dict[str, Any], ...] | Reply],
    *asked: Request,
    quirks: frozenset[str] = QUIRK,
) -> tuple[list[Any], list[Any]]:
    """What each request that was sent said of diagnosis, and how each call ended."""
    with ResponsesServer(answers) as server:
        provider = at(server, quirks)
        ended = [(await played(provider, each)).error for each in asked]
        await provider.aclose()
    return [sent.json.get("prompt_cache_options") for sent in server.requests], ended


async def test_a_request_names_the_answer_it_goes_on_from_and_the_first_asks_nothing() -> None:
    sent, _ = await asked_of([(said("a"),), (said("b"),)], ASKED, LATER)
    assert sent == [None, {"comparison_response_id": "resp_1"}]


async def test_an_endpoint_without_the_quirk_is_not_asked() -> None:
    sent, _ = await asked_of([(said("a"),)], LATER, quirks=frozenset())
    assert sent == [None]


def test_openais_own_host_is_asked_and_another_address_under_its_name_is_not() -> None:
    own = endpoint_of("openai", ProviderSettings(api_key="k"), {})
    regional = endpoint_of("mine", ProviderSettings(api_key="k", base_url="https://eu.api.openai.com/v1"), {})
    proxy = endpoint_of("openai", ProviderSettings(api_key="k", base_url="https://gate.example/v1"), {})
    assert [each.quirks >= QUIRK for each in (own, regional, proxy)] == [True, True, False]


@pytest.mark.parametrize(
    ("model", "asks"),
    [
        ("gpt-5.6", True),
        ("gpt-5.6-mini", True),
        ("gpt-5.10", True),
        ("gpt-6", True),
        ("gpt-5.5-pro", False),
        ("gpt-5", False),
        ("gpt-5-codex", False),
        ("gpt-4.1", False),
        ("o4-mini", False),
    ],
)
def test_models_before_the_diagnosis_are_not_asked(model: str, asks: bool) -> None:
    wanted = replace(request(f"gate/{model}"), compared_with="resp_1")
    body = request_body(wanted, Origin("openai-responses", "", model), QUIRK, frozenset())
    assert ("prompt_cache_options" in body) is asks


def test_the_question_changes_no_other_byte_of_the_request() -> None:
    bare, asking = (
        request_body(each, Origin("openai-responses", "", "m"), QUIRK, frozenset()) for each in (ASKED, LATER)
    )
    del asking["prompt_cache_options"]
    assert json.dumps(bare) == json.dumps(asking)


async def test_the_answers_id_and_its_diagnosis_are_kept_beside_the_usage() -> None:
    changed = replace(LATER, messages=(message("user", "bye"),))
    with ResponsesServer([(said("a"),), (said("b"),)]) as server:
        provider = at(server)
        first, second = [(await played(provider, each)).call.raw_usage for each in (ASKED, changed)]
        await provider.aclose()
    assert first["response_id"] == "resp_1"
    assert "prompt_cache_diagnostics" not in first
    assert second["response_id"] == "resp_2"
    assert second["prompt_cache_diagnostics"]["reason"] == "input_changed"


async def test_an_answer_that_the_endpoint_does_not_know_still_gives_an_answer() -> None:
    with ResponsesServer([(said("fine"),)]) as server:
        provider = at(server)
        outcome = await played(provider, replace(ASKED, compared_with="resp_gone"))
        await provider.aclose()
    assert outcome.text == "fine"
    assert outcome.call.raw_usage["prompt_cache_diagnostics"] == {"type": "comparison_response_not_found"}


@pytest.mark.parametrize(
    "complaint",
    [
        refusal(400, "Unknown parameter.", param="prompt_cache_options"),
        refusal(400, "Invalid value.", param="prompt_cache_options.comparison_response_id"),
        refusal(422, "prompt_cache_options: extra inputs are not permitted"),
        refusal(404, "Response with id 'resp_1' not found."),
    ],
    ids=["the field", "the id", "by its words", "the response"],
)
async def test_an_endpoint_that_refuses_the_question_is_asked_once_and_no_more(complaint: Reply) -> None:
    sent, outcomes = await asked_of([complaint, (said("a"),), (said("b"),)], LATER, LATER)
    assert outcomes == [None, None]
    assert [options is not None for options in sent] == [True, False, False]


REFUSED = {"code": "unknown_parameter", "message": "Unknown parameter: 'prompt_cache_options'."}


@pytest.mark.parametrize(
    "complaint",
    [
        sse(event("error", **REFUSED, param="prompt_cache_options")),
        sse(*began(), event("error", error=REFUSED)),
        sse(*began(), ended(status="failed", error=REFUSED)),
        json_reply(whole(status="failed", error=REFUSED)),
    ],
    ids=["as the first event", "behind the response's beginning", "as its failure", "not streamed"],
)
async def test_a_refusal_that_comes_as_an_event_is_one_as_well(complaint: Reply) -> None:
    sent, outcomes = await asked_of([complaint, (said("a"),), (said("b"),)], LATER, LATER)
    assert outcomes == [None, None]
    assert [options is not None for options in sent] == [True, False, False]


@pytest.mark.parametrize(
    "events",
    [
        (*streamed(0, said("fine")), event("error", **REFUSED)),
        (event("error", code="rate_limit_exceeded", message="Slow down: prompt_cache_options."),),
        (event("error", code="server_error", message="The server had an error."),),
    ],
    ids=["after output", "of another kind", "about something else"],
)
async def test_any_other_error_in_an_answer_stands(events: tuple[str, ...]) -> None:
    sent, outcomes = await asked_of([sse(*began(), *events)], LATER)
    assert len(sent) == 1
    assert isinstance(outcomes[0], ProviderError)


async def test_an_answer_that_is_left_after_its_second_try_is_let_go() -> None:
    first = streamed(0, said("It is all fine."))[:2]
    with ResponsesServer([sse(event("error", **REFUSED)), sse(*began(), *first, hold=True)]) as server:
        provider = at(server)
        async with provider.stream(LATER) as call:
            async for _ in call:
                break
        await provider.aclose()
    assert call.turn is not None
    assert call.turn.message.text


async def test_a_missing_model_is_told_as_it_is() -> None:
    sent, outcomes = await asked_of([refusal(404, "The model `gpt-5.6` does not exist.")], LATER)
    assert len(sent) == 1
    assert isinstance(outcomes[0], ModelNotFound)
