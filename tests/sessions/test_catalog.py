"""Finding sessions: by id, prefix, title, path; listing; the last one; removing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from checkpoint.places import session_folder
from providers.types import ModelRef, Prefix, Usage
from sessions.catalog import AmbiguousSession, Catalog, NoSuchSession, journal_path
from sessions.journal import Journal, JournalBusy
from sessions.records import NoteLine, PrefixLine, Record
from tests.support.journals import AT, EPOCH, answered, booked, said, session, write


def made(home: Path, id: str, *lines: Record, cwd: str = "/p/one", age: int = 0) -> Path:
    path = write(journal_path(home, Path(cwd), id), session(id, cwd=cwd), lines)
    os.utime(path, (EPOCH - age, EPOCH - age))
    return path


def titled(text: str) -> NoteLine:
    return NoteLine(id=f"n-{text}", parent=None, at=AT, topic="title", text=text)


def test_a_summary_tells_what_a_list_shows(tmp_path: Path) -> None:
    frozen = Prefix(model=ModelRef("openai", "gpt"), system="", tools=(), encoder="x/1", affinity_key="k")
    path = made(
        tmp_path,
        "s1",
        PrefixLine(id="p", parent=None, at=AT, prefix=frozen),
        said("u1", None, "Fix\n  the   login"),
        booked("c1", Usage(input_tokens=5), model="openai/gpt", cost=0.25),
        answered("a1", "u1", 'a text with "role":"user" in it'),
        said("u2", "a1", "and now?"),
        booked("c2", Usage(input_tokens=7), model="openai/gpt", cost=None),
    )
    (told,) = Catalog(tmp_path).sessions()
    assert (told.id, told.path, told.name, told.prompt) == ("s1", path, "Fix the login", "Fix the login")
    assert (told.cwd, told.model, told.turns, told.updated) == ("/p/one", "openai/gpt", 2, EPOCH)
    assert told.created == pytest.approx(EPOCH)
    assert (told.usage, told.cost, told.cost_unknown_calls) == (Usage(input_tokens=12), 0.25, 1)


def test_a_cost_that_nobody_knows_is_none_and_one_of_no_calls_is_0(tmp_path: Path) -> None:
    made(tmp_path, "s1", booked("c1", cost=None))
    made(tmp_path, "s2", age=5)
    assert [told.cost for told in Catalog(tmp_path).sessions()] == [None, 0]


def test_the_last_title_is_the_name(tmp_path: Path) -> None:
    made(tmp_path, "s1", said("u1", None, "hello"), titled("Old"), titled("New"))
    assert Catalog(tmp_path).sessions()[0].name == "New"


def test_sessions_come_newest_first_and_by_project(tmp_path: Path) -> None:
    made(tmp_path, "old", age=90)
    made(tmp_path, "new", age=10)
    made(tmp_path, "other", cwd="/p/two", age=50)
    catalog = Catalog(tmp_path)
    assert [told.id for told in catalog.sessions()] == ["new", "other", "old"]
    assert [told.id for told in catalog.sessions(Path("/p/one"))] == ["new", "old"]
    assert catalog.last(Path("/p/one")).stem == "new"


def test_no_session_at_all_is_an_empty_list_and_a_clear_line(tmp_path: Path) -> None:
    assert Catalog(tmp_path).sessions() == ()
    with pytest.raises(NoSuchSession, match="no session in /p/none yet"):
        Catalog(tmp_path).last(Path("/p/none"))


def test_a_session_is_found_by_id_prefix_title_and_path(tmp_path: Path) -> None:
    first = made(tmp_path, "20261122-abcd", titled("The Login"))
    other = made(tmp_path, "20261123-abcd")
    catalog = Catalog(tmp_path)
    assert catalog.find("20261122-abcd") == first
    assert catalog.find("20261122") == first
    assert catalog.find("the login") == first
    assert catalog.find(str(other)) == other


def test_a_whole_id_wins_over_one_that_goes_on(tmp_path: Path) -> None:
    first = made(tmp_path, "import-1")
    made(tmp_path, "import-1-2")
    assert Catalog(tmp_path).find("import-1") == first


def test_an_ambiguous_name_lists_the_candidates(tmp_path: Path) -> None:
    made(tmp_path, "2026-a", said("u", None, "first prompt"))
    made(tmp_path, "2026-b", titled("Second"))
    with pytest.raises(
        AmbiguousSession, match=r"(?s)2 sessions.*2026-a  first prompt.*2026-b  Second|2026-b.*2026-a"
    ):
        Catalog(tmp_path).find("2026")


@pytest.mark.parametrize("text", ["nothing", "", "*", "../x", "/no/such/file.json"])
def test_what_is_not_there_is_named(tmp_path: Path, text: str) -> None:
    made(tmp_path, "s1")
    with pytest.raises(NoSuchSession, match="agent sessions list"):
        Catalog(tmp_path).find(text)


def test_any_session_file_may_be_named_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text("{}")
    assert Catalog(tmp_path).find(str(path)) == path


def test_a_damaged_journal_is_still_listed(tmp_path: Path) -> None:
    path = made(tmp_path, "s1", said("u1", None, "hello"))
    path.write_bytes(b"\xff\xfe" + path.read_bytes())
    (told,) = Catalog(tmp_path).sessions()
    assert (told.id, told.prompt, told.cwd) == ("s1", "hello", "")


def test_removing_takes_the_journal_and_its_checkpoints(tmp_path: Path) -> None:
    path = made(tmp_path, "s1")
    folder = session_folder(tmp_path, "s1")
    folder.mkdir(parents=True)
    (folder / "1.json").write_text("{}")
    Catalog(tmp_path).remove(path)
    assert not path.exists()
    assert not folder.exists()
    assert list(path.parent.iterdir()) == []


def test_a_session_in_use_is_not_removed(tmp_path: Path) -> None:
    path = made(tmp_path, "s1")
    with Journal.open(path), pytest.raises(JournalBusy):
        Catalog(tmp_path).remove(path)
    assert path.exists()


def test_a_file_that_is_none_of_ours_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("{}")
    with pytest.raises(NoSuchSession, match="delete it yourself"):
        Catalog(tmp_path).remove(path)
    assert path.exists()
