"""The demo does what it tells, and notices when it doesn't."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli import demo_script
from cli.demo import DemoFailed, set_up
from tests.support.program import Program, Ran, program_in

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Shown:
    """A demo that is over."""

    ran: Ran
    scratch: Path
    agent: Program


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """The real program's demo, without a terminal."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "tmp").mkdir()
    agent = program_in(folder, TMPDIR=str(folder / "tmp"))
    ran = agent("demo")
    return Shown(ran, next((folder / "tmp").glob("cachet-demo-*")), agent)


def test_without_a_terminal_the_demo_changes_a_real_project_and_succeeds(shown: Shown) -> None:
    assert (shown.ran.code, shown.ran.err) == (0, "")
    assert demo_script.RIGHT in (shown.scratch / "project" / demo_script.FIXED_FILE).read_text()
    assert (shown.scratch / "project" / "tests" / "test_cart.py").exists()


def test_the_demo_touches_nothing_of_the_persons(shown: Shown) -> None:
    assert not shown.agent.home.exists()
    assert not list(shown.agent.project.iterdir())


def test_the_demo_says_that_its_model_is_a_script_and_what_to_do_next(shown: Shown) -> None:
    out = shown.ran.out
    assert "The model here is a script" in out
    assert "agent --help" in out
    assert "\x1b" not in out


def test_the_files_that_the_demo_names_are_there(shown: Shown) -> None:
    named = re.findall(rf"{re.escape(str(shown.scratch))}/\S+\.json\w*", shown.ran.out)
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
