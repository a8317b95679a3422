"""What a typed line means: a message with `@file` mentions, a slash command, or a shell command after `!`."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cli.paste import plain


@dataclass(frozen=True, slots=True)
class Words:
    """A message for the model; `mentions` are the paths typed after `@`, in order, each once."""

    text: str
    mentions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SlashCommand:
    name: str
    argument: str


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """`!command` goes to the model with its output (`shared`), `!!command` doesn't."""

    command: str
    shared: bool


Entry: TypeAlias = Words | SlashCommand | ShellCommand

_SLASH = re.compile(r"/([a-z][a-z-]*|\?)(?:\s+(.*))?", re.DOTALL)
_MENTION = re.compile(r"""(?:(?<=\s)|(?<=[("'\[])|^)@(?:"([^"\n]+)"|([^\s"'@()\[\]]+))""")
_PUNCTUATION = ".,;:!?"


def parse(line: str) -> Entry:
    """What the line means. `line` is as the input holds it: pasted characters are marked and mean nothing."""
    typed = line.strip()
    if typed.startswith("!"):
        shared = not typed.startswith("!!")
        return ShellCommand(plain(typed.lstrip("!").strip()), shared)
    if slash := _SLASH.fullmatch(typed):
        return SlashCommand(slash[1], plain((slash[2] or "").strip()))
    return Words(plain(typed), _mentions(typed))


def words(text: str) -> Words:
    """A message from elsewhere than the keyboard: nothing in it is a mention or a command."""
    return Words(text)


def _mentions(typed: str) -> tuple[str, ...]:
    found = (plain(quoted or bare) for quoted, bare in _MENTION.findall(typed))
    return tuple(dict.fromkeys(path for path in found if path))


def candidates(mention: str) -> tuple[str, ...]:
    """The paths a mention can stand for: itself, then without the sentence's punctuation behind it."""
    bare = mention.rstrip(_PUNCTUATION)
    return (mention,) if bare in (mention, "") else (mention, bare)


def existing(mention: str, root: Path) -> Path | None:
    """The file or folder that a mention names, relative to `root`; None when there is none."""
    for text in candidates(mention):
        path = root / os.path.expanduser(text)
        with suppress(OSError):  # a name the file system refuses is a file that isn't there
            if path.exists():
                return path
    return None
