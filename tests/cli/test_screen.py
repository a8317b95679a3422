"""What the screen prints for good, and what it only shows while it changes."""

from __future__ import annotations

import re

from agent.events import (
    CacheMissed,
    CheckpointMade,
    Event,
    Retrying,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from cli.paint import Painter
from cli.screen import Screen
from providers.types import TextDelta, ThinkingDelta, ToolCall, ToolCallStarted, Usage

DIFF = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-old\n+new"
CALL = ToolCall("c1", "bash", '{"command":"pytest -q"}')


class Paper:
    """A screen whose printing is kept."""

    def __init__(self, width: int = 80, *, colours: bool = False) -> None:
        environ = {"TERM": "xterm-256color"} if colours else {"TERM": "xterm-256color", "NO_COLOR": "1"}
        self.printed = ""
        self.screen = Screen(Painter(lambda: width, environ), self._write)

    def _write(self, ansi: str) -> None:
        self.printed += ansi

    @property
    def text(self) -> str:
        return plain(self.printed)

    def show(self, *events: Event) -> Paper:
        for event in events:
            self.screen.show(event)
        return self

    def live(self, rows: int = 20) -> str:
        return plain(self.screen.live(rows))


def plain(ansi: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", ansi)


def done(text: str = "") -> TurnFinished:
    return TurnFinished(Usage(), "end_turn", text)


def test_unfinished_text_is_live_and_finished_text_is_printed_once() -> None:
    paper = Paper().show(TextDelta("First para"), TextDelta("graph.\n\nSec"))
    assert "First paragraph." in paper.text
    assert "First paragraph." not in paper.live()
    assert paper.live() == "Sec"
    paper.show(TextDelta("ond."), done())
    assert paper.text.count("First paragraph.") == 1
    assert paper.text.count("Second.") == 1
    assert paper.live() == ""


def test_markdown_is_rendered_and_links_show_where_they_lead() -> None:
    paper = Paper().show(TextDelta("**bold** and [click](https://evil.example)\n\n"), done())
    assert "bold and click (https://evil.example)" in paper.text


def test_a_models_text_cannot_move_the_cursor_or_set_a_title() -> None:
    paper = Paper().show(TextDelta("a\x1b]0;owned\x07b\x1b[2Jc\u202ed"), done())
    assert "\x1b]" not in paper.printed
    assert "\x1b[2J" not in paper.printed
    assert "abc\\u202ed" in paper.text


def test_a_sequence_split_over_two_deltas_is_harmless_too() -> None:
    paper = Paper().show(TextDelta("a\x1b"), TextDelta("[2Jb"))
    assert "\x1b[2J" not in paper.screen.live(20)
    paper.show(done())
    assert "\x1b[2J" not in paper.printed


def test_a_running_tool_shows_the_end_of_its_output() -> None:
    paper = Paper().show(ToolStarted(CALL, "bash pytest -q"))
    for number in range(20):
        paper.show(ToolOutput("c1", f"line {number}\n"))
    live = paper.live()
    assert "● bash pytest -q" in live
    assert "line 19" in live
    assert "line 14" not in live
    assert paper.text == ""


def test_a_finished_tool_leaves_its_line_and_its_result() -> None:
    paper = Paper().show(ToolStarted(CALL, "bash pytest -q"), ToolFinished(CALL, "…", "12 passed", False))
    assert paper.text == "● bash pytest -q  12 passed\n"
    assert paper.live() == ""


def test_a_long_result_is_cut_and_says_so() -> None:
    display = "\n".join(f"row {number}" for number in range(40))
    paper = Paper().show(ToolFinished(CALL, "…", display, False))
    assert "row 11" in paper.text
    assert "row 12" not in paper.text
    assert "… 28 more lines" in paper.text


def test_diffs_are_coloured() -> None:
    printed = Paper(colours=True).show(ToolFinished(CALL, "", DIFF, False)).printed
    assert "\x1b[31m-old" in printed
    assert "\x1b[32m+new" in printed


def test_no_color_means_no_colour() -> None:
    printed = Paper().show(ToolFinished(CALL, "", DIFF, False)).printed
    assert not re.search(r"\x1b\[(?:\d+;)*(?:3[0-7]|4[0-7]|9\d)m", printed)


def test_a_diff_seen_in_a_question_is_not_printed_again() -> None:
    paper = Paper()
    paper.screen.previewed("c1")
    paper.show(ToolStarted(CALL, "edit x.py"), ToolFinished(CALL, "", DIFF, False))
    assert paper.text == "● edit x.py\n"


def test_thinking_is_live_and_leaves_one_line() -> None:
    paper = Paper().show(ThinkingDelta("The test is wrong.\nIt compares"))
    assert paper.live() == "thinking… It compares"
    paper.show(TextDelta("Look."), done())
    assert paper.text.count("thought: The test is wrong.") == 1
    assert "It compares" not in paper.text


def test_a_call_being_written_is_announced() -> None:
    paper = Paper().show(TextDelta("I will run it."), ToolCallStarted("c1", "bash"))
    assert "I will run it." in paper.text
    assert paper.live() == "● bash …"


def test_stopping_keeps_what_came() -> None:
    paper = Paper().show(TurnStarted("m"), TextDelta("Half a sent"), ToolStarted(CALL, "bash sleep 9"))
    paper.screen.stopped("Stopped.")
    assert "Half a sent" in paper.text
    assert "● bash sleep 9 (stopped)" in paper.text
    assert paper.text.endswith("Stopped.\n")
    assert paper.live() == ""


def test_a_retry_is_told_in_one_line() -> None:
    paper = Paper().show(Retrying(3.0, "529", 1, 5))
    assert "retrying in 3s (529), attempt 1 of 5" in paper.text


def test_files_that_are_not_kept_are_told_once() -> None:
    paper = Paper()
    for number in (1, 2):
        paper.show(CheckpointMade(number, "p", "git is not installed"), done())
    assert paper.text.count("git is not installed") == 1
    assert "checkpoint 2" in paper.text


def test_the_live_region_never_grows_beyond_its_rows() -> None:
    paper = Paper(width=20).show(TextDelta("word " * 200), ToolStarted(CALL, "bash x"))
    assert len(paper.screen.live(6).split("\n")) == 6
    assert paper.screen.live(0) == ""


def test_no_printed_line_is_wider_than_the_terminal() -> None:
    paper = Paper(width=30).show(
        TextDelta("a fairly long line of text that has to be wrapped\n\n```\n" + "x" * 90 + "\n```\n"),
        ToolFinished(CALL, "", "y" * 100, False),
        done(),
    )
    assert max(map(len, paper.text.split("\n"))) <= 30


def test_an_answer_cut_at_the_output_limit_says_how_to_go_on() -> None:
    paper = Paper().show(TextDelta("and then"), TurnFinished(Usage(), "max_tokens", ""))
    assert "output limit" in paper.text


def test_a_finished_command_keeps_the_end_of_its_output() -> None:
    paper = Paper().show(ToolStarted(CALL, "$ pytest -q"))
    paper.show(ToolOutput("c1", "".join(f"line {number}\n" for number in range(9))))
    paper.show(ToolFinished(CALL, "…", "9 lines · exit code 1", True))
    assert paper.text.endswith("  line 7\n  line 8\n  9 lines · exit code 1\n")
    assert "line 3" not in paper.text


def test_a_cache_miss_is_told_in_one_line() -> None:
    paper = Paper().show(CacheMissed("expired", "idle 7 min, kept 5 min", 84_000, 0.31))
    assert "cache miss: 84k re-billed ($0.31) · expired" in paper.text
