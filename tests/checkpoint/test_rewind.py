"""The way back: what lies between a checkpoint and now, whose it is, and what a rewind leaves alone."""

from __future__ import annotations

import pytest

from agent.state import AgentState
from checkpoint.files import FileStore
from checkpoint.rewind import Rewind, Rewound, person_edits, remove_session, tree_at
from checkpoint.store import SnapshotStore, make_snapshot
from checkpoint.types import Capture, CheckpointError, Snapshot
from providers.types import Usage
from tests.support.project import Project


class Conversation:
    """A session whose turns write files: a capture before, the writes, a capture and a snapshot after."""

    def __init__(self, project: Project, session: str = "s1") -> None:
        self.project = project
        self.store = SnapshotStore(project.home, session)
        self.state = AgentState()
        self.rewind = Rewind(project.store, self.store)
        self.turn()

    def turn(self, **writes: str | None) -> Snapshot:
        number = self.store.next_number()
        name = f"refs/ckpt/{self.store.session}/{number}"
        before = self.project.store.capture(f"{name}-before").tree
        for path, content in writes.items():
            if content is None:
                (self.project.root / path).unlink()
            else:
                self.project.write(path, content)
        self.state.turn_count += 1
        self.state.add(Usage(input_tokens=100, cache_read_tokens=50))
        after = self.project.store.capture(name)
        return make_snapshot(self.state, store=self.store, number=number, before=before, capture=after)


def test_a_rewind_brings_back_what_a_turn_changed(project: Project) -> None:
    project.write("a", "person's")
    talk = Conversation(project)
    talk.turn(a="tool's", b="made")
    done = talk.rewind.restore(0)
    assert (done.changed, done.deleted) == (("a",), ("b",))
    assert project.files() == {"a": ("0o644", b"person's")}


def test_a_rewind_over_several_turns_goes_to_the_one_asked_for(project: Project) -> None:
    talk = Conversation(project)
    for step in range(1, 4):
        talk.turn(a=str(step), **{f"f{step}": "x"})
    talk.rewind.restore(2)
    assert project.files() == {"a": ("0o644", b"2"), "f1": ("0o644", b"x"), "f2": ("0o644", b"x")}
    talk.rewind.restore(3)
    assert project.read("a") == b"3"


def test_the_plan_shows_the_change_and_changes_nothing(project: Project) -> None:
    project.write("a", "one\n")
    talk = Conversation(project)
    talk.turn(a="two\n", b="new\n")
    before = project.files()
    plan = talk.rewind.plan(0)
    assert {change.path: change.kind for change in plan.changes} == {"a": "modified", "b": "deleted"}
    assert "-two\n+one\n" in plan.patch
    assert plan.person_edits == ()
    assert project.files() == before


def test_the_persons_edits_between_turns_and_since_are_named(project: Project) -> None:
    for path in "abcd":
        project.write(path, "1")
    talk = Conversation(project)
    talk.turn(a="tool")
    project.write("b", "person")
    talk.turn(c="tool")
    project.write("a", "person too")
    project.write("new", "person")
    plan = talk.rewind.plan(0)
    assert plan.person_edits == ("a", "b", "new")
    assert [change.path for change in plan.changes] == ["a", "b", "c", "new"]


def test_only_edits_that_the_rewind_would_touch_are_named(project: Project) -> None:
    talk = Conversation(project)
    talk.turn(a="tool")
    project.write("note", "person")
    talk.turn(b="tool")
    assert talk.rewind.plan(0).person_edits == ("note",)
    (project.root / "note").unlink()
    assert talk.rewind.plan(0).person_edits == ()


def test_the_persons_edits_can_be_kept(project: Project) -> None:
    project.write("a", "1")
    talk = Conversation(project)
    talk.turn(a="tool", b="tool")
    project.write("mine", "person")
    talk.rewind.restore(0, keep=frozenset(talk.rewind.plan(0).person_edits))
    assert project.files() == {"a": ("0o644", b"1"), "mine": ("0o644", b"person")}


def test_what_a_rewind_changed_is_not_taken_for_the_persons_edits(project: Project) -> None:
    project.write("a", "1")
    talk = Conversation(project)
    talk.turn(a="2", b="x")
    talk.turn(a="3")
    talk.rewind.restore(1)
    assert talk.rewind.plan(0).person_edits == ()
    talk.turn(c="4")
    plan = talk.rewind.plan(0)
    assert [change.path for change in plan.changes] == ["a", "b", "c"]
    assert plan.person_edits == ()
    project.write("a", "person")
    assert talk.rewind.plan(0).person_edits == ("a",)


def test_the_persons_edits_just_before_a_rewind_are_still_theirs_after_it(project: Project) -> None:
    project.write("a", "1")
    talk = Conversation(project)
    talk.turn(a="2")
    project.write("kept", "person")
    talk.rewind.restore(0, keep=frozenset({"kept"}))
    talk.turn(c="3")
    assert talk.rewind.plan(0).person_edits == ("kept",)


def test_a_rewind_can_be_taken_back_also_by_a_new_process(project: Project) -> None:
    project.write("a", "1")
    talk = Conversation(project)
    talk.turn(a="2", b="x")
    project.write("mine", "person")
    before = project.files()
    talk.rewind.restore(0)
    assert project.files() != before
    Rewind(project.open(), SnapshotStore(project.home, "s1")).take_back()
    assert project.files() == before


