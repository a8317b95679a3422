"""Shell rules are narrow: they fit one simple command and never what hides behind it."""

from __future__ import annotations

import pytest

from agent.commands import leads, mentions, simple_words, standing_words

GIT_STATUS = ("git", "status")


@pytest.mark.parametrize(
    "command",
    [
        "git status; rm -rf /",
        "git status && rm x",
        "git status || rm x",
        "git status | sh",
        "git status |& sh",
        "git status & rm x",
        "git status\nrm x",
        "git status\r\nrm x",
        "git status $(rm x)",
        'git status "$(rm x)"',
        "git status `rm x`",
        'git status "`rm x`"',
        "git status <(rm x)",
        "git status > x",
        "git status 2>x",
        "git status >> .bashrc",
        "git status < x",
        "git status $X",
        "git status ${X@P}",
        "git status $'a'",
        "GIT_PAGER=evil git status",
        "PATH=.:$PATH git status",
        "A+=x git status",
        "git status \\\n; rm x",
        "git status 'open",
        'git status "a\nb"',
        "(git status)",
        "{ git status; }",
        "! git status; x",
        "",
        "   ",
    ],
)
def test_what_is_more_than_one_simple_command_matches_no_rule(command: str) -> None:
    assert not leads(GIT_STATUS, command)
    assert not leads((), command)
    assert standing_words(command) is None


@pytest.mark.parametrize(
    "command",
    [
        "git status",
        "git status --porcelain -- '*.py' src/*.c",
        "  git   status  ",
        "git 'status' \"a;b\" 'c|d' '$(e)' \\; f\\&g",
        "git status -- [ab]?.txt ~/x {a,b}",
    ],
)
def test_quotes_and_globs_are_fine(command: str) -> None:
    assert leads(GIT_STATUS, command)


@pytest.mark.parametrize(
    "command", ["git stash", "git -c x=y status", "gitt status", "/tmp/git status", "git statusx"]
)
def test_another_command_does_not_match(command: str) -> None:
    assert not leads(GIT_STATUS, command)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("find",), "find . -name x -exec rm {} \\;"),
        (("find",), "find . -delete"),
        (("rg",), "rg --pre=./evil x"),
        (("sort",), "sort -o /etc/passwd x"),
        (("git", "diff"), "git diff --output=.bashrc"),
        (("git", "grep"), "git grep -O./evil x"),
    ],
)
def test_arguments_that_run_or_write_something_else_do_not_pass(words: tuple[str, ...], command: str) -> None:
    assert not leads(words, command)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("pytest -q tests", "pytest"),
        ("git status -s", "git status"),
        ("git push origin main", "git push"),
        ("npm test", "npm test"),
        ("npm run build -- --fast", "npm run build"),
        ("make test", "make test"),
        ("cargo build --release", "cargo build"),
        ("docker compose up", "docker compose up"),
        ("uv run pytest -x", "uv run pytest"),
        ("python -m pytest -q", "python -m pytest"),
        (".venv/bin/python3.12 -m pytest", ".venv/bin/python3.12 -m pytest"),
        ("python manage.py migrate", "python manage.py"),
        ("./scripts/check.sh fast", "./scripts/check.sh"),
        ("ls -la src", "ls"),
        ("find . -name '*.py'", "find"),
    ],
)
def test_always_means_the_words_that_say_what_is_done(command: str, words: str) -> None:
    assert standing_words(command) == tuple(words.split())


@pytest.mark.parametrize(
    "command",
    [
        "rm -rf build",
        "/bin/rm x",
        "sudo ls",
        "python -c 'x'",
        "python3.12 -c 'x'",
        "python",
        "node -e 'x'",
        "bash x.sh",
        "sh -c x",
        "eval x",
        "env X=1 ls",
        "xargs rm",
        "find . -exec rm {} +",
        "curl https://x",
        "npx thing",
        "docker run x",
        "docker exec x",
        "uv run python -c 'x'",
        "uv run bash x",
        "git -C x status",
        "make -C x test",
        "make",
        "timeout 5 ls",
        "sed -i s/a/b/ x",
        "source x",
        "./*.sh",
        "command ls",
    ],
)
def test_nothing_standing_is_offered_for_what_is_too_powerful(command: str) -> None:
    assert standing_words(command) is None


@pytest.mark.parametrize(
    "command",
    [
        "rm x",
        "ls && rm x",
        "(rm x)",
        "/bin/rm x",
        "echo $(rm x)",
        "sudo rm x",
        "bash -c 'rm x'",
        "X=1 rm x",
        "\\rm x",
    ],
)
def test_a_denied_word_is_caught_wherever_it_stands(command: str) -> None:
    assert mentions(("rm",), command)


def test_a_denial_of_two_words_needs_both_together() -> None:
    assert mentions(("git", "push"), "cd x && git push --force")
    assert not mentions(("git", "push"), "git status; ls push")


def test_words_are_read_as_the_shell_reads_them() -> None:
    assert simple_words("a 'b c' \"d\" e\\ f") == ("a", "b c", "d", "e f")
