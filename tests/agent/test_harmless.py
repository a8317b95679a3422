"""Text from outside can't move the cursor, hide or reorder what a person sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.harmless import harmless, one_line, visible

NASTY = st.text(
    alphabet=st.one_of(
        st.sampled_from("\x1b\x9b\x9d\x90\r\n\t\x08\x07\x9c[];0m\\ab\u200b\u200d\u202e\ufeff👩é"),
        st.characters(),
    )
)


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;owned\x07title", "title"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0;2;0\x1b\\after", "after"),
        ("\x1b]52;c;cm0gLXJm\x07x", "x"),
        ("\x9b2Jgone\x9d0;t\x9cstay", "gonestay"),
        ("\x1b(Bplain\x1b7\x1b8", "plain"),
        ("a\x00b\x7fc\x85d", "abcd"),
        ("kept\ttab\nline", "kept\ttab\nline"),
        ("dos\r\nends\r\n", "dos\nends\n"),
        ("1%\r50%\r100%\ndone", "100%\ndone"),
        ("1%\r2%\r", "2%"),
        ("b\x08bo\x08old", "bold"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("pay\u200dpal", "pay\\u200dpal"),
        ("\ud800", "\\ud800"),
        ("tag\U000e0041", "tag\\U000e0041"),
    ],
)
def test_a_sequence_leaves_no_trace_but_its_text(raw: str, safe: str) -> None:
    assert harmless(raw) == safe


@pytest.mark.parametrize("text", ["👩\u200d💻 codes", "نمی\u200cخواهم", "naïve café", "日本語"])
def test_real_words_and_emoji_stay_as_they_are(text: str) -> None:
    assert harmless(text) == text
    assert visible(text) == text


@given(NASTY)
def test_nothing_dangerous_is_left(raw: str) -> None:
    safe = harmless(raw)
    assert not any((c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f" for c in safe)
    assert not set(safe) & set("\u200b\u202e\u2066\ufeff\u2028")
    safe.encode()


@given(NASTY)
def test_doing_it_twice_changes_nothing_more(raw: str) -> None:
    assert harmless(harmless(raw)) == harmless(raw)
    assert harmless(visible(raw)) == visible(raw)


@given(NASTY)
def test_a_question_drops_no_character(raw: str) -> None:
    assert len(visible(raw)) >= len(raw)


def test_a_command_drawn_over_by_a_carriage_return_is_seen_whole() -> None:
    assert visible("rm -rf /\rls") == "rm -rf /\\rls"


def test_a_summary_is_one_short_line() -> None:
    assert one_line("a\n  b\tc") == "a b c"
    assert len(one_line("x" * 500)) == 200
