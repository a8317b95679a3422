"""Responses as OpenAI's own SDK reads them: whole, streamed, looked up again, removed."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseStreamEvent

from tests.support.clients import Door, door
from tests.support.script import say, script, use
from tests.support.wires import OPENAI

BILL = {"input_tokens": 90, "output_tokens": 5, "cache_read_tokens": 10}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 40).decode()
TEXT = [
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]
THINKING = [
    "response.output_item.added",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_summary_part.done",
    "response.output_item.done",
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A model that thinks, speaks, reads a file, and speaks again; and one that stops at its limit."""
    tmp_path = tmp_path_factory.mktemp("served")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "price.txt").write_text("seven\n")
    look = use(("read", {"path": "price.txt"}), text="I look.", **BILL)
    models = [
        script(tmp_path, {**look, "thinking": "Hm."}, say("Seven.", **BILL), say("Still."), name="look.json"),
        script(tmp_path, {**say("A lo", **BILL), "stop_reason": "max_tokens"}, name="long.json"),
    ]
    with door(tmp_path, *models) as here:
        yield here


@pytest.fixture
def client(shop: Door) -> Iterator[openai.OpenAI]:
    with shop.sdk() as one:
        yield one


def ours(event: ResponseStreamEvent) -> bool:
    return event.type.startswith("cachet.")


def test_a_response_holds_each_thing_said_as_an_item(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="cachet", input="How much?")
    assert (answer.status, answer.error, answer.incomplete_details) == ("completed", None, None)
    assert [item.type for item in answer.output] == ["reasoning", "message", "message"]
    assert answer.output_text == "I look.Seven."
    assert len({item.id for item in answer.output}) == 3


def test_a_stream_tells_the_official_events_in_their_order(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="cachet", input="How much?", stream=True))
    official = [event.type for event in events if not ours(event)]
    begun = ["response.created", "response.in_progress"]
    assert official == [*begun, *THINKING, *TEXT, *TEXT, "response.completed"]
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_tools_are_told_in_events_of_our_own_between_what_is_said(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="cachet", input="How much?", stream=True))
    kinds = [event.type for event in events if ours(event)]
    assert kinds == ["cachet.tool.started", "cachet.tool.finished", "cachet.checkpoint"]
    assert events[-1].type == "response.completed"


def test_a_stream_ends_with_what_was_streamed(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="cachet", input="How much?", stream=True))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    done = [event.item for event in events if event.type == "response.output_item.done"]
    last = events[-1]
    assert last.type == "response.completed"
    assert "".join(deltas) == last.response.output_text
    assert [item.model_dump() for item in done] == [item.model_dump() for item in last.response.output]
    first = events[0]
    assert first.type == "response.created"
    assert (first.response.id, first.response.status) == (last.response.id, "in_progress")
    assert (first.response.usage, first.response.output) == (None, [])


def test_the_sdk_s_own_streaming_gathers_the_whole_response(client: openai.OpenAI) -> None:
    with client.responses.stream(model="cachet", input="How much?") as stream:
        told = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(told) == final.output_text == "I look.Seven."
    assert final.usage is not None
    assert final.usage.total_tokens == 210


