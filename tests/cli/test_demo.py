"""The demo does what it tells, and notices when it doesn't."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli import demo_script
from cli.demo import DemoFailed, set_up

ROOT = Path(__file__).resolve().parents[2]


def run_demo(folder: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The real program without a terminal; what it did, and its scratch folder."""
    (folder / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, str(ROOT / "cachet.py"), "demo"],
        env={**os.environ, "TMPDIR": str(folder / "tmp"), "CACHET_HOME": str(folder / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done, next((folder / "tmp").glob("cachet-demo-*"))


def test_without_a_terminal_the_demo_changes_a_real_project_and_succeeds(tmp_path: Path) -> None:
    done, scratch = run_demo(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert demo_script.RIGHT in (scratch / "project" / demo_script.FIXED_FILE).read_text()
    assert (scratch / "project" / "tests" / "test_cart.py").exists()
    assert not (tmp_path / "home").exists()


def test_the_demo_says_that_its_model_is_a_script_and_what_to_do_next(tmp_path: Path) -> None:
    out = run_demo(tmp_path)[0].stdout
    assert "The model here is a script" in out
    assert "agent --help" in out
    assert "\x1b" not in out


def test_the_files_that_the_demo_names_are_there(tmp_path: Path) -> None:
    done, scratch = run_demo(tmp_path)
    named = re.findall(rf"{re.escape(str(scratch))}/\S+\.json\w*", done.stdout)
    assert len(named) == 2
    assert all(Path(name).is_file() for name in named)


def test_the_scratch_project_fails_its_test_until_it_is_fixed(tmp_path: Path) -> None:
    stage = set_up(tmp_path, os.environ)
    assert not stage.tests_pass()
    file = stage.project / demo_script.FIXED_FILE
    file.write_text(file.read_text().replace(demo_script.WRONG, demo_script.RIGHT))
    assert stage.tests_pass()


def test_a_demo_that_did_not_do_what_it_tells_fails(tmp_path: Path) -> None:
    with pytest.raises(DemoFailed, match=re.escape(str(tmp_path.resolve()))):
        set_up(tmp_path, os.environ).must(False, "two and two should be four")
