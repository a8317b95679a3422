"""Typed lines mean something; pasted ones don't."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.mentions import ShellCommand, SlashCommand, Words, existing, parse
from cli.paste import pasted, plain


def test_a_plain_message_stays_as_it_is() -> None:
    assert parse("  why does the test fail?  ") == Words("why does the test fail?")


def test_one_bang_shares_the_output_and_two_do_not() -> None:
    assert parse("!git status") == ShellCommand("git status", shared=True)
    assert parse("!! ls -l") == ShellCommand("ls -l", shared=False)


def test_a_slash_command_has_a_name_and_an_argument() -> None:
    assert parse("/rewind 3") == SlashCommand("rewind", "3")
    assert parse("/help") == SlashCommand("help", "")


def test_a_path_at_the_start_is_not_a_command() -> None:
    assert parse("/usr/lib is full") == Words("/usr/lib is full")


@pytest.mark.parametrize(
    ("line", "mentions"),
    [
        ("look at @src/app.py and @README.md", ("src/app.py", "README.md")),
        ('see @"a b.txt" twice @"a b.txt"', ("a b.txt",)),
        ("(@a.py)", ("a.py",)),
        ("mail me@example.com", ()),
        ("@a.py\n@b.py", ("a.py", "b.py")),
    ],
)
def test_mentions_are_words_that_start_with_an_at_sign(line: str, mentions: tuple[str, ...]) -> None:
    assert parse(line) == Words(line, mentions)


def test_pasted_text_mentions_nothing() -> None:
    line = "explain " + pasted("@secret.txt and @other")
    assert parse(line) == Words("explain @secret.txt and @other")


def test_pasted_text_runs_nothing() -> None:
    assert parse(pasted("!rm -rf .")) == Words("!rm -rf .")
    assert parse(pasted("/permissions auto")) == Words("/permissions auto")


def test_typed_and_pasted_characters_stay_apart_through_edits() -> None:
    line = pasted("see @one.txt") + " but read @two.txt"
    edited = "please " + line[:-4] + ".md"
    assert parse(edited) == Words("please see @one.txt but read @two.md", ("two.md",))


def test_a_typed_command_may_have_a_pasted_argument() -> None:
    assert parse("!" + pasted("cat a/b@c !")) == ShellCommand("cat a/b@c !", shared=True)


def test_pasting_keeps_the_text_and_its_lines() -> None:
    assert plain(pasted("a@b\r\nc/d\re!")) == "a@b\nc/d\ne!"


def test_punctuation_behind_a_mention_is_not_part_of_the_path(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert existing("notes.txt,", tmp_path) == tmp_path / "notes.txt"


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert existing("gone.txt", tmp_path) is None
    assert existing("x" * 5000, tmp_path) is None
    assert existing("~nobody-of-that-name/x", tmp_path) is None
