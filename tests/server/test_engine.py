"""Real tokens through the whole path: the embedded model's own cache counts reach the client as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support.clients import Door, door

pytestmark = pytest.mark.engine

LONGEST = 24
"""Tokens of an answer: enough to have something to read again."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with door(tmp_path_factory.mktemp("served"), "local/smollm2") as here:
        yield here


@pytest.fixture
def client(shop: Door) -> Iterator[openai.OpenAI]:
    with shop.sdk(timeout=300) as one:
        yield one


def test_the_second_response_reads_all_of_the_first_but_its_last_token(client: openai.OpenAI) -> None:
    def told(**more: Any) -> Any:
        *_, last = client.responses.create(
            model="local/smollm2", stream=True, max_output_tokens=LONGEST, **more
        )
        assert last.type in ("response.completed", "response.incomplete")
        return last.response

    first = told(input="Name a colour.")
    second = told(input="Name another one.", previous_response_id=first.id)
    held = first.usage.input_tokens + first.usage.output_tokens - 1
    assert second.usage.input_tokens_details.cached_tokens == held > 0
    assert second.usage.to_dict()["cache_read_tokens"] == held
    assert second.usage.to_dict()["cache_hit_rate"] == pytest.approx(held / second.usage.input_tokens)
    assert second.usage.to_dict()["cost_usd"] == 0.0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_resent_chat_reads_all_that_was_said_before_but_the_last_token(
    client: openai.OpenAI, *, stream: bool
) -> None:
    messages: list[Any] = []

    def told(prompt: str) -> Any:
        messages.append({"role": "user", "content": prompt})
        asked: Any = {"model": "cachet", "messages": messages, "max_completion_tokens": LONGEST}
        if stream:
            options = {"include_usage": True}
            *chunks, last = client.chat.completions.create(**asked, stream=True, stream_options=options)
            words = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            usage = last.usage
        else:
            answer = client.chat.completions.create(**asked)
            words, usage = answer.choices[0].message.content, answer.usage
        messages.append({"role": "assistant", "content": words})
        return usage

    first = told(f"Name a colour, {'streamed' if stream else 'whole'}.")
    second = told("Name another one.")
    held = first.prompt_tokens + first.completion_tokens - 1
    assert second.prompt_tokens_details.cached_tokens == held > 0
    assert second.to_dict()["cache_read_tokens"] == held


def test_a_client_s_limit_ends_the_answer_as_incomplete(client: openai.OpenAI) -> None:
    answer = client.responses.create(
        model="cachet", input="Count from one to a hundred in words.", max_output_tokens=8
    )
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage is not None
    assert answer.usage.output_tokens == 8
