"""Reads the project's own repository as plain text: no git command runs in it, nothing of it is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_LINK_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of the person's: its top folder, its git directory, and the one its worktrees share."""

    top: Path
    git_dir: Path
    common: Path

    @classmethod
    def at(cls, top: Path) -> Repository | None:
        """The repository whose top folder this is. Its `.git` is a folder, or a file that names one."""
        dot = top / ".git"
        git_dir = dot if dot.is_dir() else _named_folder(dot)
        if git_dir is None or not _has_head(git_dir):
            return None
        shared = _text(git_dir / "commondir").strip()
        return cls(top, git_dir, Path(git_dir, shared) if shared else git_dir)

    @classmethod
    def around(cls, folder: Path) -> Repository | None:
        """The nearest repository that holds the folder, going upwards."""
        for place in (folder, *folder.parents):
            if found := cls.at(place):
                return found
        return None

    def head(self) -> tuple[str, str]:
        """The commit and the branch it is on; each empty where there is none (unborn, detached)."""
        text = _text(self.git_dir / "HEAD").strip()
        if _COMMIT.fullmatch(text):
            return text, ""
        ref = text.removeprefix("ref:").strip()
        if not text.startswith("ref:") or not ref.startswith("refs/") or ".." in ref:
            return "", ""
        branch = ref.removeprefix("refs/heads/")
        commit = _text(self.common / ref).strip() or self._packed(ref)
        return (commit if _COMMIT.fullmatch(commit) else ""), ("" if branch == ".invalid" else branch)

    def excludes(self) -> bytes:
        """Its `info/exclude`: rules that are not part of the project, often for secrets."""
        return read_rules(self.common / "info" / "exclude")

    def names_excludes_file(self) -> Path | None:
        """Its configuration, where that names an excludes file of its own."""
        config = self.common / "config"
        return config if "excludesfile" in _text(config, limit=1_000_000).lower() else None

    def _packed(self, ref: str) -> str:
        try:
            with open(self.common / "packed-refs", encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    commit, _, name = line.strip().partition(" ")
                    if name == ref:
                        return commit
        except OSError:
            pass
        return ""


def read_rules(path: Path) -> bytes:
    """An ignore file's content; empty where it can't be read."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""


def _has_head(git_dir: Path) -> bool:
    head = git_dir / "HEAD"
    return head.is_file() or head.is_symlink()


def _named_folder(dot: Path) -> Path | None:
    text = _text(dot).strip()
    return Path(dot.parent, text.removeprefix("gitdir:").strip()) if text.startswith("gitdir:") else None


def _text(path: Path, *, limit: int = _LINK_LIMIT) -> str:
    try:
        if not path.is_file():
            return ""
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(limit)
    except OSError:
        return ""
