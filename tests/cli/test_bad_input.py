"""What a person, a model, a file or a disk can do wrong: one clear line, its exit code, nothing lost."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.loopback import json_reply
from tests.support.ollama_server import OllamaServer
from tests.support.program import Program, Ran, path_with, program_in
from tests.support.script import say, script, use
from tests.support.wires import OLLAMA, OPENAI, Sent, Wire

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "sessions"
HELD_TO_MODES = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
"""Before a program: root without the right to pass over permissions."""


@pytest.fixture
def agent(tmp_path: Path) -> Program:
    return program_in(tmp_path)


def play(
    agent: Program, prompt: str, *steps: dict[str, Any], words: tuple[str, ...] = (), **more: Any
) -> Ran:
    """A headless prompt that a scripted model answers."""
    model = script(agent.project.parent, *steps)
    words = ("-p", prompt, "-m", str(model), "--output-format", "json", "--permission-mode", "auto", *words)
    return agent(*words, **more)


def results(agent: Program) -> list[str]:
    """What the model was told by its tools, in the order of its calls."""
    blocks = [block for line in agent.lines("message") for block in line["blocks"]]
    told = {block["call_id"]: block["text"] for block in blocks if block["type"] == "tool_result"}
    return [told[block["id"]] for block in blocks if block["type"] == "tool_call"]


# --- models and keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            "anthropic/claude-sonnet-5-5",
            "anthropic needs a key and ANTHROPIC_API_KEY has none. Set it, or run",
        ),
        ("openai/gpt-5.6", "openai needs a key and OPENAI_API_KEY has none. Set it, or run"),
        ("claudia/sonnet", "No provider named 'claudia'. Try"),
        ("scripted/none.json", "Cannot read the script"),
    ],
)
def test_a_model_that_cannot_be_used_is_told_with_a_way_on(agent: Program, model: str, said: str) -> None:
    ran = agent.ask("hello", "-m", model, "--usage-file", "usage.json")
    assert ran.code == 2
    assert ran.complaint.startswith(said)
    assert (ran.json["is_error"], ran.json["result"]) == (True, ran.complaint)
    assert json.loads((agent.project / "usage.json").read_text())["is_error"] is True


def test_a_model_that_ollama_does_not_have_is_told_with_how_to_fetch_it(tmp_path: Path) -> None:
    with OllamaServer([json_reply({"error": "model 'nope' not found"}, 404)]) as server:
        ran = program_in(tmp_path, OLLAMA_HOST=server.url).ask("hello", "-m", "ollama/nope")
    assert (ran.code, ran.json["stop_reason"]) == (4, "error")
    assert "ollama pull nope" in ran.complaint


def test_a_model_that_the_endpoint_does_not_know_is_told_with_where_to_look(tmp_path: Path) -> None:
    with OPENAI.serve([OPENAI.refuse(404, "The model `gpt-nope` does not exist")]) as server:
        ran = program_in(tmp_path, **OPENAI.environ(server.url)).ask("hello", "-m", "openai/gpt-nope")
    assert ran.code == 4
    assert "gpt-nope" in ran.complaint
    assert "agent models" in ran.complaint


# --- the journal -------------------------------------------------------------------------------------------


def test_a_corrupt_line_in_the_middle_is_skipped_counted_and_kept(agent: Program) -> None:
    play(agent, "one", say("first", input_tokens=5, output_tokens=2))
    play(agent, "two", say("first"), say("second", input_tokens=7, output_tokens=3), words=("-c",))
    journal = agent.journal()
    lines = journal.read_bytes().split(b"\n")
    place = [number for number, line in enumerate(lines) if b'"kind":"message"' in line][1]
    lines[place] = lines[place][:50] + b"\xff\xfe"
    broken = b"\n".join(lines)
    journal.write_bytes(broken)
    ran = play(agent, "three", say("a"), say("third", input_tokens=11), words=("-c",))
    assert (ran.code, ran.json["result"]) == (0, "third")
    (note,) = ran.err.splitlines()
    assert note == (
        f"note: {journal}: skipped 1 unreadable line (line {place + 1}: it is not UTF-8); "
        "the file was left as it is."
    )
    assert journal.read_bytes().startswith(broken)
    assert agent.checkpoint()["token_snapshot"]["input"] == 5 + 7 + 11
    assert agent("stats", "--json").json["total"]["input_tokens"] == 5 + 7 + 11


def test_a_journal_of_a_later_version_is_not_written(agent: Program) -> None:
    play(agent, "one", say("first"))
    journal = agent.journal()
    later = journal.read_bytes().replace(b'"version":1', b'"version":99', 1)
    journal.write_bytes(later)
    ran = play(agent, "two", say("first"), say("second"), words=("-c",))
    assert ran.code == 1
    assert "Update Cachet" in ran.complaint
    assert journal.read_bytes() == later


# --- places ------------------------------------------------------------------------------------------------


def test_in_ones_home_the_chat_works_and_files_are_said_to_be_off(agent: Program) -> None:
    ran = play(agent, "hello", say("hi"), HOME=str(agent.project))
    assert (ran.code, ran.err, ran.json["result"]) == (0, "", "hi")
    checkpoint = agent.checkpoint()
    assert checkpoint["tree"] is None
    assert checkpoint["files_off"] == "$HOME is not a project: files are not kept"
    assert not list(agent.home.glob("checkpoints/*.git"))


def test_without_git_the_chat_works_and_files_are_said_to_be_off(agent: Program, tmp_path: Path) -> None:
    path = path_with(tmp_path / "bin", "bash", "cat")
    step = use(("write", {"path": "a.txt", "content": "a"}), ("bash", {"command": "cat a.txt"}))
    ran = play(agent, "go", step, say("done"), PATH=path)
    assert (ran.code, ran.err, ran.json["result"]) == (0, "", "done")
    assert results(agent)[1].startswith("a")
    assert agent.checkpoint()["files_off"].startswith("git is not installed")
    listed = agent("checkpoints", "--json", PATH=path).json
    assert [each["files"] for each in listed] == [False, False]
    ran = agent("rewind", agent.journal().stem, "0", "--conversation", PATH=path)
    assert (ran.code, ran.err) == (0, "")


def test_a_home_that_cannot_be_written_is_told_with_what_to_do(agent: Program, tmp_path: Path) -> None:
    agent.home.mkdir(mode=0o500)
    words = ("--usage-file", "usage.json")
    ran = play(agent, "hello", say("hi"), words=words, under=HELD_TO_MODES)
    assert ran.code == 1
    assert ran.complaint.startswith(f"Cannot begin the session {agent.home}/sessions/")
    assert "permission denied" in ran.complaint
    assert "CACHET_HOME" in ran.complaint
    assert ran.json["result"] == ran.complaint
    assert json.loads((agent.project / "usage.json").read_text())["is_error"] is True


def test_a_file_in_the_homes_place_is_told_with_what_to_do(agent: Program) -> None:
    agent.home.write_text("mine")
    ran = play(agent, "hello", say("hi"))
    assert ran.code == 1
    assert "not a directory" in ran.complaint
    assert "CACHET_HOME" in ran.complaint
    assert agent.home.read_text() == "mine"


@pytest.mark.skipif(not shutil.which("prlimit"), reason="limits a file's size with prlimit")
def test_a_full_disk_is_told_and_what_was_written_before_stands(agent: Program) -> None:
    (agent.project / "long.txt").write_text(("x" * 99 + "\n") * 300)
    steps = (use(("read", {"path": "long.txt"}), input_tokens=5), say("done", input_tokens=7))
    ran = play(agent, "read it", *steps, under=("prlimit", "--fsize=16384"))
    assert ran.code == 1
    assert ran.complaint.startswith(f"Cannot write the session {agent.journal()}: ")
    assert "Free some space" in ran.complaint
    assert ran.json["usage"]["input_tokens"] == 5
    again = play(agent, "go on", *steps, words=("-c",))
    assert (again.code, again.json["result"]) == (0, "done")
    assert agent.checkpoint()["token_snapshot"]["input"] == 5 + 7
    assert "Interrupted" in results(agent)[-1]


def test_a_usage_file_that_cannot_be_written_is_told_and_the_answer_is_printed(agent: Program) -> None:
    ran = play(agent, "hello", say("hi"), words=("--usage-file", "none/usage.json"))
    assert (ran.code, ran.json["result"]) == (1, "hi")
    assert ran.complaint.startswith("Cannot write --usage-file none/usage.json: No such file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="writes to /dev/full")
@pytest.mark.parametrize("form", ["text", "json", "stream-json"])
def test_a_full_disk_behind_the_output_is_told_and_the_session_goes_on(agent: Program, form: str) -> None:
    words = ("--output-format", form, "--usage-file", "usage.json")
    ran = play(
        agent, "hello", say("hi", input_tokens=5), words=words, under=("sh", "-c", '"$@" >/dev/full', "-")
    )
    assert (ran.code, ran.out) == (1, "")
    assert ran.complaint.startswith("Cannot write to standard output: No space left on device.")
    assert json.loads((agent.project / "usage.json").read_text())["session_id"] == agent.journal().stem
    assert play(agent, "go on", say("on"), say("on"), words=("-c",)).json["result"] == "on"


# --- files and arguments -----------------------------------------------------------------------------------

BINARY = bytes(range(256)) * 8
LATIN = "café\n".encode("latin-1")


def test_files_of_every_kind_are_refused_or_changed_without_harm(agent: Program) -> None:
    (agent.project / "binary.dat").write_bytes(BINARY)
    (agent.project / "latin.txt").write_bytes(LATIN)
    with (agent.project / "huge.dat").open("wb") as huge:
        huge.truncate(3 << 30)
    step = use(
        ("read", {"path": "binary.dat"}),
        ("read", {"path": "latin.txt"}),
        ("read", {"path": "huge.dat"}),
        ("edit", {"path": "latin.txt", "old": "caf", "new": "kaf"}),
        ("edit", {"path": "binary.dat", "old": "a", "new": "b"}),
        ("edit", {"path": "huge.dat", "old": "a", "new": "b"}),
        ("write", {"path": "binary.dat", "content": "text"}),
        ("write", {"path": "huge.dat", "content": "text"}),
    )
    ran = play(agent, "go", step, say("done"))
    assert (ran.code, ran.err) == (0, "")
    told = results(agent)
    assert "binary" in told[0]
    assert "café" in told[1]
    assert "3,221,225,472 bytes" in told[2]
    assert (agent.project / "latin.txt").read_bytes() == LATIN.replace(b"c", b"k")
    assert (agent.project / "binary.dat").read_bytes() == BINARY
    assert (agent.project / "huge.dat").stat().st_size == 3 << 30
    assert agent.checkpoint()["skipped"] == ["huge.dat: over 10 MB"]


def test_a_rewind_brings_binary_and_foreign_bytes_back(agent: Program) -> None:
    (agent.project / "binary.dat").write_bytes(BINARY)
    (agent.project / "latin.txt").write_bytes(LATIN)
    odd = os.fsencode(agent.project) + b"/\xff\xfe.txt"
    Path(os.fsdecode(odd)).write_bytes(b"odd")
    command = "rm binary.dat; echo gone > latin.txt; rm $'\\xff\\xfe.txt'"
    ran = play(agent, "go", use(("bash", {"command": command})), say("done"))
    assert (ran.code, ran.err) == (0, "")
    assert not (agent.project / "binary.dat").exists()
    assert not os.path.exists(odd)
    ran = agent("rewind", agent.journal().stem, "0")
    assert (ran.code, ran.err) == (0, "")
    assert (agent.project / "binary.dat").read_bytes() == BINARY
    assert (agent.project / "latin.txt").read_bytes() == LATIN
    assert Path(os.fsdecode(odd)).read_bytes() == b"odd"


def test_arguments_that_cannot_be_read_run_nothing_and_are_told_to_the_model(agent: Program) -> None:
    calls = [
        ("write", '{"path": "a.txt", "content": "cut o'),
        ("write", '{"path": "a.txt"}'),
        ("write", "[1]"),
        ("read", '{"path": 42}'),
        ("read", '{"path": "nul\\u0000"}'),
        ("fly", "{}"),
    ]
    wanted = [{"name": name, "arguments": raw} for name, raw in calls]
    ran = play(agent, "go", {"tool_calls": wanted}, say("done"))
    assert (ran.code, ran.err, ran.json["result"]) == (0, "", "done")
    told = results(agent)
    assert len(told) == len(calls)
    for (name, _), text in zip(calls, told, strict=True):
        assert name in text
    assert list(agent.project.iterdir()) == []


@pytest.mark.parametrize("wire", [OPENAI, OLLAMA], ids=lambda wire: wire.name)
def test_half_a_character_from_a_model_stops_neither_the_turn_nor_the_next(
    tmp_path: Path, wire: Wire
) -> None:
    with wire.serve([wire.say("a \ud83d b"), wire.say("whole")]) as server:
        agent = program_in(tmp_path, **wire.environ(server.url))
        ran = agent.ask("hello", "-m", wire.model, "--usage-file", "usage.json")
        assert (ran.code, ran.err) == (0, "")
        assert ran.json["result"].startswith("a ")
        assert json.loads((agent.project / "usage.json").read_text())["result"] == ran.json["result"]
        again = agent.ask("go on", "-c")
        assert (again.code, again.json["result"]) == (0, "whole")
        first, second = map(Sent.of, server.prompts)
    assert second.goes_on_from(first)


def test_output_that_has_no_form_in_the_terminals_encoding_is_printed_as_well_as_can_be(
    agent: Program,
) -> None:
    ran = play(agent, "hello", say("naïve ☃"), words=("--output-format", "text"), PYTHONIOENCODING="ascii")
    assert (ran.code, ran.out) == (0, "na\\xefve \\u2603\n")


# --- older files -------------------------------------------------------------------------------------------

TOTALS = {"S0": (321, 108), "S1": (360, 111), "S2": (700, 215), "S3": (438, 117), "S4": (477, 120)}
"""What each file says it was billed: input and output tokens."""


def older_session(agent: Program, version: str, *rows: Any) -> tuple[Path, tuple[str, ...]]:
    """A real file of that version, these rows put in, and the words that go on from it."""
    older = agent.project.parent / f"{version}.session.json"
    content = json.loads((FIXTURES / "cheetahclaws" / older.name).read_bytes())
    answers = sum(message["role"] == "assistant" for message in content["messages"])
    content["messages"][1:1] = rows
    older.write_text(json.dumps(content))
    model = script(agent.project.parent, *[say("")] * answers, say("on it", input_tokens=7, output_tokens=3))
    return older, ("resume", str(older), "-p", "go on", "-m", str(model), "--output-format", "json")


@pytest.mark.parametrize("version", TOTALS)
def test_every_older_session_goes_on_with_its_totals(agent: Program, version: str) -> None:
    older, words = older_session(agent, version)
    before = fingerprint(older)
    ran = agent(*words)
    assert (ran.code, ran.err, ran.json["result"]) == (0, "", "on it")
    assert ran.json["usage"]["total_tokens"] == 7 + 3
    tokens = agent.checkpoint()["token_snapshot"]
    billed = TOTALS[version]
    assert (tokens["input"], tokens["output"]) == (billed[0] + 7, billed[1] + 3)
    assert (tokens["cache_read"], tokens["cache_write"], tokens["cache_write_1h"]) == (0, 0, 0)
    assert fingerprint(older) == before


@pytest.mark.parametrize("version", ["S0", "S4"])
def test_broken_rows_cost_an_older_session_only_themselves(agent: Program, version: str) -> None:
    older, words = older_session(agent, version, None, 42, {"role": "wizard"}, {"content": "no role"})
    before = fingerprint(older)
    ran = agent(*words)
    assert (ran.code, ran.json["result"]) == (0, "on it")
    assert fingerprint(older) == before
    told = agent("stats", "--json").json["total"]
    billed = TOTALS[version]
    assert (told["input_tokens"], told["output_tokens"]) == (billed[0] + 7, billed[1] + 3)
    assert told["inexact"] is True


def test_an_older_session_is_imported_once(agent: Program) -> None:
    _, words = older_session(agent, "S1")
    first = agent(*words).json
    again = agent(*words[:4], *words[6:], "-m", str(script(agent.project.parent, *[say("more")] * 9)))
    assert (again.json["session_id"], again.json["turns"]) == (first["session_id"], first["turns"] + 1)


def test_a_file_that_is_no_session_is_told_and_left_alone(agent: Program) -> None:
    (agent.project / "notes.json").write_text('{"shopping": ["milk"]}')
    before = fingerprint(agent.project / "notes.json")
    ran = agent("resume", "notes.json", "-p", "go on", "-m", "scripted/x.json")
    assert ran.code == 2
    assert "notes.json" in ran.complaint
    assert fingerprint(agent.project / "notes.json") == before


def fingerprint(path: Path) -> tuple[str, int, int]:
    found = path.stat()
    return hashlib.sha256(path.read_bytes()).hexdigest(), found.st_mtime_ns, found.st_ino
