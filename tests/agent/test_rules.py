"""Always-rules live in the home folder, by the project's real path, and survive damage."""

from __future__ import annotations

import json
import multiprocessing
import stat
from pathlib import Path

from agent.permissions import Rule
from agent.rules import RuleBook

STATUS = Rule("bash", ("git", "status"))


def test_a_granted_rule_is_there_the_next_time(tmp_path: Path) -> None:
    RuleBook(tmp_path / "home").grant(tmp_path, STATUS)
    RuleBook(tmp_path / "home").grant(tmp_path, Rule("edit"))
    RuleBook(tmp_path / "home").grant(tmp_path, STATUS)
    assert RuleBook(tmp_path / "home").load(tmp_path) == (STATUS, Rule("edit"))


def test_another_project_has_none(tmp_path: Path) -> None:
    book = RuleBook(tmp_path)
    book.grant(tmp_path / "one", STATUS)
    assert book.load(tmp_path / "two") == ()


def test_a_link_to_the_project_is_the_project(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    book = RuleBook(tmp_path)
    book.grant(tmp_path / "link", STATUS)
    assert book.load(tmp_path / "real") == (STATUS,)


def test_only_the_person_may_read_it(tmp_path: Path) -> None:
    book = RuleBook(tmp_path)
    book.grant(tmp_path, STATUS)
    assert stat.S_IMODE(book.path.stat().st_mode) == 0o600


def test_a_damaged_file_grants_nothing_and_is_kept(tmp_path: Path) -> None:
    book = RuleBook(tmp_path)
    book.path.write_text('{"projects": {')
    assert book.load(tmp_path) == ()
    book.grant(tmp_path, STATUS)
    assert book.load(tmp_path) == (STATUS,)
    assert (tmp_path / "permissions.json.damaged").read_text() == '{"projects": {'


def test_a_bad_rule_is_skipped_and_unknown_keys_survive(tmp_path: Path) -> None:
    book = RuleBook(tmp_path)
    key = str(tmp_path.resolve())
    book.path.write_text(
        json.dumps({"later": 1, "projects": {key: ["bash()", 7, "edit"], "/other": ["read"]}})
    )
    assert book.load(tmp_path) == (Rule("edit"),)
    book.grant(tmp_path, STATUS)
    stored = json.loads(book.path.read_text())
    assert stored["later"] == 1
    assert stored["projects"]["/other"] == ["read"]


def grant_many(home: Path, first: int) -> None:
    for number in range(first, first + 20):
        RuleBook(home).grant(home, Rule(f"tool{number}"))


def test_two_processes_lose_no_rule_of_one_another(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=grant_many, args=(tmp_path, first)) for first in (0, 100)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(RuleBook(tmp_path).load(tmp_path)) == 40
