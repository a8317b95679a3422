"""Keeps pasted `@`, `!` and `/` apart from typed ones while a person edits the line.

Each is held as a Unicode noncharacter, which stands in no proper text and follows its character through every
edit and through the history; the input line shows the character itself.
"""

from __future__ import annotations

_MARKS = {"@": "\ufdd0", "!": "\ufdd1", "/": "\ufdd2"}
_TO_MARKS = str.maketrans(_MARKS)
_TO_PLAIN = str.maketrans({mark: character for character, mark in _MARKS.items()})


def pasted(text: str) -> str:
    """Pasted text as it goes into the line: nothing in it means anything, and its lines end with `\\n`."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_TO_MARKS)


def plain(text: str) -> str:
    """The text with its real characters, for showing and for sending."""
    return text.translate(_TO_PLAIN)
