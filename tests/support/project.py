"""A real project in a temporary folder, its person's git, and the store that keeps its files."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

from checkpoint.files import Caps, FileStore
from checkpoint.types import Capture

REAL_GIT = shutil.which("git") or "git"


class Project:
    """A folder with files; `capture` keeps them under a new name each time."""

    def __init__(self, base: Path, *, caps: Caps | None = None) -> None:
        self.root = base / "project"
        self.home = base / "cachet"
        self.person = base / "person"
        for folder in (self.root, self.person):
            folder.mkdir(parents=True, exist_ok=True)
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(self.person)}
        self.caps = caps
        self.captures = 0
        self.store = self.open()

    def open(self, folder: Path | None = None) -> FileStore:
        """A store as a new process would open it."""
        return FileStore.open(folder or self.root, self.home, caps=self.caps, environ=self.environ)

    def capture(self, *extra: str) -> Capture:
        self.captures += 1
        return self.store.capture(
            f"refs/ckpt/session/{self.captures}", extra=[self.root / path for path in extra]
        )

    def write(self, path: str, content: str | bytes, *, mode: int | None = None) -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        if mode is not None:
            place.chmod(mode)
        return place

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def files(self) -> dict[str, tuple[str, bytes]]:
        """Every file outside of `.git` folders: its permissions and content (a link's: its target)."""
        return dict(sorted(_contents(self.root)))

    def git(self, *arguments: str, folder: str = ".") -> str:
        """Run git as the person would."""
        command = [REAL_GIT, "-c", "user.name=P", "-c", "user.email=p@example.com", *arguments]
        done = subprocess.run(
            command, cwd=self.root / folder, env=self.environ, capture_output=True, text=True, check=True
        )
        return done.stdout

    def repository(self, folder: str = ".", *, commit: bool = True) -> None:
        """Make a repository of the person's, with everything committed unless told otherwise."""
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main", folder=folder)
        if commit:
            self.git("add", "-A", folder=folder)
            self.git("commit", "-q", "--allow-empty", "-m", "first", folder=folder)

    def kept_paths(self, tree: str) -> set[str]:
        """The paths in a tree."""
        out = subprocess.run(
            [REAL_GIT, "ls-tree", "-r", "-z", "--name-only", f"{tree}:files"],
            env=self.environ | {"GIT_DIR": str(self.private_git()), "GIT_CONFIG_GLOBAL": os.devnull},
            capture_output=True,
            check=True,
        ).stdout
        return {os.fsdecode(path) for path in out.split(b"\0") if path}

    def kept_bytes(self, tree: str, path: str) -> bytes:
        return subprocess.run(
            [REAL_GIT, "cat-file", "blob", f"{tree}:files/{path}"],
            env=self.environ | {"GIT_DIR": str(self.private_git()), "GIT_CONFIG_GLOBAL": os.devnull},
            capture_output=True,
            check=True,
        ).stdout

    def private_git(self) -> Path:
        return next((self.home / "checkpoints").glob("*.git"))

    def counting_git(self) -> Path:
        """Put a `git` on PATH that writes a line for each process; return the file with the lines."""
        folder, log = self.root.parent / "bin", self.root.parent / "git.log"
        folder.mkdir()
        script = folder / "git"
        script.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {REAL_GIT} "$@"\n')
        script.chmod(0o755)
        log.touch()
        self.environ["PATH"] = f"{folder}{os.pathsep}{self.environ['PATH']}"
        self.store = self.open()
        return log


def fingerprint(folder: Path) -> str:
    """Changes when any file below the folder changes: its bytes, times or permissions."""
    digest = hashlib.sha256()
    for place in sorted(folder.rglob("*")):
        found = place.lstat()
        digest.update(f"{place}\0{found.st_mode}\0{found.st_mtime_ns}\0{found.st_ino}\0".encode())
        if stat.S_ISREG(found.st_mode):
            digest.update(place.read_bytes())
    return digest.hexdigest()


def _contents(root: Path) -> Iterable[tuple[str, tuple[str, bytes]]]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in (*names, *links):
            place = Path(folder, name)
            found = place.lstat()
            if stat.S_ISLNK(found.st_mode):
                content = ("link", os.fsencode(os.readlink(place)))
            elif stat.S_ISREG(found.st_mode):
                content = (oct(stat.S_IMODE(found.st_mode)), place.read_bytes())
            else:
                content = ("special", b"")
            yield str(place.relative_to(root)), content
