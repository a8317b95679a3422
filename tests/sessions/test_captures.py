"""Sessions that work in one folder share their captures."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from checkpoint.files import FileStore
from checkpoint.types import CheckpointError
from sessions.captures import Captures


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "note.txt").write_text("One.\n")
    return folder


async def test_those_who_ask_while_a_capture_is_made_share_the_next_one(
    tmp_path: Path, project: Path
) -> None:
    captures = Captures(project, tmp_path)
    first = asyncio.create_task(captures.capture("refs/ckpt/first/0"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # it is under way: it need not hold what changes from here on
    (project / "note.txt").write_text("Two.\n")
    shared = await asyncio.gather(*(captures.capture(f"refs/ckpt/later{number}/0") for number in range(5)))
    assert len({id(each) for each in shared}) == 1
    assert shared[0] is not await first
    assert (await captures.capture("refs/ckpt/after/0")).tree == shared[0].tree


async def test_each_session_gets_a_name_of_its_own_for_what_it_shares(tmp_path: Path, project: Path) -> None:
    captures = Captures(project, tmp_path)
    made = await asyncio.gather(*(captures.capture(f"refs/ckpt/session{number}/0") for number in range(4)))
    store = FileStore.open(project, tmp_path)
    for number in range(3):
        store.forget(f"session{number}")
    assert store.holds(made[3].tree)


async def test_what_fails_fails_for_all_who_share_it_and_the_next_one_is_made(
    tmp_path: Path, project: Path
) -> None:
    captures = Captures(project, tmp_path)
    asked = (captures.capture(ref) for ref in ("refs/ckpt/good/0", "refs/elsewhere"))
    failed = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in failed] == [CheckpointError, CheckpointError]
    assert (await captures.capture("refs/ckpt/good/0")).tree


async def test_one_who_stops_waiting_takes_nothing_from_the_others(tmp_path: Path, project: Path) -> None:
    captures = Captures(project, tmp_path)
    gone, stays = (asyncio.create_task(captures.capture(f"refs/ckpt/{name}/0")) for name in ("gone", "stays"))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays).tree
