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
        (("git", "grep"), "git grep -iO./evil x"),
        (("git", "grep"), "git grep --open=evil x"),
        (("git", "push"), "git push --receive-p=evil"),
        (("git", "rebase"), "git rebase -x evil HEAD"),
        (("git", "clone"), "git clone -c core.fsmonitor=evil x"),
        (("git",), "git -c core.pager=evil log"),
        (("git",), "git --exec-path=. status"),
        (("sort",), "sort -uo f x"),
        (("sort",), "sort --outp=f x"),
        (("fd",), "fd -Hx rm"),
        (("go", "test"), "go test --exec=evil"),
        (("make", "test"), "make test -f evil"),
        (("make", "test"), "make test SHELL=./evil"),
        (("make", "test"), "make test --eval='x:=$(shell evil)'"),
        (("cargo", "test"), "cargo test --config build.rustc-wrapper=evil"),
        (("npm", "test"), "npm test --script-shell=./evil"),
    ],
)
def test_arguments_that_run_or_write_something_else_do_not_pass(words: tuple[str, ...], command: str) -> None:
    assert not leads(words, command)


@pytest.mark.parametrize(
    "command",
    [
        "git diff {--output=x,a}",
        "git diff *",
        "git diff -*",
        "git diff --ou[t]put=x",
        "git diff -{-output=x,a}",
        "find * -name x",
        "find -- *",
    ],
)
def test_what_the_shell_may_yet_make_an_option_of_does_not_pass(command: str) -> None:
    words = tuple(command.split())
    assert not leads(words[:1], command)
    assert not leads(words[:2], command) or words[0] == "find"


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("git diff", "git diff --oneline -- *"),
        ("git push", "git push -u origin main"),
        ("make test", "make test -j4 -k"),
        ("sort", "sort -t, -k2 x"),
        ("find", "find . -name '*.py' -newer x"),
        ("npm test", "npm test -- --shell"),
        ("ls", "ls *"),
        ("cargo test", "cargo test --release"),
    ],
)
def test_ordinary_arguments_pass(words: str, command: str) -> None:
    assert leads(tuple(words.split()), command)


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
        "cp a b",
        "tar xf a",
        "git config core.fsmonitor ./x",
        "git bisect run ./x",
        "git submodule foreach ./x",
        "npm exec x",
        "deno run x.ts",
        "go run x@latest",
        "uv tool run x",
        "docker compose exec web sh",
        "cargo +nightly build",
        "java -jar x.jar",
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
        "r''m x",
        'r"m" x',
        "r\\m x",
    ],
)
def test_a_denied_word_is_caught_wherever_it_stands(command: str) -> None:
    assert mentions(("rm",), command)


def test_a_denial_of_two_words_needs_both_together() -> None:
    assert mentions(("git", "push"), "cd x && git push --force")
    assert not mentions(("git", "push"), "git status; ls push")


def test_words_are_read_as_the_shell_reads_them() -> None:
    assert simple_words("a 'b c' \"d\" e\\ f") == ("a", "b c", "d", "e f")
