"""The file of finished runs outlives its format: older ones are upgraded, newer ones left alone."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from providers.errors import ConfigurationError
from server.runsfile import VERSION
from server.shelf import Shelf, Shelved
from tests.support.asgi import PATIENCE
from tests.support.program import Program, program_in
from tests.support.script import say, script
from tests.support.serveprogram import Serving, serving

TERM = signal.SIGTERM
VERSION_0 = """
create table if not exists runs (
    id text primary key, client text not null, workspace text not null, session text not null,
    message text not null, chain text not null,
    token text not null, request text not null, created real not null, status integer not null,
    body text not null
);
create index if not exists by_chain on runs (client, workspace, chain, created);
create index if not exists by_session on runs (session);
create index if not exists by_age on runs (created);
create index if not exists by_token on runs (client, token);
"""
"""What the first servers wrote, word for word, when the file had no version."""

OLD = ("resp_old", "key_1", "/w", "s", "m", "chain", "token", "digest", 9e9, 200, '{"id": "resp_old"}')


def runs(home: Path) -> Path:
    return home / "server" / "runs.sqlite"


def written(home: Path, *script: str, version: int = 0) -> Path:
    """A file that another version left, in the way of writing that all use."""
    path = runs(home)
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.execute("pragma journal_mode=wal")
        for part in script:
            base.executescript(part)
        base.execute(f"pragma user_version = {version}")
    return path


def old(home: Path, rows: int = 1) -> Path:
    """A file of version 0 with some runs."""
    path = written(home, VERSION_0)
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        for row in range(rows):
            values = (f"{OLD[0]}{row or ''}", *OLD[1:])
            base.execute(f"insert into runs values ({', '.join('?' * len(OLD))})", values)
    return path


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as base:
        return int(base.execute("pragma user_version").fetchone()[0])


def kept(home: Path, *runs: Shelved) -> Shelf:
    shelf = Shelf(home)
    for run in runs:
        shelf.put(run)
    return shelf


def run(id: str = "resp_1") -> Shelved:
    return Shelved(
        id=id, client="key_1", workspace="/w", session="s", created=9e9, status=200, body={"id": id}
    )


def test_a_new_file_is_of_this_version_and_the_persons_alone(tmp_path: Path) -> None:
    with closing(kept(tmp_path, run())) as shelf:
        assert shelf.kept_aside is None
    assert version(runs(tmp_path)) == VERSION
    assert {path.stat().st_mode & 0o077 for path in runs(tmp_path).parent.iterdir()} == {0}


def test_a_file_of_version_0_is_upgraded_in_place_with_all_that_it_had(tmp_path: Path) -> None:
    path = old(tmp_path)
    with closing(kept(tmp_path, run())) as shelf:
        before = shelf.by_id("key_1", "resp_old")
        assert before is not None
        assert (before.session, before.message, before.status, before.body) == (
            "s",
            "m",
            200,
            {"id": "resp_old"},
        )
        assert shelf.by_chain("key_1", "/w", "chain") == shelf.by_token("key_1", "token") == before
        assert shelf.by_id("key_1", "resp_1") == run()
        assert shelf.kept_aside is None
    assert version(path) == VERSION
    assert list(path.parent.glob("*.broken*")) == []


def test_an_upgrade_that_breaks_off_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """One of its indexes can't be made, as a table of that name is there already."""
    tables = VERSION_0.partition("create index")[0]
    path = written(tmp_path, tables, "create table by_token (x)", "create table by_age (x)")
    with closing(sqlite3.connect(path)) as base:
        before = base.execute("select name from sqlite_master order by name").fetchall()
    with closing(Shelf(tmp_path)) as shelf:
        assert shelf.kept_aside is not None
        with closing(sqlite3.connect(shelf.kept_aside)) as base:
            assert base.execute("select name from sqlite_master order by name").fetchall() == before
        assert version(shelf.kept_aside) == 0


