"""A client that leaves stops its run, unless it is in the background; what was spent is booked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseIncompleteEvent

from tests.support.clients import Door, door
from tests.support.storyteller import BEGUN, MODEL, WHOLE, Storyteller

pytestmark = pytest.mark.slow

ASKED: list[Any] = [{"role": "user", "content": "Tell me a story."}]


@contextmanager
def telling(folder: Path) -> Iterator[tuple[Door, Storyteller]]:
    with Storyteller() as upstream, door(folder, MODEL, environ=upstream.environ) as here:
        try:
            yield here, upstream
        finally:
            upstream.go_on.set()


def interrupted(here: Door, session: str) -> dict[str, Any]:
    """The one call of a session whose run was stopped; its answer is in the journal up to there."""
    here.when_free(session)
    [call] = here.lines(session, "call")
    assert (call["outcome"], call["stop_reason"]) == ("cancelled", "interrupted")
    [said] = [line for line in here.lines(session, "message") if line["role"] == "assistant"]
    assert said["blocks"][0]["text"] == BEGUN
    return call


def billed(here: Door) -> dict[str, Any]:
    return here.http("GET", "/v1/usage").json()["total"]


def test_closing_a_response_s_stream_stops_the_run_and_books_what_was_spent(tmp_path: Path) -> None:
    with telling(tmp_path) as (here, _), here.sdk() as client:
        with client.responses.create(model="cachet", input="Tell.", stream=True) as stream:
            events = iter(stream)
            first = next(events)
            assert first.type == "response.created"
            next(event for event in events if event.type == "response.output_text.delta")
        call = interrupted(here, str(first.response.to_dict()["session_id"]))
        response = client.responses.retrieve(first.response.id)
        assert response.status == "cancelled"
        assert response.output_text == BEGUN
        assert response.usage is not None
        assert response.usage.input_tokens == call["usage"]["input_tokens"] > 0
        assert response.usage.to_dict()["estimated"] is True
        assert billed(here)["output_tokens"] == call["usage"]["output_tokens"] > 0


def test_closing_a_chat_s_stream_stops_the_run_and_books_what_was_spent(tmp_path: Path) -> None:
    with telling(tmp_path) as (here, _), here.sdk() as client:
        with client.chat.completions.create(model="cachet", messages=ASKED, stream=True) as stream:
            chunk = next(chunk for chunk in stream if chunk.choices[0].delta.content)
        call = interrupted(here, (chunk.model_extra or {})["session_id"])
        assert billed(here)["input_tokens"] == call["usage"]["input_tokens"] > 0


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
async def test_a_client_that_leaves_before_the_answer_stops_the_run(tmp_path: Path, endpoint: str) -> None:
    with telling(tmp_path) as (here, upstream):
        async with here.async_sdk() as client:
            asking = (
                client.chat.completions.create(model="cachet", messages=ASKED)
                if endpoint == "chat"
                else client.responses.create(model="cachet", input="Tell.")
            )
            task = asyncio.ensure_future(asking)
            await asyncio.to_thread(upstream.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        [session] = here.sessions()
        here.when_free(session)
        [call] = here.lines(session, "call")
        assert call["outcome"] == "cancelled"
        assert billed(here)["input_tokens"] == call["usage"]["input_tokens"] > 0


def test_a_response_in_the_background_is_answered_at_once_and_goes_on(tmp_path: Path) -> None:
    with telling(tmp_path) as (here, upstream), here.sdk() as client:
        begun = client.responses.create(model="cachet", input="Tell.", background=True)
        assert (begun.status, begun.usage, begun.output) == ("in_progress", None, [])
        upstream.wait()
        assert client.responses.retrieve(begun.id).status == "in_progress"
        upstream.go_on.set()
        *_, last = client.responses.retrieve(begun.id, stream=True)
        assert last.type == "response.completed"
        assert client.responses.retrieve(begun.id).output_text == WHOLE


def test_a_stream_in_the_background_goes_on_without_its_client_and_is_taken_up_again(tmp_path: Path) -> None:
    with telling(tmp_path) as (here, upstream), here.sdk() as client:
        with client.responses.create(model="cachet", input="Tell.", background=True, stream=True) as stream:
            delta = next(event for event in stream if event.type == "response.output_text.delta")
            assert delta.delta == BEGUN
        session = here.sessions()[0]
        resumed = client.responses.retrieve(
            "resp_" + delta.item_id.split("_")[1], stream=True, starting_after=delta.sequence_number
        )
        upstream.go_on.set()
        events = list(resumed)
        assert events[0].sequence_number == delta.sequence_number + 1
        assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == "n a time."
        assert events[-1].type == "response.completed"
        assert [call["outcome"] for call in here.lines(session, "call")] == ["ok"]


def test_a_background_response_can_be_cancelled(tmp_path: Path) -> None:
    with telling(tmp_path) as (here, upstream), here.sdk() as client:
        begun = client.responses.create(model="cachet", input="Tell.", background=True)
        upstream.wait()
        *_, delta = _until_a_word(client, begun.id)
        assert delta.delta == BEGUN
        cancelled = client.responses.cancel(begun.id)
        assert (cancelled.status, cancelled.output_text) == ("cancelled", BEGUN)
        assert [item.to_dict()["status"] for item in cancelled.output] == ["incomplete"]
        assert cancelled.usage is not None
        call = interrupted(here, str(begun.to_dict()["session_id"]))
        assert cancelled.usage.input_tokens == call["usage"]["input_tokens"]
        assert client.responses.cancel(begun.id).to_dict() == cancelled.to_dict()
        assert client.responses.retrieve(begun.id).to_dict() == cancelled.to_dict()


def test_whoever_listens_hears_that_a_response_was_cancelled_in_an_event_that_the_sdk_knows(
    tmp_path: Path,
) -> None:
    with telling(tmp_path) as (here, _), here.sdk() as client:
        with client.responses.create(model="cachet", input="Tell.", stream=True) as stream:
            events = iter(stream)
            first = next(events)
            assert first.type == "response.created"
            next(event for event in events if event.type == "response.output_text.delta")
            cancelled = client.responses.cancel(first.response.id)
            *_, last = events
        assert last.type == "response.incomplete"
        assert isinstance(last, ResponseIncompleteEvent)
        assert (last.response.status, last.response.incomplete_details) == ("cancelled", None)
        assert last.response.usage is not None
        assert last.response.usage.input_tokens > 0
        assert last.response.to_dict() == cancelled.to_dict()
        *_, again = client.responses.retrieve(first.response.id, stream=True)
        assert (again.type, again.to_dict()["response"]) == (last.type, last.to_dict()["response"])


async def test_the_sdk_s_own_streaming_ends_when_its_response_is_cancelled(tmp_path: Path) -> None:
    with telling(tmp_path) as (here, _):
        events: list[Any] = []
        async with (
            here.async_sdk() as client,
            client.responses.stream(model="cachet", input="Tell.", background=True) as stream,
        ):
            async for event in stream:
                events.append(event)
                if event.type == "response.output_text.delta":
                    await client.responses.cancel(events[0].response.id)
        assert events[-1].type == "response.incomplete"
        assert events[-1].response.status == "cancelled"
        assert events[-1].response.usage is not None
        assert events[-1].response.output_text == BEGUN


def test_a_finished_response_cannot_be_cancelled_any_more(tmp_path: Path) -> None:
    with telling(tmp_path) as (here, upstream), here.sdk() as client:
        upstream.go_on.set()
        done = client.responses.create(model="cachet", input="Tell.")
        assert client.responses.cancel(done.id).status == "completed"


def test_nobody_else_s_response_can_be_cancelled_or_seen(tmp_path: Path) -> None:
    with telling(tmp_path) as (here, upstream), here.sdk() as client, here.sdk(here.key("eve")) as eve:
        begun = client.responses.create(model="cachet", input="Tell.", background=True)
        for reach in (eve.responses.cancel, eve.responses.retrieve):
            with pytest.raises(openai.NotFoundError):
                reach(begun.id)
        upstream.go_on.set()
        *_, last = client.responses.retrieve(begun.id, stream=True)
        assert last.type == "response.completed"


def test_a_response_that_is_removed_at_work_is_stopped_first(tmp_path: Path) -> None:
    with telling(tmp_path) as (here, upstream), here.sdk() as client:
        begun = client.responses.create(model="cachet", input="Tell.", background=True)
        upstream.wait()
        client.responses.delete(begun.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(begun.id)
        here.when_free(here.sessions()[0])
        [call] = here.lines(here.sessions()[0], "call")
        assert call["outcome"] == "cancelled"


def test_after_a_stopped_run_the_session_goes_on(tmp_path: Path) -> None:
    with telling(tmp_path) as (here, upstream), here.sdk() as client:
        begun = client.responses.create(model="cachet", input="Tell.", background=True)
        _until_a_word(client, begun.id)
        client.responses.cancel(begun.id)
        upstream.go_on.set()
        on = client.responses.create(model="cachet", input="Go on.", previous_response_id=begun.id)
        assert on.status == "completed"
        assert BEGUN in upstream.prompts[-1].body.decode()
        assert len(here.sessions()) == 1


def test_branches_of_one_response_go_side_by_side(tmp_path: Path) -> None:
    with telling(tmp_path) as (here, upstream), here.sdk() as client:
        upstream.go_on.set()
        first = client.responses.create(model="cachet", input="Tell.")
        upstream.go_on.clear()
        begun = [
            client.responses.create(
                model="cachet", input="Go on.", previous_response_id=first.id, background=True
            )
            for _ in range(3)
        ]
        for each in begun:  # each is at work before any other has ended
            *_, delta = _until_a_word(client, each.id)
            assert delta.delta == BEGUN
        assert len(here.sessions()) == 3


def _until_a_word(client: openai.OpenAI, id: str) -> list[Any]:
    """The events of a response up to its first word."""
    heard = []
    with client.responses.retrieve(id, stream=True) as stream:
        for event in stream:
            heard.append(event)
            if event.type == "response.output_text.delta":
                return heard
    raise AssertionError("no word")
