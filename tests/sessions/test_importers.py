"""Other tools' session files, written by those tools: what they become, and what they don't break."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from providers.types import Image, Text, Thinking, ToolCall, ToolResult, Usage
from sessions.catalog import summary
from sessions.importers import NotASession, import_all, import_file
from sessions.journal import Journal, read
from sessions.rehydrate import Conversation, rehydrate
from sessions.stats import collect, summarise
from tests.support.journals import booked, session, write

FILES = Path(__file__).parent.parent / "fixtures" / "sessions"
EXPECTED = json.loads((FILES / "expected.json").read_text())
ROLES = {
    "cheetahclaws/S2.session.json": "uatatauata",
    "cheetahclaws/H.history.json": "uatatauata",
    "bouzecode/current.session.json": "uattattatt",
    "bouzecode/flat.session.json": "uattattatt",
    "hermes/export.jsonl": "uatatauata",
    "hermes/state.db": "uatatauata",
    "opencode/export.json": "uatatauata",
}
LOGS = ("pi", "codex", "claude-code")


def brought(path: Path, home: Path) -> Conversation:
    return rehydrate(read(import_file(path, home, home)).records)


def changed(tmp_path: Path, name: str, change: Callable[[Any], object]) -> Path:
    """A copy of a JSON fixture with something changed."""
    value = json.loads((FILES / name).read_text())
    value = change(value) or value
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(value))
    return path


def rows(tmp_path: Path, *values: object) -> Path:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))
    return path


def roles(found: Conversation) -> str:
    return "".join(message.role[0] for message in found.state.messages)


def number(value: object) -> int:
    """A total of `expected.json`: absent is 0, `594+1025` is two sessions."""
    return 0 if value == "absent" else sum(int(part) for part in str(value).split("+"))


@pytest.mark.parametrize("one", EXPECTED, ids=[one["file"][:40] for one in EXPECTED])
def test_the_totals_are_those_that_the_tool_wrote(tmp_path: Path, one: dict[str, Any]) -> None:
    home = tmp_path / "home"
    found = [rehydrate(read(path).records).state for path in import_all(FILES / one["file"], home, tmp_path)]
    prompt = sum(state.usage.prompt_tokens for state in found)
    uncached = sum(state.total_input_tokens for state in found)
    assert (prompt if one["input_includes_cached"] == "yes" else uncached) == number(one["input"])
    assert sum(state.total_output_tokens for state in found) == number(one["output"])
    assert sum(state.total_cache_read_tokens for state in found) == number(one["cache_read"])
    assert sum(state.total_cache_write_tokens for state in found) == number(one["cache_write"])
    assert any(state.usage.cache_reported for state in found) == (one["cache_read"] != "absent")
    assert summarise(collect(home), "session").total.usage == sum((s.usage for s in found), Usage())


@pytest.mark.parametrize("one", EXPECTED, ids=[one["file"][:40] for one in EXPECTED])
def test_the_conversation_is_whole_and_can_be_sent(tmp_path: Path, one: dict[str, Any]) -> None:
    found = brought(FILES / one["file"], tmp_path / "home")
    tool = one["file"].split("/")[0]
    expected = ROLES.get(one["file"]) or ("uatatauata" if tool in LOGS else "uatata")
    assert roles(found) == ("" if "checkpoints" in one["file"] else expected)
    assert (found.repairs, found.dangling) == ((), ())
    if found.state.messages:
        assert "Zoë and 世界 — naïve café style ☕" in found.state.messages[0].text
        texts = [m.text for m in found.state.messages] + [
            call.raw_arguments for m in found.state.messages for call in m.tool_calls
        ]
        assert any("def greet(name: str) -> str:" in text for text in texts)


@pytest.mark.parametrize("one", EXPECTED, ids=[one["file"][:40] for one in EXPECTED])
def test_importing_twice_opens_the_first_import_and_leaves_the_file_alone(
    tmp_path: Path, one: dict[str, Any]
) -> None:
    path = tmp_path / "read-only" / Path(one["file"]).name
    path.parent.mkdir()
    path.write_bytes((FILES / one["file"]).read_bytes())
    path.chmod(0o400)
    path.parent.chmod(0o500)
    home = tmp_path / "home"
    try:
        first = import_file(path, home, tmp_path)
        with Journal.open(first) as journal:
            journal.append(booked("c1"), sync=False)
        assert import_file(path, home, tmp_path / "elsewhere") == first
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    finally:
        path.parent.chmod(0o700)
    assert path.read_bytes() == (FILES / one["file"]).read_bytes()
    assert rehydrate(read(first).records).calls[0].id == "c1"


@pytest.mark.parametrize("name", ["cheetahclaws/S0.session.json", "bouzecode/current.session.json"])
def test_it_is_marked_where_input_may_include_cached_tokens(tmp_path: Path, name: str) -> None:
    origin = brought(FILES / name, tmp_path).origin
    assert origin is not None
    assert origin.inexact
    assert origin.path == str(FILES / name)
    (row,) = collect(tmp_path)
    assert (row.purpose, row.inexact, row.cost, row.calls) == ("imported", True, None, 0)


def test_a_tool_whose_counting_is_known_is_not_marked(tmp_path: Path) -> None:
    origin = brought(FILES / "pi", tmp_path).origin if (FILES / "pi").is_file() else None
    origin = origin or brought(next((FILES / "pi").iterdir()), tmp_path).origin
    assert origin is not None
    assert (origin.inexact, origin.tool, origin.model) == (False, "pi", "anthropic/claude-sonnet-4-5")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("cheetahclaws/S0.session.json", "Error: file not found"),
        ("cheetahclaws/S4.session.json", "Error: file not found"),
        ("hermes/export.jsonl", "File not found"),
        ("hermes/state.db", "File not found"),
        ("opencode/export.json", "File not found"),
        ("gemini-cli/session-2026-11-22T02-01-f70a30fd.jsonl", "File not found"),
    ],
)
def test_a_failed_tool_is_known_as_failed(tmp_path: Path, name: str, error: str) -> None:
    found = [
        b
        for m in brought(FILES / name, tmp_path).state.messages
        for b in m.blocks
        if isinstance(b, ToolResult)
    ]
    assert [error in result.text for result in found][:2] == [True, False]
    assert [result.is_error for result in found][:2] == [True, False]


@pytest.mark.parametrize("folder", LOGS)
def test_a_failed_tool_in_a_log_is_known_as_failed(tmp_path: Path, folder: str) -> None:
    path = next(path for path in (FILES / folder).rglob("*.jsonl"))
    found = [b for m in brought(path, tmp_path).state.messages for b in m.blocks if isinstance(b, ToolResult)]
    assert [result.is_error for result in found] == [True, False, False]


def test_a_results_tool_is_named_by_its_call(tmp_path: Path) -> None:
    found = brought(FILES / "cheetahclaws" / "S0.session.json", tmp_path)
    names = [b.name for m in found.state.messages for b in m.blocks if isinstance(b, ToolResult)]
    assert names == ["Read", "Write"]


def test_title_folder_model_and_time_come_along(tmp_path: Path) -> None:
    path = import_file(FILES / "opencode" / "export.json", tmp_path)
    told = summary(path)
    assert (told.title, told.cwd, told.model) == (
        "Greeting helper ☕",
        "/home/dev/project",
        "anthropic/claude-sonnet-4-5",
    )
    assert (told.turns, told.origin, int(told.created)) == (2, "import", 1795312795)


def test_a_file_without_a_folder_belongs_to_the_present_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert brought_here(tmp_path).cwd == str(tmp_path)


def brought_here(home: Path) -> Conversation:
    return rehydrate(read(import_file(FILES / "cheetahclaws" / "S1.session.json", home)).records)


def test_unknown_keys_are_kept_in_a_note(tmp_path: Path) -> None:
    notes = brought(FILES / "bouzecode" / "current.session.json", tmp_path).notes
    extra = next(note.data["extra"] for note in notes if note.topic == "import")
    assert extra["close_reason"] == "final_answer"
    assert len(extra["compaction_log"]) == 3


def test_a_history_becomes_one_session_each_and_the_last_is_opened(tmp_path: Path) -> None:
    path = FILES / "cheetahclaws" / "H.history.json"
    made = import_all(path, tmp_path, tmp_path)
    assert len(made) == 2
    assert import_file(path, tmp_path, tmp_path) == made[1]
    assert [rehydrate(read(one).records).state.total_input_tokens for one in made] == [594, 1025]


@pytest.mark.parametrize("value", [None, "many", -5, True, [], "1e999"])
def test_a_total_that_is_no_count_is_0(tmp_path: Path, value: object) -> None:
    path = changed(tmp_path, "bouzecode/flat.session.json", lambda v: v.update(total_cache_read_tokens=value))
    state = brought(path, tmp_path / "home").state
    assert (state.total_cache_read_tokens, state.total_cache_write_tokens) == (0, 2574)


def test_a_total_in_text_counts(tmp_path: Path) -> None:
    path = changed(tmp_path, "cheetahclaws/S1.session.json", lambda v: v.update(total_input_tokens="12"))
    assert brought(path, tmp_path / "home").state.total_input_tokens == 12


def test_bad_rows_are_skipped_one_at_a_time_and_counted(tmp_path: Path) -> None:
    def spoil(value: dict[str, Any]) -> None:
        value["messages"][1:1] = [None, {"role": "king"}, {"content": "x"}, 7]

    found = brought(changed(tmp_path, "cheetahclaws/S1.session.json", spoil), tmp_path / "home")
    assert roles(found) == "uatata"
    skipped = next(note.data["skipped"] for note in found.notes if note.topic == "import")
    assert [row.partition(":")[0] for row in skipped] == [f"messages[{place}]" for place in (1, 2, 3, 4)]


def test_a_bad_session_in_a_history_costs_only_itself(tmp_path: Path) -> None:
    def spoil(value: dict[str, Any]) -> None:
        value["sessions"].insert(0, "nonsense")

    path = changed(tmp_path, "cheetahclaws/H.history.json", spoil)
    assert len(import_all(path, tmp_path / "home", tmp_path)) == 2


def test_neutral_oddities_are_read(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "see", "images": ["iVBORw0KGgo="]},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "t1", "name": "Read", "inputs": {"a": 1}},
                {"id": "t2", "name": "Bash", "input": {"_raw": '{"command": "l'}, "extra_content": {"x": 1}},
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "name": "Read", "content": "one"},
        {"role": "tool", "tool_call_id": "t2", "name": "Bash", "content": "two"},
        {"role": "enforcement"},
        {"role": "enforcement", "content": "Answer now."},
        {"role": "assistant", "content": None},
    ]
    path = tmp_path / "odd.json"
    path.write_text(json.dumps({"messages": messages, "turn_count": 1}))
    found = brought(path, tmp_path / "home").state.messages
    assert [message.role for message in found] == ["user", "assistant", "tool", "tool", "system"]
    assert found[0].blocks == (Text("see"), Image("image/png", "iVBORw0KGgo="))
    assert [call.raw_arguments for call in found[1].tool_calls] == ['{"a":1}', '{"command": "l']
    assert isinstance(found[1].blocks[0], Thinking)


def test_an_open_call_at_the_end_waits_for_its_answer(tmp_path: Path) -> None:
    path = changed(tmp_path, "cheetahclaws/S1.session.json", lambda v: v.update(messages=v["messages"][:2]))
    assert [call.name for call in brought(path, tmp_path / "home").dangling] == ["Read"]


def test_deleted_rows_of_hermes_stay_deleted(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes((FILES / "hermes" / "state.db").read_bytes())
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE messages SET active = 0 WHERE id >= 7")
    connection.close()
    assert roles(brought(path, tmp_path / "home")) == "uatata"


def test_a_write_ahead_log_beside_a_database_is_read_along(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    path.write_bytes((FILES / "cheetahclaws" / "S4.sessions.db").read_bytes())
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("UPDATE sessions SET input_tokens = 999")
    connection.commit()
    try:
        assert brought(path, tmp_path / "home").state.total_input_tokens == 999
    finally:
        connection.close()


def claude_row(
    uuid: str, parent: str | None, role: str, content: object, **more: object
) -> dict[str, object]:
    message: dict[str, object] = {"role": role, "content": content}
    if role == "assistant":
        usage = {"input_tokens": 10, "output_tokens": more.pop("output", 5), "cache_read_input_tokens": 100}
        message |= {"id": more.pop("id", uuid), "model": "claude", "usage": usage}
    row = {
        "uuid": uuid,
        "parentUuid": parent,
        "type": role,
        "message": message,
        "sessionId": "s",
        "cwd": "/p",
    }
    return row | more


@pytest.mark.parametrize("last", ["r1", "r2"])
def test_claude_codes_parallel_calls_keep_both_results(tmp_path: Path, last: str) -> None:
    path = rows(
        tmp_path,
        claude_row("u1", None, "user", "go"),
        claude_row(
            "a1", "u1", "assistant", [{"type": "tool_use", "id": "t1", "name": "R", "input": {}}], id="m"
        ),
        claude_row("r1", "a1", "user", [{"type": "tool_result", "tool_use_id": "t1", "content": "one"}]),
        claude_row(
            "a2", "a1", "assistant", [{"type": "tool_use", "id": "t2", "name": "R", "input": {}}], id="m"
        ),
        claude_row("r2", "a2", "user", [{"type": "tool_result", "tool_use_id": "t2", "content": "two"}]),
        claude_row("a3", last, "assistant", [{"type": "text", "text": "done"}]),
    )
    found = brought(path, tmp_path / "home")
    assert roles(found) == "uatta"
    assert len(found.state.messages[1].tool_calls) == 2
    assert found.repairs == ()


def test_claude_codes_side_chains_and_other_branches_are_billed_but_not_live(tmp_path: Path) -> None:
    path = rows(
        tmp_path,
        claude_row("u1", None, "user", "go"),
        claude_row("x1", "u1", "assistant", [{"type": "text", "text": "rewound"}], output=0),
        claude_row("x1b", "x1", "assistant", [{"type": "text", "text": " too"}], id="x1", output=7),
        claude_row(
            "s1",
            None,
            "assistant",
            [{"type": "text", "text": "replayed"}],
            id="x1",
            output=7,
            isSidechain=True,
        ),
        claude_row("s2", "s1", "assistant", [{"type": "text", "text": "side"}], isSidechain=True),
        claude_row("a1", "u1", "assistant", [{"type": "text", "text": "live"}]),
    )
    found = brought(path, tmp_path / "home")
    assert [message.text for message in found.state.messages] == ["go", "live"]
    assert (found.state.total_input_tokens, found.state.total_output_tokens) == (30, 17)
    assert found.state.total_cache_read_tokens == 300


def test_gemini_rewinds_take_rows_back_and_refund_nothing(tmp_path: Path) -> None:
    tokens = {"input": 100, "output": 5, "cached": 60, "thoughts": 2, "tool": 1}
    path = rows(
        tmp_path,
        {"sessionId": "s", "projectHash": "x", "startTime": "2026-11-22T02:01:50.001Z"},
        {"id": "a", "type": "user", "content": "first"},
        {"id": "b", "type": "gemini", "content": "reply", "tokens": tokens},
        {"id": "c", "type": "user", "content": [{"text": "second"}]},
        {"id": "d", "type": "gemini", "content": "gone", "tokens": tokens},
        {"$rewindTo": "c"},
        {"id": "e", "type": "user", "content": "third"},
    )
    found = brought(path, tmp_path / "home").state
    assert [message.text for message in found.messages] == ["first", "reply", "third"]
    assert found.usage == Usage(
        input_tokens=82,
        output_tokens=14,
        cache_read_tokens=120,
        reasoning_tokens=4,
        reported_prompt_tokens=202,
    )


def test_pis_last_branch_is_live_and_all_branches_are_billed(tmp_path: Path) -> None:
    def row(id: str, parent: str | None, role: str, text: str) -> dict[str, object]:
        usage = {"input": 1, "output": 2, "cacheRead": 3, "cacheWrite": 4}
        message = {"role": role, "content": [{"type": "text", "text": text}], "usage": usage}
        return {"type": "message", "id": id, "parentId": parent, "message": message}

    path = rows(
        tmp_path,
        {"type": "session", "version": 3, "id": "s", "cwd": "/p"},
        row("1", None, "user", "go"),
        row("2", "1", "assistant", "left"),
        row("3", "1", "assistant", "right"),
        row("4", "3", "user", "on"),
        {"type": "compaction", "id": "5", "parentId": "4", "summary": "so far", "firstKeptEntryId": "4"},
        row("6", "5", "assistant", "after"),
    )
    found = brought(path, tmp_path / "home").state
    assert [message.text for message in found.messages] == ["so far", "on", "after"]
    assert found.total_cache_write_tokens == 12


def test_codex_goes_on_from_a_compaction_and_a_rollback(tmp_path: Path) -> None:
    def said(role: str, text: str) -> dict[str, object]:
        payload = {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}
        return {"type": "response_item", "payload": payload}

    path = rows(
        tmp_path,
        {"type": "session_meta", "payload": {"id": "s", "cwd": "/p"}},
        said("user", "old"),
        said("assistant", "older"),
        {"type": "compacted", "payload": {"message": "what was", "replacement_history": []}},
        said("user", "kept"),
        said("assistant", "yes"),
        said("user", "taken back"),
        said("assistant", "no"),
        {"type": "event_msg", "payload": {"type": "thread_rolled_back", "num_turns": 1}},
        said("user", "last"),
    )
    found = brought(path, tmp_path / "home").state
    assert [message.text for message in found.messages] == ["what was", "kept", "yes", "last"]
    assert found.usage == Usage()


def test_opencodes_reasoning_is_added_only_where_it_stands_beside_the_output(tmp_path: Path) -> None:
    def total(tokens: dict[str, object]) -> int:
        path = changed(tmp_path, "opencode/export.json", lambda v: v["info"].update(tokens=tokens))
        return brought(path, tmp_path / "home").state.total_output_tokens

    assert total({"input": 10, "output": 5, "reasoning": 3, "total": 18, "cache": {"read": 0}}) == 8
    assert total({"input": 10, "output": 5, "reasoning": 3, "total": 15, "cache": {"read": 0}}) == 5


def test_raw_line_separators_inside_a_log_break_nothing(tmp_path: Path) -> None:
    path = rows(
        tmp_path,
        claude_row("u1", None, "user", "one\u2028two\u2029three\x85four"),
        claude_row("a1", "u1", "assistant", [{"type": "text", "text": "done"}]),
    )
    assert brought(path, tmp_path / "home").state.messages[0].text == "one\u2028two\u2029three\x85four"


def test_a_torn_line_in_a_log_is_skipped_and_counted(tmp_path: Path) -> None:
    path = rows(tmp_path, claude_row("u1", None, "user", "go"), claude_row("a1", "u1", "assistant", "yes"))
    path.write_bytes(b"{{{\n" + path.read_bytes() + b'{"uuid":"x","par')
    found = brought(path, tmp_path / "home")
    assert roles(found) == "ua"
    assert len(next(note.data["skipped"] for note in found.notes if note.topic == "import")) == 2


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"{}", b"[]", b"[1, 2]", b"\x00\xff", b'{"messages": []}', b"[" * 9999]
)
def test_a_file_that_is_no_session_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other.txt"
    path.write_bytes(data)
    with pytest.raises(NotASession, match=r"other\.txt"):
        import_file(path, tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_a_database_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE sessions (id TEXT)")
    connection.close()
    with pytest.raises(NotASession, match="other"):
        import_file(path, tmp_path / "home")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotASession, match=r"none\.json: no such file"):
        import_file(tmp_path / "none.json", tmp_path)


def test_a_journal_of_ours_is_opened_as_it_is_wherever_it_lies(tmp_path: Path) -> None:
    inside = write(tmp_path / "home" / "sessions" / "p" / "s1.jsonl", session())
    outside = write(tmp_path / "elsewhere.jsonl", session())
    inside.write_bytes(b"all\nof\nit\nis\nlost\n")
    outside.write_bytes(b"bad first line\n" + outside.read_bytes())
    assert import_file(inside, tmp_path / "home") == inside
    assert import_file(outside, tmp_path / "home") == outside


def test_arguments_are_the_tools_own_json(tmp_path: Path) -> None:
    found = brought(FILES / "hermes" / "export.jsonl", tmp_path).state.messages
    assert found[1].tool_calls == (
        ToolCall("toolu_01Fx000001944c2609c911ff", "read_file", '{"path": "/home/dev/project/greet.py"}'),
    )
