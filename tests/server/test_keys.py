"""The server's keys on disk: hashed, private, read anew when they change, never half understood."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from providers.errors import ConfigurationError
from server.keys import KeyRing, NoSuchKey


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing.open(tmp_path / "cachet")


def document(ring: KeyRing) -> Any:
    return json.loads(ring.path.read_bytes())


def edit(ring: KeyRing, change: Callable[[Any], None]) -> None:
    """Change the file as a person would in an editor."""
    held = document(ring)
    change(held)
    ring.path.write_text(json.dumps(held))


def test_a_secret_opens_its_own_key_and_no_other_word_does(ring: KeyRing) -> None:
    laptop, secret = ring.add("laptop")
    phone, other = ring.add("phone")
    assert (ring.authenticate(secret), ring.authenticate(other)) == (laptop, phone)
    for wrong in (
        "",
        "sk-cachet-",
        secret[:-1],
        f"{secret} ",
        secret.lower(),
        laptop.digest,
        laptop.id,
        "é\udc80",
    ):
        assert ring.authenticate(wrong) is None


def test_a_secret_is_256_random_bits_behind_a_name(ring: KeyRing) -> None:
    secrets = {ring.add(f"k{number}")[1] for number in range(20)}
    assert len(secrets) == 20
    assert all(re.fullmatch(r"sk-cachet-[A-Za-z0-9_-]{43}", secret) for secret in secrets)


def test_only_a_secrets_hash_is_stored(ring: KeyRing) -> None:
    key, secret = ring.add("laptop")
    held = b"".join(path.read_bytes() for path in ring.path.parent.iterdir())
    assert secret.encode() not in held
    assert secret.removeprefix("sk-cachet-").encode() not in held
    assert key.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert key.digest not in repr(key)


def test_the_file_and_its_folder_are_the_persons_alone(ring: KeyRing) -> None:
    ring.path.parent.mkdir(parents=True)
    ring.path.parent.chmod(0o755)
    ring.add("laptop")
    assert stat.S_IMODE(ring.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(ring.path.parent.stat().st_mode) == 0o700


def test_what_a_key_may_do_is_read_back_as_it_was_set(ring: KeyRing, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    key, secret = ring.add(
        "laptop",
        workspace=work,
        budget_usd=2.5,
        budget_period="day",
        concurrent=2,
        per_minute=7,
        terminal_sessions=True,
    )
    assert KeyRing.open(tmp_path / "cachet").authenticate(secret) == key
    assert (key.workspace, key.budget_usd, key.budget_period) == (str(work.resolve()), 2.5, "day")
    assert (key.concurrent, key.per_minute, key.terminal_sessions) == (2, 7, True)


def test_a_ring_that_is_open_sees_what_another_changes(ring: KeyRing, tmp_path: Path) -> None:
    elsewhere = KeyRing.open(tmp_path / "cachet")
    key, secret = elsewhere.add("laptop")
    assert ring.authenticate(secret) == key
    elsewhere.remove("laptop")
    assert ring.authenticate(secret) is None
    assert ring.keys == ()


def test_a_file_that_was_deleted_lets_nobody_in(ring: KeyRing) -> None:
    secret = ring.add("laptop")[1]
    ring.path.unlink()
    assert ring.authenticate(secret) is None


def test_an_edit_by_hand_counts_at_once(ring: KeyRing) -> None:
    secret = ring.add("laptop")[1]
    assert ring.authenticate(secret)
    edit(ring, lambda held: held["keys"][0].update(concurrent=1))
    changed = ring.authenticate(secret)
    assert changed is not None
    assert changed.concurrent == 1


def test_a_key_is_removed_by_name_or_by_id(ring: KeyRing) -> None:
    laptop, _ = ring.add("laptop")
    phone, _ = ring.add("phone")
    tablet, _ = ring.add("tablet")
    assert ring.remove("phone") == phone
    assert ring.remove(laptop.id) == laptop
    assert ring.keys == (tablet,)


def test_a_key_that_is_not_there_cannot_be_removed(ring: KeyRing) -> None:
    ring.add("laptop")
    with pytest.raises(NoSuchKey, match=r"no key 'lap'.*agent serve keys list"):
        ring.remove("lap")


def test_the_first_key_is_made_once_and_sees_the_terminals_sessions(ring: KeyRing) -> None:
    made = ring.first()
    assert made is not None
    key, secret = made
    assert (key.name, key.terminal_sessions) == ("default", True)
    assert ring.authenticate(secret) == key
    assert ring.first() is None


def test_no_first_key_is_made_beside_another(ring: KeyRing) -> None:
    ring.add("laptop")
    assert ring.first() is None


def test_what_the_file_holds_beyond_our_words_survives(ring: KeyRing) -> None:
    ring.add("laptop")

    def newer(held: Any) -> None:
        held["note"] = {"by": "hand"}
        held["keys"][0]["colour"] = "green"

    edit(ring, newer)
    ring.add("phone")
    ring.remove("phone")
    held = document(ring)
    assert (held["note"], held["keys"][0]["colour"]) == ({"by": "hand"}, "green")


def test_a_newer_versions_file_is_heeded_and_not_written(ring: KeyRing) -> None:
    secret = ring.add("laptop")[1]
    edit(ring, lambda held: held.update(version=2))
    before = ring.path.read_bytes()
    assert ring.authenticate(secret)
    with pytest.raises(ConfigurationError, match="newer Cachet"):
        ring.add("phone")
    with pytest.raises(ConfigurationError, match="newer Cachet"):
        ring.remove("laptop")
    assert ring.path.read_bytes() == before


BROKEN = [
    *("", "{", "[]", "{}", "null", '{"keys": {}}x', '{"keys": 5}', '{"keys": [5]}', "\udcff", "[" * 100_000),
    '{"version": "one", "keys": []}',
    '{"keys": [{"id": "a", "name": "n"}]}',
    '{"keys": [{"id": "a", "name": "n", "digest": ""}]}',
    '{"keys": [{"id": "", "name": "n", "digest": "%s"}]}' % ("0" * 64),
]
HALF = [
    {"budget_usd": "5"},
    {"budget_usd": 0},
    {"budget_usd": -1},
    {"budget_usd": True},
    {"budget_usd": float("inf")},
    {"budget_usd": float("nan")},
    {"budget_usd": 10**400},
    {"budget_period": "week"},
    {"budget_period": ["day"]},
    {"concurrent": 0},
    {"concurrent": True},
    {"per_minute": 1.5},
    {"per_minute": None},
    {"per_minute": 10**400},
    {"concurrent": 10**400},
    {"workspace": 7},
    {"workspace": ""},
    {"digest": "X" * 64},
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_is_one_clear_line_and_stays_as_it_is(ring: KeyRing, text: str) -> None:
    ring.add("laptop")
    broken = os.fsencode(text)
    ring.path.write_bytes(broken)
    for use in (
        lambda: ring.authenticate("x"),
        lambda: ring.add("phone"),
        lambda: ring.remove("laptop"),
        ring.first,
    ):
        with pytest.raises(ConfigurationError, match="can't be read") as caught:
            use()
        assert str(ring.path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        KeyRing.open(ring.path.parent.parent)
    assert ring.path.read_bytes() == broken


@pytest.mark.parametrize("half", HALF, ids=lambda half: str(half)[:40])
def test_a_limit_that_cannot_be_read_is_not_taken_for_no_limit(
    ring: KeyRing, half: dict[str, object]
) -> None:
    secret = ring.add("laptop", budget_usd=1)[1]
    edit(ring, lambda held: held["keys"][0].update(half))
    with pytest.raises(ConfigurationError, match=r"laptop|digest|text"):
        ring.authenticate(secret)


def test_a_mended_file_lets_in_again(ring: KeyRing) -> None:
    secret = ring.add("laptop")[1]
    good = ring.path.read_bytes()
    ring.path.write_bytes(b"{")
    with pytest.raises(ConfigurationError):
        ring.authenticate(secret)
    ring.path.write_bytes(good)
    assert ring.authenticate(secret)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_lets_nobody_in(ring: KeyRing, mode: int) -> None:
    secret = ring.add("laptop")[1]
    ring.path.chmod(mode)
    with pytest.raises(ConfigurationError, match="others may write it"):
        ring.authenticate(secret)


def test_a_link_in_the_files_place_is_neither_read_nor_followed(ring: KeyRing, tmp_path: Path) -> None:
    secret = ring.add("laptop")[1]
    target = tmp_path / "elsewhere.json"
    ring.path.rename(target)
    ring.path.symlink_to(target)
    before = target.read_bytes()
    for use in (lambda: ring.authenticate(secret), lambda: ring.add("phone")):
        with pytest.raises(ConfigurationError, match="it is a link"):
            use()
    assert target.read_bytes() == before
    assert ring.path.is_symlink()


def test_a_link_in_the_locks_place_is_not_followed(ring: KeyRing, tmp_path: Path) -> None:
    ring.add("laptop")
    lock = ring.path.with_name("keys.lock")
    lock.unlink()
    lock.symlink_to(tmp_path / "made")
    with pytest.raises(ConfigurationError, match="Cannot write"):
        ring.add("phone")
    assert not (tmp_path / "made").exists()


def test_a_pipe_in_the_files_place_does_not_hang_the_server(ring: KeyRing) -> None:
    ring.path.parent.mkdir(parents=True)
    os.mkfifo(ring.path)
    with pytest.raises(ConfigurationError, match="not a file"):
        ring.authenticate("x")


@pytest.mark.parametrize("name", ["", "a b", "-x", "a/b", "../x", "é", "x" * 65, "a\n", "\x1b[31m"])
def test_an_odd_name_is_refused(ring: KeyRing, name: str) -> None:
    with pytest.raises(ConfigurationError, match="can't be a key's name"):
        ring.add(name)
    assert not ring.path.exists()


def test_a_name_is_given_once_and_is_no_other_keys_id(ring: KeyRing) -> None:
    key, _ = ring.add("laptop")
    for taken in ("laptop", key.id):
        with pytest.raises(ConfigurationError, match="already"):
            ring.add(taken)
    assert ring.keys == (key,)


def test_a_workspace_is_a_folder_that_is_there(ring: KeyRing, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for place in (tmp_path / "none", file):
        with pytest.raises(ConfigurationError, match="no folder"):
            ring.add("laptop", workspace=place)


def test_a_workspace_is_never_where_cachet_keeps_what_is_everybodys(ring: KeyRing, tmp_path: Path) -> None:
    home = tmp_path / "cachet"
    (home / "sessions").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path)
    for place in (tmp_path, home, home / "sessions", tmp_path / "link", Path("/")):
        with pytest.raises(ConfigurationError, match="Cachet's own folder"):
            ring.add("laptop", workspace=place)


def test_a_workspace_is_kept_by_its_real_path(ring: KeyRing, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    key, _ = ring.add("laptop", workspace=tmp_path / "link")
    assert key.workspace == str((tmp_path / "real").resolve())


def test_keys_that_are_made_side_by_side_are_all_kept(ring: KeyRing, tmp_path: Path) -> None:
    rings = [KeyRing.open(tmp_path / "cachet") for _ in range(8)]
    threads = [threading.Thread(target=each.add, args=(f"k{n}",)) for n, each in enumerate(rings)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in ring.keys} == {f"k{n}" for n in range(8)}
    assert sorted(path.name for path in ring.path.parent.iterdir()) == ["keys.json", "keys.lock"]


def test_reading_keys_makes_nothing(ring: KeyRing, tmp_path: Path) -> None:
    assert ring.keys == ()
    assert list(tmp_path.iterdir()) == []
