"""Restoring: every file as it was, and not one other path touched."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from checkpoint.files import Caps
from checkpoint.types import CheckpointError
from tests.support.project import Project

ROOT = Path(__file__).parents[2]


def test_a_files_first_edit_is_undone(project: Project) -> None:
    project.write("a", "person's")
    before = project.capture()
    project.write("a", "tool's")
    done = project.store.restore(before.tree)
    assert project.read("a") == b"person's"
    assert (done.changed, done.deleted, done.problems) == (("a",), (), ())


def test_a_created_file_is_removed_with_the_folders_made_for_it(project: Project) -> None:
    project.write("old/a", "1")
    before = project.capture()
    project.write("new/deep/b", "1")
    project.write("old/c", "1")
    done = project.store.restore(before.tree)
    assert done.deleted == ("new/deep/b", "old/c")
    assert sorted(path.name for path in project.root.iterdir()) == ["old"]


def test_a_deleted_file_is_brought_back(project: Project) -> None:
    project.write("d/e/a", "1")
    project.write("d/b.sh", "#!", mode=0o755)
    before = project.files()
    tree = project.capture().tree
    for path in ("d/e/a", "d/b.sh"):
        (project.root / path).unlink()
    (project.root / "d/e").rmdir()
    project.store.restore(tree)
    assert project.files() == before


def test_what_a_shell_did_everywhere_is_undone(project: Project) -> None:
    for number in range(20):
        project.write(f"d{number % 3}/f{number}", f"{number}")
    before = project.files()
    tree = project.capture().tree
    script = "rm d0/f0; mv d1 moved; echo x >> d2/f2; ln -s f5 d2/link; chmod +x d2/f8; mkdir p; echo n > p/n"
    subprocess.run(["sh", "-c", script], cwd=project.root, check=True)
    project.store.restore(tree)
    assert project.files() == before


def test_the_persons_own_untracked_files_stay(project: Project) -> None:
    project.write("tracked", "1")
    project.repository()
    project.write("untracked", "person's")
    tree = project.capture().tree
    project.write("tracked", "2")
    project.store.restore(tree)
    assert project.read("untracked") == b"person's"


def test_ignored_files_that_no_tool_wrote_stay(project: Project) -> None:
    project.write(".gitignore", "*.log\n")
    project.write("a", "1")
    tree = project.capture().tree
    project.write("shell.log", "made by a shell")
    project.write("a", "2")
    project.store.restore(tree)
    assert project.read("shell.log") == b"made by a shell"


def test_an_ignored_file_that_a_tool_made_is_removed(project: Project) -> None:
    project.write(".gitignore", "out/\n")
    start = project.capture().tree
    before = project.capture("out/x").tree
    project.write("out/x", "tool's")
    project.capture()
    assert project.store.restore(before).deleted == ("out/x",)
    project.write("out/x", "tool's again")
    assert project.store.restore(start).deleted == ("out/x",)


def test_an_ignored_file_that_a_tool_edited_gets_its_first_content_back(project: Project) -> None:
    project.write(".gitignore", ".env\n")
    project.write(".env", "person's", mode=0o600)
    start = project.capture().tree
    project.capture(".env")
    project.write(".env", "tool's")
    project.capture()
    (project.root / ".env").chmod(0o644)
    project.store.restore(start)
    assert project.files()[".env"] == ("0o600", b"person's")


def test_an_ignored_file_that_a_tool_edited_and_a_shell_deleted_comes_back(project: Project) -> None:
    project.write(".gitignore", ".env\n")
    project.write(".env", "person's")
    before = project.capture(".env").tree
    (project.root / ".env").unlink()
    gone = project.capture().tree
    project.store.restore(before)
    assert project.read(".env") == b"person's"
    project.store.restore(gone)
    assert not (project.root / ".env").exists()


def test_a_file_that_was_ignored_then_is_not_deleted(project: Project) -> None:
    project.write("sub/.gitignore", "secret\n")
    project.write("sub/secret", "person's")
    project.write("sub/new", "1")
    tree = project.capture().tree
    project.write("sub/.gitignore", "")
    project.write("sub/made", "1")
    project.capture()
    done = project.store.restore(tree)
    assert done.kept == ("sub/secret: ignored at that checkpoint",)
    assert done.deleted == ("sub/made",)
    assert project.read("sub/secret") == b"person's"


def test_a_file_that_was_ignored_from_above_is_not_deleted(project: Project) -> None:
    project.write(".gitignore", "secret\n")
    project.write("web/.gitignore", "x\n")
    project.write("web/secret", "person's")
    project.repository()
    store = project.open(project.root / "web")
    tree = store.capture("refs/ckpt/s/1").tree
    project.write("web/.gitignore", "!secret\n")
    store.capture("refs/ckpt/s/2")
    assert store.restore(tree).kept == ("secret: ignored at that checkpoint",)
    assert project.read("web/secret") == b"person's"


def test_a_file_that_was_over_the_cap_then_is_not_deleted(tmp_path: Path) -> None:
    project = Project(tmp_path, caps=Caps(file=10_000))
    project.write("video", b"x" * 20_000)
    tree = project.capture().tree
    project.write("video", "cut")
    project.capture()
    assert project.store.restore(tree).kept == ("video: not part of the checkpoint (over 0.01 MB)",)
    assert project.read("video") == b"cut"


def test_a_file_that_is_too_large_to_save_now_is_not_overwritten(tmp_path: Path) -> None:
    project = Project(tmp_path, caps=Caps(file=10_000))
    project.write("log", "short")
    tree = project.capture().tree
    project.write("log", b"x" * 20_000)
    done = project.store.restore(tree)
    assert done.kept == ("log: what it holds now could not be saved first (over 0.01 MB)",)
    assert len(project.read("log")) == 20_000


def test_what_a_restore_overwrites_is_saved_first_even_if_ignored(project: Project) -> None:
    project.write("notes", "then")
    tree = project.capture().tree
    (project.root / "notes").unlink()
    project.write(".gitignore", "notes\n")
    project.capture()
    project.write("notes", "person's, written since")
    done = project.store.restore(tree)
    assert project.read("notes") == b"then"
    project.store.restore(done.safety)
    assert project.read("notes") == b"person's, written since"


def test_a_restore_can_be_taken_back(project: Project) -> None:
    project.write("a", "1")
    tree = project.capture().tree
    project.write("a", "2")
    project.write("b/c", "new")
    (project.root / "link").symlink_to("a")
    before = project.files()
    done = project.store.restore(tree)
    assert project.files() != before
    project.store.restore(done.safety)
    assert project.files() == before


def test_paths_to_keep_stay_as_they_are(project: Project) -> None:
    project.write("a", "1")
    project.write("b", "1")
    tree = project.capture().tree
    project.write("a", "2")
    project.write("b", "2")
    project.write("c", "2")
    done = project.store.restore(tree, keep=frozenset({"b", "c"}))
    assert (project.read("a"), project.read("b"), project.read("c")) == (b"1", b"2", b"2")
    assert done.kept == ("b: you asked to keep it", "c: you asked to keep it")


def test_unchanged_files_keep_their_inode_and_time(project: Project) -> None:
    same = project.write("d/same", "1")
    project.write("d/other", "1")
    tree = project.capture().tree
    project.write("d/other", "2")
    before = same.stat()
    project.store.restore(tree)
    after = same.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o700, 0o755, 0o444])
def test_permissions_come_back_also_of_deleted_files(project: Project, mode: int) -> None:
    project.write("a", "1")
    project.write("b", "1")
    project.write("key", "k", mode=mode)
    project.write("other", "k", mode=mode)
    before = project.files()
    tree = project.capture().tree
    (project.root / "key").unlink()
    (project.root / "other").chmod(0o666)
    project.capture()
    project.store.restore(tree)
    assert project.files() == before


def test_a_permission_change_alone_is_undone_in_place(project: Project) -> None:
    key = project.write("key", "k", mode=0o600)
    tree = project.capture().tree
    key.chmod(0o644)
    inode = key.stat().st_ino
    assert project.store.restore(tree).changed == ("key",)
    assert project.files()["key"] == ("0o600", b"k")
    assert key.stat().st_ino == inode


def test_an_executable_bit_comes_back(project: Project) -> None:
    script = project.write("run", "#!/bin/sh\n", mode=0o755)
    tree = project.capture().tree
    script.chmod(0o644)
    project.store.restore(tree)
    assert project.files()["run"] == ("0o755", b"#!/bin/sh\n")


def test_a_folder_that_became_a_link_is_restored_without_touching_its_target(
    project: Project, tmp_path: Path
) -> None:
    project.write("d/a", "mine")
    tree = project.capture().tree
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_text("theirs")
    (project.root / "d/a").unlink()
    (project.root / "d").rmdir()
    (project.root / "d").symlink_to(outside)
    assert project.store.restore(tree).problems == ()
    assert (outside / "a").read_text() == "theirs"
    assert not (project.root / "d").is_symlink()
    assert project.read("d/a") == b"mine"


def test_a_link_on_the_way_that_must_stay_blocks_the_path_and_is_named(
    project: Project, tmp_path: Path
) -> None:
    project.write("d/a", "mine")
    project.write("b", "1")
    tree = project.capture().tree
    (project.root / "d/a").unlink()
    (project.root / "d").rmdir()
    (project.root / "d").symlink_to(tmp_path)
    project.write("b", "2")
    done = project.store.restore(tree, keep=frozenset({"d"}))
    assert done.problems == ("d/a: d is no folder now, but a link or a file",)
    assert project.read("b") == b"1"
    assert not (tmp_path / "a").exists()


def test_a_symlink_is_restored_as_a_link_and_its_target_left_alone(project: Project, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("theirs")
    (project.root / "link").symlink_to(outside)
    tree = project.capture().tree
    (project.root / "link").unlink()
    project.write("link", "a file now")
    project.store.restore(tree)
    assert os.readlink(project.root / "link") == str(outside)
    project.write("file", "f")
    tree = project.capture().tree
    (project.root / "file").unlink()
    (project.root / "file").symlink_to(outside)
    project.store.restore(tree)
    assert project.files()["file"] == ("0o644", b"f")
    assert outside.read_text() == "theirs"


@pytest.mark.parametrize("folder_first", [False, True])
def test_a_file_and_a_folder_change_places(project: Project, folder_first: bool) -> None:
    def as_file() -> None:
        project.write("x", "file")

    def as_folder() -> None:
        project.write("x/in/a", "1")
        project.write("x/b", "2")

    (as_folder if folder_first else as_file)()
    before = project.files()
    tree = project.capture().tree
    subprocess.run(["rm", "-r", "x"], cwd=project.root, check=True)
    (as_file if folder_first else as_folder)()
    assert project.store.restore(tree).problems == ()
    assert project.files() == before


def test_a_folder_with_ignored_files_is_not_swept_away_for_a_file(project: Project) -> None:
    project.write(".gitignore", "*.log\n")
    project.write("x", "file")
    project.write("y", "1")
    tree = project.capture().tree
    (project.root / "x").unlink()
    project.write("x/keep.log", "person's")
    project.write("y", "2")
    done = project.store.restore(tree)
    assert done.problems == ("x: a folder with other files stands there",)
    assert (project.read("x/keep.log"), project.read("y")) == (b"person's", b"1")
    (project.root / "x/keep.log").rename(project.root / "keep.log")
    assert project.store.restore(tree).problems == ()
    assert project.read("x") == b"file"


def test_an_empty_folder_gives_way_to_a_file(project: Project) -> None:
    project.write("x", "file")
    tree = project.capture().tree
    (project.root / "x").unlink()
    (project.root / "x").mkdir()
    assert project.store.restore(tree).problems == ()
    assert project.read("x") == b"file"


def test_a_restore_killed_half_way_is_completed_by_the_next(project: Project) -> None:
    """The kernel kills the process at its first write beyond 200 kB: in the middle of the second file."""
    project.write("a", "then")
    project.write("b", os.urandom(1_000_000))
    project.write("c", "then")
    before = project.files()
    tree = project.capture().tree
    for path in ("a", "b", "c", "d"):
        project.write(path, "now")
    project.capture()
    program = (
        "import signal, sys; from pathlib import Path; from checkpoint.files import FileStore\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "FileStore.open(Path(sys.argv[1]), Path(sys.argv[2])).restore(sys.argv[3])"
    )

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    arguments = (str(project.root), str(project.home), tree)
    killed = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=project.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=limited,
        check=False,
    )
    assert killed.returncode == -signal.SIGXFSZ
    assert (project.read("a"), project.read("b"), project.read("c")) == (b"then", b"now", b"now")
    assert project.store.restore(tree).problems == ()
    assert project.files() == before


def test_two_sessions_in_one_project_keep_their_own_ways_back(project: Project) -> None:
    project.write("a", "1")
    first = project.open().capture("refs/ckpt/one/0").tree
    project.write("a", "2")
    second = project.open().capture("refs/ckpt/two/0").tree
    project.open().restore(first)
    assert project.read("a") == b"1"
    project.open().restore(second)
    assert project.read("a") == b"2"


def test_the_diff_and_the_patch_say_what_changed(project: Project) -> None:
    project.write("changed", "one\ntwo\n")
    project.write("gone", "1\n")
    project.write("bin", bytes(range(256)))
    before = project.capture().tree
    project.write("changed", "one\n2\n")
    (project.root / "gone").unlink()
    project.write("new", "1\n")
    project.write("bin", bytes(255))
    after = project.capture().tree
    kinds = {change.path: change.kind for change in project.store.diff(before, after)}
    assert kinds == {"bin": "modified", "changed": "modified", "gone": "deleted", "new": "added"}
    patch = project.store.patch(before, after)
    assert "-two\n+2\n" in patch
    assert "Binary files a/bin and b/bin differ" in patch
    assert project.store.patch(before, after, ["new"]).count("diff --git") == 1
    assert project.store.diff(after, after) == ()


def test_a_tree_that_is_gone_is_said_so_and_nothing_is_changed(project: Project) -> None:
    project.write("a", "1")
    project.capture()
    project.write("a", "2")
    for tree in ("0123456789" * 4, "", "HEAD", "--help"):
        with pytest.raises(CheckpointError, match="files of this checkpoint are gone"):
            project.store.restore(tree)
    assert project.read("a") == b"2"


def test_packing_the_store_keeps_every_tree(project: Project) -> None:
    assert project.store.maintain() is False
    trees = []
    for step in range(5):
        for number in range(450):
            project.write(f"d{number % 9}/f{number}", f"{step} {number}")
        trees.append(project.capture().tree)
    assert project.store.maintain() is True
    assert len(list((project.private_git() / "objects").glob("??/*"))) < 100
    assert project.store.maintain() is False
    assert all(project.store.holds(tree) for tree in trees)
    project.store.restore(trees[0])
    assert project.read("d1/f10") == b"0 10"
