"""Tells by a file's content which tool wrote it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

from providers.types import JSON, JSONObject
from sessions.importers import claude_code, codex, gemini_cli, hermes, neutral, opencode, pi, snapshots
from sessions.importers.imported import Imported, NotASession, Source
from sessions.importers.sqlite import MAGIC, has_columns

Importer: TypeAlias = Callable[[Source], list[Imported]]

_PEEK = 200
"""So many lines are looked at: logs may begin with rows that say nothing of their kind."""


def is_journal(head: bytes) -> bool:
    """Whether this is how one of our own journals begins; a bad first line doesn't hide that."""
    return any(line.startswith(b'{"kind":') for line in head.split(b"\n", 3)[:3])


def importer(source: Source) -> Importer:
    """What reads this file. Raises NotASession."""
    if source.data.startswith(MAGIC):
        return _database(source)
    whole = _json(source.data)
    if isinstance(whole, list) and snapshots.is_list(whole):
        return lambda _: snapshots.import_list(whole)
    if isinstance(whole, dict) and (found := _of_object(whole)) is not None:
        return found
    for line in source.data.split(b"\n", _PEEK)[:_PEEK]:
        row = _json(line)
        if isinstance(row, dict) and (log := _of_row(row)) is not None:
            return log
    raise NotASession(
        f"{source.path} is no session file that Cachet knows. It reads its own journals and the files of "
        "cheetahclaws, bouzecode, hermes, Claude Code, codex, gemini-cli, opencode and pi."
    )


def _of_object(value: JSONObject) -> Importer | None:
    """By the keys of a file that is one object."""
    keys = value.keys()
    messages = value.get("messages")
    if isinstance(value.get("info"), dict) and isinstance(messages, list):
        return lambda _: opencode.import_export(value)
    if "sessionId" in keys and isinstance(messages, list):
        return lambda _: gemini_cli.import_json(value)
    if "source" in keys and "started_at" in keys and isinstance(messages, list):
        return hermes.import_export
    if isinstance(value.get("sessions"), list) or isinstance(messages, list):
        return lambda _: neutral.import_json(value)
    return None


def _of_row(row: JSONObject) -> Importer | None:
    """By the keys of a log's row."""
    keys = row.keys()
    if {"source", "started_at", "messages"} <= keys:
        return hermes.import_export
    if row.get("type") == "session_meta" and "payload" in keys:
        return codex.import_rollout
    if row.get("type") == "session" and "cwd" in keys:
        return pi.import_session
    if "sessionId" in keys and ("projectHash" in keys or "startTime" in keys):
        return gemini_cli.import_log
    if "uuid" in keys and "parentUuid" in keys:
        return claude_code.import_log
    return None


def _database(source: Source) -> Importer:
    if has_columns(source, "messages", frozenset(("session_id", "role", "tool_calls"))):
        return hermes.import_database
    if has_columns(source, "sessions", frozenset(("messages", "saved_at"))):
        return neutral.import_database
    raise NotASession(
        f"{source.path} is a database, but not one that hermes or cheetahclaws keeps sessions in."
    )


def _json(text: bytes) -> JSON:
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError):
        return None
