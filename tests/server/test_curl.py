"""The streams as bytes: with curl, and with a reader of server-sent events that knows nothing of us."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.asgi import PATIENCE
from tests.support.clients import Door, door
from tests.support.script import say, script
from tests.support.storyteller import BEGUN, MODEL, WHOLE, Storyteller

pytestmark = pytest.mark.slow

CURL = shutil.which("curl")
ENDPOINTS: dict[str, Any] = {
    "/v1/chat/completions": {"model": "cachet", "messages": [{"role": "user", "content": "Tell."}]},
    "/v1/responses": {"model": "cachet", "input": "Tell."},
}
needs_curl = pytest.mark.skipif(CURL is None, reason="curl is not installed here")
each_endpoint = pytest.mark.parametrize("path", ENDPOINTS)


@pytest.fixture
def teller() -> Iterator[Storyteller]:
    with Storyteller() as upstream:
        yield upstream
        upstream.go_on.set()


@pytest.fixture
def shop(tmp_path: Path, teller: Storyteller) -> Iterator[Door]:
    with door(tmp_path, MODEL, environ=teller.environ, silence=0.02) as here:
        yield here


def curl(shop: Door, path: str, body: Any, *words: str) -> subprocess.Popen[str]:
    assert CURL is not None
    command = [CURL, "-sN", "--max-time", str(PATIENCE), f"{shop.url}{path}", "-d", json.dumps(body)]
    headers = ["-H", f"Authorization: Bearer {shop.secret}", "-H", "Content-Type: application/json"]
    return subprocess.Popen([*command, *headers, *words], stdout=subprocess.PIPE, text=True, bufsize=1)


def events(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each event's name and data, and each comment as `:` and its text (the HTML standard, 9.2.6)."""
    name, data = "message", list[str]()
    for line in lines:
        field, _, value = line.rstrip("\n").partition(":")
        value = value.removeprefix(" ")
        match field:
            case "" if line.startswith(":"):
                yield ":", value
            case "":
                if data:
                    yield name, "\n".join(data)
                name, data = "message", []
            case "event":
                name = value
            case "data":
                data.append(value)


def said(data: str) -> str:
    """The words that an event of either endpoint brings."""
    event = {} if data == "[DONE]" else json.loads(data)
    if event.get("type") == "response.output_text.delta":
        return str(event["delta"])
    return "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))


@needs_curl
@each_endpoint
def test_curl_hears_each_word_as_it_is_said(shop: Door, teller: Storyteller, path: str) -> None:
    with curl(shop, path, ENDPOINTS[path] | {"stream": True}) as running:
        assert running.stdout is not None
        told = events(running.stdout)
        assert next(filter(None, (said(data) for name, data in told if name != ":"))) == BEGUN
        teller.go_on.set()
        rest = [(name, data) for name, data in told if name != ":"]
    assert BEGUN + "".join(said(data) for _, data in rest) == WHOLE
    assert running.returncode == 0


@needs_curl
@each_endpoint
def test_curl_reads_the_whole_answer_as_one_object(shop: Door, teller: Storyteller, path: str) -> None:
    teller.go_on.set()
    with curl(shop, path, ENDPOINTS[path], "-w", "%{http_code} %{content_type}") as running:
        assert running.stdout is not None
        answer, _, status = running.stdout.read().rpartition("}")
    assert status == "200 application/json"
    assert WHOLE in json.dumps(json.loads(answer + "}"))


@each_endpoint
def test_a_silent_stream_says_that_it_is_still_there(shop: Door, teller: Storyteller, path: str) -> None:
    with shop.stream(path, ENDPOINTS[path] | {"stream": True}) as answer:
        told = events(answer.iter_lines())
        next(data for name, data in told if name != ":" and said(data))
        comments = [next(told), next(told)]
        teller.go_on.set()
        rest = "".join(said(data) for name, data in told if name != ":")
    assert comments == [(":", "keep-alive")] * 2
    assert BEGUN + rest == WHOLE


def test_every_event_of_a_response_is_named_after_its_type(shop: Door, teller: Storyteller) -> None:
    teller.go_on.set()
    with shop.stream("/v1/responses", ENDPOINTS["/v1/responses"] | {"stream": True}) as answer:
        told = [(name, json.loads(data)) for name, data in events(answer.iter_lines()) if name != ":"]
    assert [name for name, _ in told] == [data["type"] for _, data in told]
    assert [data["sequence_number"] for _, data in told] == list(range(len(told)))


def test_no_event_of_a_chat_is_named_and_the_last_is_done(shop: Door, teller: Storyteller) -> None:
    teller.go_on.set()
    path = "/v1/chat/completions"
    with shop.stream(path, ENDPOINTS[path] | {"stream": True}) as answer:
        told = [event for event in events(answer.iter_lines()) if event[0] != ":"]
    assert {name for name, _ in told} == {"message"}
    assert told[-1][1] == "[DONE]"


@each_endpoint
def test_no_word_breaks_a_line_for_any_reader(tmp_path: Path, path: str) -> None:
    words = "one\ntwo\r\nthree\u2028four\u2029five\x85six\x0bseven 🦜 data: eight\n\nevent: nine"
    with (
        door(tmp_path, script(tmp_path, say(words))) as here,
        here.stream(path, ENDPOINTS[path] | {"stream": True}) as answer,
    ):
        lines = answer.read().decode().splitlines()
    assert "".join(said(data) for name, data in events(lines) if name != ":") == words


@each_endpoint
def test_a_stream_tells_proxies_to_hold_nothing_back(shop: Door, teller: Storyteller, path: str) -> None:
    teller.go_on.set()
    with shop.stream(path, ENDPOINTS[path] | {"stream": True}) as answer:
        headers = answer.headers
        answer.read()
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
