"""`agent serve keys`: list, add and remove the keys that let clients into the server."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from cli import figures
from cli.console import print_table, print_text
from providers.types import JSON
from server.keys import ClientKey, KeyRing, Period
from sessions.fields import timestamp


def show_list(home: Path, *, as_json: bool) -> None:
    """Print the keys, without what they open."""
    keys = KeyRing.open(home).keys
    if as_json:
        print(json.dumps([key_object(key) for key in keys], indent=2, ensure_ascii=False))
        return
    if not keys:
        print("No key yet: the first start of the server makes one. Make one now: agent serve keys add NAME")
        return
    now = time.time()
    print_table(
        ("name", "id", "made", "budget", "at once", "a minute", "terminal's sessions", "folder"),
        [_cells(key, now) for key in keys],
        narrow=(0, 1, 3),
        text=(0, 1, 2, 3, 6, 7),
        gives_way=7,
    )


def add(
    home: Path,
    name: str,
    *,
    workspace: Path | None,
    budget_usd: float | None,
    budget_period: Period,
    concurrent: int,
    per_minute: int,
    terminal_sessions: bool,
) -> None:
    """Make a key and print its secret, the only time: alone on stdout, so that a script can take it."""
    key, secret = KeyRing.open(home).add(
        name,
        workspace=workspace,
        budget_usd=budget_usd,
        budget_period=budget_period,
        concurrent=concurrent,
        per_minute=per_minute,
        terminal_sessions=terminal_sessions,
    )
    print(secret)
    note = (
        f"The key {key.name} is shown only now: its hash alone is kept. A server that runs takes it at once."
    )
    print(note, file=sys.stderr)


def remove(home: Path, name_or_id: str) -> None:
    """Take a key away."""
    gone = KeyRing.open(home).remove(name_or_id)
    print_text(
        f"Removed the key {gone.name} ({gone.id}). A server at work refuses it now, and stops its runs."
    )


def key_object(key: ClientKey) -> dict[str, JSON]:
    """A key as `--json` gives it. Times are ISO 8601 in UTC; there is no digest in it."""
    return {
        "id": key.id,
        "name": key.name,
        "created": timestamp(key.created),
        "workspace": key.workspace,
        "budget_usd": key.budget_usd,
        "budget_period": key.budget_period if key.budget_usd is not None else None,
        "concurrent": key.concurrent,
        "per_minute": key.per_minute,
        "terminal_sessions": key.terminal_sessions,
    }


def _cells(key: ClientKey, now: float) -> tuple[str, ...]:
    each = "in total" if key.budget_period == "total" else f"a {key.budget_period}"
    return (
        key.name,
        key.id,
        figures.ago(now - key.created),
        "no limit" if key.budget_usd is None else f"{figures.dollars(key.budget_usd)} {each}",
        str(key.concurrent),
        str(key.per_minute),
        "yes" if key.terminal_sessions else "no",
        key.workspace or "the server's",
    )
