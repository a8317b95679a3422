"""Ends the runs that a server left at work when it died: they failed, and what they cost is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from server.errors import unavailable
from server.shelf import Shelf, Shelved
from server.usage import response_usage
from sessions.catalog import journal_path
from sessions.journal import JournalError, read
from sessions.records import CallLine


def recover(shelf: Shelf, home: Path) -> int:
    """Mark every run that is still "at work" as failed; how many there were. Blocks.

    Call it once, before the server takes requests. Their sessions lost nothing: the journals have all that
    was said and billed.
    """
    left = shelf.unfinished()
    for run in left:
        shelf.put(_failed(run, _calls(run, home)))
    return len(left)


def _failed(run: Shelved, calls: Sequence[CallLine]) -> Shelved:
    error = unavailable("The server ended while this was at work. Its session is kept.", code="lost")
    usage = response_usage(calls)
    body = error.body() | {"usage": usage}
    if run.body is not None:
        told = {"code": error.code, "message": error.message}
        body["response"] = run.body | {"status": "failed", "error": told, "usage": usage}
    return replace(run, status=error.status, body=body if run.body is not None or run.token else None)


def _calls(run: Shelved, home: Path) -> Sequence[CallLine]:
    """The calls that the run had made: its client's, in its session, since it began."""
    try:
        records = read(journal_path(home, Path(run.workspace), run.session)).records
    except JournalError:
        return ()
    return [
        record
        for record in records
        if isinstance(record, CallLine) and record.client == run.client and record.started >= run.created
    ]
