"""Effort: one vocabulary for a person, and what each wire makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from providers.anthropic import connect
from providers.effort import LEVELS, Effort, nearest
from providers.errors import ConfigurationError, RequestRejected
from providers.provider import Provider
from providers.settings import ProviderSettings
from tests.support import anthropic_server
from tests.support.anthropic_server import AnthropicServer, refusal
from tests.support.calls import played, request
from tests.support.loopback import LoopbackServer, Recorded, Reply, sse

MODEL = "anthropic/claude-test"
ADAPTIVE = {"type": "adaptive", "display": "summarized"}


def anthropic(server: LoopbackServer) -> Provider:
    return connect("anthropic", ProviderSettings(base_url=server.url, api_key="k"), {}, Path())


def asked(body: Any) -> tuple[Any, Any]:
    """What a request says of thinking and of effort."""
    return body.get("thinking"), body.get("output_config", {}).get("effort")


def fine() -> Reply:
    usage = {"input_tokens": 5, "output_tokens": 1}
    return sse(*anthropic_server.answer(anthropic_server.text("fine"), usage=usage))


def no(message: str) -> Reply:
    return refusal(400, "invalid_request_error", message)


def test_a_person_names_an_effort_in_any_case() -> None:
    assert Effort.parse(" High ") is Effort.HIGH


def test_a_word_that_is_none_gets_the_list_of_those_there_are() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Effort.parse("enormous")
    assert str(caught.value) == (
        "No effort 'enormous'. There are: default, none, minimal, low, medium, high, xhigh, max."
    )


def test_default_says_nothing_to_the_model() -> None:
    assert Effort.DEFAULT.level is None
    assert Effort.NONE.level == "none"


@pytest.mark.parametrize(
    ("effort", "offered", "sent"),
    [
        ("medium", ("low", "medium", "high"), "medium"),
        ("max", ("low", "medium", "high"), "high"),
        ("xhigh", ("low", "high", "max"), "high"),
        ("minimal", ("low", "high"), "low"),
        ("tomorrow", ("low", "high"), "tomorrow"),
    ],
)
def test_the_nearest_level_is_never_more_than_was_asked_if_there_is_one(
    effort: str, offered: tuple[str, ...], sent: str
) -> None:
    assert nearest(effort, offered) == sent


@pytest.mark.parametrize(
    ("effort", "thinking", "level"),
    [
        (None, None, None),
        ("none", {"type": "disabled"}, None),
        ("minimal", ADAPTIVE, "low"),
        ("low", ADAPTIVE, "low"),
        ("medium", ADAPTIVE, "medium"),
        ("high", ADAPTIVE, "high"),
        ("xhigh", ADAPTIVE, "xhigh"),
        ("max", ADAPTIVE, "max"),
    ],
)
async def test_effort_on_anthropics_wire(effort: str | None, thinking: Any, level: str | None) -> None:
    with AnthropicServer([(anthropic_server.text("hello"),)]) as server:
        await played(anthropic(server), request(MODEL, effort=effort))
        assert asked(server.requests[0].json) == (thinking, level)


async def test_a_model_that_takes_neither_thinking_nor_effort_is_told_nothing_from_then_on() -> None:
    def handler(got: Recorded) -> Reply:
        thinking, effort = asked(got.json)
        if thinking:
            return no("adaptive thinking is not supported on this model")
        return no("This model does not support the effort parameter.") if effort else fine()

    with LoopbackServer(handler) as server:
        provider = anthropic(server)
        outcomes = [await played(provider, request(MODEL, effort="high")) for _ in range(2)]
        assert [asked(each.json) for each in server.requests] == [
            (ADAPTIVE, "high"),
            (None, "high"),
            (None, None),
            (None, None),
        ]
        await provider.aclose()
    assert [outcome.text for outcome in outcomes] == ["fine", "fine"]


async def test_what_one_model_refused_another_is_still_asked_for() -> None:
    def handler(got: Recorded) -> Reply:
        small = got.json["model"] == "small" and asked(got.json)[1]
        return no("This model does not support the effort parameter.") if small else fine()

    with LoopbackServer(handler) as server:
        provider = anthropic(server)
        for name in ("small", "large", "small"):
            await played(provider, request(f"anthropic/{name}", effort="low"))
        efforts = [(each.json["model"], asked(each.json)[1]) for each in server.requests]
        await provider.aclose()
    assert efforts == [("small", "low"), ("small", None), ("large", "low"), ("small", None)]


async def test_a_model_that_always_thinks_thinks_as_little_as_it_can() -> None:
    def handler(got: Recorded) -> Reply:
        disabled = asked(got.json)[0] == {"type": "disabled"}
        return no('"thinking.type.disabled" is not supported for this model.') if disabled else fine()

    with LoopbackServer(handler) as server:
        provider = anthropic(server)
        await played(provider, request(MODEL, effort="none"))
        await played(provider, request(MODEL, effort="high"))
        sent = [asked(each.json) for each in server.requests]
        await provider.aclose()
    assert sent == [({"type": "disabled"}, None), (None, "low"), (ADAPTIVE, "high")]


async def test_a_gateway_without_summaries_is_still_asked_to_think() -> None:
    def handler(got: Recorded) -> Reply:
        shown = "display" in (asked(got.json)[0] or {})
        return no("thinking.adaptive.display: Extra inputs are not permitted") if shown else fine()

    with LoopbackServer(handler) as server:
        provider = anthropic(server)
        await played(provider, request(MODEL, effort="high"))
        assert asked(server.requests[1].json) == ({"type": "adaptive"}, "high")
        await provider.aclose()


@pytest.mark.parametrize(
    "message",
    [
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        "max_tokens: 16384 > 8192, which is the maximum allowed number of output tokens",
    ],
)
async def test_a_refusal_of_something_else_is_told_at_once(message: str) -> None:
    with LoopbackServer(lambda _: no(message)) as server:
        provider = anthropic(server)
        outcome = await played(provider, request(MODEL, effort="high"))
        assert len(server.requests) == 1
        await provider.aclose()
    assert isinstance(outcome.error, RequestRejected)


def test_every_level_is_one_of_the_words() -> None:
    assert [Effort(level).level for level in LEVELS] == list(LEVELS)
