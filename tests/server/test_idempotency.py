"""A request that is sent twice with one `Idempotency-Key` is one run, and each time the same answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.clients import Door, door
from tests.support.counting import Counted, counted
from tests.support.openai_server import refusal
from tests.support.storyteller import BEGUN, MODEL, WHOLE, Storyteller

pytestmark = pytest.mark.slow

ONCE = {"Idempotency-Key": "order-1"}
MESSAGES: list[Any] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Counted]:
    with counted(tmp_path) as here:
        yield here


@pytest.fixture
def client(shop: Counted) -> Iterator[openai.OpenAI]:
    with shop.door.sdk() as one:
        yield one


def test_the_same_response_is_answered_again_and_made_once(shop: Counted, client: openai.OpenAI) -> None:
    asked: Any = {"model": "cachet", "input": "Hello", "extra_headers": ONCE}
    first = client.responses.create(**asked)
    assert client.responses.create(**asked).to_dict() == first.to_dict()
    assert len(shop.upstream.prompts) == len(shop.door.sessions()) == 1


def test_the_same_chat_is_answered_again_and_made_once(shop: Counted, client: openai.OpenAI) -> None:
    asked: Any = {"model": "cachet", "messages": MESSAGES, "extra_headers": ONCE}
    first = client.chat.completions.create(**asked)
    assert client.chat.completions.create(**asked).to_dict() == first.to_dict()
    assert len(shop.upstream.prompts) == 1


def test_a_response_s_stream_is_told_again(shop: Counted, client: openai.OpenAI) -> None:
    asked: Any = {"model": "cachet", "input": "Hello", "stream": True, "extra_headers": ONCE}
    *_, first = client.responses.create(**asked)
    *_, again = client.responses.create(**asked)
    assert again.type == first.type == "response.completed"
    assert again.response.to_dict() == first.response.to_dict()
    assert len(shop.upstream.prompts) == 1


def test_a_chat_s_stream_is_told_again_with_its_words_and_usage(shop: Counted, client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    asked: Any = {"model": "cachet", "messages": MESSAGES, "stream": True, "stream_options": options}

    def told() -> tuple[str, str | None, Any]:
        *chunks, last = client.chat.completions.create(**asked, extra_headers=ONCE)
        words = "".join(each.choices[0].delta.content or "" for each in chunks)
        return words, chunks[-1].choices[0].finish_reason, last.usage.to_dict()

    assert told() == told()
    assert len(shop.upstream.prompts) == 1


def test_a_chat_that_was_answered_twice_still_goes_on_in_its_session(
    shop: Counted, client: openai.OpenAI
) -> None:
    asked: Any = {"model": "cachet", "messages": MESSAGES, "extra_headers": ONCE}
    words = [client.chat.completions.create(**asked).choices[0].message.content for _ in range(2)]
    history: Any = [*MESSAGES, {"role": "assistant", "content": words[1]}, {"role": "user", "content": "On"}]
    client.chat.completions.create(model="cachet", messages=history)
    assert len(shop.door.sessions()) == 1


def test_another_request_with_the_same_key_is_refused(shop: Counted, client: openai.OpenAI) -> None:
    client.responses.create(model="cachet", input="Hello", extra_headers=ONCE)
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        client.responses.create(model="cachet", input="Goodbye", extra_headers=ONCE)
    assert raised.value.code == "idempotency_key_reused"
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model="cachet", messages=MESSAGES, extra_headers=ONCE)
    assert len(shop.upstream.prompts) == 1


def test_a_failure_is_answered_again_too(tmp_path: Path) -> None:
    with counted(tmp_path, [refusal(401, "bad key"), "Better."]) as shop, shop.door.sdk() as client:
        for _ in range(2):
            with pytest.raises(openai.InternalServerError) as raised:
                client.chat.completions.create(model="cachet", messages=MESSAGES, extra_headers=ONCE)
            assert raised.value.code == "upstream_key_refused"
        assert len(shop.upstream.prompts) == 1


def test_after_the_server_was_started_anew_the_answer_is_the_same(tmp_path: Path) -> None:
    asked: Any = {"model": "cachet", "input": "Hello", "extra_headers": ONCE}
    with counted(tmp_path) as before, before.door.sdk() as client:
        first = client.responses.create(**asked)
    with counted(tmp_path, secret=before.door.secret) as after, after.door.sdk() as client:
        assert client.responses.create(**asked).to_dict() == first.to_dict()
        assert after.upstream.prompts == []


@pytest.fixture
def telling(tmp_path: Path) -> Iterator[tuple[Door, Storyteller]]:
    with Storyteller() as upstream, door(tmp_path, MODEL, environ=upstream.environ) as here:
        yield here, upstream
        upstream.go_on.set()


async def test_while_the_first_is_at_work_the_second_joins_it(telling: tuple[Door, Storyteller]) -> None:
    here, upstream = telling
    async with here.async_sdk() as client:
        asked: Any = {"model": "cachet", "input": "Tell.", "extra_headers": ONCE}
        first = asyncio.ensure_future(client.responses.create(**asked))
        await asyncio.to_thread(upstream.wait)
        second = asyncio.ensure_future(client.responses.create(**asked))
        upstream.go_on.set()
        one, other = await asyncio.gather(first, second)
    assert one.to_dict() == other.to_dict()
    assert one.output_text == WHOLE
    assert len(upstream.prompts) == 1


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
def test_a_stream_that_joins_hears_all_of_it_and_keeps_it_going(
    telling: tuple[Door, Storyteller], endpoint: str
) -> None:
    here, upstream = telling

    def asking(client: openai.OpenAI) -> Iterator[str]:
        """The words as they come, from an empty one on once the stream has begun."""
        if endpoint == "chat":
            chunks = client.chat.completions.create(
                model="cachet", messages=MESSAGES, stream=True, extra_headers=ONCE
            )
            with chunks:
                yield from (each.choices[0].delta.content or "" for each in chunks)
        else:
            events = client.responses.create(model="cachet", input="Tell.", stream=True, extra_headers=ONCE)
            with events:
                yield from (e.delta if e.type == "response.output_text.delta" else "" for e in events)

    with here.sdk() as client, here.sdk() as another:
        first, second = asking(client), asking(another)
        assert next(filter(None, first)) == BEGUN
        assert next(filter(None, second)) == BEGUN
        first.close()  # type: ignore[attr-defined]
        upstream.go_on.set()
        assert BEGUN + "".join(second) == WHOLE
        [session] = here.sessions()
        here.when_free(session)
        assert [call["outcome"] for call in here.lines(session, "call")] == ["ok"]
    assert len(upstream.prompts) == 1
