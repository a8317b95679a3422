"""Cutting a streamed body into lines and events."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.lines import SentEvent, event_data, json_lines, lines, sent_events


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@given(st.binary(max_size=60).map(lambda body: body.replace(b"\x00", b"\n")), st.integers(1, 7))
async def test_lines_do_not_depend_on_how_the_body_was_cut(body: bytes, size: int) -> None:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    assert [each async for each in lines(chunks(*parts))] == [each async for each in lines(chunks(body))]


async def test_only_line_feeds_end_a_line() -> None:
    body = "a\u2028b\x85c\x0cd\r\ne\n\nf".encode()
    assert [each.decode() async for each in lines(chunks(body))] == ["a\u2028b\x85c\x0cd", "e", "", "f"]


async def test_the_data_of_an_event_may_stand_on_several_lines() -> None:
    body = b': hello\nevent: x\nid: 1\ndata: {"a":\ndata:1}\n\n'
    assert [each async for each in event_data(chunks(body))] == ['{"a":\n1}']


async def test_a_last_event_needs_no_empty_line_but_must_be_whole() -> None:
    assert [each async for each in event_data(chunks(b'data: {"a":1}\n'))] == ['{"a":1}']
    assert [each async for each in event_data(chunks(b"data: [DONE]"))] == ["[DONE]"]
    assert [each async for each in event_data(chunks(b'data: {"a":'))] == []


async def test_an_event_keeps_its_name_and_may_have_no_data() -> None:
    body = b"event: ping\ndata: {}\n\nevent: message_stop\n\ndata: 1\n\n"
    assert [each async for each in sent_events(chunks(body))] == [
        SentEvent("ping", "{}"),
        SentEvent("message_stop", ""),
        SentEvent("", "1"),
    ]


async def test_an_error_line_is_an_event_of_its_own() -> None:
    body = b'data: {"a":1}\n\nerror: {"code":500}\n\n'
    assert [each async for each in event_data(chunks(body))] == ['{"a":1}', '{"error": {"code":500}}']


async def test_a_last_line_that_broke_off_is_left_out_and_a_broken_one_before_it_is_an_error() -> None:
    assert [each async for each in json_lines(chunks(b'{"a":1}\n\n{"b":2}'))] == [{"a": 1}, {"b": 2}]
    assert [each async for each in json_lines(chunks(b'{"a":1}\n{"b":'))] == [{"a": 1}]
    with pytest.raises(ValueError, match="Expecting"):
        assert [each async for each in json_lines(chunks(b'{"b":\n{"a":1}\n'))]
