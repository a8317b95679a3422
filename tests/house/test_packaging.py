"""The wheel: what it lays in site-packages, and that what it installs runs inside any project."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.script import say, script

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("providers", "agent", "checkpoint", "sessions", "cli", "server")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built as an installer would build it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are: in a fresh environment with the wheel and this one's dependencies."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False)
    pip = [sys.executable, "-m", "pip", f"--python={home / 'bin' / 'python'}", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    [site] = (home / "lib").glob("python*/site-packages")
    # A folder named in a .pth file brings its packages but not its .pth files: this checkout stays unseen.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose own packages have our rooms' names, and fail when they are imported."""
    folder = tmp_path / "project"
    for room in (*ROOMS, "tests"):
        (folder / room).mkdir(parents=True)
        (folder / room / "__init__.py").write_text(f"raise SystemExit('imported: {room}')\n")
    return folder


def in_project(programs: Path, project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run an installed command there, with `PYTHONPATH=.` and no key in the environment."""
    environ = {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(project.parent),
        "CACHET_HOME": str(project.parent / "cachet"),
        "PYTHONPATH": ".",
        "TERM": "dumb",
    }
    return subprocess.run(
        words, cwd=project, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_site_packages_gains_one_folder_and_one_module(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"cachet_rooms", "cachet.py"}
    assert len(tops) == 3


def test_the_wheel_holds_every_file_of_every_room_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("cachet_rooms/")}
    tracked = subprocess.run(
        ["git", "ls-files", *ROOMS], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    present = {f"cachet_rooms/{name}" for name in tracked if (ROOT / name).is_file()}
    assert "cachet_rooms/providers/smollm2.jinja" in present
    assert present <= packed
    assert not [name for name in packed if "__pycache__" in name or name.endswith(".pyc")]


def test_both_commands_tell_the_version_inside_a_project_with_our_names(
    programs: Path, project: Path
) -> None:
    for command in ("agent", "cachet"):
        done = in_project(programs, project, command, "--version")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("cachet ")


def test_help_runs_inside_a_project_with_our_names(programs: Path, project: Path) -> None:
    done = in_project(programs, project, "agent", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "resume" in done.stdout


def test_a_headless_turn_runs_inside_a_project_with_our_names(programs: Path, project: Path) -> None:
    model = script(project.parent, say("Done."))
    done = in_project(programs, project, "agent", "-p", "Hello", "-m", str(model))
    assert (done.returncode, done.stdout.strip()) == (0, "Done."), done.stderr


def test_the_installed_commands_do_not_run_from_this_checkout(programs: Path, project: Path) -> None:
    code = "import cachet, json, sys; print(json.dumps([cachet.__file__, cachet.rooms()]))"
    done = in_project(programs, project, str(programs / "python"), "-c", code)
    for place in json.loads(done.stdout):
        assert Path(place).is_relative_to(programs.parent)
