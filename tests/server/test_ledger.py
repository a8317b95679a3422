"""What a key has used is neither lost nor counted twice, whatever becomes of its sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from sessions.journal import Journal
from tests.support.clients import Door, door
from tests.support.script import say, script

BILL = {"input_tokens": 90, "output_tokens": 5, "cache_read_tokens": 10}


def used(here: Door) -> dict[str, Any]:
    total: dict[str, Any] = here.http("GET", "/v1/usage").json()["total"]
    return total


@pytest.mark.parametrize("finally_removed", [False, True], ids=["it stays", "it goes"])
def test_a_session_that_could_not_be_removed_counts_once(tmp_path: Path, *, finally_removed: bool) -> None:
    model = script(tmp_path, say("Seven.", **BILL))
    with door(tmp_path, model) as before, before.sdk() as client:
        answer = client.responses.create(model="cachet", input="How much?")
        assert answer.conversation is not None
        session = answer.conversation.id
        before.when_free(session)
        [path] = before.home.glob("sessions/*/*.jsonl")
        with Journal.open(path):
            for _ in range(2):
                with pytest.raises(openai.ConflictError):
                    client.delete(f"/sessions/{session}", cast_to=object)
        if finally_removed:
            client.delete(f"/sessions/{session}", cast_to=object)
        told = used(before)
        assert (told["model_calls"], told["total_tokens"]) == (1, 105)
    with door(tmp_path, model, secret=before.secret) as after:
        assert used(after) == told


def test_a_call_that_is_in_a_journal_and_among_the_removed_counts_once(tmp_path: Path) -> None:
    model = script(tmp_path, say("Seven.", **BILL))
    with door(tmp_path, model) as before, before.sdk() as client:
        client.responses.create(model="cachet", input="How much?")
        told = used(before)
    [path] = before.home.glob("sessions/*/*.jsonl")
    (before.home / "server" / "removed-calls.jsonl").write_bytes(path.read_bytes())  # a crash in between
    with door(tmp_path, model, secret=before.secret) as after:
        assert used(after) == told
