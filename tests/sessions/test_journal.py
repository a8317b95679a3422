"""The journal on disk: one writer, torn lines, other versions, full disks, killed processes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sessions.journal import Journal, JournalBusy, JournalError, JournalNewer, JournalUnwritable, read
from sessions.lines import encode
from sessions.records import MessageLine, NoteLine, SessionLine
from tests.support.journals import AT, answered, booked, said, session, write

ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import sys
from pathlib import Path
from sessions.journal import Journal
from sessions.records import NoteLine
with Journal.open(Path(sys.argv[1])) as journal:
    number = 0
    while True:
        number += 1
        text = f"{number} " + "x" * 5000
        journal.append(NoteLine(id=str(number), parent=None, at="", topic="t", text=text), sync=True)
        print(number, flush=True)
        if number == int(sys.argv[2]):
            sys.stdin.readline()
"""

FULL = """
import resource, sys
from pathlib import Path
from sessions.journal import Journal, JournalUnwritable
from sessions.records import NoteLine
path = Path(sys.argv[1])
with Journal.open(path) as journal:
    room = path.stat().st_size + 50
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        journal.append(NoteLine(id="n1", parent=None, at="", topic="t", text="y" * 500), sync=True)
    except JournalUnwritable as error:
        print(error)
    try:
        journal.append(NoteLine(id="n2", parent=None, at="", topic="t", text="y" * 500), sync=True)
    except JournalUnwritable as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.append(NoteLine(id="n3", parent=None, at="", topic="t", text="after"), sync=True)
"""


@contextmanager
def writer(path: Path, pause_at: int) -> Iterator[subprocess.Popen[str]]:
    """Another process that appends to the journal, and waits after its line `pause_at`."""
    command = [sys.executable, "-c", WRITER, str(path), str(pause_at)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], number: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == str(number):
            return
    raise AssertionError("the writer ended early")


def note(id: str) -> NoteLine:
    return NoteLine(id=id, parent=None, at=AT, topic="t", text=id)


def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    lines = [said("m1", None), booked("c1"), answered("m2", "m1", call="c1")]
    path = write(tmp_path / "s1.jsonl", session(), lines)
    found = read(path)
    assert found.records == (session(), *lines)
    assert (found.bad, found.notices, found.read_only) == ((), (), "")


def test_files_and_folders_are_for_their_owner_only(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        path = write(tmp_path / "home" / "sessions" / "project" / "s1.jsonl", session())
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    folders = (path.parent, path.parent.parent, path.parent.parent.parent)
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o700] * 3


def test_a_journal_is_not_begun_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "s1.jsonl", session())
    before = path.read_bytes()
    with pytest.raises(JournalError, match="exists already"):
        Journal.create(path, session())
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "torn", [b'{"kind":"note","id":"to', b'{"kind":"note","id":"x","text":"Gr\xc3', b"\x00" * 40]
)
def test_a_torn_line_costs_only_itself(tmp_path: Path, torn: bytes) -> None:
    path = write(tmp_path / "s1.jsonl", session(), [said("m1", None)])
    path.write_bytes(path.read_bytes() + torn)
    with Journal.open(path) as journal:
        journal.append(said("m2", "m1"), sync=True)
    found = read(path)
    assert [record.id for record in found.records] == ["s1-line", "m1", "m2"]
    assert [bad.number for bad in found.bad] == [3]
    assert torn in path.read_bytes()


def test_a_whole_line_that_lacks_only_its_newline_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "s1.jsonl", session(), [said("m1", None)])
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    with Journal.open(path) as journal:
        journal.append(said("m2", "m1"), sync=False)
    assert [record.id for record in read(path).records] == ["s1-line", "m1", "m2"]
    assert read(path).bad == ()


def test_opening_a_torn_journal_without_appending_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "s1.jsonl", session())
    path.write_bytes(path.read_bytes() + b"{")
    before = path.read_bytes()
    Journal.open(path).close()
    assert path.read_bytes() == before


def test_each_line_is_one_write(tmp_path: Path) -> None:
    """A reader that looks at any moment sees whole lines only: sizes grow line by line."""
    path = tmp_path / "s1.jsonl"
    with Journal.create(path, session()) as journal:
        for number in range(50):
            journal.append(note(f"n{number}"), sync=False)
            assert path.read_bytes().endswith(encode(note(f"n{number}")).encode() + b"\n")


