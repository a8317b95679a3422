"""What a shell command plainly is: its words when it is one simple command, and the rule that fits it."""

from __future__ import annotations

import re
import shlex

from agent.powers import TOO_POWERFUL, TOO_POWERFUL_FIRST_ARGUMENTS, unleashed

UNQUOTED_RISKS = frozenset(";&|<>()`$\n\r")
"""Compounds, redirects, substitutions, expansions: with one of these a command is more than its words."""
QUOTED_RISKS = frozenset("`$\n\r")
"""What still works inside double quotes."""

TWO_WORDS = """
    git npm pip cargo make docker go yarn pnpm bun uv poetry just dotnet gradle gradlew mvn brew gh kubectl
    bundle rake composer mix swift zig deno conda pdm hatch nox tox helm terraform rustup stack cabal
"""
"""Programs whose first argument says what they do; of the others the first word does."""

RUNNERS = ("uv run", "poetry run", "pdm run", "hatch run", "pnpm exec", "bundle exec")
"""What runs the program named by the third word."""

THREE_WORDS = (
    *RUNNERS,
    *("npm run", "yarn run", "pnpm run", "bun run", "deno task", "docker compose", "uv pip", "python -m"),
    *("gh pr", "gh issue", "gh run", "gh repo"),
)
"""Programs and first arguments of which only the second argument says what they do."""

INTERPRETERS = """
    python node ruby perl php lua deno bun pypy osascript Rscript R julia java ipython irb tclsh
    guile groovy scala elixir erl pwsh tsx ts-node
"""

EXPANDING = {"*": "\ue000", "?": "\ue001", "[": "\ue002", "{": "\ue003"}
"""Unquoted, each may make other words of a word. Here it stands as a mark, which no proper command holds."""
_TO_MARKS = str.maketrans(EXPANDING)
_FROM_MARKS = str.maketrans({mark: letter for letter, mark in EXPANDING.items()})
_MARKS = frozenset(EXPANDING.values())


def simple_words(command: str) -> tuple[str, ...] | None:
    """The words of one simple command as the shell would see them; None for anything more.

    None for compounds, pipes, redirects, substitutions, parameter expansions, several lines, environment
    prefixes and broken quotes. Globs stay as they are written.
    """
    words = _marked_words(command)
    return None if words is None else tuple(word.translate(_FROM_MARKS) for word in words)


def _marked_words(command: str) -> tuple[str, ...] | None:
    """The simple words, in which what the shell would still expand stands as a mark."""
    marked = _marked(command)
    try:
        words = tuple(shlex.split(marked)) if marked is not None else ()
    except ValueError:
        return None
    if not words or re.match(r"\w+(?:\ue002.*\])?\+?=", words[0]):
        return None
    return words


def _marked(command: str) -> str | None:
    """The command with a mark for each unquoted letter of `EXPANDING`; None where it is no simple one."""
    if _MARKS & set(command):
        return None
    letters: list[str] = []
    quote = ""
    escaped = False
    for letter in command:
        letters.append(letter)
        if escaped:
            if letter in "\n\r":
                return None
            escaped = False
        elif letter == "\\" and quote != "'":
            escaped = True
        elif quote:
            if letter in "\n\r" or (quote == '"' and letter in QUOTED_RISKS):
                return None
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in UNQUOTED_RISKS or (ord(letter) < 0x20 and letter != "\t"):
            return None
        else:
            letters[-1] = letter.translate(_TO_MARKS)
    return "".join(letters)


def leads(words: tuple[str, ...], command: str) -> bool:
    """Whether `command` is one simple command that begins with `words` and does what they say."""
    found = _marked_words(command)
    if found is None or found[: len(words)] != words:
        return False
    program, rest = _program(found[0]), found[len(words) :]
    if len(words) == 1 and program == "git" and rest and rest[0].startswith("-"):
        return False  # `git -c core.pager=x log`: it says neither what is done nor with which settings
    subject = f"{program} {found[1]}" if len(found) > 1 else program
    return not unleashed(subject, rest, [_may_become_an_option(word) for word in rest])


def _may_become_an_option(word: str) -> bool:
    return word[:1] in _MARKS or (word.startswith("-") and not _MARKS.isdisjoint(word))


def mentions(words: tuple[str, ...], command: str) -> bool:
    """Whether `words` stand anywhere in the command, as a program or its arguments: what a denial catches."""
    unquoted = re.sub(r"""["'\\]""", "", command)
    return any(_mentions(words, text) for text in dict.fromkeys((command, unquoted)))


def _mentions(words: tuple[str, ...], command: str) -> bool:
    found = [word for word in re.split(r"""[\s;&|()<>`$"'{}\\]+""", command) if word]
    width = len(words)
    for start in range(len(found) - width + 1):
        first, *others = found[start : start + width]
        if words[0] in (first, _program(first), first.rsplit("/", 1)[-1]) and tuple(others) == words[1:]:
            return True
    return False


def standing_words(command: str) -> tuple[str, ...] | None:
    """The leading words that "always" would allow for a command; None where nothing narrow enough exists."""
    words = simple_words(command)
    if words is None or _too_powerful(words):
        return None
    first_two = " ".join((_program(words[0]), *words[1:2]))
    count = 3 if first_two in THREE_WORDS else 2 if _program(words[0]) in TWO_WORDS.split() else 1
    if count == 1 and _program(words[0]) in INTERPRETERS.split():
        count = 2
    if len(words) < count or not all(_plain(word) for word in words[1:count] if word != "-m"):
        return None
    if first_two in RUNNERS and _too_powerful(words[2:]):
        return None
    return words[:count] if leads(words[:count], command) else None


def _too_powerful(words: tuple[str, ...]) -> bool:
    program = _program(words[0])
    if program in TOO_POWERFUL.split() or not _plain(words[0]):
        return True
    option = words[1] if len(words) > 1 else "-"
    if program in INTERPRETERS.split() and option.startswith("-") and option != "-m":
        return True
    return any(
        word in TOO_POWERFUL_FIRST_ARGUMENTS.get(subject, "").split()
        for subject, word in ((program, option), (f"{program} {option}", "".join(words[2:3])))
    )


def _plain(word: str) -> bool:
    return re.fullmatch(r"[\w./@~][\w./:@~+-]*", word, re.ASCII) is not None


def _program(word: str) -> str:
    """`/usr/bin/python3.12` → `python`."""
    name = word.rsplit("/", 1)[-1]
    return re.sub(r"[\d.]+$", "", name) or name
