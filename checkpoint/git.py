"""Runs git on Cachet's private git directory, deaf to every configuration but ours."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from checkpoint.places import make_private
from checkpoint.types import CheckpointError
from checkpoint.writing import write_whole

_CONFIG = b"""\
# Cachet's own git directory: every setting that could run a program or change bytes is off.
[core]
	repositoryFormatVersion = 0
	bare = true
	fileMode = true
	symlinks = true
	ignoreCase = false
	precomposeUnicode = false
	protectHFS = false
	protectNTFS = false
	quotePath = false
	autocrlf = false
	safecrlf = false
	fsmonitor = false
	untrackedCache = false
	hooksPath = /dev/null
	attributesFile = /dev/null
	excludesFile = /dev/null
	sparseCheckout = false
	splitIndex = false
	logAllRefUpdates = false
	compression = 1
	looseCompression = 1
	fsync = committed,loose-object
	fsyncMethod = batch
[gc]
	auto = 0
[maintenance]
	auto = false
[protocol]
	allow = never
[repack]
	writeBitmaps = false
[index]
	sparse = false
"""
_ATTRIBUTES = b"* -text -crlf -ident -filter !eol !working-tree-encoding !diff !merge\n"
_HEAD = b"ref: refs/heads/none\n"


class GitFailed(CheckpointError):
    """A git command on the private directory failed; `detail` is what git said."""

    def __init__(self, command: str, detail: str) -> None:
        super().__init__(f"git {command} failed in Cachet's checkpoint folder: {detail or 'no reason given'}")
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Command:
    """A git command line, what it reads, and the exit codes that are no failure."""

    arguments: Sequence[str]
    data: bytes = b""
    allow: Sequence[int] = (0,)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a git process printed. `code` is its exit code, negative for a signal."""

    out: bytes
    err: str
    code: int


