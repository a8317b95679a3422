"""Questions that wait above the input line: a choice by one key, or a list to pick from."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from cli.footer import Fragment


@dataclass(frozen=True, slots=True)
class Choice:
    key: str
    label: str


@dataclass(frozen=True, slots=True)
class Question:
    """One line of text and its keys. `reason` lets the person type words instead of pressing a key."""

    text: str
    choices: tuple[Choice, ...]
    reason: str = ""
    """What typing means, such as `or type what to do instead`; empty where typing means nothing."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A list; the arrow keys choose."""

    title: str
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The key of a choice, or the number of a row."""

    key: str
    index: int = -1


@dataclass(frozen=True, slots=True)
class Reason:
    text: str


@dataclass(frozen=True, slots=True)
class Dismissed:
    """Esc or Ctrl-C."""


Reply: TypeAlias = Chosen | Reason | Dismissed


@dataclass(slots=True)
class Asking:
    """A question while it waits.

    It is `armed` when keys answer it. One that comes while the person is typing isn't, so that no letter of
    theirs approves anything: it takes keys once the input line is empty.
    """

    question: Question | Pick
    armed: bool
    index: int = 0
    answer: asyncio.Future[Reply] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def reply(self, reply: Reply) -> None:
        if not self.answer.done():
            self.answer.set_result(reply)

    def press(self, key: str) -> bool:
        """Whether the key answers the question; if so, it has."""
        match self.question:
            case Question(choices=choices) if self.armed and key in (choice.key for choice in choices):
                self.reply(Chosen(key))
                return True
            case _:
                return False

    def move(self, steps: int) -> None:
        """Up or down the list, stopping at its ends."""
        if isinstance(self.question, Pick):
            self.index = min(max(self.index + steps, 0), len(self.question.rows) - 1)

    def fragments(self, rows: int) -> list[Fragment]:
        """What the person sees, in at most `rows` lines for a list."""
        match self.question:
            case Pick(title, lines):
                return self._list(title, lines, max(rows - 2, 1))
            case Question() as question if self.armed:
                return _keys(question)
            case Question(text=text):
                hint = "  (finish or clear your line first; then a key answers)"
                return [("class:question", text), ("class:hint", hint)]

    def _list(self, title: str, lines: tuple[str, ...], room: int) -> list[Fragment]:
        first = min(max(self.index - room // 2, 0), max(len(lines) - room, 0))
        pieces: list[Fragment] = [("class:question", title), ("class:hint", "  ↑ ↓ Enter · Esc leaves")]
        for number, line in enumerate(lines[first : first + room], first):
            chosen = number == self.index
            pieces.append(("class:chosen" if chosen else "", f"\n{'❯' if chosen else ' '} {line}"))
        return pieces


def _keys(question: Question) -> list[Fragment]:
    pieces: list[Fragment] = [("class:question", question.text), ("", "\n")]
    for choice in question.choices:
        pieces += [("class:key", choice.key), ("", f" {choice.label}   ")]
    if question.reason:
        pieces.append(("class:hint", question.reason))
    return pieces
