"""Who may do what: the modes, the project's border, the rules, and what wins over what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.permissions import Allowed, Decision, Denied, Mode, PermissionRequest, Policy, Rule
from agent.workspace import Workspace
from providers.types import JSON, ToolCall
from tests.support.bench import Bench


def decide(policy: Policy, bench: Bench, name: str, **arguments: JSON) -> Decision:
    call = ToolCall("1", name, json.dumps(arguments))
    return policy.decide(call, bench.tool(name).intend(arguments, policy.workspace))


def verdict(decision: Decision) -> str:
    match decision:
        case Allowed():
            return "yes"
        case Denied():
            return "no"
        case PermissionRequest():
            return "ask"


def policy(bench: Bench, mode: Mode = Mode.ASK, **more: JSON) -> Policy:
    return Policy(mode, bench.workspace, **more)


@pytest.mark.parametrize(
    ("mode", "read", "write", "execute"),
    [
        (Mode.PLAN, "yes", "no", "no"),
        (Mode.ASK, "yes", "ask", "ask"),
        (Mode.EDITS, "yes", "yes", "ask"),
        (Mode.AUTO, "yes", "yes", "yes"),
    ],
)
def test_each_mode_inside_the_project(bench: Bench, mode: Mode, read: str, write: str, execute: str) -> None:
    rights = policy(bench, mode)
    assert verdict(decide(rights, bench, "read", path="a")) == read
    assert verdict(decide(rights, bench, "grep", pattern="a")) == read
    assert verdict(decide(rights, bench, "write", path="a", content="")) == write
    assert verdict(decide(rights, bench, "edit", path="a", old="a", new="b")) == write
    assert verdict(decide(rights, bench, "bash", command="ls")) == execute


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("tool", ["read", "ls"])
def test_reading_outside_asks_in_every_mode(bench: Bench, mode: Mode, tool: str) -> None:
    decision = decide(policy(bench, mode), bench, tool, path=str(bench.outside))
    assert isinstance(decision, PermissionRequest)
    assert decision.reason == f"reads {bench.outside}, which is outside the project"
    assert decision.rule is None


@pytest.mark.parametrize("path", ["../outside/x", "a/../../outside/x", "~/x"])
def test_no_way_of_writing_a_path_gets_out(bench: Bench, path: str) -> None:
    assert verdict(decide(policy(bench, Mode.AUTO), bench, "write", path=path, content="")) == "ask"


def test_a_link_inside_that_leads_outside_asks_and_says_where(bench: Bench) -> None:
    (bench.project / "link").symlink_to(bench.outside)
    rights = policy(bench, Mode.AUTO)
    decision = decide(rights, bench, "read", path="link/secret.txt")
    assert isinstance(decision, PermissionRequest)
    assert f"leads to {bench.outside}/secret.txt" in decision.reason
    assert verdict(decide(rights, bench, "write", path="link/new/x", content="")) == "ask"
    assert verdict(decide(rights, bench, "grep", pattern="a", path="link")) == "ask"


def test_a_dangling_link_that_leads_outside_asks(bench: Bench) -> None:
    (bench.project / "link").symlink_to(bench.outside / "not-yet")
    assert verdict(decide(policy(bench, Mode.AUTO), bench, "write", path="link", content="")) == "ask"


def test_a_link_that_stays_inside_is_inside(bench: Bench) -> None:
    bench.file("real.txt", "")
    (bench.project / "link.txt").symlink_to("real.txt")
    assert verdict(decide(policy(bench, Mode.EDITS), bench, "write", path="link.txt", content="")) == "yes"


def test_an_added_folder_is_inside(bench: Bench) -> None:
    rights = Policy(Mode.EDITS, Workspace.at(bench.project, bench.outside))
    assert verdict(decide(rights, bench, "write", path=str(bench.outside / "x"), content="")) == "yes"


def test_a_readable_folder_may_be_read_but_not_written(bench: Bench) -> None:
    rights = policy(bench, Mode.AUTO, readable=(bench.scratch,))
    assert verdict(decide(rights, bench, "read", path=str(bench.scratch / "x"))) == "yes"
    assert verdict(decide(rights, bench, "write", path=str(bench.scratch / "x"), content="")) == "ask"


@pytest.mark.parametrize(
    "path",
    [
        ".git/hooks/pre-commit",
        ".GIT/config",
        "sub/.git/config",
        ".cachet/config.toml",
        ".envrc",
        "x/../.git/a",
    ],
)
def test_what_decides_about_later_runs_asks_in_every_mode(bench: Bench, path: str) -> None:
    decision = decide(
        policy(bench, Mode.AUTO, allow=frozenset({"write"})), bench, "write", path=path, content=""
    )
    assert isinstance(decision, PermissionRequest)
    assert "decides what runs later" in decision.reason
    assert decision.rule is None


def test_a_link_to_a_sensitive_file_asks_too(bench: Bench) -> None:
    (bench.project / ".git").mkdir()
    (bench.project / "innocent").symlink_to(".git/config")
    assert verdict(decide(policy(bench, Mode.AUTO), bench, "write", path="innocent", content="")) == "ask"


def test_cachets_own_folder_asks_in_every_mode_even_inside_the_project(bench: Bench) -> None:
    (bench.project / "link").symlink_to("state")
    rights = policy(bench, Mode.AUTO, home=bench.project / "state", allow=frozenset({"write"}))
    for path in ("state/permissions.json", "link/config.toml"):
        assert verdict(decide(rights, bench, "write", path=path, content="x")) == "ask"
    assert verdict(decide(rights, bench, "write", path="stately", content="x")) == "yes"


def test_reading_sensitive_files_inside_is_free(bench: Bench) -> None:
    assert verdict(decide(policy(bench), bench, "read", path=".git/config")) == "yes"


def test_plan_mode_tells_the_model_what_to_do_instead(bench: Bench) -> None:
    rights = policy(bench, Mode.PLAN, rules=(Rule("bash", ("ls",)),), allow=frozenset({"bash", "write"}))
    for name, arguments in (("bash", {"command": "ls"}), ("write", {"path": "a", "content": ""})):
        decision = decide(rights, bench, name, **arguments)
        assert isinstance(decision, Denied)
        assert "Plan mode only reads" in decision.reason


def test_a_question_about_a_command_shows_it_in_full_and_offers_a_narrow_rule(bench: Bench) -> None:
    decision = decide(policy(bench), bench, "bash", command="git status --porcelain")
    assert isinstance(decision, PermissionRequest)
    assert decision.intent.preview == "git status --porcelain"
    assert decision.rule == Rule("bash", ("git", "status"))


def test_no_rule_is_offered_for_a_compound(bench: Bench) -> None:
    decision = decide(policy(bench), bench, "bash", command="git status && rm x")
    assert isinstance(decision, PermissionRequest)
    assert decision.rule is None


def test_a_granted_rule_passes_only_what_it_says(bench: Bench) -> None:
    rights = policy(bench).with_rule(Rule("bash", ("git", "status")))
    assert verdict(decide(rights, bench, "bash", command="git status -s")) == "yes"
    assert verdict(decide(rights, bench, "bash", command="git status; rm x")) == "ask"
    assert verdict(decide(rights, bench, "bash", command="git push")) == "ask"


def test_always_for_edits_covers_that_tool_inside_only(bench: Bench) -> None:
    decision = decide(policy(bench), bench, "edit", path="a", old="a", new="b")
    assert isinstance(decision, PermissionRequest)
    assert decision.rule == Rule("edit")
    rights = policy(bench).with_rule(Rule("edit"))
    assert verdict(decide(rights, bench, "edit", path="a", old="a", new="b")) == "yes"
    assert verdict(decide(rights, bench, "edit", path="../outside/a", old="a", new="b")) == "ask"
    assert verdict(decide(rights, bench, "write", path="a", content="")) == "ask"


def test_an_allowed_tool_passes(bench: Bench) -> None:
    rights = policy(bench, allow=frozenset({"bash(pytest)", "write"}))
    assert verdict(decide(rights, bench, "bash", command="pytest -q")) == "yes"
    assert verdict(decide(rights, bench, "bash", command="ls")) == "ask"
    assert verdict(decide(rights, bench, "write", path="a", content="")) == "yes"


def test_a_denial_wins_over_everything(bench: Bench) -> None:
    rights = policy(
        bench,
        Mode.AUTO,
        rules=(Rule("bash", ("git", "push")),),
        allow=frozenset({"bash"}),
        deny=frozenset({"bash(git push)"}),
    )
    decision = decide(rights, bench, "bash", command="cd x && git push")
    assert isinstance(decision, Denied)
    assert "bash(git push)" in decision.reason
    assert verdict(decide(rights, bench, "bash", command="git status")) == "yes"
    assert verdict(decide(policy(bench, deny=frozenset({"read"})), bench, "read", path="a")) == "no"


def test_another_mode_keeps_the_rules(bench: Bench) -> None:
    rule = Rule("write")
    rights = policy(bench).with_rule(rule).with_rule(rule).with_mode(Mode.AUTO)
    assert rights.rules == (rule,)
    assert rights.mode is Mode.AUTO


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("read", Rule("read")),
        ("bash(git status)", Rule("bash", ("git", "status"))),
        (" bash( git  status ) ", Rule("bash", ("git", "status"))),
        ("bash(npm run:*)", Rule("bash", ("npm", "run"))),
        ("bash(npm run *)", Rule("bash", ("npm", "run"))),
    ],
)
def test_a_rule_is_read_from_text(text: str, rule: Rule) -> None:
    assert Rule.parse(text) == rule
    assert Rule.parse(str(rule)) == rule


@pytest.mark.parametrize(
    "text", ["", "bash()", "bash(git", "two words", "bash(a)(b)", "bash(*)", "bash(rm *.py)", "write(.env)"]
)
def test_what_is_no_rule_is_refused_at_once(bench: Bench, text: str) -> None:
    with pytest.raises(ValueError, match="not a rule"):
        policy(bench, deny=frozenset({text}))


def test_a_project_below_a_folder_called_git_is_an_ordinary_project(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    place = bench.project / ".git" / "work"
    place.mkdir(parents=True)
    rights = Policy(Mode.EDITS, Workspace.at(place))
    assert verdict(decide(rights, bench, "write", path="a", content="")) == "yes"
