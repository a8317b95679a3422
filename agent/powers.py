"""What programs can do whatever a rule's leading words say: tables for `agent.commands`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

TOO_POWERFUL = """
    rm rmdir mv cp dd shred truncate ln install chmod chown chgrp kill pkill killall mkfs mount umount
    sudo doas env xargs parallel eval exec source . command builtin nohup timeout time nice setsid watch
    tee crontab su bash sh zsh dash fish ksh csh busybox toybox curl wget nc ncat socat ssh scp sftp rsync
    ftp telnet systemctl awk gawk mawk sed gdb strace ltrace perf valgrind vi vim nvim view vimdiff nano
    emacs ed ex less more man tar unzip cpio patch script expect screen tmux flock stdbuf chroot unshare
    nsenter ionice taskset runuser pkexec entr watchexec hyperfine rlwrap xvfb-run m4 sqlite3 psql mysql
    nix nix-shell guix flatpak npx bunx uvx pipx at service if while for until case select function coproc
    ! { [[ trap alias export set unset printf
"""
"""What runs, fetches or overwrites whatever its arguments say: no standing permission is narrow enough."""

TOO_POWERFUL_FIRST_ARGUMENTS = {
    "git": "bisect config credential daemon difftool filter-branch for-each-repo hook mergetool submodule",
    "npm": "config create exec explore init innit set x",
    "pnpm": "config create dlx",
    "yarn": "config create dlx exec node",
    "bun": "create exec x",
    "deno": "compile eval install repl run serve x",
    "uv": "tool",
    "go": "env run tool",
    "docker": "run exec",
    "docker compose": "run exec",
    "kubectl": "cp debug exec",
    "helm": "plugin",
    "conda": "config run",
    "rustup": "run",
    "poetry": "config",
    "gh": "alias api auth extension",
}
"""First arguments after which these programs, elsewhere harmless, are as powerful."""


@dataclass(frozen=True, slots=True)
class Powers:
    """Arguments that make a program run or write something else. Long names also count when they are cut
    short, as most programs understand them; letters wherever they stand in a bundle such as `-uo`.
    """

    names: str = ""
    letters: str = ""
    pattern: str = r"(?!)"
    ends_at_dashes: bool = True
    """Whether nothing after `--` is an option."""

    def touched_by(self, word: str) -> bool:
        if re.fullmatch(self.pattern, word):
            return True
        if word.startswith("--"):
            given = word[2:].partition("=")[0]
            return any(
                given and (name.startswith(given) or given.startswith(name)) for name in self.names.split()
            )
        return word.startswith("-") and any(letter in word for letter in self.letters)


_SCRIPT_RUNNER = Powers("script-shell shell prefix dir cwd node-options userconfig globalconfig config", "C")

POWERS: Mapping[str, Powers] = {
    "find": Powers(
        pattern=r"-(?:exec|execdir|ok|okdir|delete|fprint|fprint0|fprintf|fls)", ends_at_dashes=False
    ),
    "fd": Powers("exec exec-batch", "xX"),
    "rg": Powers("pre hostname-bin"),
    "sort": Powers("output compress-program", "o"),
    "git": Powers(
        "output exec upload-pack receive-pack ext-diff extcmd open-files-in-pager textconv template config"
    ),
    "git grep": Powers(letters="O"),
    "git rebase": Powers(letters="x"),
    "git clone": Powers(letters="uc"),
    "git archive": Powers(letters="o"),
    "git format-patch": Powers(letters="o"),
    "go": Powers(
        pattern=r"--?(?:exec|toolexec|vettool|overlay|modfile|compiler|pkgdir|C|(?:ld|gc|asm|gccgo)flags)(?:=.*)?"
    ),
    "make": Powers("file makefile directory include-dir eval", "fCIE", r"[\w.-]+\s*[:+?!]*=.*"),
    "just": Powers("justfile working-directory shell set command chooser", "fdc", r"\w+=.*"),
    "cargo": Powers("config manifest-path", "CZ"),
    "npm": _SCRIPT_RUNNER,
    "pnpm": _SCRIPT_RUNNER,
    "yarn": _SCRIPT_RUNNER,
    "bun": _SCRIPT_RUNNER,
}
"""By program, or program and first argument."""


def unleashed(subject: str, words: Iterable[str], may_expand: Iterable[bool]) -> bool:
    """Whether one of a program's arguments touches its powers.

    `subject` is `program` or `program argument`; `may_expand` says of each word whether the shell could still
    make an option of it: a file may be called `--output=x`.
    """
    program = subject.partition(" ")[0]
    powers = [POWERS[name] for name in dict.fromkeys((program, subject)) if name in POWERS]
    if not powers:
        return False
    for word, expands in zip(words, may_expand, strict=True):
        if word == "--" and all(each.ends_at_dashes for each in powers):
            return False
        if expands or any(each.touched_by(word) for each in powers):
            return True
    return False
