"""No request may be so long that reading it holds up everybody else's streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support.clients import Door, door
from tests.support.script import say, script

pytestmark = pytest.mark.slow

SAID = {"role": "user", "content": "a"}
PART = {"type": "input_text", "text": "a"}
MANY = 10_001


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("served")
    with door(folder, script(folder, say("Well."))) as here:
        yield here


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", {"messages": [SAID] * MANY}, "messages"),
        ("/v1/responses", {"input": [SAID] * MANY}, "input"),
        ("/v1/responses", {"input": [{"role": "user", "content": [PART] * MANY}]}, "input"),
        ("/v1/responses", {"input": "x", "metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ("/v1/responses", {"input": "x", "metadata": {"note": "x" * 513}}, "metadata"),
    ],
)
def test_what_is_too_long_is_refused_and_named(shop: Door, path: str, body: Any, param: str) -> None:
    refused = shop.http("POST", path, body)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"].startswith(param)


def test_as_many_messages_as_may_be_are_read(shop: Door) -> None:
    with shop.sdk() as client:
        many: Any = [SAID] * (MANY - 1)
        answer = client.chat.completions.create(model="cachet", messages=many)
    assert answer.choices[0].message.content == "Well."


def test_notes_as_openai_allows_them_are_taken(shop: Door) -> None:
    notes = {f"{number:064}": "x" * 512 for number in range(16)}
    with openai.OpenAI(base_url=shop.base_url, api_key=shop.secret) as client:
        assert client.responses.create(model="cachet", input="x", metadata=notes).metadata == notes
