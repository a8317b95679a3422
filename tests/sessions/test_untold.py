"""What a rewind leaves to be told reaches the model with the next prompt, in another process too, once."""

from __future__ import annotations

from pathlib import Path

from sessions import begin
from sessions.session import Session
from tests.support.script import say, script
from tests.support.setups import setup

STAYED = "the files stayed"


async def tell(session: Session, text: str) -> str:
    """Send a prompt; what the model was sent with it."""
    async for _ in session.turn(text):
        pass
    return next(m.text for m in reversed(session.state.messages) if m.role == "user")


async def test_a_rewind_of_the_conversation_alone_is_told_after_a_resume_and_only_once(
    tmp_path: Path,
) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, *(say(word) for word in "abcd")))
    await tell(session, "one")
    await tell(session, "two")
    await session.rewind(1, files=False)
    await session.close()
    resumed = await begin.resume(setup(tmp_path), session.path)
    assert STAYED in await tell(resumed, "three")
    await resumed.close()
    again = await begin.resume(setup(tmp_path), session.path)
    assert STAYED not in await tell(again, "four")
    await again.close()


async def test_a_session_that_stays_open_is_told_once_too(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, *(say(word) for word in "abc")))
    await tell(session, "one")
    await session.rewind(1, files=False)
    assert (await tell(session, "two")).count(STAYED) == 1
    assert STAYED not in await tell(session, "three")
    await session.close()


async def test_a_fork_is_told_what_its_origin_was_still_to_be_told(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("a"), say("b")))
    await tell(session, "one")
    await session.rewind(1, files=False)
    fork = await begin.fork(setup(tmp_path), session.path)
    assert STAYED in await tell(fork, "two")
    await fork.close()
    await session.close()
