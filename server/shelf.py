"""What the server remembers of finished runs: where each conversation can go on, and the answers it kept.

A SQLite file below `~/.cachet/server`. The conversations themselves are in the journals; this only finds
them again for a client. Its methods block, and may be called from any thread.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path

from providers.types import JSON
from server.runsfile import COLUMNS, open_runs

KEPT = 30 * 86_400.0
"""Seconds that an answer is kept, as long as OpenAI keeps responses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelved:
    """One run: whose it is, where its session stood then, and what was answered."""

    id: str
    client: str
    """Id of the client's key."""
    workspace: str
    session: str
    message: str = ""
    """Id of the session's last message after the run; empty while it is at work."""
    chain: str = ""
    """Digest of the client's history with this answer; empty where none was given."""
    token: str = ""
    """The request's `Idempotency-Key`; empty for none."""
    request: str = ""
    """Digest of the request, where it had such a key."""
    created: float
    """Seconds since the epoch."""
    status: int = 0
    """The HTTP status that the run ended with; 0 while it is at work."""
    body: dict[str, JSON] | None = None
    """The object that was answered; None where the client didn't want it kept."""


class Shelf:
    """The runs on this machine, newest answers first."""

    def __init__(self, home: Path) -> None:
        """Raises ConfigurationError where the file can't be used."""
        file = open_runs(home / "server" / "runs.sqlite")
        self.kept_aside = file.kept_aside
        """Where an earlier file is that could not be read; None where there was none such."""
        self._one = threading.Lock()
        self._base = file.base

    def put(self, run: Shelved) -> None:
        """Keep this run, in place of what was known of it before; and forget those that are too old."""
        body = "" if run.body is None else json.dumps(run.body, ensure_ascii=False)
        row = (
            run.id,
            run.client,
            run.workspace,
            run.session,
            run.message,
            run.chain,
            run.token,
            run.request,
            run.created,
            run.status,
            body.encode("utf-8", "replace").decode(),
        )
        with self._one:
            self._base.execute(f"insert or replace into runs ({COLUMNS}) values ({_marks(row)})", row)
        self.prune(run.created)

    def by_id(self, client: str, id: str) -> Shelved | None:
        return self._first("client = ? and id = ?", client, id)

    def by_chain(self, client: str, workspace: str, chain: str) -> Shelved | None:
        """The latest run that answered exactly this history."""
        return self._first("client = ? and workspace = ? and chain = ?", client, workspace, chain)

    def by_token(self, client: str, token: str) -> Shelved | None:
        """The run that a request with this `Idempotency-Key` began."""
        return self._first("client = ? and token = ?", client, token)

    def unfinished(self) -> tuple[Shelved, ...]:
        """Runs that were at work when the server ended without a word."""
        with self._one:
            rows = self._base.execute(f"select {COLUMNS} from runs where status = 0").fetchall()
        return tuple(_read(row) for row in rows)

    def remove(self, client: str, id: str) -> bool:
        """Forget a run; whether there was one."""
        with self._one:
            done = self._base.execute("delete from runs where client = ? and id = ?", (client, id))
        return done.rowcount > 0

    def forget_session(self, session: str) -> None:
        """Forget every run of a session that is gone."""
        with self._one:
            self._base.execute("delete from runs where session = ?", (session,))

    def prune(self, now: float) -> None:
        """Forget what was answered longer ago than `KEPT`. `now`: seconds since the epoch."""
        with self._one:
            self._base.execute("delete from runs where created < ? and status != 0", (now - KEPT,))

    def close(self) -> None:
        with self._one:
            self._base.close()

    def _first(self, where: str, *values: str) -> Shelved | None:
        with self._one:
            row = self._base.execute(
                f"select {COLUMNS} from runs where {where} order by created desc, rowid desc limit 1", values
            ).fetchone()
        return None if row is None else _read(row)


def _read(row: tuple[JSON, ...]) -> Shelved:
    id, client, workspace, session, message, chain, token, request, created, status, body = row
    return Shelved(
        id=id,
        client=client,
        workspace=workspace,
        session=session,
        message=message,
        chain=chain,
        token=token,
        request=request,
        created=created,
        status=status,
        body=json.loads(body) if body else None,
    )


def _marks(row: tuple[JSON, ...]) -> str:
    return ", ".join("?" * len(row))
