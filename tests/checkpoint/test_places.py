"""Names of projects and sessions on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from checkpoint.places import project_key, session_folder
from checkpoint.types import CheckpointError


def test_a_projects_key_is_readable_and_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "My Shop!").mkdir(parents=True)
    keys = {project_key(tmp_path / name / "My Shop!") for name in ("a", "b")}
    assert len(keys) == 2
    assert all(key.startswith("my-shop-") for key in keys)


def test_a_project_reached_through_a_link_has_the_same_key(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert project_key(tmp_path / "link") == project_key(tmp_path / "real")


@pytest.mark.parametrize("name", ["日本", os.fsdecode(b"\xff\xfe"), "-", "x" * 200, "new\nline"])
def test_any_folder_name_makes_a_usable_key(tmp_path: Path, name: str) -> None:
    key = project_key(tmp_path / name)
    assert len(key) < 60
    assert key.isascii()
    assert "\n" not in key
    assert not key.startswith("-")


@pytest.mark.parametrize("session", ["", "..", "a/b", "/etc", ".hidden", "x.git", "-d", "a\n", "a" * 101])
def test_a_session_id_that_is_no_plain_name_is_refused(tmp_path: Path, session: str) -> None:
    with pytest.raises(CheckpointError, match="not a session id"):
        session_folder(tmp_path, session)