async def test_the_asynchronous_client_reads_both(shop: Door) -> None:
    async with shop.async_sdk() as client:
        whole = await client.responses.create(model="cachet", input="How much?")
        stream = await client.responses.create(model="cachet", input="How much?", stream=True)
        events = [event async for event in stream]
        async with client.responses.stream(model="cachet", input="How much?") as gathering:
            final = await gathering.get_final_response()
    last = events[-1]
    assert last.type == "response.completed"
    assert whole.output_text == last.response.output_text == final.output_text


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_was_cut_is_incomplete_and_says_why(client: openai.OpenAI, *, stream: bool) -> None:
    model = next(model.id for model in client.models.list() if model.id.endswith("long.json"))
    if stream:
        *_, last = client.responses.create(model=model, input="Tell.", stream=True)
        assert last.type == "response.incomplete"
        answer = last.response
    else:
        answer = client.responses.create(model=model, input="Tell.")
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.output_text == "A lo"
    assert [item.to_dict()["status"] for item in answer.output] == ["incomplete"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_can_be_looked_up_as_it_was_answered(client: openai.OpenAI, *, stream: bool) -> None:
    if stream:
        *_, last = client.responses.create(model="cachet", input="How much?", stream=True)
        assert last.type == "response.completed"
        answer = last.response
    else:
        answer = client.responses.create(model="cachet", input="How much?")
    assert client.responses.retrieve(answer.id).to_dict() == answer.to_dict()


def test_a_response_can_be_streamed_again_from_where_it_was_left(client: openai.OpenAI) -> None:
    first = list(client.responses.create(model="cachet", input="How much?", stream=True))
    assert first[0].type == "response.created"
    id = first[0].response.id
    whole = list(client.responses.retrieve(id, stream=True))
    begun = ["response.created", "response.in_progress"]
    assert [event.type for event in whole] == [*begun, *THINKING, *TEXT, *TEXT, "response.completed"]
    assert [item.to_dict() for item in done(whole)] == [item.to_dict() for item in done(first)]
    for after in (2, len(whole) - 2, len(first) + 10):
        rest = list(client.responses.retrieve(id, stream=True, starting_after=after))
        assert [event.type for event in rest] == [event.type for event in whole[after + 1 :] or whole[-1:]]
        assert rest[0].sequence_number == after + 1
        assert rest[-1].to_dict()["response"] == first[-1].to_dict()["response"]


def test_the_sdk_s_own_streaming_reads_a_response_that_is_over(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="cachet", input="How much?")
    with client.responses.stream(response_id=answer.id) as stream:
        told = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert told == ["I look.", "Seven."]
    assert final.to_dict(exclude_unset=False)["usage"] == answer.to_dict(exclude_unset=False)["usage"]


def test_an_idempotent_stream_that_is_asked_for_again_says_the_same(client: openai.OpenAI) -> None:
    once = {"Idempotency-Key": "say-it-twice"}
    first, again = (
        list(client.responses.create(model="cachet", input="How much?", stream=True, extra_headers=once))
        for _ in range(2)
    )
    said, said_again = (
        "".join(event.delta for event in each if event.type == "response.output_text.delta")
        for each in (first, again)
    )
    assert said == said_again == "I look.Seven."
    assert first[-1].to_dict()["response"] == again[-1].to_dict()["response"]


def done(events: list[Any]) -> list[Any]:
    return [event.item for event in events if event.type == "response.output_item.done"]


def test_a_removed_response_is_gone_and_its_session_stays(client: openai.OpenAI, shop: Door) -> None:
    answer = client.responses.create(model="cachet", input="How much?")
    client.responses.delete(answer.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="cachet", input="And now?", previous_response_id=answer.id)
    assert answer.conversation is not None
    assert len(shop.lines(answer.conversation.id, "call")) == 2


def test_what_is_not_to_be_stored_is_not_looked_up_and_yet_gone_on_from(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="cachet", input="How much?", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)
    on = client.responses.create(model="cachet", input="And now?", previous_response_id=answer.id)
    assert on.output_text == "Still."


def test_what_is_done_in_the_background_must_be_stored(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model="cachet", input="How much?", background=True, store=False)
    assert raised.value.param == "store"


def test_what_the_client_noted_is_given_back(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="cachet", input="How much?", metadata={"who": "ada"})
    assert answer.metadata == {"who": "ada"}


def test_images_and_the_client_s_limit_reach_the_model(tmp_path: Path) -> None:
    server = OPENAI.serve([OPENAI.say("A pixel.")])
    content: Any = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
    ]
    served = door(tmp_path, OPENAI.model, environ=OPENAI.environ(server.url))
    with server, served as here, here.sdk() as client:
        client.responses.create(
            model="cachet", input=[{"role": "user", "content": content}], max_output_tokens=77
        )
    sent = server.requests[-1].json
    assert PIXEL in server.requests[-1].body.decode()
    assert sent["max_completion_tokens"] == 77
