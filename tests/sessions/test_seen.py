"""A file that the model saw may be edited after a resume, as long as it is what the model saw."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.types import ToolResult
from sessions import begin
from sessions.records import NoteLine
from sessions.seen import news, versions_seen
from sessions.session import Session
from tests.support.script import say, script, use
from tests.support.setups import setup

READ = use(("read", {"path": "app.py"}))
EDIT = use(("edit", {"path": "app.py", "old": "1", "new": "2"}))


async def tell(session: Session, text: str) -> None:
    async for _ in session.turn(text):
        pass


async def told(session: Session) -> ToolResult:
    """The last tool's result."""
    blocks = [block for message in session.state.messages for block in message.blocks]
    return [block for block in blocks if isinstance(block, ToolResult)][-1]


async def seen_then_resumed(folder: Path, *between: str, opened: str = "resume") -> ToolResult:
    """What an edit comes to in a session that read the file in an earlier process."""
    made, model = setup(folder), script(folder, READ, say("seen"), EDIT, say("done"))
    file = folder / "project" / "app.py"
    file.write_text("x = 1\n")
    session = await begin.start(made, model)
    await tell(session, "look")
    await session.close()
    for content in between:
        file.write_text(content)
    again = await (begin.fork if opened == "fork" else begin.resume)(made, session.path)
    await tell(again, "change it")
    await again.close()
    return await told(again)


@pytest.mark.parametrize("opened", ["resume", "fork"])
async def test_an_unchanged_file_is_edited_without_reading_it_again(tmp_path: Path, opened: str) -> None:
    assert not (await seen_then_resumed(tmp_path, opened=opened)).is_error
    assert (tmp_path / "project" / "app.py").read_text() == "x = 2\n"


async def test_a_file_that_changed_meanwhile_must_be_read_again(tmp_path: Path) -> None:
    result = await seen_then_resumed(tmp_path, "x = 1  # mine\n")
    assert result.is_error
    assert "has changed on disk since you read it" in result.text
    assert (tmp_path / "project" / "app.py").read_text() == "x = 1  # mine\n"


async def test_what_only_a_turn_that_was_taken_back_saw_was_not_seen(tmp_path: Path) -> None:
    made, model = setup(tmp_path), script(tmp_path, say("hello"), READ, say("seen"))
    (tmp_path / "project" / "app.py").write_text("x = 1\n")
    session = await begin.start(made, model)
    await tell(session, "hi")
    await tell(session, "look")
    await session.rewind(1, files=False)
    await session.close()
    script(tmp_path, say("hello"), EDIT, say("done"))
    again = await begin.resume(made, session.path)
    await tell(again, "change it")
    await again.close()
    assert "you have not read it" in (await told(again)).text


async def test_a_turn_that_is_taken_back_takes_back_what_it_saw(tmp_path: Path) -> None:
    made, model = setup(tmp_path), script(tmp_path, say("hello"), READ, say("seen"))
    (tmp_path / "project" / "app.py").write_text("x = 1\n")
    session = await begin.start(made, model)
    await tell(session, "hi")
    await tell(session, "look")
    await session.rewind(1, files=False)
    script(tmp_path, say("hello"), EDIT, say("done"))
    await tell(session, "change it")
    await session.close()
    assert "you have not read it" in (await told(session)).text


async def test_a_turn_without_a_look_at_a_file_leaves_no_note(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one")))
    await tell(session, "hi")
    await session.close()
    assert '"topic":"seen"' not in session.path.read_text()


def test_a_path_that_is_no_text_is_left_out() -> None:
    assert news({}, {Path("a\udcff"): (1, 2), Path("b"): (3, 4)}) == {"b": [3, 4]}


def test_only_what_is_new_is_told() -> None:
    assert news({Path("a"): (1, 2), Path("b"): (3, 4)}, {Path("a"): (1, 2), Path("b"): (5, 4)}) == {
        "b": [5, 4]
    }


def test_a_note_that_somebody_edited_is_read_as_far_as_it_makes_sense() -> None:
    note = NoteLine(
        id="n",
        parent=None,
        at="",
        topic="seen",
        text="",
        data={"a": [1, 2], "b": "no", "c": [1, "2"], "d": 3},
    )
    assert versions_seen([note]) == {Path("a"): (1, 2)}
