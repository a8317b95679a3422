"""The person's repository and configuration: only read, and nothing of it is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.project import Project, fingerprint


@pytest.fixture
def trap(project: Project) -> Path:
    """A program that leaves a file behind when it is run."""
    script = project.person / "trap.sh"
    script.write_text(
        f'#!/bin/sh\ntouch {project.person}/sprung\necho "$@" >> {project.person}/sprung\ncat\n'
    )
    script.chmod(0o755)
    return script


def _round_trip(project: Project) -> None:
    before = project.files()
    tree = project.capture().tree
    project.write("a.txt", "changed\n")
    project.write("made.txt", "new\n")
    changed = project.capture().tree
    project.store.diff(tree, changed)
    project.store.patch(tree, changed)
    project.store.restore(tree)
    assert project.files() == before


def test_the_persons_git_folder_is_byte_identical_after_capture_and_restore(project: Project) -> None:
    project.write("a.txt", "1\n")
    project.repository()
    project.write("staged", "1")
    project.git("add", "staged")
    before = fingerprint(project.root / ".git")
    _round_trip(project)
    assert fingerprint(project.root / ".git") == before


def test_hooks_are_not_run(project: Project, trap: Path) -> None:
    project.write("a.txt", "1\n")
    project.repository()
    hooks = project.person / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc"):
        (hooks / name).symlink_to(trap)
        (project.root / ".git/hooks" / name).symlink_to(trap)
    (project.person / ".gitconfig").write_text(f"[core]\n\thooksPath = {hooks}\n")
    _round_trip(project)
    project.store.maintain()
    assert not (project.person / "sprung").exists()
    project.git("commit", "-q", "--allow-empty", "-m", "the trap is real")
    assert (project.person / "sprung").exists()


def test_fsmonitor_is_not_run(project: Project, trap: Path) -> None:
    project.write("a.txt", "1\n")
    project.repository()
    project.git("config", "core.fsmonitor", str(trap))
    (project.person / ".gitconfig").write_text(f"[core]\n\tfsmonitor = {trap}\n")
    _round_trip(project)
    assert not (project.person / "sprung").exists()
    project.git("status")
    assert (project.person / "sprung").exists()


def test_filters_and_diff_programs_are_not_run(project: Project, trap: Path) -> None:
    settings = (
        f'[filter "lfs"]\n\tclean = {trap}\n\tsmudge = {trap}\n\tprocess = {trap}\n\trequired = true\n'
        f'[filter "mine"]\n\tclean = {trap}\n\tsmudge = {trap}\n\trequired = true\n'
        f'[diff "mine"]\n\ttextconv = {trap}\n\tcommand = {trap}\n[diff]\n\texternal = {trap}\n'
    )
    (project.person / ".gitconfig").write_text(settings)
    project.repository()
    (project.root / ".git/config").open("a").write(settings)
    project.write(".gitattributes", "*.txt filter=lfs diff=mine\n*.c filter=mine\n")
    project.write("a.txt", "1\n")
    project.write("b.c", "1\n")
    _round_trip(project)
    assert not (project.person / "sprung").exists()
    project.git("add", "b.c")
    assert (project.person / "sprung").exists()


def test_line_endings_idents_and_encodings_are_left_as_they_are(project: Project) -> None:
    project.write(
        ".gitattributes",
        "* text=auto eol=lf\n*.id ident\n*.utf16 working-tree-encoding=UTF-16 text\n*.crlf eol=crlf\n",
    )
    (project.person / ".gitconfig").write_text("[core]\n\tautocrlf = true\n\tsafecrlf = true\n")
    contents = {
        "dos.txt": b"a\r\nb\r\n",
        "mixed.txt": b"a\r\nb\nc\r",
        "x.id": b"$Id$ $Id: 0123 $\n",
        "w.utf16": "w\u00f6rd\n".encode("utf-16"),
        "not.utf16": b"\xff\x00odd",
        "unix.crlf": b"a\nb\n",
    }
    project.write("a.txt", "1\n")
    for path, content in contents.items():
        project.write(path, content)
    tree = project.capture().tree
    for path, content in contents.items():
        assert project.kept_bytes(tree, path) == content
        project.write(path, "overwritten")
    project.store.restore(tree)
    assert {path: project.read(path) for path in contents} == contents


def test_attributes_of_the_person_do_not_hide_a_diff(project: Project) -> None:
    project.write(".gitattributes", "*.txt -diff\n*.c binary\n")
    project.write("a.txt", "one\n")
    project.write("b.c", "one\n")
    before = project.capture().tree
    project.write("a.txt", "two\n")
    project.write("b.c", "two\n")
    assert project.store.patch(before, project.capture().tree).count("-one\n+two\n") == 2


def test_variables_of_a_surrounding_git_do_not_reach_ours(project: Project) -> None:
    project.write("a.txt", "1\n")
    project.repository()
    project.environ |= {
        "GIT_DIR": str(project.root / ".git"),
        "GIT_INDEX_FILE": str(project.root / ".git/index"),
        "GIT_WORK_TREE": "/",
        "GIT_OBJECT_DIRECTORY": str(project.person),
        "GIT_TRACE": str(project.person / "sprung"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.bare",
        "GIT_CONFIG_VALUE_0": "nonsense",
    }
    before = fingerprint(project.root / ".git")
    project.store = project.open()
    _round_trip(project)
    assert fingerprint(project.root / ".git") == before
    assert not (project.person / "sprung").exists()


def test_a_broken_configuration_of_the_persons_does_not_stop_a_capture(project: Project) -> None:
    (project.person / ".gitconfig").write_text("[core\nnonsense")
    project.write("a.txt", "1\n")
    assert project.kept_paths(project.capture().tree) == {"a.txt"}


def test_checkpoints_outlive_the_persons_amend_and_garbage_collection(project: Project) -> None:
    project.write("a.txt", "first\n")
    project.write("b.txt", "b\n")
    project.repository()
    before = project.files()
    tree = project.capture().tree
    project.write("a.txt", "second\n")
    project.git("commit", "-qa", "--amend", "-m", "amended")
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "-q", "--prune=now")
    assert not (project.private_git() / "objects/info/alternates").exists()
    project.store = project.open()
    project.store.restore(tree)
    assert project.files() == before


def test_the_persons_branch_head_and_index_stay_when_files_are_restored(project: Project) -> None:
    project.write("a.txt", "1\n")
    project.repository()
    tree = project.capture().tree
    project.git("checkout", "-qb", "topic")
    project.write("a.txt", "2\n")
    project.git("commit", "-qam", "second")
    head = project.git("rev-parse", "HEAD")
    project.store.restore(tree)
    assert project.read("a.txt") == b"1\n"
    assert project.git("rev-parse", "HEAD") == head
    assert project.git("branch", "--show-current") == "topic\n"
    assert project.capture().branch == "topic"
