"""Which session a person means, and what a front end must know before opening it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.harmless import one_line
from cli import figures
from cli.config import home_folder
from cli.failure import UsageProblem
from cli.place import Place
from sessions.catalog import Catalog, NoSuchSession, SessionSummary, summary
from sessions.importers import import_file
from sessions.skim import skim

OFFERED = 20
"""Sessions that the picker shows."""

_PREFIX = b'{"kind":"prefix"'


@dataclass(frozen=True, slots=True)
class Which:
    """Finds sessions below one home folder. It gives journals of ours: other files are imported first."""

    home: Path
    environ: Mapping[str, str]

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Which:
        return cls(home_folder(environ), environ)

    def named(self, text: str) -> Path:
        """By id, unique beginning, title or path. Raises NoSuchSession, AmbiguousSession."""
        return import_file(Catalog(self.home).find(text), self.home)

    def latest_here(self, folder: Path | None = None) -> Path:
        """The last session of a folder, the current one if None. Raises NoSuchSession."""
        return Catalog(self.home).last(Place.of(self.environ, folder).project)

    def last(self) -> Path:
        """The last session of any folder that has a conversation. Raises NoSuchSession."""
        journals = Catalog(self.home).journals()
        found = next((journal for journal in journals if _has_messages(journal)), None)
        if found is None:
            raise NoSuchSession("There is no session yet. Start one: agent")
        return found

    def picked(self, folder: Path | None = None) -> Path | None:
        """The one chosen from a list of a folder's sessions, or all where it has none; None for nothing.

        Raises UsageProblem without a terminal, NoSuchSession where there are none.
        """
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageProblem(
                "Say which session: agent resume SESSION, or --last. They are: agent sessions list"
            )
        catalog = Catalog(self.home)
        here = Place.of(self.environ, folder).project
        offered = [each for each in catalog.sessions(here) or catalog.sessions() if each.turns][:OFFERED]
        if not offered:
            raise NoSuchSession("There is no session yet. Start one: agent")
        return _ask(offered)


def folder_of(journal: Path, home: Path) -> Path:
    """The folder a session works in.

    A session that was made elsewhere, by another tool or in another home, may name any folder, and all
    reading in that would be free: so it counts only inside the current one. Raises UsageProblem for others
    and for a folder that is gone.
    """
    told, here = summary(journal), Path.cwd()
    folder = Path(told.cwd or here)
    go_on = f"agent resume {one_line(journal.stem, 60)} -C"
    if not folder.is_dir():
        raise UsageProblem(f"The session's folder {folder} is gone. Say where to go on: {go_on} DIR")
    ours = told.origin != "import" and journal.resolve().is_relative_to((home / "sessions").resolve())
    if not ours and not folder.resolve().is_relative_to(here.resolve()):
        raise UsageProblem(
            f"This session came from elsewhere and names the folder {folder}. If it is to work there: "
            f"{go_on} {folder}"
        )
    return folder


def has_prefix(journal: Path) -> bool:
    """Whether the session was ever sent to a model, so that it has one of its own."""
    return any(line.startswith(_PREFIX) for line in skim(journal, frozenset((b"prefix",))))


def _has_messages(journal: Path) -> bool:
    """Whether it is a conversation: `agent doctor` books its calls in a journal without one."""
    return any(True for _ in skim(journal, frozenset((b"message",))))


def line_of(session: SessionSummary, now: float) -> str:
    """A session in one line: when, how long, what about."""
    age = figures.ago(now - session.updated)
    return f"{age:>9}  {figures.plural(session.turns, 'turn'):>9}  {one_line(session.name, 60)}"


def _ask(offered: list[SessionSummary]) -> Path | None:
    now = time.time()
    for number, session in enumerate(offered, start=1):
        print(f"{number:>3}  {line_of(session, now)}")
    while True:
        try:
            answer = input(f"Go on with which? [1-{len(offered)}, Enter leaves] ").strip()
        except EOFError:
            return None
        if not answer:
            return None
        if answer.isdigit() and 1 <= int(answer) <= len(offered):
            return offered[int(answer) - 1].path
        print(f"Type a number from 1 to {len(offered)}.")
