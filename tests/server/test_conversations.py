"""A conversation goes on where a client says: by response, by session, in the terminal and back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import openai
import pytest

from cli.compose import compose
from cli.options import Options
from cli.place import Place
from sessions import begin
from sessions.journal import Journal
from tests.support.clients import door, environment
from tests.support.counting import MODEL, Counted, counted
from tests.support.program import program_in
from tests.support.script import say, script
from tests.support.wires import KEY

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Counted]:
    with counted(tmp_path) as here:
        yield here


@pytest.fixture
def client(shop: Counted) -> Iterator[openai.OpenAI]:
    with shop.door.sdk() as one:
        yield one


def ask(client: openai.OpenAI, prompt: str, **more: Any) -> Any:
    return client.responses.create(model="cachet", input=prompt, **more)


def test_a_response_goes_on_in_the_session_of_the_one_before(shop: Counted, client: openai.OpenAI) -> None:
    first = ask(client, "One?")
    second = ask(client, "Two?", previous_response_id=first.id)
    third = ask(client, "Three?", previous_response_id=second.id)
    [session] = shop.door.sessions()
    assert {each.conversation.id for each in (first, second, third)} == {session}
    assert second.previous_response_id == first.id
    said = ["One?", "Answer 1.", "Two?", "Answer 2.", "Three?", "Answer 3."]
    assert [text for _, text in shop.said(session)] == said
    assert shop.grew()
    assert second.usage.input_tokens_details.cached_tokens == shop.cached[1] > 0
    assert third.usage.to_dict()["cache_read_tokens"] == shop.cached[2] > shop.cached[1]


@pytest.mark.parametrize("how", ["conversation", "conversation object", "header"])
def test_a_session_goes_on_by_its_name(shop: Counted, client: openai.OpenAI, how: str) -> None:
    session = ask(client, "One?").conversation.id
    named: dict[str, dict[str, Any]] = {
        "conversation": {"conversation": session},
        "conversation object": {"conversation": {"id": session}},
        "header": {"extra_headers": {"X-Session-Id": session}},
    }
    second = ask(client, "Two?", **named[how])
    assert second.conversation.id == session
    assert shop.grew()
    assert len(set(shop.affinity)) == 1


def test_a_chat_that_names_its_session_needs_no_history(shop: Counted, client: openai.OpenAI) -> None:
    session = ask(client, "One?").conversation.id
    client.chat.completions.create(
        model="cachet",
        messages=[{"role": "user", "content": "Two?"}],
        extra_headers={"X-Session-Id": session},
    )
    assert shop.door.sessions() == [session]
    assert [text for _, text in shop.said(session)][2:] == ["Two?", "Answer 2."]
    assert shop.grew()


def test_going_on_from_an_earlier_response_branches_and_loses_nothing(
    shop: Counted, client: openai.OpenAI
) -> None:
    first = ask(client, "One?")
    second = ask(client, "Two?", previous_response_id=first.id)
    other = ask(client, "Or two?", previous_response_id=first.id)
    session, branch = second.conversation.id, other.conversation.id
    assert session != branch
    assert [text for _, text in shop.said(session)] == ["One?", "Answer 1.", "Two?", "Answer 2."]
    assert [text for _, text in shop.said(branch)] == ["One?", "Answer 1.", "Or two?", "Answer 3."]
    assert shop.sent[2].goes_on_from(shop.sent[0])
    assert shop.affinity[2] == shop.affinity[0]
    assert other.usage.input_tokens_details.cached_tokens > 0
    on = ask(client, "Three?", previous_response_id=other.id)
    assert on.conversation.id == branch


def test_a_session_is_no_other_key_s(shop: Counted, client: openai.OpenAI) -> None:
    first = ask(client, "One?")
    with shop.door.sdk(shop.door.key("eve")) as eve:
        for where in ({"previous_response_id": first.id}, {"conversation": first.conversation.id}):
            with pytest.raises(openai.NotFoundError):
                ask(eve, "Two?", **where)
    assert len(shop.upstream.prompts) == 1


def test_a_conversation_goes_on_after_the_server_was_started_anew(tmp_path: Path) -> None:
    with counted(tmp_path) as before, before.door.sdk() as client:
        first = ask(client, "One?")
        secret = before.door.secret
    with counted(tmp_path, secret=secret) as after, after.door.sdk() as client:
        assert client.responses.retrieve(first.id).output_text == "Answer 1."
        second = ask(client, "Two?", previous_response_id=first.id)
        assert second.conversation.id == first.conversation.id
        assert after.sent[0].goes_on_from(before.sent[0])
        assert after.affinity == before.affinity


def test_a_server_s_session_goes_on_in_the_terminal_and_back(tmp_path: Path) -> None:
    agent = program_in(tmp_path, OPENAI_API_KEY=KEY)
    with counted(tmp_path) as shop, shop.door.sdk() as client:
        session = ask(client, "One?").conversation.id
        address = {"OPENAI_BASE_URL": shop.upstream.base_url}
        ran = agent("resume", session, "-p", "Two?", "--permission-mode", "plan", **address)
        assert (ran.code, ran.out.strip()) == (0, "Answer 2.")
        ask(client, "Three?", conversation=session)
        assert shop.grew()
        assert len(set(shop.affinity)) == 1
        assert all(cached > 0 for cached in shop.cached[1:])
        told = client.get(f"/sessions/{session}", cast_to=object)
        assert [message["content"] for message in told["messages"]][-1] == "Answer 3."  # type: ignore[index]


def test_the_terminal_s_session_goes_on_over_http_for_a_key_that_may(tmp_path: Path) -> None:
    agent = program_in(tmp_path, OPENAI_API_KEY=KEY)
    with counted(tmp_path) as shop, shop.door.sdk() as client:
        ran = agent("-p", "One?", "-m", MODEL, OPENAI_BASE_URL=shop.upstream.base_url)
        assert ran.code == 0, ran.err
        [session] = shop.door.sessions()
        with shop.door.sdk(shop.door.key("eve")) as eve, pytest.raises(openai.NotFoundError):
            ask(eve, "Two?", conversation=session)
        second = ask(client, "Two?", conversation=session)
        assert second.conversation.id == session
        assert shop.grew()
        assert second.usage.input_tokens_details.cached_tokens > 0
        total = shop.door.http("GET", "/v1/usage").json()["total"]
        assert total["input_tokens"] == second.usage.input_tokens, "the terminal's own calls are no client's"


def test_a_session_at_work_in_another_process_is_a_conflict(shop: Counted, client: openai.OpenAI) -> None:
    first = ask(client, "One?")
    shop.door.when_free(first.conversation.id)
    [path] = shop.door.home.glob("sessions/*/*.jsonl")
    with closing(Journal.open(path)), pytest.raises(openai.ConflictError) as raised:
        ask(client, "Two?", previous_response_id=first.id)
    assert raised.value.code == "session_busy"
    assert raised.value.response.headers["retry-after"] == "1"
    assert ask(client, "Two?", previous_response_id=first.id).status == "completed"


async def test_requests_for_one_session_go_one_after_the_other(shop: Counted) -> None:
    async with shop.door.async_sdk() as client:
        first = await client.responses.create(model="cachet", input="One?")
        assert first.conversation is not None
        session = first.conversation.id
        asking = [
            client.responses.create(model="cachet", input=f"More {number}?", conversation=session)
            for number in range(4)
        ]
        answers = await asyncio.gather(*asking)
    assert {answer.status for answer in answers} == {"completed"}
    assert [role for role, _ in shop.said(session)] == ["user", "assistant"] * 5
    assert shop.grew()


async def test_two_that_go_on_from_one_response_at_once_are_two_branches(shop: Counted) -> None:
    async with shop.door.async_sdk() as client:
        first = await client.responses.create(model="cachet", input="One?")
        asking = [
            client.responses.create(model="cachet", input=f"Two {number}?", previous_response_id=first.id)
            for number in range(2)
        ]
        one, other = await asyncio.gather(*asking)
    assert one.conversation is not None
    assert other.conversation is not None
    assert one.conversation.id != other.conversation.id
    assert all(later.goes_on_from(shop.sent[0]) for later in shop.sent[1:])


def test_instructions_that_were_taken_back_are_given_again(shop: Counted, client: openai.OpenAI) -> None:
    session = ask(client, "One?").conversation.id
    ask(client, "Two?", conversation=session, instructions="Speak like a pirate.")
    rewound = shop.door.http("POST", f"/v1/sessions/{session}/rewind", {"checkpoint": 1})
    assert rewound.status_code == 200
    ask(client, "Or two?", conversation=session, instructions="Speak like a pirate.")
    ask(client, "Three?", conversation=session, instructions="Speak like a pirate.")
    *_, last = shop.upstream.prompts
    assert "Two?" not in (sent := last.body.decode()).replace("Or two?", "")
    assert sent.count("like a pirate") == 1


def test_instructions_with_a_secret_in_them_are_told_once_and_without_it(
    shop: Counted, client: openai.OpenAI
) -> None:
    session = ask(client, "One?", instructions=f"Never say {KEY}.").conversation.id
    for prompt in ("Two?", "Three?"):
        ask(client, prompt, conversation=session, instructions=f"Never say {KEY}.")
    sent = shop.upstream.prompts[-1].body.decode()
    assert KEY not in sent
    assert sent.count("Never say [secret].") == 1
    ask(client, "Four?", conversation=session, instructions="Never say [secret] aloud.")
    assert shop.upstream.prompts[-1].body.decode().count("Never say") == 2
    assert shop.grew()


async def test_instructions_that_a_summary_swallowed_are_given_again(shop: Counted) -> None:
    with shop.door.sdk() as client:
        session = ask(client, "One?", instructions="Speak like a pirate.").conversation.id
        shop.door.when_free(session)
        await compact(shop)
        ask(client, "Two?", conversation=session, instructions="Speak like a pirate.")
    assert shop.upstream.prompts[-1].body.decode().count("like a pirate") == 1


async def compact(shop: Counted) -> None:
    """Resume the only session in the terminal, let it be summed up, and leave."""
    environ = environment(shop.door.home.parent)
    environ |= {"OPENAI_BASE_URL": shop.upstream.base_url, "OPENAI_API_KEY": KEY}
    place = Place.of(environ, shop.door.project)
    [path] = shop.door.home.glob("sessions/*/*.jsonl")
    session = await begin.resume(compose(place, Options(), place.configuration().config), path)
    async with aclosing(session.compact()) as events:
        async for _ in events:
            pass
    await session.close()


def test_the_alias_stays_with_the_session_s_model_and_a_name_switches(tmp_path: Path) -> None:
    models = [script(tmp_path, *map(say, words), name=f"{words[0]}.json") for words in ("abc", "xyz")]
    with door(tmp_path, *models) as here, here.sdk() as client:
        one, other = (str(model) for model in models)
        first = client.responses.create(model=other, input="One?")
        second = client.responses.create(model="cachet", input="Two?", previous_response_id=first.id)
        third = client.responses.create(model=one, input="Three?", previous_response_id=second.id)
        assert [answer.output_text for answer in (first, second, third)] == ["x", "y", "c"]
        assert [answer.model for answer in (first, second, third)] == [other, other, one]
        assert len(here.sessions()) == 1


def test_the_alias_means_no_model_that_the_server_stopped_offering(tmp_path: Path) -> None:
    old, new = (script(tmp_path, *map(say, words), name=f"{words[0]}.json") for words in ("abc", "xyz"))
    history: Any = [{"role": "user", "content": "One?"}]
    with door(tmp_path, old) as here, here.sdk() as client:
        secret = here.secret
        first = client.responses.create(model="cachet", input="One?")
        chat = client.chat.completions.create(model="cachet", messages=history)
        known = chat.to_dict()["session_id"]
    assert first.conversation is not None
    with door(tmp_path, new, secret=secret) as here, here.sdk() as client:
        before = here.sessions()
        for named in ({"previous_response_id": first.id}, {"conversation": first.conversation.id}):
            with pytest.raises(openai.ConflictError) as raised:
                client.responses.create(model="cachet", input="Two?", **named)  # type: ignore[call-overload]
            assert (raised.value.code, raised.value.param) == ("model_not_offered", "model")
            assert f"goes on with {old}" in raised.value.message
            assert raised.value.message.split("send its name: ")[1].startswith(str(new))
            assert raised.value.response.headers["x-should-retry"] == "false"
        assert here.sessions() == before
        went_on = client.responses.create(model=str(new), input="Two?", previous_response_id=first.id)
        assert (went_on.output_text, went_on.model) == ("y", str(new))
        assert (
            client.responses.create(model="cachet", input="?", previous_response_id=went_on.id).output_text
            == "z"
        )
        # Who resends a history names no session, and is not to be told of any: the default answers.
        history += [{"role": "assistant", "content": "a"}, {"role": "user", "content": "Two?"}]
        again = client.chat.completions.create(model="cachet", messages=history)
        assert (again.to_dict()["session_id"], again.model) == (known, str(new))
