"""A key that is taken away takes its work with it: runs stop, streams end with an error."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from providers.errors import ConfigurationError
from server.dismissal import dismiss
from server.keys import KeyRing
from server.run import Run
from tests.support.asgi import PATIENCE
from tests.support.clients import Door, door
from tests.support.inprocess import ask, assembled
from tests.support.storyteller import BEGUN, MODEL, WHOLE, Storyteller

pytestmark = pytest.mark.slow

ASKED: list[Any] = [{"role": "user", "content": "Tell me a story."}]
GONE = "The key of this request was removed"


@dataclass(frozen=True, slots=True)
class Guest:
    """A key that is taken away while a story is being told to it."""

    door: Door
    upstream: Storyteller
    secret: str

    def remove(self) -> None:
        KeyRing.open(self.door.home).remove("guest")

    def stopped(self) -> dict[str, Any]:
        """The one call of the one session, once it is booked: cut short, with what was said by then."""
        deadline = time.monotonic() + PATIENCE
        while not (calls := self._lines("call")):
            assert time.monotonic() < deadline, "the run goes on"
        [call] = calls
        assert (call["outcome"], call["stop_reason"]) == ("cancelled", "interrupted")
        return call

    def _lines(self, kind: str) -> list[Any]:
        return [line for session in self.door.sessions() for line in self.door.lines(session, kind)]


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    with Storyteller() as upstream, door(tmp_path, MODEL, environ=upstream.environ) as here:
        try:
            yield Guest(here, upstream, here.key("guest"))
        finally:
            upstream.go_on.set()


def test_a_run_in_the_background_is_stopped_and_booked_though_nobody_listens(guest: Guest) -> None:
    with guest.door.sdk(guest.secret) as client:
        client.responses.create(model="cachet", input="Tell.", background=True)
        guest.upstream.wait()
        guest.remove()
        assert guest.stopped()["usage"]["input_tokens"] > 0


def test_a_response_s_stream_ends_as_failed_with_what_was_spent(guest: Guest) -> None:
    with guest.door.sdk(guest.secret) as client:
        events = iter(client.responses.create(model="cachet", input="Tell.", stream=True))
        next(event for event in events if event.type == "response.output_text.delta")
        guest.remove()
        *_, last = events
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.to_dict()["code"] == "invalid_api_key"
    assert last.response.error.message.startswith(GONE)
    assert last.response.output_text == BEGUN
    assert last.response.usage is not None
    assert last.response.usage.input_tokens == guest.stopped()["usage"]["input_tokens"] > 0


def test_a_chat_s_stream_ends_with_the_error(guest: Guest) -> None:
    with guest.door.sdk(guest.secret) as client:
        stream = client.chat.completions.create(model="cachet", messages=ASKED, stream=True)
        next(chunk for chunk in stream if chunk.choices[0].delta.content)
        guest.remove()
        with pytest.raises(openai.APIError, match=GONE) as raised:
            list(stream)
    assert raised.value.code == "invalid_api_key"
    guest.stopped()


async def test_a_client_that_waits_for_the_whole_answer_hears_that_its_key_is_gone(guest: Guest) -> None:
    async with guest.door.async_sdk(guest.secret) as client:
        asking = asyncio.ensure_future(client.chat.completions.create(model="cachet", messages=ASKED))
        await asyncio.to_thread(guest.upstream.wait)
        guest.remove()
        with pytest.raises(openai.AuthenticationError, match=GONE) as raised:
            await asking
    told = raised.value.response.json()["usage"]
    assert told["input_tokens"] == guest.stopped()["usage"]["input_tokens"] > 0


def test_whoever_waits_for_the_session_is_not_let_on_to_it(guest: Guest) -> None:
    """A turn, a rewind, a removal: all three wait while the run is at work, and then the key is gone."""
    with guest.door.sdk(guest.secret) as client:
        begun = client.responses.create(model="cachet", input="Tell.", background=True)
        guest.upstream.wait()
        session = str(begun.to_dict()["session_id"])
        waiting: tuple[tuple[str, str, Any], ...] = (
            ("POST", "/v1/responses", {"input": "And?", "conversation": session}),
            ("POST", f"/v1/sessions/{session}/rewind", {"checkpoint": 0}),
            ("DELETE", f"/v1/sessions/{session}", None),
        )
        statuses = asyncio.run(refused(guest, waiting))
    assert statuses == [401, 401, 401]
    guest.stopped()
    assert len(guest.upstream.prompts) == 1
    assert guest.door.sessions() == [session]


async def refused(guest: Guest, requests: tuple[tuple[str, str, Any], ...]) -> list[int]:
    """The statuses of requests that had been sent when the key was removed."""
    headers = {"authorization": f"Bearer {guest.secret}"}
    async with httpx2.AsyncClient(base_url=guest.door.url, headers=headers, timeout=PATIENCE) as http:
        asking = [
            asyncio.ensure_future(http.request(method, path, json=body)) for method, path, body in requests
        ]
        await http.get("/health")
        guest.remove()
        return [answer.status_code for answer in await asyncio.gather(*asking)]


def test_other_keys_work_goes_on(guest: Guest) -> None:
    with guest.door.sdk(guest.secret) as leaver, guest.door.sdk() as client:
        events = iter(client.responses.create(model="cachet", input="Tell.", stream=True))
        next(event for event in events if event.type == "response.output_text.delta")
        theirs = iter(leaver.responses.create(model="cachet", input="Tell.", stream=True))
        next(event for event in theirs if event.type == "response.output_text.delta")
        guest.remove()
        *_, last = theirs
        assert last.type == "response.failed"
        guest.upstream.go_on.set()
        *_, last = events
        assert last.type == "response.completed"
        assert last.response.output_text == WHOLE


async def test_a_slip_in_the_keys_file_ends_no_work(tmp_path: Path) -> None:
    with Storyteller() as upstream:
        service, key = await assembled(tmp_path, upstream.environ, MODEL)
        dismissing = asyncio.create_task(dismiss(service.dismiss, every=0.0))
        run = await service.taken(ask(key, 0))
        assert isinstance(run, Run)
        await asyncio.to_thread(upstream.wait)
        (tmp_path / "cachet" / "server" / "keys.json").write_bytes(b"{")
        upstream.go_on.set()
        assert (await run.ended()).status == "completed"
        assert not dismissing.done()
        dismissing.cancel()
        await service.close()


async def test_no_error_ends_the_looking_and_each_kind_of_trouble_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    looks = iter((RuntimeError("odd"), RuntimeError("odd"), None, ConfigurationError("slip"), None))
    looked = asyncio.Event()

    def look() -> None:
        match next(looks, StopIteration()):
            case StopIteration():
                looked.set()
            case Exception() as error:
                raise error

    dismissing = asyncio.create_task(dismiss(look, every=0.0))
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait(
            (dismissing, asyncio.ensure_future(looked.wait())), return_when=asyncio.FIRST_COMPLETED
        )
    assert not dismissing.done()
    dismissing.cancel()
    told = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert [bool(each.exc_info) for each in told] == [True, False]
    assert "odd" in told[0].getMessage()
    assert "slip" in told[1].getMessage()
