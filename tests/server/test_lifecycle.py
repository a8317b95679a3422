"""The real program: its first start and its next, how it stops, and what a crash leaves."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.program import Program, program_in
from tests.support.script import say, script
from tests.support.serveprogram import serving
from tests.support.storyteller import BEGUN, MODEL, WHOLE, Storyteller

pytestmark = pytest.mark.slow

TERM, INT, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL


@pytest.fixture
def teller() -> Iterator[Storyteller]:
    with Storyteller() as upstream:
        yield upstream
        upstream.go_on.set()


@pytest.fixture
def person(tmp_path: Path, teller: Storyteller) -> Program:
    return program_in(tmp_path, **teller.environ)


def begun(client: openai.OpenAI, prompt: str = "Tell.") -> tuple[Any, Any]:
    """A stream that has told its first word: its response, and the rest of its events."""
    events = iter(client.responses.create(model="cachet", input=prompt, stream=True))
    first = next(events)
    assert first.type == "response.created"
    word = next(event for event in events if event.type == "response.output_text.delta")
    assert word.delta == BEGUN
    return first.response, events


def test_the_first_start_shows_a_key_that_works_and_no_later_one_does(tmp_path: Path) -> None:
    person = program_in(tmp_path)
    model = script(tmp_path, say("Hello."))
    with serving(person, "-m", str(model)) as here, here.sdk() as client:
        secret = here.secret
        assert client.responses.create(model="cachet", input="Hello").output_text == "Hello."
        ended = here.stop(TERM)
    assert ended.out.count(secret) == 1
    assert (ended.code, ended.err) == (0, "")
    kept = b"".join(path.read_bytes() for path in person.home.glob("server/*") if path.is_file())
    assert secret.encode() not in kept
    with serving(person, "-m", str(model), secret=secret) as again, again.sdk() as client:
        assert client.models.list().data[0].id == "cachet"
        assert "sk-cachet" not in again.stop(INT).out


def test_it_says_where_it_serves_what_and_how_freely(tmp_path: Path) -> None:
    person = program_in(tmp_path)
    model = script(tmp_path, say("Hello."))
    with serving(person, "-m", str(model), "--permission-mode", "edits") as here:
        said = here.stop(TERM).out
    assert f"Cachet serves {model} on {here.url}/v1" in said
    assert f"It works in {person.project}, permission mode edits." in said


def test_a_run_that_ends_within_the_grace_is_told_to_its_end(person: Program, teller: Storyteller) -> None:
    with serving(person, "-m", MODEL) as here, here.sdk() as client:
        _, events = begun(client)
        here.process.send_signal(TERM)
        here.wait_until_closing()
        teller.go_on.set()
        *_, last = events
        assert last.type == "response.completed"
        assert last.response.output_text == WHOLE
        ended = here.stop()
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize(
    ("grace", "signals"), [("0", [TERM]), ("600", [INT, INT])], ids=["no-grace", "a-second-signal"]
)
def test_a_run_beyond_the_grace_is_journalled_as_interrupted(
    person: Program, grace: str, signals: list[signal.Signals]
) -> None:
    with serving(person, "-m", MODEL, "--grace", grace) as here, here.sdk() as client:
        response, _ = begun(client)
        for sent in signals[:-1]:
            here.process.send_signal(sent)
            here.wait_until_closing()
        ended = here.stop(signals[-1])
        session, secret = response.to_dict()["session_id"], here.secret
        [call] = here.lines(session, "call")
    assert (ended.code, ended.err) == (0, "")
    assert (call["outcome"], call["stop_reason"]) == ("cancelled", "interrupted")
    with serving(person, "-m", MODEL, secret=secret) as again, again.sdk() as client:
        told = client.responses.retrieve(response.id)
        assert (told.status, told.output_text) == ("cancelled", BEGUN)
        assert told.usage is not None
        assert told.usage.input_tokens == call["usage"]["input_tokens"] > 0


def test_a_run_that_a_crash_ended_has_failed_with_what_it_had_spent(
    person: Program, teller: Storyteller
) -> None:
    with serving(person, "-m", MODEL) as here, here.sdk() as client:
        response, _ = begun(client, "look first")
        here.stop(KILL)
        secret = here.secret
    with serving(person, "-m", MODEL, secret=secret) as again, again.sdk() as client:
        lost = client.responses.retrieve(response.id)
        assert lost.status == "failed"
        assert lost.error is not None
        assert lost.error.code == "lost"
        assert lost.usage is not None
        assert (lost.usage.input_tokens, lost.usage.output_tokens) == (500, 10)
        assert lost.usage.input_tokens_details.cached_tokens == 100
        *_, last = client.responses.retrieve(response.id, stream=True)
        assert last.type == "response.failed"
        total = again.http("GET", "/v1/usage").json()["total"]
        assert (total["input_tokens"], total["output_tokens"]) == (500, 10)
        teller.go_on.set()
        on = client.responses.create(
            model="cachet", input="Go on.", conversation=response.to_dict()["session_id"]
        )
        assert on.output_text == WHOLE
        assert "An earlier server ended during 1 run" in again.stop(TERM).out


def test_an_idempotent_request_that_a_crash_ended_is_told_so_with_its_usage(
    person: Program, teller: Storyteller
) -> None:
    asked: Any = {"model": "cachet", "messages": [{"role": "user", "content": "look first"}]}
    token = {"Idempotency-Key": "once"}
    with serving(person, "-m", MODEL) as here, here.sdk() as client:
        stream = client.chat.completions.create(**asked, stream=True, extra_headers=token)
        next(each for each in stream if each.choices[0].delta.content)
        here.stop(KILL)
    with serving(person, "-m", MODEL, secret=here.secret) as again, again.sdk() as client:
        with pytest.raises(openai.InternalServerError) as raised:
            client.chat.completions.create(**asked, stream=True, extra_headers=token)
        assert raised.value.status_code == 503
        assert raised.value.response.json()["usage"]["input_tokens"] == 500
    assert len(teller.prompts) == 2


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    person = program_in(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = person("serve", "--port", str(port), "-m", str(script(tmp_path, say("Hello."))))
    assert ran.code == 2
    assert re.match(rf"Cannot listen on 127\.0\.0\.1 port {port}: .*agent serve --port", ran.complaint)
    assert ran.out == ""
    assert not (person.home / "server").exists(), "no key was made that nobody saw"


@pytest.mark.parametrize("broken", ["{", '{"keys": [{"name": "x"}]}', "[]"])
def test_keys_that_cannot_be_read_are_one_line_and_stay_as_they_are(tmp_path: Path, broken: str) -> None:
    person = program_in(tmp_path)
    (person.home / "server").mkdir(parents=True)
    keys = person.home / "server" / "keys.json"
    keys.write_text(broken)
    ran = person("serve", "--port", "0", "-m", str(script(tmp_path, say("Hello."))))
    assert ran.code == 2
    assert str(keys) in ran.complaint
    assert keys.read_text() == broken
