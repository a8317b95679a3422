"""Which saved KV slot a session begins with, and which are given up for space."""

from __future__ import annotations

import os
from pathlib import Path

from providers.slots import LARGEST_TOTAL, SlotName, nearest, prune
from providers.types import ModelRef, Prefix


def name(session: str, system: str = "You are helpful.") -> SlotName:
    model = ModelRef("local", "smollm2")
    return SlotName.of(Prefix(model=model, system=system, tools=(), encoder="local/1", affinity_key=session))


def saved(folder: Path, slot: SlotName, *, at: float, size: int = 1) -> Path:
    file = folder / slot.file
    with file.open("wb") as handle:
        handle.truncate(size)  # sparse: takes no space
    os.utime(file, (at, at))
    return file


def test_a_sessions_own_slot_comes_before_newer_ones_with_its_prefix(tmp_path: Path) -> None:
    saved(tmp_path, name("mine"), at=1)
    saved(tmp_path, name("newer"), at=2)
    assert nearest(tmp_path, name("mine")) == name("mine").file


def test_a_new_session_begins_with_the_newest_slot_that_shares_its_prefix(tmp_path: Path) -> None:
    saved(tmp_path, name("old"), at=1)
    saved(tmp_path, name("new"), at=2)
    saved(tmp_path, name("newest of another prefix", system="Other."), at=3)
    assert nearest(tmp_path, name("mine")) == name("new").file


def test_nothing_saved_is_nothing_to_begin_with(tmp_path: Path) -> None:
    assert nearest(tmp_path, name("mine")) is None


def test_the_oldest_slots_go_first_when_space_runs_out(tmp_path: Path) -> None:
    third = LARGEST_TOTAL // 3 + 1
    oldest = saved(tmp_path, name("oldest"), at=1, size=third)
    kept = [saved(tmp_path, name(session), at=2, size=third) for session in ("b", "c")]
    prune(tmp_path, keep=name("b"))
    assert not oldest.exists()
    assert all(file.exists() for file in kept)


def test_the_slot_just_saved_stays_even_if_it_is_the_oldest(tmp_path: Path) -> None:
    mine = saved(tmp_path, name("mine"), at=1, size=LARGEST_TOTAL)
    other = saved(tmp_path, name("other"), at=2)
    prune(tmp_path, keep=name("mine"))
    assert mine.exists()
    assert not other.exists()


def test_a_name_stays_inside_its_folder_and_differs_where_keys_differ() -> None:
    assert "/" not in name("../../etc/passwd").file
    assert name("a/b").file != name("a_b").file