def test_a_file_of_a_later_version_is_refused_in_one_line_and_not_touched(tmp_path: Path) -> None:
    path = written(tmp_path, VERSION_0, version=VERSION + 1)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="later version of Cachet") as raised:
        Shelf(tmp_path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def no_database(path: Path) -> None:
    path.write_bytes(b"what is this?\n" * 1000)


def half(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def overwritten(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[4096 * 3 : 4096 * 5] = b"\xa5" * 8192
    path.write_bytes(bytes(whole))


def other_tables(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.executescript("drop table runs; create table runs (id text, colour text)")


@pytest.mark.parametrize("damage", [no_database, half, overwritten, other_tables])
def test_a_file_that_cannot_be_read_is_kept_aside_and_a_new_one_begun(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = old(tmp_path, rows=300)
    damage(path)
    broken = path.read_bytes()
    with closing(kept(tmp_path, run())) as shelf:
        assert shelf.by_id("key_1", "resp_1") == run()
        assert shelf.by_id("key_1", "resp_old") is None
        assert shelf.kept_aside is not None
        assert shelf.kept_aside.read_bytes() == broken
        assert shelf.kept_aside.parent == path.parent
    with closing(Shelf(tmp_path)) as again:
        assert again.kept_aside is None
        assert again.by_id("key_1", "resp_1") == run()


def test_what_was_kept_aside_is_never_overwritten(tmp_path: Path) -> None:
    aside = set()
    for each in range(3):
        path = runs(tmp_path)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"broken %d" % each * 100)
        with closing(Shelf(tmp_path)) as shelf:
            assert shelf.kept_aside is not None
            aside.add(shelf.kept_aside.read_bytes())
        path.unlink()
    assert len(aside) == len(list(runs(tmp_path).parent.glob("runs.sqlite.broken*"))) == 3


@pytest.mark.slow
def test_a_file_that_another_program_holds_is_not_taken_for_a_broken_one(tmp_path: Path) -> None:
    path = old(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.execute("pragma locking_mode=exclusive")
        base.execute("begin exclusive")
        with pytest.raises(ConfigurationError, match="locked"):
            Shelf(tmp_path)
    with closing(Shelf(tmp_path)) as shelf:
        assert shelf.by_id("key_1", "resp_old") is not None


ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from providers.errors import ConfigurationError
from server.shelf import Shelf

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    Shelf(Path(sys.argv[1]))
except ConfigurationError as error:
    print(error)
"""
"""No file can grow: those of the index still fit, and no line more of the log."""


@pytest.mark.slow
def test_a_full_disk_is_not_taken_for_a_broken_file(tmp_path: Path) -> None:
    path = old(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.execute("pragma wal_autocheckpoint = 0")
        base.executemany(
            f"insert into runs values ({', '.join('?' * len(OLD))})",
            ((f"r{row}", *OLD[1:]) for row in range(300)),
        )
        ran = subprocess.run(
            [sys.executable, "-c", ON_A_FULL_DISK, tmp_path], capture_output=True, text=True, timeout=PATIENCE
        )
    assert "Cannot open the server's runs" in ran.stdout, ran.stderr
    with closing(Shelf(tmp_path)) as shelf:
        assert shelf.kept_aside is None
        assert shelf.by_id("key_1", "r299") is not None


def test_a_link_in_the_files_place_is_not_followed(tmp_path: Path) -> None:
    runs(tmp_path).parent.mkdir()
    runs(tmp_path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="Cannot open"):
        Shelf(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def person(tmp_path: Path) -> Program:
    return program_in(tmp_path)


@pytest.mark.slow
def test_the_server_says_where_it_kept_what_it_could_not_read(tmp_path: Path) -> None:
    here = person(tmp_path)
    path = old(here.home, rows=300)
    half(path)
    with serving(here, "-m", str(script(tmp_path, say("Seven.")))) as server, server.sdk() as client:
        assert client.responses.create(model="cachet", input="How much?").output_text == "Seven."
        ended = server.stop(TERM)
    [aside] = path.parent.glob("runs.sqlite.broken-*")
    assert f"kept as {aside}" in ended.out
    assert ended.err == ""


@pytest.mark.slow
def test_the_server_does_not_start_on_a_later_versions_file_and_makes_no_key_that_nobody_sees(
    tmp_path: Path,
) -> None:
    here = person(tmp_path)
    written(here.home, VERSION_0, version=VERSION + 1)
    ran = here("serve", "--port", "0", "-m", str(script(tmp_path, say("Seven."))))
    assert ran.code == 2
    assert "later version of Cachet" in ran.complaint
    assert ran.out == ""
    assert not (here.home / "server" / "keys.json").exists()


@pytest.mark.slow
def test_what_an_older_server_answered_is_gone_on_from(tmp_path: Path) -> None:
    here = person(tmp_path)
    model = str(script(tmp_path, say("One."), say("Two.")))
    with serving(here, "-m", model) as server:
        first = asked(server, "How much?")
        secret = server.secret
        server.stop(TERM)
    with closing(sqlite3.connect(runs(here.home), isolation_level=None)) as base:
        base.execute("pragma user_version = 0")
    with serving(here, "-m", model, secret=secret) as again:
        assert asked(again, "And?", previous_response_id=first["id"])["session_id"] == first["session_id"]
        again.stop(TERM)
    assert version(runs(here.home)) == VERSION


def asked(server: Serving, prompt: str, **more: str) -> dict[str, str]:
    answer = server.http("POST", "/v1/responses", {"input": prompt, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = json.loads(answer.text)
    return found
