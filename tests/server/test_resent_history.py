"""A stock client that sends its whole history again goes on in the same session, and so in the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.counting import Counted, counted
from tests.support.loopback import sse
from tests.support.openai_server import answer, chunk, usage

pytestmark = pytest.mark.slow

LS: Any = (("c1", "ls", {}),)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Counted]:
    with counted(tmp_path) as here:
        yield here


@dataclass
class Chat:
    """What every chat client does: it keeps the messages, and sends all of them each time."""

    client: openai.OpenAI
    stream: bool = False
    messages: list[Any] = field(default_factory=list)

    def say(self, prompt: str) -> str:
        self.messages.append({"role": "user", "content": prompt})
        words = self.answered()
        self.messages.append({"role": "assistant", "content": words})
        return words

    def answered(self) -> str:
        if not self.stream:
            whole = self.client.chat.completions.create(model="cachet", messages=self.messages)
            return whole.choices[0].message.content or ""
        chunks = self.client.chat.completions.create(model="cachet", messages=self.messages, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    def copy(self, messages: Sequence[Any]) -> Chat:
        return Chat(self.client, self.stream, list(messages))


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def chat(shop: Counted, request: pytest.FixtureRequest) -> Iterator[Chat]:
    with shop.door.sdk() as client:
        yield Chat(client, request.param)


def test_a_resent_history_goes_on_in_its_session_and_hits_the_cache(shop: Counted, chat: Chat) -> None:
    for prompt in ("One?", "Two?", "Three?"):
        chat.say(prompt)
    [session] = shop.door.sessions()
    said = ["One?", "Answer 1.", "Two?", "Answer 2.", "Three?", "Answer 3."]
    assert [text for _, text in shop.said(session)] == said
    assert shop.grew()
    assert len(set(shop.affinity)) == 1
    assert 0 < shop.cached[1] < shop.cached[2]


def test_the_same_first_message_is_no_history(shop: Counted, chat: Chat) -> None:
    chat.say("Hello")
    chat.copy([]).say("Hello")
    assert len(shop.door.sessions()) == 2


def test_the_same_history_of_another_key_is_a_session_of_its_own(shop: Counted, chat: Chat) -> None:
    chat.say("One?")
    with shop.door.sdk(shop.door.key("eve")) as eve:
        Chat(eve, chat.stream, list(chat.messages)).say("Two?")
    one, other = shop.door.sessions()
    assert {len(shop.said(one)), len(shop.said(other))} == {2}
    sent = shop.upstream.prompts[1].body.decode()
    assert "One?" in sent
    assert "Answer 1." in sent
    assert shop.affinity[0] != shop.affinity[1]


def test_a_history_of_other_words_is_told_to_a_new_session_once(shop: Counted, chat: Chat) -> None:
    told = chat.copy([{"role": "user", "content": "Ping"}, {"role": "assistant", "content": "Pong"}])
    told.say("And?")
    told.say("And then?")
    [session] = shop.door.sessions()
    assert [text for _, text in shop.said(session)] == ["And?", "Answer 1.", "And then?", "Answer 2."]
    assert shop.upstream.prompts[1].body.decode().count("Pong") == 1
    assert shop.grew()


def test_one_word_changed_is_another_history(shop: Counted, chat: Chat) -> None:
    chat.say("One?")
    chat.messages[-1]["content"] = "Answer 1!"
    chat.say("Two?")
    assert len(shop.door.sessions()) == 2


def test_regenerating_an_answer_branches_and_loses_nothing(shop: Counted, chat: Chat) -> None:
    chat.say("One?")
    chat.say("Two?")
    again = chat.copy(chat.messages[:2])
    assert again.say("Two?") == "Answer 3."
    chat.say("Three?")
    again.say("Three?")
    conversations = [[text for _, text in shop.said(session)] for session in shop.door.sessions()]
    assert sorted(conversations) == [
        ["One?", "Answer 1.", "Two?", "Answer 2.", "Three?", "Answer 4."],
        ["One?", "Answer 1.", "Two?", "Answer 3.", "Three?", "Answer 5."],
    ]
    assert len(set(shop.affinity)) == 1
    assert shop.sent[2].goes_on_from(shop.sent[0])
    assert shop.sent[3].goes_on_from(shop.sent[1])
    assert shop.sent[4].goes_on_from(shop.sent[2])
    assert all(cached > 0 for cached in shop.cached[1:])


def test_instructions_are_appended_once_and_again_only_when_they_change(shop: Counted, chat: Chat) -> None:
    chat.messages.append({"role": "system", "content": "Speak like a pirate."})
    chat.say("One?")
    chat.say("Two?")
    chat.messages[0]["content"] = "Speak like a poet."
    chat.say("Three?")
    chat.say("Four?")
    del chat.messages[0]
    chat.say("Five?")
    chat.say("Six?")
    assert len(shop.door.sessions()) == 1
    assert shop.grew()
    *_, last = shop.upstream.prompts
    body = last.body.decode()
    assert (body.count("like a pirate"), body.count("like a poet"), body.count("hold no longer")) == (1, 1, 1)
    assert "pirate" not in str(last.json["messages"][0]), "the system prompt stays as it is"


def test_a_history_that_grew_by_other_words_than_ours_is_told_anew(shop: Counted, chat: Chat) -> None:
    chat.say("One?")
    chat.messages += [{"role": "user", "content": "Aside"}, {"role": "assistant", "content": "Elsewhere."}]
    chat.say("Two?")
    assert len(shop.door.sessions()) == 2
    assert "Elsewhere." in shop.upstream.prompts[1].body.decode()


def test_what_was_asked_in_several_messages_is_known_again(shop: Counted, chat: Chat) -> None:
    chat.messages.append({"role": "user", "content": "Here is a file."})
    chat.say("What is it?")
    chat.messages.append({"role": "user", "content": ""})
    chat.say("Sure?")
    chat.say("Really?")
    assert len(shop.door.sessions()) == 1
    assert shop.grew()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_was_said_between_tools_is_known_again(tmp_path: Path, *, stream: bool) -> None:
    words_and_tool = sse(*answer("I look.", LS, **usage(50, 5)))
    with counted(tmp_path, [words_and_tool, "Nothing.", "Still nothing."]) as shop, shop.door.sdk() as client:
        chat = Chat(client, stream)
        assert chat.say("What is here?") == "I look.\n\nNothing."
        chat.say("And now?")
        assert len(shop.door.sessions()) == 1
        assert shop.grew()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_whose_first_try_was_void_is_known_again(tmp_path: Path, *, stream: bool) -> None:
    broken = sse(chunk({"content": "Wro"}), cut=True)
    with counted(tmp_path, [broken, "Right.", "Next."]) as shop, shop.door.sdk() as client:
        chat = Chat(client, stream)
        assert chat.say("One?").endswith("Right.")
        chat.say("Two?")
        [session] = shop.door.sessions()
        assert [text for _, text in shop.said(session)] == ["One?", "Right.", "Two?", "Next."]


def test_what_was_heard_before_leaving_is_known_again(tmp_path: Path) -> None:
    held = sse(chunk({"content": "Once upo"}), hold=True)
    with counted(tmp_path, [held, "A time."]) as shop, shop.door.sdk() as client:
        chat = Chat(client, messages=[{"role": "user", "content": "Tell."}])
        with client.chat.completions.create(model="cachet", messages=chat.messages, stream=True) as stream:
            next(each for each in stream if each.choices[0].delta.content)
        [session] = shop.door.sessions()
        shop.door.when_free(session)
        chat.messages.append({"role": "assistant", "content": "Once upo"})
        chat.say("Go on.")
        assert shop.door.sessions() == [session]
        assert shop.grew()


def test_a_history_is_known_again_after_the_server_was_started_anew(tmp_path: Path) -> None:
    with counted(tmp_path) as before, before.door.sdk() as client:
        chat = Chat(client)
        chat.say("One?")
    with counted(tmp_path, secret=before.door.secret) as after, after.door.sdk() as client:
        Chat(client, messages=chat.messages).say("Two?")
        assert len(after.door.sessions()) == 1
        assert after.sent[0].goes_on_from(before.sent[0])


def test_a_client_of_responses_may_send_its_items_again_instead(tmp_path: Path) -> None:
    words_and_tool = sse(*answer("I look.", LS, **usage(50, 5)))
    with counted(tmp_path, [words_and_tool, "Nothing.", "Still."]) as shop, shop.door.sdk() as client:
        items: list[Any] = [{"role": "user", "content": "What is here?"}]
        first = client.responses.create(model="cachet", input=items)
        items += [item.to_dict() for item in first.output]
        client.responses.create(model="cachet", input=[*items, {"role": "user", "content": "And now?"}])
        assert len(shop.door.sessions()) == 1
        assert shop.grew()


def test_images_are_part_of_a_history(shop: Counted, chat: Chat) -> None:
    pixel = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    dot = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgpA"}}
    chat.messages.append({"role": "user", "content": [{"type": "text", "text": "What?"}, pixel]})
    chat.messages.append({"role": "assistant", "content": chat.answered()})
    other = chat.copy(
        [{**chat.messages[0], "content": [chat.messages[0]["content"][0], dot]}, *chat.messages[1:]]
    )
    chat.say("Sure?")
    assert len(shop.door.sessions()) == 1
    other.say("Sure?")
    assert len(shop.door.sessions()) == 2