def test_a_bad_first_line_does_not_reject_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path / "s1.jsonl", session(), [said("m1", None)])
    path.write_bytes(b"#!garbage" + path.read_bytes())
    found = read(path)
    assert [record.id for record in found.records] == ["m1"]
    assert found.bad[0].number == 1
    assert "line 1" in found.notices[0]
    with Journal.open(path) as journal:
        journal.append(said("m2", "m1"), sync=False)
    assert [record.id for record in read(path).records] == ["m1", "m2"]


def test_bad_lines_are_counted_and_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "s1.jsonl", session())
    data = path.read_bytes() + b"nonsense\n\n[1]\n" + encode(said("m1", None)).encode() + b"\n"
    path.write_bytes(data)
    found = read(path)
    assert [bad.number for bad in found.bad] == [2, 4]
    assert "skipped 2 unreadable lines" in found.notices[0]
    assert path.read_bytes() == data


def test_only_a_newline_ends_a_line(tmp_path: Path) -> None:
    text = "a\rb\u2028c\u2029d\x85e\x0bf\x0cg\x1ch\r\n"
    raw = encode(said("m2", "m1", "before")).replace("before", "a\u2028b\u0085c").encode() + b"\r\n"
    path = write(tmp_path / "s1.jsonl", session(), [said("m1", None, text)])
    path.write_bytes(path.read_bytes() + raw)
    _, first, second = read(path).records
    assert isinstance(first, MessageLine)
    assert isinstance(second, MessageLine)
    assert (first.message.text, second.message.text) == (text, "a\u2028b\u0085c")


def test_a_later_version_is_read_and_never_written(tmp_path: Path) -> None:
    path = write(tmp_path / "s1.jsonl", session(), [said("m1", None)])
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2', 1))
    before = path.read_bytes()
    assert "later version of Cachet" in read(path).read_only
    assert [record.id for record in read(path).records] == ["s1-line", "m1"]
    with pytest.raises(JournalNewer, match="read-only"):
        Journal.open(path)
    assert path.read_bytes() == before


def test_a_second_writer_in_the_same_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s1.jsonl"
    with Journal.create(path, session()), pytest.raises(JournalBusy):
        Journal.open(path)
    Journal.open(path).close()


def test_a_second_process_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    path = write(tmp_path / "s1.jsonl", session())
    with writer(path, 3) as process:
        wait_for(process, 3)
        with pytest.raises(JournalBusy, match=rf"process {process.pid}\b.*--fork"):
            Journal.open(path)
        assert len(read(path).records) == 4


def test_a_killed_writer_leaves_no_lock_and_loses_nothing_it_promised(tmp_path: Path) -> None:
    path = write(tmp_path / "s1.jsonl", session())
    with writer(path, -1) as process:
        wait_for(process, 25)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Journal.open(path) as journal:
        journal.append(note("after"), sync=True)
    found = read(path)
    ids = [record.id for record in found.records]
    assert ids[:26] == ["s1-line", *map(str, range(1, 26))]
    assert ids[-1] == "after"
    assert len(found.bad) <= 1


def test_a_stale_label_blocks_nobody(tmp_path: Path) -> None:
    path = write(tmp_path / "s1.jsonl", session())
    path.with_name("s1.jsonl.lock").write_text("1")
    Journal.open(path).close()
    assert not path.with_name("s1.jsonl.lock").exists()


def test_a_disk_that_fills_up_is_shown_and_mended_after(tmp_path: Path) -> None:
    path = write(tmp_path / "s1.jsonl", session())
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    short, full = done.stdout.splitlines()
    assert "only 50 of" in short
    assert "file too large" in full
    found = read(path)
    assert [record.id for record in found.records] == ["s1-line", "n3"]
    assert len(found.bad) == 1


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"none\.jsonl: no such file"):
        read(tmp_path / "none.jsonl")
    with pytest.raises(JournalUnwritable, match=r"none\.jsonl: no such file"):
        Journal.open(tmp_path / "none.jsonl")


def test_nothing_is_appended_after_closing(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "s1.jsonl", session())
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.append(note("n"), sync=False)


def test_the_first_line_names_the_version_even_after_a_bad_one(tmp_path: Path) -> None:
    path = write(tmp_path / "s1.jsonl", session())
    later = encode(SessionLine(id="x", parent=None, at=AT, version=9, session="s1", cwd="/", created=AT))
    path.write_bytes(b"garbage\n" + later.encode() + b"\n")
    assert read(path).version == 9
