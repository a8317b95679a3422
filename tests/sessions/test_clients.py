"""What a server's client did is told apart in the journal, and a branch may begin at any message."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sessions import begin
from sessions.catalog import summary
from sessions.journal import JournalError, read
from sessions.records import CallLine
from sessions.session import Session
from tests.support.script import say, script
from tests.support.setups import setup


async def tell(session: Session, text: str) -> None:
    async for _ in session.turn(text):
        pass


async def test_the_journal_says_which_client_began_a_session_and_who_made_each_call(tmp_path: Path) -> None:
    model = script(tmp_path, say("one"), say("two"))
    served = await begin.start(replace(setup(tmp_path), client="key_1"), model)
    await tell(served, "a")
    await served.close()
    at_home = await begin.resume(setup(tmp_path), served.path)
    await tell(at_home, "b")
    await at_home.close()
    calls = [record for record in read(served.path).records if isinstance(record, CallLine)]
    assert [call.client for call in calls] == ["key_1", ""]
    assert summary(served.path).client == "key_1"


async def test_a_fork_at_a_message_has_the_conversation_up_to_there(tmp_path: Path) -> None:
    model = script(tmp_path, say("one"), say("two"), say("other"))
    session = await begin.start(setup(tmp_path), model)
    await tell(session, "a")
    early = session.state.messages[-1].id
    await tell(session, "b")
    await session.close()
    branch = await begin.fork(setup(tmp_path), session.path, at=early)
    assert [message.text for message in branch.state.messages][1:] == ["one"]
    assert branch.state.previous_end == session.state.messages[0].id
    assert len(session.state.messages) == 4
    await branch.close()


async def test_a_fork_at_a_message_that_is_not_there_is_refused(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one")))
    await tell(session, "a")
    await session.close()
    with pytest.raises(JournalError, match="no message msg_nowhere"):
        await begin.fork(setup(tmp_path), session.path, at="msg_nowhere")
