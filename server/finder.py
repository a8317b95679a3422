"""Which conversation a request goes on with: by response, by session, or by the exact history it resends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from providers.types import ModelRef
from server.asked import Asked
from server.errors import bad_request, conflict, not_found
from server.keys import ClientKey
from server.shelf import Shelf, Shelved
from sessions.catalog import Catalog, begun_by, journal_path
from sessions.lines import decode
from sessions.records import PrefixLine
from sessions.skim import skim

_PREFIX = frozenset((b"prefix",))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a conversation goes on."""

    journal: Path
    message: str = ""
    """Id of the message to go on from; empty for wherever the session ends."""

    @property
    def session(self) -> str:
        return self.journal.stem


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds only what a key may see: the sessions it began, in the folder it works in.

    A key with `terminal_sessions` sees those that were begun in the terminal, too. Its methods block.
    """

    home: Path
    shelf: Shelf

    def find(self, key: ClientKey, workspace: Path, asked: Asked) -> Place | None:
        """Where to go on; None for a new conversation. Raises ApiError where the request names nothing."""
        if asked.previous:
            return self._after(key, workspace, asked.previous)
        if asked.session:
            return Place(self.journal(key, workspace, asked.session))
        if not asked.chain:
            return None
        found = self.shelf.by_chain(key.id, str(workspace), asked.chain)
        if found is None or not self._mine(key, journal := self._path(workspace, found.session)):
            return None
        return Place(journal, found.message)

    def journal(self, key: ClientKey, workspace: Path, session: str) -> Path:
        """A session's journal. Raises ApiError, the same for what is another's and what isn't there."""
        path = self._path(workspace, session)
        if not self._mine(key, path):
            raise not_found(f"There is no session {session!r}.", code="session_not_found")
        return path

    def journals(self, key: ClientKey, workspace: Path) -> Iterator[Path]:
        """The sessions that a key may see, the most recently used first."""
        return (path for path in Catalog(self.home).journals(workspace) if self._mine(key, path))

    def model(self, journal: Path) -> ModelRef | None:
        """The model that a session would go on with; None where it has none yet."""
        for line in reversed([*skim(journal, _PREFIX)]):
            with suppress(ValueError):
                if isinstance(record := decode(line), PrefixLine):
                    return record.prefix.model
        return None

    def _after(self, key: ClientKey, workspace: Path, previous: str) -> Place:
        found = self._response(key, previous)
        if found.status == 0:
            raise conflict(f"The response {previous} is still at work.", retry_after=1)
        if not found.message:
            raise bad_request(f"The response {previous} left nothing to go on from.", "previous_response_id")
        journal = self._path(workspace, found.session)
        if found.workspace != str(workspace) or not self._mine(key, journal):
            raise _no_response(previous)
        return Place(journal, found.message)

    def _response(self, key: ClientKey, id: str) -> Shelved:
        found = self.shelf.by_id(key.id, id)
        if found is None:
            raise _no_response(id)
        return found

    def _path(self, workspace: Path, session: str) -> Path:
        return journal_path(self.home, workspace, session)

    def _mine(self, key: ClientKey, journal: Path) -> bool:
        whose = begun_by(journal)
        return whose == key.id or (whose == "" and key.terminal_sessions)


def _no_response(id: str) -> Exception:
    return not_found(
        f"There is no response {id!r}.", param="previous_response_id", code="previous_response_not_found"
    )
