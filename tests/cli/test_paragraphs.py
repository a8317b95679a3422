"""Finished blocks leave the live region; what may still change stays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cli.paragraphs import split


def test_a_paragraph_is_finished_when_the_next_one_begins() -> None:
    assert split("one\ntwo\n\n") == ([], "one\ntwo\n\n")
    assert split("one\ntwo\n\nthr") == (["one\ntwo"], "thr")


def test_a_code_block_with_blank_lines_stays_whole() -> None:
    assert split("```py\na\n\nb\n") == ([], "```py\na\n\nb\n")
    assert split("```py\na\n\nb\n```\nrest") == (["```py\na\n\nb\n```"], "rest")


def test_a_longer_fence_holds_shorter_ones() -> None:
    assert split("````\n```\n\nx\n```\n````\n") == (["````\n```\n\nx\n```\n````"], "")


def test_a_list_item_keeps_its_indented_continuation() -> None:
    text = "1. first\n\n   more of it\n\n2. second"
    assert split(text) == (["1. first\n\n   more of it"], "2. second")


@given(st.text(st.sampled_from("a \n`~-#"), max_size=80))
def test_no_word_is_lost_or_moved(text: str) -> None:
    blocks, rest = split(text)
    assert "".join("".join([*blocks, rest]).split()) == "".join(text.split())


@given(st.text(st.sampled_from("a \n`~-#"), max_size=60), st.integers(0, 60))
def test_feeding_it_in_pieces_ends_the_same(text: str, cut: int) -> None:
    first, rest = split(text[:cut])
    second, rest = split(rest + text[cut:])
    whole, whole_rest = split(text)
    assert "".join("".join([*first, *second, rest]).split()) == "".join("".join([*whole, whole_rest]).split())
