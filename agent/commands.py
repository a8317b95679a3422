"""What a shell command plainly is: its words when it is one simple command, and the rule that fits it."""

from __future__ import annotations

import re
import shlex

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

INTERPRETERS = "python node ruby perl php lua deno bun pypy osascript Rscript"

TOO_POWERFUL = """
    rm rmdir mv dd shred truncate ln install chmod chown chgrp kill pkill killall mkfs mount umount sudo doas
    env xargs parallel eval exec source . command builtin nohup timeout time nice setsid watch tee crontab su
    bash sh zsh dash fish ksh csh busybox curl wget nc ncat socat ssh scp sftp rsync ftp telnet systemctl
    awk gawk mawk sed gdb strace vi vim nvim emacs ed ex less more man npx uvx pipx at service
    if while for until case select function coproc ! { [[ trap alias export set unset printf
"""
"""What runs, fetches or destroys whatever its arguments say: no standing permission is narrow enough."""

RUNNING_ARGUMENTS = {
    "find": r"-(?:exec|execdir|ok|okdir|delete|fprint|fprint0|fprintf|fls)",
    "fd": r"-[xX]|--exec(?:-batch)?(?:=.*)?",
    "rg": r"--pre(?:=.*)?|--hostname-bin(?:=.*)?",
    "sort": r"-o.*|--output.*|--compress-program.*",
    "git": r"--(?:output|exec|upload-pack|receive-pack|ext-diff|open-files-in-pager|textconv).*|-O.*",
    "tar": r"--(?:to-command|checkpoint-action|use-compress-program).*|-I.*",
    "go": r"-(?:exec|toolexec|vettool).*",
}
"""Arguments that make a harmless command run or write something else; no rule matches past them."""


def simple_words(command: str) -> tuple[str, ...] | None:
    """The words of one simple command as the shell would see them; None for anything more.

    None for compounds, pipes, redirects, substitutions, parameter expansions, several lines, environment
    prefixes and broken quotes. Globs stay as they are written.
    """
    quote = ""
    escaped = False
    for letter in command:
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
    try:
        words = tuple(shlex.split(command))
    except ValueError:
        return None
    if not words or re.match(r"\w+(?:\[.*\])?\+?=", words[0]):
        return None
    return words


def leads(words: tuple[str, ...], command: str) -> bool:
    """Whether `command` is one simple command that begins with `words` and does what they say."""
    found = simple_words(command)
    if found is None or found[: len(words)] != words:
        return False
    running = RUNNING_ARGUMENTS.get(_program(found[0]))
    return running is None or not any(re.fullmatch(running, word) for word in found[len(words) :])


def mentions(words: tuple[str, ...], command: str) -> bool:
    """Whether `words` stand anywhere in the command, as a program or its arguments: what a denial catches."""
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
    runs_code = program in INTERPRETERS.split() and option.startswith("-") and option != "-m"
    return runs_code or (program == "docker" and option in ("run", "exec"))


def _plain(word: str) -> bool:
    return re.fullmatch(r"[\w./@~+][\w./:@~+-]*", word, re.ASCII) is not None


def _program(word: str) -> str:
    """`/usr/bin/python3.12` → `python`."""
    name = word.rsplit("/", 1)[-1]
    return re.sub(r"[\d.]+$", "", name) or name
