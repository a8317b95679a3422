"""Every run ends and leaves its place, also where the server's own book of runs can't be written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import openai
import pytest

from tests.support.clients import Door, door
from tests.support.script import say, script

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Door]:
    with door(tmp_path, script(tmp_path, say("Seven."))) as here:
        yield here


@contextmanager
def unwritable(here: Door, when: str = "true") -> Iterator[None]:
    """Until the block ends, no row like this can be put on the shelf."""
    with closing(sqlite3.connect(here.home / "server" / "runs.sqlite")) as base:
        base.execute(
            f"create trigger full before insert on runs when {when} begin select raise(abort, 'no'); end"
        )
        yield
        base.execute("drop trigger full")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_run_that_cannot_be_shelved_fails_and_leaves_its_place(shop: Door, *, stream: bool) -> None:
    with shop.sdk(shop.key("one", concurrent=1)) as client:
        with unwritable(shop):
            if stream:
                *_, last = client.responses.create(model="cachet", input="How much?", stream=True)
                assert last.type == "response.failed"
            else:
                with pytest.raises(openai.InternalServerError):
                    client.responses.create(model="cachet", input="How much?")
        assert client.responses.create(model="cachet", input="How much?").output_text == "Seven."


def test_an_answer_that_cannot_be_shelved_is_given_all_the_same(shop: Door) -> None:
    with shop.sdk() as client, unwritable(shop, "new.status != 0"):
        assert client.responses.create(model="cachet", input="How much?").output_text == "Seven."


def test_whoever_has_an_answer_may_ask_again_at_once(shop: Door) -> None:
    with shop.sdk(shop.key("one", concurrent=1)) as client:
        for _ in range(20):
            assert client.responses.create(model="cachet", input="How much?").output_text == "Seven."
