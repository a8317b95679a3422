"""The older tools' `snapshots.json`: real files, and damaged ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from checkpoint.legacy import read_legacy
from checkpoint.types import CheckpointError

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sessions"
T0 = FIXTURES / "cheetahclaws/T0.checkpoints/396397e2/snapshots.json"
T1 = FIXTURES / "cheetahclaws/T1.checkpoints/bdbe0d59/snapshots.json"
T2 = FIXTURES / "bouzecode/T2.checkpoints/8d35d33d/snapshots.json"


@pytest.mark.parametrize(
    ("path", "input_", "output", "read", "write"),
    [(T0, 3492, 639, 0, 0), (T1, 3609, 648, 27328, 6318), (T2, 3843, 666, 27344, 6354)],
)
def test_real_files_open_with_every_counter_assigned(
    path: Path, input_: int, output: int, read: int, write: int
) -> None:
    found = read_legacy(path)
    assert found.problems == ()
    assert len(found.rows) == 5
    last = found.rows[-1].token_snapshot
    assert (last["input"], last["output"], last["cache_read"], last["cache_write"]) == (
        input_,
        output,
        read,
        write,
    )
    assert found.rows[0].token_snapshot["cache_read"] == 0


def test_rows_name_their_place_in_the_conversation_and_their_files() -> None:
    row = read_legacy(T1).rows[-1]
    assert (row.id, row.session, row.turn_count, row.message_index) == (5, "bdbe0d59", 9, 18)
    assert row.prompt == "Write NOTES.md"
    assert [file.path for file in row.files] == [
        "/home/dev/project/hello.py",
        "/home/dev/project/greeting.py",
        "/home/dev/project/NOTES.md",
    ]
    assert all(file.backup is not None and file.backup.is_file() for file in row.files)


def test_unknown_counters_are_kept() -> None:
    assert read_legacy(T2).rows[-1].token_snapshot["distinct_base"] == 0


@pytest.fixture
def old(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups/good@v1").write_text("x")
    (tmp_path / "secret").write_text("s")
    (tmp_path / "backups/link@v1").symlink_to(tmp_path / "secret")
    return tmp_path / "snapshots.json"


def test_bad_rows_are_left_out_one_at_a_time_and_counted(old: Path) -> None:
    old.write_text(json.dumps([{"id": 1}, "row", None, 5, [], {"id": 2, "token_snapshot": None}]))
    found = read_legacy(old)
    assert [row.id for row in found.rows] == [1, 2]
    assert len(found.problems) == 4
    assert set(found.rows[1].token_snapshot.values()) == {0}


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "link@v1", "missing", 5, True, "a\0b"]
)
def test_a_backup_name_never_leaves_its_folder(old: Path, name: object) -> None:
    files = {"/p/bad": {"backup_filename": name}, "/p/good": {"backup_filename": "good@v1", "version": 1}}
    old.write_text(json.dumps([{"id": 1, "file_backups": files}]))
    found = read_legacy(old)
    assert [file.path for file in found.rows[0].files] == ["/p/good"]
    assert len(found.problems) == 1


def test_a_file_that_did_not_exist_has_no_backup(old: Path) -> None:
    old.write_text(json.dumps([{"file_backups": {"/p/new": {"backup_filename": None}}}]))
    assert read_legacy(old).rows[0].files[0].backup is None


def test_unknown_keys_are_kept(old: Path) -> None:
    old.write_text(json.dumps([{"id": 1, "branch": "x", "file_backups": []}]))
    assert read_legacy(old).rows[0].extra == {"branch": "x"}


@pytest.mark.parametrize("text", ["", "{}", "null", "[", "\xff"])
def test_a_file_that_is_no_list_is_refused_by_name(old: Path, text: str) -> None:
    old.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=r"snapshots\.json"):
        read_legacy(old)


def test_reading_leaves_the_old_file_as_it_is(old: Path) -> None:
    old.write_text("[{}]")
    before = old.stat()
    read_legacy(old)
    assert old.stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(path.name for path in old.parent.iterdir()) == ["backups", "secret", "snapshots.json"]
