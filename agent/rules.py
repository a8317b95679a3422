"""The always-rules a person granted, kept in the home folder by each project's real path."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.permissions import Rule
from providers.types import JSON

VERSION = 1


@dataclass(frozen=True, slots=True)
class RuleBook:
    """`permissions.json` in the home folder: `{"version": 1, "projects": {"/real/path": ["bash(ls)"]}}`."""

    home: Path

    @property
    def path(self) -> Path:
        return self.home / "permissions.json"

    def load(self, project: Path) -> tuple[Rule, ...]:
        """The project's rules. What can't be read grants nothing, and stops nobody."""
        try:
            return tuple(_rules(self._read(), project))
        except (OSError, ValueError):
            return ()

    def grant(self, project: Path, rule: Rule) -> None:
        """Add a rule. A damaged file is put aside as `permissions.json.damaged`. Raises OSError."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked():
            book = self._read_or_put_aside()
            if rule in _rules(book, project):
                return
            projects = {**_object(book.get("projects"))}
            listed = projects.get(_key(project))
            projects[_key(project)] = [*(listed if isinstance(listed, list) else []), str(rule)]
            self._write({**book, "version": VERSION, "projects": projects})

    def _read(self) -> dict[str, JSON]:
        try:
            value = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        if not isinstance(value, dict):
            raise ValueError(f"{self.path} is not a JSON object")
        return value

    def _read_or_put_aside(self) -> dict[str, JSON]:
        try:
            return self._read()
        except ValueError:
            os.replace(self.path, self.path.with_name(f"{self.path.name}.damaged"))
            return {}

    def _write(self, book: dict[str, JSON]) -> None:
        descriptor, name = tempfile.mkstemp(dir=self.home, prefix=".permissions-")
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                json.dump(book, file, indent=2, ensure_ascii=False)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Two sessions that grant at once must not lose one another's rule."""
        descriptor = os.open(self.home / ".permissions.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _rules(book: dict[str, JSON], project: Path) -> Iterator[Rule]:
    listed = _object(book.get("projects")).get(_key(project))
    for text in listed if isinstance(listed, list) else []:
        with suppress(ValueError):
            yield Rule.parse(text if isinstance(text, str) else "")


def _key(project: Path) -> str:
    return str(project.resolve())


def _object(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}