def test_there_is_nothing_to_take_back_before_a_rewind(project: Project) -> None:
    with pytest.raises(CheckpointError, match="No rewind of files was made"):
        Conversation(project).rewind.take_back()


def test_spend_never_falls_by_rewinding(project: Project) -> None:
    talk = Conversation(project)
    talk.turn(a="1")
    talk.turn(a="2")
    talk.rewind.restore(0)
    talk.turn(a="3")
    billed = [each.token_snapshot["input"] for each in talk.store.list()]
    assert billed == [100, 200, 300, 400]


def test_every_rewind_has_a_safety_of_its_own(project: Project) -> None:
    talk = Conversation(project)
    talk.turn(a="1")
    safeties = set()
    for content in ("x", "y", "z"):
        project.write("a", content)
        safeties.add(talk.rewind.restore(0).safety)
    assert len(safeties) == 3
    assert all(project.store.holds(tree) for tree in safeties)


def test_a_checkpoint_without_a_capture_takes_the_files_before_the_next_change(project: Project) -> None:
    project.write("a", "1")
    store = SnapshotStore(project.home, "s1")
    make_snapshot(AgentState(), store=store)
    before = project.capture().tree
    project.write("a", "2")
    make_snapshot(AgentState(), store=store, before=before, capture=project.capture())
    Rewind(project.store, store).restore(0)
    assert project.read("a") == b"1"


def test_a_session_that_kept_no_files_says_why(project: Project) -> None:
    store = SnapshotStore(project.home, "s1")
    make_snapshot(AgentState(), store=store, files_off="git is not installed")
    rewind = Rewind(project.store, store)
    assert rewind.plan(0).files_off == "No files were kept at checkpoint 0: git is not installed"
    with pytest.raises(CheckpointError, match="No files were kept at checkpoint 0"):
        rewind.restore(0)


def test_a_plan_without_git_says_so(project: Project) -> None:
    talk = Conversation(project)
    off = FileStore.open(project.root, project.home, environ={"PATH": ""})
    assert Rewind(off, talk.store).plan(0).files_off.startswith("git is not installed")


def test_the_plan_tells_when_head_has_moved(project: Project) -> None:
    project.write("a", "1")
    project.repository()
    talk = Conversation(project)
    talk.turn(a="2")
    project.git("commit", "-qam", "second")
    plan = talk.rewind.plan(0)
    assert plan.git_then != plan.git_now == project.git("rev-parse", "HEAD").strip()


def test_trees_that_are_gone_are_passed_over_when_looking_for_edits(project: Project) -> None:
    talk = Conversation(project)
    talk.turn(a="1")
    lost = make_snapshot(AgentState(), store=talk.store, before="1" * 40, capture=Capture("2" * 40))
    now = project.capture().tree
    assert person_edits(project.store, talk.store.list(), 0, now) == ()
    assert tree_at(talk.store.list(), lost.number) == "2" * 40


def test_another_sessions_edits_are_asked_about_too(project: Project) -> None:
    one, two = Conversation(project, "one"), Conversation(project, "two")
    one.turn(a="one's")
    two.turn(b="two's")
    plan = one.rewind.plan(0)
    assert [change.path for change in plan.changes] == ["a", "b"]
    assert plan.person_edits == ("b",)


def test_an_ignored_files_first_copy_outlives_other_sessions_and_names_used_again(project: Project) -> None:
    project.write(".gitignore", ".env\n")
    project.write(".env", "person's")
    one = Conversation(project, "one")
    Conversation(project, "two")
    project.store.capture("refs/ckpt/one/before", extra=[project.root / ".env"])
    one.turn(**{".env": "tool's"})
    project.store.capture("refs/ckpt/one/before")
    remove_session(project.home, project.root, "two")
    one.rewind.restore(0)
    assert project.read(".env") == b"person's"


def test_removing_a_session_removes_what_only_it_kept(project: Project) -> None:
    project.write("shared", "both")
    one, two = Conversation(project, "one"), Conversation(project, "two")
    project.write("big", "only one " * 1000)
    own = one.turn(x="1").tree
    (project.root / "big").unlink()
    (project.root / "x").unlink()
    theirs = two.turn(y="2").tree
    assert own
    assert theirs
    remove_session(project.home, project.root, "one")
    assert not project.store.holds(own)
    assert project.store.holds(theirs)
    assert one.store.list() == ()
    assert len(two.store.list()) == 2
    two.rewind.restore(0)
    assert project.files() == {"shared": ("0o644", b"both")}


def test_removing_the_last_session_removes_the_store_also_when_the_project_is_gone(project: Project) -> None:
    project.write("a", "1")
    Conversation(project, "one").turn(a="2")
    (project.root / "a").unlink()
    project.root.rmdir()
    remove_session(project.home, project.root, "one")
    assert list((project.home / "checkpoints").iterdir()) == []


def test_a_session_goes_on_after_another_took_the_store_away(project: Project) -> None:
    project.write("a", "1")
    Conversation(project, "one")
    remove_session(project.home, project.root, "one")
    tree = project.capture().tree
    assert project.kept_paths(tree) == {"a"}


def test_a_rewind_that_left_files_alone_lists_nothing() -> None:
    assert Rewound.nothing(3) == Rewound(3, (), (), (), (), "")