@dataclass(frozen=True, slots=True)
class Git:
    """Git, bound to one private directory.

    `project` is the folder whose files are kept, `top` the folder whose ignore rules hold for it: the project
    itself, or the top of the repository it lies in. `held` are descriptors that children keep open, so that a
    lock outlives a killed parent until its last git process is gone.
    """

    program: str
    directory: Path
    project: Path
    top: Path
    index: Path
    environ: Mapping[str, str] = field(repr=False)
    held: tuple[int, ...] = ()

    def in_project(self, *arguments: str, data: bytes = b"", allow: Sequence[int] = (0,)) -> Answer:
        """Run a command that reads the project's files. Paths are relative to the project."""
        return self.at_once(Command(arguments, data, allow))[0]

    def at_once(self, *commands: Command, top: Path | None = None) -> list[Answer]:
        """Run commands that read the project's files (or those below another `top`) beside each other.

        Raises GitFailed for the first whose exit code it doesn't allow; none is left running.
        """
        tree = {"GIT_WORK_TREE": str(top or self.top), "GIT_INDEX_FILE": str(self.index)}
        running: list[subprocess.Popen[bytes]] = []
        try:
            for command in commands:
                running.append(self._spawn(command.arguments, top or self.project, tree))
            return [finish(process, command) for process, command in zip(running, commands, strict=True)]
        finally:
            for process in running:
                if process.returncode is None:
                    process.kill()
                    process.communicate()

    def in_store(self, *arguments: str, data: bytes = b"", allow: Sequence[int] = (0,)) -> Answer:
        """Run a command on objects and refs only; the project's files and the index are not its matter."""
        return finish(self.start_in_store(*arguments), Command(arguments, data, allow))

    def start_in_store(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Begin a command on objects and refs; the caller reads and writes its pipes."""
        return self._spawn(arguments, self.directory, {"GIT_INDEX_FILE": str(self.index)})

    def prepare(self) -> None:
        """Make the private directory, or bring its configuration up to date. Raises OSError."""
        for folder in ("objects", "refs", "info"):
            make_private(self.directory / folder)
        for name, content in (("HEAD", _HEAD), ("config", _CONFIG), ("info/attributes", _ATTRIBUTES)):
            write_if_other(self.directory / name, content)

    def global_excludes(self, environ: Mapping[str, str], config: Path | None) -> Path:
        """The person's excludes file: as named by the project's `config`, else by their own configuration.

        Only the configuration is asked; no repository of theirs is opened.
        """
        if config is not None and (found := self._asked(environ, "--file", str(config))):
            return Path(found)
        if found := self._asked(environ, "--global", "--includes") or self._asked(environ, "--system"):
            return Path(found)
        xdg = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or Path.home(), ".config"))
        return Path(xdg, "git", "ignore")

    def version(self) -> tuple[int, ...]:
        text = self.in_store("version").out.decode("ascii", "replace")
        found = re.search(r"(\d+)\.(\d+)", text)
        return tuple(int(part) for part in found.groups()) if found else ()

    def _asked(self, environ: Mapping[str, str], *where: str) -> str:
        theirs = {
            name: value
            for name, value in environ.items()
            if not name.startswith("GIT_") or name.startswith("GIT_CONFIG_")
        }
        process = subprocess.Popen(
            [self.program, "config", *where, "--type=path", "-z", "--get", "core.excludesFile"],
            cwd=self.directory,
            env={**theirs, "GIT_DIR": str(self.directory)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        # What is wrong with their configuration is for git to tell them; here it means: no such file.
        with process:
            out, _ = process.communicate(b"")
        return os.fsdecode(out).removesuffix("\0") if process.returncode == 0 else ""

    def _spawn(
        self, arguments: Sequence[str], folder: Path, extra: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [self.program, *arguments],
                cwd=folder,
                env={**scrubbed(self.environ, self.directory), **extra},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=self.held,
                umask=0o077,
                # Ctrl-C in the terminal is for the chat, and must not cut a capture short.
                process_group=0,
            )
        except OSError as error:
            raise CheckpointError(f"git could not be started in {folder}: {error.strerror}") from error


def finish(process: subprocess.Popen[bytes], command: Command) -> Answer:
    """Wait for it. Raises GitFailed for an exit code that the command doesn't allow."""
    out, err = process.communicate(command.data)
    answer = Answer(out, os.fsdecode(err).strip(), process.returncode)
    if answer.code not in command.allow:
        raise GitFailed(_name(command.arguments), answer.err)
    return answer


def find_git(environ: Mapping[str, str]) -> str | None:
    """Git's absolute path. Relative entries of PATH don't count: a project could bring a `git` of its own."""
    places = [place for place in environ.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(place)]
    return shutil.which("git", path=os.pathsep.join(places)) if places else None


def scrubbed(environ: Mapping[str, str], directory: Path) -> dict[str, str]:
    """The environment for git: the person's without any `GIT_*`, then ours."""
    kept = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    return kept | {
        "GIT_DIR": str(directory),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        # Git older than 2.32 doesn't know GIT_CONFIG_GLOBAL and looks here.
        "HOME": str(directory),
        "XDG_CONFIG_HOME": str(directory),
        "LC_ALL": "C",
    }


def write_if_other(path: Path, content: bytes) -> None:
    """Write the file only where its content is another one. Raises OSError."""
    try:
        if path.read_bytes() == content:
            return
    except FileNotFoundError:
        pass
    write_whole(path, content)


def paths_in(data: bytes) -> list[str]:
    """Paths out of `-z` output; bytes that aren't UTF-8 are lone surrogates, as in `os.fsdecode`."""
    return [os.fsdecode(path) for path in data.split(b"\0") if path]


def paths_out(paths: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def _name(arguments: Sequence[str]) -> str:
    words = iter(arguments)
    for word in words:
        if word == "-c":
            next(words, "")
        elif not word.startswith("-"):
            return word
    return ""
