"""Opens a project's private git directory, for one process at a time, and sees that it is sound."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from checkpoint.git import Git, find_git
from checkpoint.ignore import Rules, escaped, joined
from checkpoint.ledger import Ledger
from checkpoint.places import project_store
from checkpoint.repository import Repository, read_rules
from checkpoint.types import CheckpointError

NO_GIT = "git is not installed: conversation checkpoints work, files are not kept"
_LOCK = "cachet.lock"


@dataclass(slots=True)
class Directory:
    """One project's private git directory. It is made when it is first locked."""

    project: Path
    home: Path
    environ: Mapping[str, str] = field(repr=False)
    _known: Git | None = None
    _base: bytes = b""

    @property
    def path(self) -> Path:
        return project_store(self.home, self.project)

    @contextmanager
    def locked(self) -> Iterator[Git]:
        """Git, with the directory to itself: what a killed process left half-done is cleared away.

        Waits for others. Raises CheckpointError where the directory or git can't be used, and for an OSError
        in the body.
        """
        git = self.git()
        try:
            descriptor = _taken_lock(git)
        except OSError as error:
            raise CheckpointError(f"Cachet's checkpoint folder {git.directory}: {error.strerror}") from error
        try:
            for leftover in (f"{git.index.name}.lock", "packed-refs.lock"):
                (git.directory / leftover).unlink(missing_ok=True)
            yield replace(self._settled(replace(git, held=(descriptor,))), held=(descriptor,))
        except OSError as error:
            raise CheckpointError(f"The files of {self.project}: {error}") from error
        finally:
            os.close(descriptor)

    def git(self) -> Git:
        """Git on this directory, without the lock: for reading objects."""
        if self._known is not None:
            return self._known
        program = find_git(self.environ)
        if program is None:
            raise CheckpointError(NO_GIT)
        return Git(program, self.path, self.project, self.project, self.path / "index-0", self.environ)

    def rules(self, git: Git) -> Rules:
        """The ignore rules for a capture; the person's own are looked up once."""
        if not self._base:
            repository = Repository.at(git.top)
            config = repository.names_excludes_file() if repository else None
            parts = [read_rules(git.global_excludes(self.environ, config))]
            home = Path(os.path.realpath(self.home))
            if home.is_relative_to(git.top):
                parts.append(b"/" + escaped(home.relative_to(git.top).as_posix()) + b"/")
            self._base = joined(parts)
        return Rules(git, self._base)

    def _settled(self, git: Git) -> Git:
        """Git with the top folder whose ignore rules hold. It is found out, and the index checked, once."""
        if self._known is None and self.project.is_dir():
            settled = _under_its_rules(git)
            _drop_broken_index(settled)
            self._known = replace(settled, held=())
        return self._known or git


def ledger_path(git: Git) -> Path:
    return git.directory / f"{git.index.name}.json"


def ledger_of(git: Git) -> Ledger:
    """The ledger beside the index. Without one the index says too little, and both are begun anew."""
    ledger = Ledger.read(ledger_path(git))
    if ledger is None:
        git.index.unlink(missing_ok=True)
        return Ledger()
    return ledger


def _taken_lock(git: Git) -> int:
    """The lock's descriptor. Git processes inherit it, so that it outlives us until the last of them ends."""
    while True:
        git.prepare()
        descriptor = os.open(git.directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is_still(git.directory / _LOCK, descriptor):
            return descriptor
        # The directory was removed while we waited for it.
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _under_its_rules(git: Git) -> Git:
    """Git with the enclosing repository's ignore rules, unless those ignore the whole project."""
    repository = Repository.around(git.project)
    if repository is None or repository.top == git.project:
        return git
    below = git.project.relative_to(repository.top).as_posix()
    key = hashlib.sha256(os.fsencode(below)).hexdigest()[:8]
    inside = replace(git, top=repository.top, index=git.directory / f"index-{key}")
    Rules(inside, b"").write(())
    asked = inside.in_project("check-ignore", "-q", "--no-index", f"../{git.project.name}", allow=(0, 1))
    return git if asked.code == 0 else inside


def _drop_broken_index(git: Git) -> None:
    """An index that names lost objects is removed, and the next capture reads all files again.

    `write-tree` would not notice: it trusts what it wrote before.
    """
    if not git.index.exists():
        return
    listed = git.in_project("ls-files", "-s", "-z", allow=(0, 128))
    names = sorted({line.split()[1] for line in listed.out.split(b"\0") if line})
    asked = git.in_store("cat-file", "--batch-check=%(objecttype)", "--buffer", data=b"\n".join(names))
    if listed.code or asked.out.split() != [b"blob"] * len(names):
        git.index.unlink()
        ledger_path(git).unlink(missing_ok=True)
