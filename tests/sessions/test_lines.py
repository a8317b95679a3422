"""Records as lines: every kind, each way, whatever stands in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.types import Image, Message, Opaque, Origin, Text, Thinking, ToolCall, ToolResult, Usage
from sessions.lines import decode, encode
from sessions.records import (
    CallLine,
    CompactionLine,
    MessageLine,
    NoteLine,
    PrefixLine,
    SessionLine,
    UnknownLine,
)
from tests.support.journals import AT, booked, said

GOLDEN = Path(__file__).parent.parent / "fixtures" / "journal" / "golden-1.jsonl"
GOLDEN_LINES = GOLDEN.read_bytes().rstrip(b"\n").split(b"\n")


@pytest.mark.parametrize("line", GOLDEN_LINES, ids=range(1, len(GOLDEN_LINES) + 1))
def test_a_golden_line_is_written_back_byte_for_byte(line: bytes) -> None:
    assert encode(decode(line)).encode() == line


def test_the_golden_file_has_every_kind_and_every_block() -> None:
    lines = [json.loads(line) for line in GOLDEN_LINES]
    kinds = {line["kind"] for line in lines}
    assert kinds >= {"session", "prefix", "message", "call", "head", "compaction", "checkpoint", "note"}
    assert any(isinstance(decode(line), UnknownLine) for line in GOLDEN_LINES)
    blocks = {
        type(b)
        for line in map(decode, GOLDEN_LINES)
        if isinstance(line, MessageLine)
        for b in line.message.blocks
    }
    assert blocks == {Text, Thinking, Image, ToolCall, ToolResult, Opaque}


def test_kind_stands_first_and_id_parent_and_at_follow() -> None:
    for line in GOLDEN_LINES:
        assert line.startswith(b'{"kind":')
    assert list(json.loads(encode(booked("c1"))))[:4] == ["kind", "id", "parent", "at"]


def test_an_unknown_key_survives() -> None:
    line = b'{"kind":"head","id":"h","parent":null,"at":"","message":null,"reason":"undo","mood":{"a":[1]}}'
    assert encode(decode(line)).encode() == line


def test_a_kind_from_a_later_version_survives_as_it_came() -> None:
    line = '{"kind":"branch","colour":"grün","id":"b1","at":"x","parent":null}'
    assert encode(decode(line)) == line


def test_a_compaction_names_its_lane_where_that_is_a_sub_agents() -> None:
    stands = '"summary":"s","first":"a","last":"b"'
    line = f'{{"kind":"compaction","id":"c","parent":"m1","at":"","lane":"task_1",{stands}}}'
    record = decode(line)
    assert isinstance(record, CompactionLine)
    assert record.lane == "task_1"
    assert encode(record) == line


def test_a_block_type_from_a_later_version_survives_and_belongs_to_no_wire() -> None:
    line = '{"kind":"message","id":"m","parent":null,"at":"","role":"user","blocks":[{"type":"video"}]}'
    record = decode(line)
    assert isinstance(record, MessageLine)
    assert isinstance(record.message.blocks[0], Opaque)
    assert encode(record) == line


@pytest.mark.parametrize("value", ["null", '"many"', "-3", "true", "NaN", "[]", "1e999"])
def test_a_counter_that_is_no_count_is_0(value: str) -> None:
    record = decode(f'{{"kind":"call","id":"c","usage":{{"input_tokens":{value},"output_tokens":"12"}}}}')
    assert isinstance(record, CallLine)
    assert record.usage == Usage(output_tokens=12)


def test_a_call_line_with_nothing_but_its_id_has_zeros_and_no_price() -> None:
    record = decode('{"kind":"call","id":"c"}')
    assert isinstance(record, CallLine)
    assert (record.usage, record.cost, record.uncached_cost, record.estimated) == (Usage(), None, None, False)


def test_tool_parameters_and_arguments_keep_their_exact_text() -> None:
    prefix = next(line for line in map(decode, GOLDEN_LINES) if isinstance(line, PrefixLine))
    assert prefix.prefix.tools[0].parameters == '{"properties":{"path":{"type":"string"}},"type":"object"}'
    odd = MessageLine(
        id="m", parent=None, at=AT, message=Message("m", "assistant", (ToolCall("t", "x", '{ "a" :1e3 }'),))
    )
    assert decode(encode(odd)) == odd


@pytest.mark.parametrize(
    "text", ["a\u2028b\u2029c\u0085d", "cr\rlf\nend", "\x00\x1c\x1e", "\ud800", "Zoë 世界 ☕ 👩‍💻"]
)
def test_no_text_breaks_the_line(text: str) -> None:
    record = said("m", None, text)
    line = encode(record)
    assert line.splitlines() == [line]
    assert decode(line.encode()) == record


def test_plain_non_ascii_stays_readable() -> None:
    assert "Zoë 世界 ☕" in encode(said("m", None, "Zoë 世界 ☕"))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b'"kind"',
        b"{}",
        b'{"kind":7}',
        b"\xff\xfe",
        b"\x00\x00\x00",
        b"[" * 100_000,
        b'{"kind":"message","id":"m","role":"king","blocks":[]}',
        b'{"kind":"message","id":"m","role":"user","blocks":["text"]}',
        b'{"kind":"message","role":"user","blocks":[]}',
        b'{"kind":"prefix","id":"p","model":"no-slash"}',
        b'{"kind":"session","id":"s"}',
        b'{"kind":"compaction","id":"c","summary":"m"}',
    ],
)
def test_a_bad_line_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line)


@given(
    st.text(st.characters(exclude_categories=())),
    st.dictionaries(st.text(max_size=8), st.floats() | st.text()),
)
def test_whatever_a_note_holds_comes_back(text: str, data: dict[str, float | str]) -> None:
    line = encode(NoteLine(id="n", parent=None, at=AT, topic="t", text=text, data=data))
    assert encode(decode(line.encode())) == line


def test_an_origin_keeps_its_inherited_usage_and_its_mark() -> None:
    first = next(line for line in map(decode, GOLDEN_LINES) if isinstance(line, SessionLine))
    assert first.origin is not None
    assert first.origin.inexact
    assert first.origin.inherited.cache_read_tokens == 4948


def test_thinking_comes_back_with_its_signature_and_maker() -> None:
    block = Thinking("hm", Origin("anthropic", "https://x", "m"), "c2ln+/==")
    record = said("m", None, block, role="assistant")
    assert decode(encode(record)) == record


def test_a_call_tells_its_wire_and_an_older_line_tells_none() -> None:
    calls = [line for line in map(decode, GOLDEN_LINES) if isinstance(line, CallLine)]
    assert [call.wire for call in calls] == ["", "", "anthropic"]
    assert '"wire"' not in encode(calls[0])
