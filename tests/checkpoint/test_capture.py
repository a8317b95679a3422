"""What a capture holds, what it leaves out, and what it says about that."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from checkpoint.files import Caps, FileStore
from checkpoint.types import CheckpointError
from tests.support.project import Project

NOT_UTF8 = os.fsdecode(b"caf\xe9.txt")


def test_a_capture_holds_every_file_as_raw_bytes(project: Project) -> None:
    project.write("src/a.py", b"one\r\ntwo\n")
    project.write("data.bin", bytes(range(256)))
    tree = project.capture().tree
    assert project.kept_paths(tree) == {"src/a.py", "data.bin"}
    assert project.kept_bytes(tree, "src/a.py") == b"one\r\ntwo\n"
    assert project.kept_bytes(tree, "data.bin") == bytes(range(256))


def test_equal_files_are_the_same_tree(project: Project) -> None:
    project.write("a", "1")
    first = project.capture()
    project.write("a", "2")
    assert project.capture().tree != first.tree
    project.write("a", "1")
    assert project.capture().tree == first.tree


def test_a_permission_bit_that_git_does_not_keep_makes_another_tree(project: Project) -> None:
    project.write("key", "k", mode=0o644)
    before = project.capture().tree
    (project.root / "key").chmod(0o600)
    after = project.capture().tree
    assert [(change.path, change.kind) for change in project.store.diff(before, after)] == [
        ("key", "modified")
    ]


def test_an_edit_within_the_same_clock_tick_and_of_the_same_size_is_seen(project: Project) -> None:
    place = project.write("a", "1")
    times = place.stat()
    first = project.capture().tree
    place.write_text("2")
    os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert project.kept_bytes(project.capture().tree, "a") == b"2"
    assert project.capture().tree != first


def test_ignored_files_are_not_captured(project: Project) -> None:
    project.write(".gitignore", "*.log\n/build/\n")
    project.write("sub/.gitignore", "!keep.log\nlocal\n")
    for path in ("a.log", "build/x", "sub/keep.log", "sub/local", "src.py"):
        project.write(path, "x")
    kept = project.kept_paths(project.capture().tree)
    assert kept == {".gitignore", "sub/.gitignore", "sub/keep.log", "src.py"}


def test_secrets_in_info_exclude_are_not_captured(project: Project) -> None:
    project.write("a", "1")
    project.repository()
    project.write(".env", "secret")
    (project.root / ".git/info/exclude").write_text(".env\n")
    assert project.kept_paths(project.capture().tree) == {"a"}


def test_the_persons_global_excludes_hold(project: Project) -> None:
    rules = project.person / "my-ignores"
    rules.write_text("*.secret\n")
    (project.person / ".gitconfig").write_text(f"[core]\n\texcludesFile = {rules}\n")
    project.write("a", "1")
    project.write("x.secret", "s")
    assert project.kept_paths(project.capture().tree) == {"a"}


def test_the_default_global_excludes_hold(project: Project) -> None:
    (project.person / ".config/git").mkdir(parents=True)
    (project.person / ".config/git/ignore").write_text(".idea/\n")
    project.write("a", "1")
    project.write(".idea/w.xml", "s")
    assert project.kept_paths(project.capture().tree) == {"a"}


def test_an_excludes_file_named_by_the_projects_configuration_holds(project: Project) -> None:
    project.write("a", "1")
    project.repository()
    rules = project.person / "here"
    rules.write_text("hidden\n")
    project.git("config", "core.excludesFile", str(rules))
    project.write("hidden", "s")
    assert project.kept_paths(project.capture().tree) == {"a"}


def test_a_folder_inside_a_repository_obeys_the_rules_above_it(project: Project) -> None:
    project.write(".gitignore", "*.log\n/web/dist/\n")
    project.write("web/a.js", "1")
    project.write("web/b.log", "1")
    project.write("web/dist/out.js", "1")
    project.write("other", "1")
    project.repository()
    capture = project.open(project.root / "web").capture("refs/ckpt/s/1")
    assert project.kept_paths(capture.tree) == {"a.js"}
    assert capture.branch == "main"


def test_a_folder_that_its_repository_ignores_is_kept_all_the_same(project: Project) -> None:
    project.write(".gitignore", "/scratch/\n")
    project.write("scratch/a", "1")
    project.repository()
    capture = project.open(project.root / "scratch").capture("refs/ckpt/s/1")
    assert project.kept_paths(capture.tree) == {"a"}


def test_an_ignored_file_that_a_tool_writes_is_captured(project: Project) -> None:
    project.write(".gitignore", "out/\n")
    assert project.kept_paths(project.capture("out/x").tree) == {".gitignore"}
    project.write("out/x", "made")
    project.write("out/other", "not by a tool")
    assert project.kept_paths(project.capture().tree) == {".gitignore", "out/x"}


def test_a_files_tool_path_outside_the_project_is_named(project: Project, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere"
    outside.write_text("x")
    capture = project.store.capture("refs/ckpt/s/1", extra=[outside])
    assert capture.skipped == (f"{outside}: outside the project",)


def test_symlinks_are_kept_as_links(project: Project, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("s")
    (project.root / "away").symlink_to(tmp_path / "outside")
    tree = project.capture().tree
    assert project.kept_paths(tree) == {"away"}
    assert project.kept_bytes(tree, "away") == os.fsencode(tmp_path / "outside")


def test_a_file_over_the_cap_is_left_out_and_named(tmp_path: Path) -> None:
    project = Project(tmp_path, caps=Caps(file=1_000_000))
    project.write("small", "1")
    with open(project.root / "huge.iso", "wb") as file:
        file.truncate(3 * 1024**3)
    capture = project.capture()
    assert capture.skipped == ("huge.iso: over 1 MB",)
    assert project.kept_paths(capture.tree) == {"small"}


def test_a_kept_file_that_outgrows_the_cap_leaves_the_tree(tmp_path: Path) -> None:
    project = Project(tmp_path, caps=Caps(file=10))
    project.write("log", "short")
    project.capture()
    project.write("log", "much too long now")
    capture = project.capture()
    assert capture.skipped == ("log: over 1e-05 MB",)
    assert project.kept_paths(capture.tree) == set()


def test_pipes_are_left_out_and_named_every_time(project: Project) -> None:
    project.write("d/a", "1")
    os.mkfifo(project.root / "d/pipe")
    for _ in range(2):
        capture = project.capture()
        assert capture.skipped == ("d/pipe: not a file (socket, pipe or device)",)
        assert project.kept_paths(capture.tree) == {"d/a"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file_is_left_out_and_named(project: Project) -> None:
    project.write("a", "1")
    project.write("locked", "s", mode=0o000)
    capture = project.capture()
    assert capture.skipped == ("locked: unreadable",)
    assert project.kept_paths(capture.tree) == {"a"}


def test_a_name_that_git_refuses_is_left_out_and_named(project: Project) -> None:
    project.write("a", "1")
    project.write("sub/.GIT/x", "1")
    capture = project.capture()
    assert capture.skipped == ("sub/.GIT/x: git refuses this name",)
    assert project.kept_paths(capture.tree) == {"a"}


@pytest.mark.parametrize(
    "name", ["new\nline", "-leading", " spaces ", ":(glob)*", "*", "[a]", 'quo"te', "tab\t", NOT_UTF8, "ünï"]
)
def test_odd_names_are_kept(project: Project, name: str) -> None:
    project.write(f"d/{name}", "1")
    first = project.capture().tree
    assert project.kept_paths(first) == {f"d/{name}"}
    project.write(f"d/{name}", "22")
    second = project.capture().tree
    assert [change.path for change in project.store.diff(first, second)] == [f"d/{name}"]
    assert project.store.restore(first).problems == ()
    assert project.read(f"d/{name}") == b"1"


@pytest.mark.parametrize("name", [":(glob)*", "*", "-x", NOT_UTF8, "new\nline"])
def test_odd_names_of_ignored_files_are_kept_when_a_tool_writes_them(project: Project, name: str) -> None:
    project.write(".gitignore", "out/\n")
    project.write(f"out/{name}", "person's")
    project.write("out/bystander", "not a tool's")
    first = project.capture(f"out/{name}")
    project.write(f"out/{name}", "tool's")
    project.capture()
    project.store.restore(first.tree)
    assert project.read(f"out/{name}") == b"person's"
    assert project.kept_paths(first.tree) == {".gitignore", f"out/{name}"}


def test_files_of_nested_repositories_are_kept(project: Project) -> None:
    project.write("a", "1")
    project.write("vendor/lib/b", "1")
    project.write("vendor/lib/inner/c", "1")
    project.repository("vendor/lib/inner")
    project.repository("vendor/lib")
    project.repository("unborn", commit=False)
    project.write("unborn/d", "1")
    project.repository("hollow", commit=False)
    expected = {"a", "vendor/lib/b", "vendor/lib/inner/c", "unborn/d"}
    assert project.kept_paths(project.capture().tree) == expected
    project.write("vendor/lib/inner/new", "1")
    assert project.kept_paths(project.capture().tree) == expected | {"vendor/lib/inner/new"}


def test_a_nested_repositorys_own_excludes_hold(project: Project) -> None:
    project.repository("lib", commit=False)
    project.write("lib/.git/info/exclude", "# mine\n*.key\n/top\na/b\n!open.key\n")
    for path in (
        "lib/x.key",
        "lib/deep/y.key",
        "lib/top",
        "lib/deep/top",
        "lib/a/b",
        "lib/open.key",
        "y.key",
    ):
        project.write(path, "1")
    kept = project.kept_paths(project.capture().tree)
    assert kept == {"lib/deep/top", "lib/open.key", "y.key"}


def test_nested_repositories_below_a_folder_of_a_repository_are_kept(project: Project) -> None:
    project.write("app/a", "1")
    project.repository()
    project.write("app/lib/b", "1")
    project.repository("app/lib")
    capture = project.open(project.root / "app").capture("refs/ckpt/s/1")
    assert project.kept_paths(capture.tree) == {"a", "lib/b"}


def test_a_file_that_became_a_folder_and_back_is_followed(project: Project) -> None:
    project.write("x", "file")
    first = project.capture().tree
    (project.root / "x").unlink()
    project.write("x/inner", "1")
    second = project.capture().tree
    assert project.kept_paths(second) == {"x/inner"}
    (project.root / "x/inner").unlink()
    (project.root / "x").rmdir()
    project.write("x", "file")
    assert project.capture().tree == first


def test_a_folder_that_became_a_link_is_followed(project: Project) -> None:
    project.write("real/a", "1")
    project.write("d/a", "1")
    project.capture()
    (project.root / "d/a").unlink()
    (project.root / "d").rmdir()
    (project.root / "d").symlink_to("real")
    assert project.kept_paths(project.capture().tree) == {"real/a", "d"}


def test_an_empty_project_can_be_captured(project: Project) -> None:
    assert project.kept_paths(project.capture().tree) == set()
    project.write("sub/a", "1")
    project.repository()
    project.git("rm", "-qr", "sub")
    (project.root / "sub").mkdir()
    capture = project.open(project.root / "sub").capture("refs/ckpt/s/1")
    assert capture.tree


def test_cachets_own_home_inside_the_project_is_not_captured(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    store = FileStore.open(tmp_path, tmp_path / "[state]", environ=environ)
    first = store.capture("refs/ckpt/s/1")
    assert store.capture("refs/ckpt/s/2").tree == first.tree
    (tmp_path / "b").write_text("1")
    assert [change.path for change in store.diff(first.tree, store.capture("refs/ckpt/s/3").tree)] == ["b"]


def test_more_files_than_go_into_one_pack_are_kept(project: Project) -> None:
    for number in range(600):
        project.write(f"d{number % 7}/f{number}", f"content {number}")
    tree = project.capture().tree
    assert len(project.kept_paths(tree)) == 600
    assert project.kept_bytes(tree, "d3/f10") == b"content 10"
    assert list((project.private_git() / "objects/pack").glob("*.pack"))


def test_head_and_branch_are_recorded(project: Project) -> None:
    project.write("a", "1")
    assert (project.capture().head, project.capture().branch) == ("", "")
    project.repository(commit=False)
    assert (project.capture().head, project.capture().branch) == ("", "main")
    project.git("add", "a")
    project.git("commit", "-qm", "x")
    commit = project.git("rev-parse", "HEAD").strip()
    assert (project.capture().head, project.capture().branch) == (commit, "main")
    project.git("pack-refs", "--all")
    assert project.capture().head == commit
    project.git("checkout", "-q", "--detach")
    assert (project.capture().head, project.capture().branch) == (commit, "")


def test_head_and_excludes_of_a_worktree_are_found(project: Project, tmp_path: Path) -> None:
    project.write("a", "1")
    project.repository()
    (project.root / ".git/info/exclude").write_text("hidden\n")
    project.git("worktree", "add", "-q", "-b", "topic", str(tmp_path / "tree"))
    (tmp_path / "tree/hidden").write_text("s")
    capture = project.open(tmp_path / "tree").capture("refs/ckpt/s/1")
    assert capture.branch == "topic"
    assert capture.head == project.git("rev-parse", "HEAD").strip()
    assert project.kept_paths(capture.tree) == {"a"}


def test_without_git_files_are_off_and_nothing_fails(project: Project, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    store = FileStore.open(project.root, project.home, environ={"PATH": str(tmp_path / "nothing")})
    assert store.off == "git is not installed: conversation checkpoints work, files are not kept"
    assert store.capture("refs/ckpt/s/1").tree == ""
    with pytest.raises(CheckpointError, match="git is not installed"):
        store.restore("0" * 40)


def test_a_git_that_the_project_brings_is_not_run(project: Project) -> None:
    script = project.write("git", "#!/bin/sh\ntouch ran\n", mode=0o755)
    environ = {"PATH": os.pathsep.join([".", "", os.environ["PATH"]]), "HOME": str(project.person)}
    here = os.getcwd()
    os.chdir(project.root)
    try:
        FileStore.open(project.root, project.home, environ=environ).capture("refs/ckpt/s/1")
    finally:
        os.chdir(here)
    assert script.exists()
    assert not (project.root / "ran").exists()


def test_a_project_that_vanished_is_said_so(project: Project) -> None:
    project.root.rmdir()
    with pytest.raises(CheckpointError, match="No such file or directory"):
        project.store.capture("refs/ckpt/s/1")
    assert project.open().off == f"{project.root} is not a folder: files are not kept"


@pytest.mark.parametrize("above", [False, True])
def test_home_and_what_holds_it_is_no_project(project: Project, above: bool) -> None:
    folder = project.person.parent if above else project.person
    store = project.open(folder)
    assert store.off == "$HOME is not a project: files are not kept"
    assert store.capture("refs/ckpt/s/1").tree == ""


def test_the_root_folder_is_no_project(project: Project) -> None:
    assert project.open(Path("/")).off == "/ is not a project: files are not kept"


def test_a_folder_over_the_total_cap_turns_files_off(tmp_path: Path) -> None:
    project = Project(tmp_path, caps=Caps(total=1_000_000))
    for number in range(3):
        project.write(f"f{number}", b"x" * 400_000)
    assert project.store.off == ""
    assert project.capture().tree == ""
    assert project.store.off.startswith("over 1 MB of files here")
    assert not list((project.private_git() / "refs").rglob("*session*"))


def test_the_store_is_readable_by_its_owner_only(project: Project) -> None:
    project.write("a", "1")
    project.capture()
    for place in (project.private_git().parent, *project.private_git().parent.rglob("*")):
        assert stat.S_IMODE(place.stat().st_mode) & 0o077 == 0, place


def test_two_stores_at_once_do_not_collide(project: Project) -> None:
    def work(worker: int) -> list[str]:
        store = project.open()
        trees = []
        for step in range(5):
            project.write(f"w{worker}/f{step}", f"{worker} {step}")
            trees.append(store.capture(f"refs/ckpt/session-{worker}/{step}").tree)
        return trees

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(4)))
    for worker, trees in enumerate(results):
        for step, tree in enumerate(trees):
            assert f"w{worker}/f{step}" in project.kept_paths(tree)
    assert len(project.kept_paths(project.capture().tree)) == 20


def test_a_lock_that_a_killed_git_left_does_not_block(project: Project) -> None:
    project.write("a", "1")
    project.capture()
    for name in ("index-0.lock", "packed-refs.lock", "refs/ckpt/session/2.lock"):
        (project.private_git() / name).touch()
    project.write("a", "2")
    assert project.kept_bytes(project.capture().tree, "a") == b"2"


@pytest.mark.parametrize("damage", ["index-0", "index-0.json"])
def test_a_damaged_index_or_ledger_is_made_anew(project: Project, damage: str) -> None:
    project.write("a", "1", mode=0o600)
    project.write("b", "1")
    tree = project.capture().tree
    (project.private_git() / damage).write_bytes(b"nonsense")
    project.store = project.open()
    assert project.kept_paths(project.capture().tree) == {"a", "b"}
    assert project.capture().tree == tree


def test_an_object_that_was_lost_is_stored_again(project: Project) -> None:
    project.write("a", "1")
    tree = project.capture().tree
    name = "56a6051ca2b02b04ef92d5150c9ef600403cb1de"
    (project.private_git() / "objects" / name[:2] / name[2:]).unlink()
    project.store = project.open()
    assert project.kept_bytes(project.capture().tree, "a") == b"1"
    assert project.capture().tree == tree


def test_a_capture_of_unchanged_files_starts_few_processes(project: Project) -> None:
    log = project.counting_git()
    project.write("a", "1")
    project.repository()
    project.capture()
    counts = []
    for change in (None, "2"):
        if change:
            project.write("a", change)
        log.write_text("")
        project.capture()
        counts.append(len(log.read_text().splitlines()))
    print(f"git processes of a capture: {counts[0]} when nothing changed, {counts[1]} when a file did")
    assert counts[0] <= 3
    assert counts[1] <= 6


def test_a_name_that_is_not_a_checkpoints_is_refused(project: Project) -> None:
    project.write("a", "1")
    for name in ("refs/heads/main", "refs/ckpt/../x/y", "refs/ckpt/s", "-d", "refs/ckpt/s/1\n"):
        with pytest.raises(CheckpointError, match="not a checkpoint's name"):
            project.store.capture(name)
