"""A diff applies: `patch`'s own reading of it gives the new text."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from agent.tools.difference import shortened, tally, unified

TEXT = st.lists(st.sampled_from(["a", "b", "c", "", "dd"]), max_size=30).map(lambda lines: "\n".join(lines))


def applied(before: str, diff: str) -> str:
    """The new text, by the diff's own headers."""
    ends = "\n\\ No newline at end of file"
    marked = before + ends if before and not before.endswith("\n") else before
    old = [line.replace("\0", ends) for line in marked.replace(ends, "\0").split("\n")]
    old = old if marked and not marked.endswith("\n") else old[:-1]
    new: list[str] = []
    at = 0
    for line in diff.replace(ends, "\0").split("\n")[2:]:
        line = line.replace("\0", ends)
        if header := re.match(r"@@ -(\d+)(?:,(\d+))?", line):
            start = int(header[1]) - (header[2] != "0")
            new += old[at:start]
            at = start
        elif line.startswith("+"):
            new.append(line[1:])
        else:
            assert old[at] == line[1:]
            at += 1
            if line.startswith(" "):
                new.append(line[1:])
    new += old[at:]
    text = "\n".join(new)
    return text.removesuffix(ends) if text.endswith(ends) else text + ("\n" if new else "")


@given(TEXT, TEXT)
def test_a_diff_leads_from_the_old_text_to_the_new(before: str, after: str) -> None:
    diff = unified(before, after, "x")
    assert (diff == "") == (before == after)
    if diff:
        assert applied(before, diff) == after


def test_a_whole_rewrite_of_a_long_file_is_quick_and_right() -> None:
    before = "".join(f"old {n % 7}\n" for n in range(6_000))
    after = "".join(f"new {n % 5}\n" for n in range(6_000))
    diff = unified(before, after, "x")
    assert tally(diff) == "+6000 -6000"
    assert applied(before, diff) == after


def test_a_long_diff_says_how_much_is_left_out() -> None:
    diff = unified("", "x\n" * 100, "x")
    assert shortened(diff, 10).endswith("… 93 more lines")
