"""The JSON file of a checkpoint: what is written, and everything that can be read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from agent.state import AgentState
from checkpoint.store import SnapshotStore, make_snapshot
from checkpoint.types import Capture, CheckpointError
from providers.types import Usage

USED = Usage(
    input_tokens=10,
    output_tokens=20,
    cache_read_tokens=30,
    cache_write_tokens=40,
    cache_write_1h_tokens=5,
    reasoning_tokens=6,
    reported_prompt_tokens=80,
)


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path, "session-1")


def _written(store: SnapshotStore, body: object, number: int = 0) -> None:
    store.folder.mkdir(parents=True, exist_ok=True)
    (store.folder / f"{number}.json").write_text(body if isinstance(body, str) else json.dumps(body))


def test_a_fresh_state_makes_a_checkpoint_of_zeros(store: SnapshotStore) -> None:
    snapshot = make_snapshot(AgentState(), store=store)
    assert snapshot.number == 0
    assert snapshot.tree is None
    assert set(snapshot.token_snapshot.values()) == {0}
    assert {"input", "output", "cache_read", "cache_write"} <= snapshot.token_snapshot.keys()


def test_the_file_holds_what_was_billed_to_date(store: SnapshotStore) -> None:
    state = AgentState(turn_count=2)
    state.add(USED)
    state.add(USED)
    body = json.loads(make_snapshot(state, store=store).path.read_text())
    assert body["token_snapshot"] == {
        "input": 20,
        "output": 40,
        "cache_read": 60,
        "cache_write": 80,
        "cache_write_1h": 10,
        "reasoning": 12,
        "reported_prompt": 160,
    }
    assert body["turn_count"] == 2


def test_running_totals_grow_from_checkpoint_to_checkpoint(store: SnapshotStore) -> None:
    state = AgentState()
    for _ in range(3):
        make_snapshot(state, store=store)
        state.add(USED)
    assert [each.token_snapshot["cache_read"] for each in store.list()] == [0, 30, 60]


def test_a_checkpoint_reads_back_as_it_was_written(store: SnapshotStore) -> None:
    name = os.fsdecode(b"caf\xe9")
    written = make_snapshot(
        AgentState(turn_count=1),
        store=store,
        number=7,
        message="msg-1",
        prompt="ünïcode " * 20,
        model="anthropic/claude",
        cwd=f"/home/{name}",
        cost_usd=0.25,
        before="b" * 40,
        capture=Capture("a" * 40, (f"{name}: over 10 MB", "x\u2028y: unreadable"), "c" * 40, "main"),
    )
    assert store.load(7) == written
    assert written.prompt == ("ünïcode " * 20)[:80]
    assert written.created.endswith("Z")


def test_the_file_is_private_and_named_by_its_number(store: SnapshotStore, tmp_path: Path) -> None:
    path = make_snapshot(AgentState(), store=store, number=3).path
    assert path == tmp_path / "checkpoints/session-1/3.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["3.json"]


def test_numbers_go_on_after_a_restart_and_past_damaged_files(store: SnapshotStore, tmp_path: Path) -> None:
    make_snapshot(AgentState(), store=store)
    _written(store, "damaged", 9)
    again = SnapshotStore(tmp_path, "session-1")
    assert make_snapshot(AgentState(), store=again).number == 10


def test_bad_files_are_left_out_one_by_one_and_counted(store: SnapshotStore) -> None:
    make_snapshot(AgentState(), store=store, number=0)
    for number, text in enumerate(["", "[]", "{", "null", "\udcff", "[" * 100_000], start=1):
        store.folder.joinpath(f"{number}.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    store.folder.joinpath("rewinds.json").write_text("[]")
    store.folder.joinpath("notes.txt").write_text("x")
    make_snapshot(AgentState(), store=store, number=10)
    assert [each.number for each in store.list()] == [0, 10]
    assert len(store.problems) == 6


def test_a_session_without_checkpoints_has_an_empty_list(store: SnapshotStore) -> None:
    assert store.list() == ()
    assert store.next_number() == 0
    with pytest.raises(CheckpointError, match="has no checkpoint 4"):
        store.load(4)


@pytest.mark.parametrize(
    "value", [None, "absent", {}, [], 7, "text", {"input": None, "output": "x", "cache_read": True}]
)
def test_an_absent_or_nonsensical_token_snapshot_is_zeros(store: SnapshotStore, value: object) -> None:
    _written(store, {} if value == "absent" else {"token_snapshot": value})
    assert set(store.load(0).token_snapshot.values()) == {0}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(12, 12), ("12", 12), (12.0, 12), (-1, 0), (float("nan"), 0), (float("inf"), 0), (True, 0), ([1], 0)],
)
def test_a_counter_is_a_number_of_tokens_or_zero(store: SnapshotStore, value: object, expected: int) -> None:
    _written(store, {"token_snapshot": {"input": value}})
    assert store.load(0).token_snapshot["input"] == expected


def test_cache_creation_means_cache_write(store: SnapshotStore) -> None:
    _written(store, {"token_snapshot": {"input": 1, "cache_creation": 5}}, 0)
    _written(store, {"token_snapshot": {"cache_write": 7, "cache_creation": 5}}, 1)
    assert store.load(0).token_snapshot["cache_write"] == 5
    assert store.load(1).token_snapshot["cache_write"] == 7


def test_fields_of_the_wrong_kind_become_their_defaults(store: SnapshotStore) -> None:
    wrong = dict.fromkeys(("session", "created", "message", "prompt", "before", "tree", "git_head"), 5)
    _written(store, wrong | {"turn_count": "x", "cost_usd": "free", "skipped": 3})
    snapshot = store.load(0)
    assert (snapshot.session, snapshot.message, snapshot.tree) == ("session-1", None, None)
    assert (snapshot.turn_count, snapshot.cost_usd, snapshot.skipped) == (0, None, ())


def test_unknown_keys_survive_a_rewrite(store: SnapshotStore) -> None:
    _written(store, {"mood": {"deep": [1, None]}, "token_snapshot": {"distinct_base": 4}})
    store.save(store.load(0))
    body = json.loads((store.folder / "0.json").read_text())
    assert body["mood"] == {"deep": [1, None]}
    assert body["token_snapshot"]["distinct_base"] == 4


def test_a_newer_format_is_refused_with_what_to_do(store: SnapshotStore) -> None:
    _written(store, {"version": 2})
    with pytest.raises(CheckpointError, match=r"newer Cachet \(format 2.*Update Cachet"):
        store.load(0)


def test_a_write_that_fails_leaves_the_old_file_whole(store: SnapshotStore) -> None:
    make_snapshot(AgentState(turn_count=1), store=store, number=0)
    huge = AgentState(turn_count=2)
    with pytest.raises(TypeError):
        make_snapshot(huge, store=store, number=0, cost_usd=object())  # type: ignore[arg-type]
    assert store.load(0).turn_count == 1
    assert [each.name for each in store.folder.iterdir()] == ["0.json"]
