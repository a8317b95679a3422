"""The tools a session has: small, steady specs, and guests that can't break it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from agent.tools.contract import Arguments, Intent, Outcome, ToolContext
from agent.tools.toolbox import GROUP, Toolbox
from agent.workspace import Workspace
from providers.types import ToolSpec, canonical

NAMES = ["read", "write", "edit", "bash", "grep", "glob", "ls"]


class Guest:
    def __init__(self, name: str, parameters: str = '{"type":"object"}') -> None:
        self.spec = ToolSpec(name, "A guest.", parameters)

    def intend(self, arguments: Arguments, workspace: Workspace) -> Intent:
        return Intent(access="read", summary="guest")

    async def run(self, arguments: Arguments, context: ToolContext) -> Outcome:
        return Outcome(text="hello")


weather = Guest("weather")
impostor = Guest("bash")
nameless = Guest("two words")
broken_schema = Guest("broken", "{")
not_a_tool = object()


def point(name: str) -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{name}", GROUP)


def test_the_built_in_tools_come_in_a_fixed_order() -> None:
    assert [spec.name for spec in Toolbox.standard().specs][: len(NAMES)] == NAMES


def test_the_specs_are_small_canonical_json() -> None:
    specs = Toolbox.standard().specs
    assert sum(len(spec.name + spec.description + spec.parameters) for spec in specs) / 4 < 1_000
    for spec in specs:
        assert spec.parameters == canonical(json.loads(spec.parameters))


def test_a_tool_is_found_by_name_and_can_be_left_out() -> None:
    toolbox = Toolbox.standard()
    assert toolbox.find("bash") is not None
    assert toolbox.find("nope") is None
    assert [spec.name for spec in toolbox.without(["bash", "write"]).specs][:5] == [
        "read",
        "edit",
        "grep",
        "glob",
        "ls",
    ]


def test_a_guest_joins_after_the_built_in_tools() -> None:
    toolbox = Toolbox(()).with_plugins([point("weather")])
    assert [spec.name for spec in toolbox.specs] == ["weather"]
    assert toolbox.problems == ()


@pytest.mark.parametrize("name", ["impostor", "nameless", "broken_schema", "not_a_tool", "missing"])
def test_a_broken_guest_is_left_out_and_named(name: str) -> None:
    standard = Toolbox.standard()
    toolbox = standard.with_plugins([point(name), point("weather")])
    assert toolbox.specs == (*standard.specs, weather.spec)
    assert len(toolbox.problems) == len(standard.problems) + 1
    assert f"The tool {name} " in toolbox.problems[-1]


def test_an_installed_package_brings_its_tool(tmp_path: Path) -> None:
    (tmp_path / "acme.py").write_text(
        "from tests.agent.test_toolbox import Guest\ntool = Guest('acme')\nraise_later = None\n"
    )
    (tmp_path / "acme-1.dist-info").mkdir()
    (tmp_path / "acme-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (tmp_path / "acme-1.dist-info/entry_points.txt").write_text(
        "[cachet.tools]\nacme = acme:tool\nbad = acme:none\n"
    )
    code = (
        "from agent.tools.toolbox import Toolbox; t = Toolbox.standard();"
        "print(t.specs[-1].name, len(t.problems))"
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{root}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "acme 1\n"


def test_the_tools_load_without_what_takes_long() -> None:
    code = (
        "import sys; from agent.tools.toolbox import Toolbox; Toolbox.standard();"
        "print(sorted({'asyncio', 'importlib.metadata', 'rich', 'prompt_toolkit'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "[]\n"
