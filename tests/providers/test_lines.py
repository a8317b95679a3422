"""Cutting a streamed body into lines and events."""

from __future__ import annotations

from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from providers.lines import event_data, lines


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
