"""Chat completions as OpenAI's own SDK reads them, whole and streamed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.support.clients import Door, door
from tests.support.script import say, script, use

BILL = {"input_tokens": 90, "output_tokens": 5, "cache_read_tokens": 10}
ASKED: list[Any] = [{"role": "user", "content": "How are you?"}]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A model that speaks, reads a file, and speaks again; one that thinks; one that stops at its limit."""
    tmp_path = tmp_path_factory.mktemp("served")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "price.txt").write_text("seven\n")
    look = use(("read", {"path": "price.txt"}), text="I look.", **BILL)
    models = [
        script(tmp_path, {**look, "chunk": 3}, {**say("Seven.", **BILL), "chunk": 2}, name="look.json"),
        script(tmp_path, {**say("42", **BILL), "thinking": "Hm. Well."}, name="think.json"),
        script(tmp_path, {**say("A lo", **BILL), "stop_reason": "max_tokens"}, name="long.json"),
        script(tmp_path, {**say("I won't.", **BILL), "stop_reason": "refusal"}, name="refuse.json"),
        script(tmp_path, say("", **BILL), name="mute.json"),
    ]
    with door(tmp_path, *models) as here:
        yield here


@pytest.fixture
def client(shop: Door) -> Iterator[openai.OpenAI]:
    with shop.sdk() as one:
        yield one


def named(client: openai.OpenAI, part: str) -> str:
    """The name of the model with this script."""
    return next(model.id for model in client.models.list() if model.id.endswith(f"/{part}.json"))


def words(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_an_answer_is_one_message_with_the_words_before_and_after_the_tools(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="cachet", messages=ASKED)
    [choice] = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "I look.\n\nSeven.")
    assert choice.finish_reason == "stop"
    assert choice.message.tool_calls is None
    assert (answer.object, answer.id[:9]) == ("chat.completion", "chatcmpl_")


def test_a_stream_says_the_same_words_in_chunks_of_one_id(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="cachet", messages=ASKED, stream=True))
    assert words(chunks) == "I look.\n\nSeven."
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}) == 1


def test_tools_are_told_in_chunks_that_say_nothing_to_a_stock_client(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="cachet", messages=ASKED, stream=True))
    ours = [(chunk, chunk.model_extra["cachet"]) for chunk in chunks if "cachet" in (chunk.model_extra or {})]
    kinds = [more["type"] for _, more in ours]
    assert kinds == ["cachet.tool.started", "cachet.tool.finished", "cachet.checkpoint"]
    assert all(chunk.choices[0].delta.model_dump(exclude_none=True) == {} for chunk, _ in ours)
    finished = ours[1][1]
    assert (finished["name"], finished["is_error"]) == ("read", False)
    assert "seven" in finished["text"]


def test_thinking_is_streamed_beside_the_content(client: openai.OpenAI) -> None:
    model = named(client, "think")
    chunks = list(client.chat.completions.create(model=model, messages=ASKED, stream=True))
    thought = [getattr(chunk.choices[0].delta, "reasoning_content", None) for chunk in chunks]
    assert "".join(filter(None, thought)) == "Hm. Well."
    assert words(chunks) == "42"


@pytest.mark.parametrize(("script", "reason"), [("long", "length"), ("refuse", "content_filter")])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_was_cut_says_why(
    client: openai.OpenAI, script: str, reason: str, *, stream: bool
) -> None:
    model = named(client, script)
    if stream:
        *_, last = client.chat.completions.create(model=model, messages=ASKED, stream=True)
        assert last.choices[0].finish_reason == reason
    else:
        whole = client.chat.completions.create(model=model, messages=ASKED)
        assert whole.choices[0].finish_reason == reason


def test_usage_comes_in_a_last_chunk_of_its_own_and_is_null_before(client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    asked = client.chat.completions.create(
        model="cachet", messages=ASKED, stream=True, stream_options=options
    )
    *before, last = asked
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens) == (200, 10, 210)
    assert last.usage.prompt_tokens_details is not None
    assert last.usage.prompt_tokens_details.cached_tokens == 20
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in before)
    assert all(len(chunk.choices) == 1 for chunk in before)


def test_without_the_option_no_chunk_speaks_of_usage(client: openai.OpenAI) -> None:
    chunks = client.chat.completions.create(model="cachet", messages=ASKED, stream=True)
    assert all("usage" not in chunk.model_fields_set and len(chunk.choices) == 1 for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_says_nothing_answers_all_the_same(client: openai.OpenAI, *, stream: bool) -> None:
    model = named(client, "mute")
    if stream:
        chunks = list(client.chat.completions.create(model=model, messages=ASKED, stream=True))
        assert (words(chunks), chunks[-1].choices[0].finish_reason) == ("", "stop")
    else:
        whole = client.chat.completions.create(model=model, messages=ASKED)
        assert whole.choices[0].message.content == ""


def test_the_sdk_s_own_streaming_gathers_the_whole_completion(client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    with client.chat.completions.stream(model="cachet", messages=ASKED, stream_options=options) as stream:
        told = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(told) == final.choices[0].message.content == "I look.\n\nSeven."
    assert final.choices[0].finish_reason == "stop"
    assert final.usage is not None
    assert final.usage.total_tokens == 210


async def test_the_asynchronous_client_reads_both(shop: Door) -> None:
    async with shop.async_sdk() as client:
        whole = await client.chat.completions.create(model="cachet", messages=ASKED)
        stream = await client.chat.completions.create(model="cachet", messages=ASKED, stream=True)
        chunks = [chunk async for chunk in stream]
        async with client.chat.completions.stream(model="cachet", messages=ASKED) as gathering:
            final = await gathering.get_final_completion()
    assert words(chunks) == whole.choices[0].message.content == final.choices[0].message.content


def test_the_stream_ends_with_done(shop: Door) -> None:
    with shop.stream(
        "/v1/chat/completions", {"model": "cachet", "messages": ASKED, "stream": True}
    ) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: {") for line in lines[:-1])


def test_an_answer_names_its_session(shop: Door) -> None:
    answer = shop.http("POST", "/v1/chat/completions", {"messages": ASKED})
    assert answer.headers["x-session-id"] == answer.json()["session_id"]
    assert answer.json()["session_id"] in shop.sessions()


def test_an_answer_is_not_kept_where_nobody_can_ask_for_it_again(shop: Door, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="cachet", messages=ASKED)
    again = {"Idempotency-Key": "once"}
    kept = client.chat.completions.create(model="cachet", messages=ASKED, extra_headers=again)
    with closing(sqlite3.connect(shop.home / "server" / "runs.sqlite")) as base:
        bodies = dict(base.execute("select id, body from runs"))
    assert "Seven." not in bodies[answer.id]
    assert "Seven." in bodies[kept.id]
