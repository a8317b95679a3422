"""The keys that let clients in: several named ones, each stored as a digest only."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from checkpoint.places import make_private
from checkpoint.writing import json_bytes, why_unwritable, write_whole
from providers.errors import ConfigurationError
from server.apart import check_apart
from server.keyfile import private_opener, read_own, signature
from sessions.fields import seconds, timestamp

Period = Literal["day", "month", "total"]
PERIODS: tuple[Period, ...] = get_args(Period)

VERSION = 1
"""The file's format. A newer one is read as far as it is understood, and not written."""
SECRET_START = "sk-cachet-"
RANDOM_BYTES = 32
"""43 url-safe characters. 256 random bits can't be guessed or listed, so one SHA-256 hides them as well as
a slow hash would; slowness only helps secrets that people chose."""
CONCURRENT = 4
PER_MINUTE = 60
MOST = 1_000_000_000
"""Of runs, turns, or US dollars: JSON has numbers that are too large to reckon with."""
DEFAULT = "default"
"""The name of the key that the first start makes."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class NoSuchKey(ConfigurationError):
    """No key has that name or id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKey:
    """What one client may do. The secret itself is nowhere."""

    id: str
    name: str
    created: float
    """Seconds since the epoch."""
    digest: str = field(repr=False)
    """SHA-256 of the secret, in hexadecimal."""
    workspace: str | None = None
    """The folder its runs work in; None for the server's own."""
    budget_usd: float | None = None
    """US dollars for each period; None for no limit."""
    budget_period: Period = "month"
    """`day` and `month` are those of the local calendar; `total` never renews."""
    concurrent: int = CONCURRENT
    """Runs at the same time."""
    per_minute: int = PER_MINUTE
    """Turns that it may begin. How many requests of all kinds goes by that, too: `server.turnstile`."""
    terminal_sessions: bool = False
    """Whether it also sees the sessions that were begun in the terminal, in its workspace."""


class KeyRing:
    """The keys in `~/.cachet/server/keys.json`, which is read again as soon as it changed.

    What the file holds beyond this version's words stays in it. A file that can't be used lets nobody in:
    every method raises ConfigurationError then, with one line, and the file stays as it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None
        self._document: dict[str, Any] = {}
        self._keys: tuple[ClientKey, ...] = ()

    @classmethod
    def open(cls, home: Path) -> KeyRing:
        """The ring below `home` (`~/.cachet`). Makes nothing; raises ConfigurationError for a broken file."""
        ring = cls(home / "server" / "keys.json")
        ring._refresh()
        return ring

    @property
    def keys(self) -> tuple[ClientKey, ...]:
        """All keys, in the order in which they were made."""
        self._refresh()
        return self._keys

    def holds(self, id: str) -> bool:
        """Whether the key of that id is there, as the file is now."""
        return any(key.id == id for key in self.keys)

    def authenticate(self, secret: str) -> ClientKey | None:
        """The key with this secret, as the file has it now. Which it is, or none, takes equally long."""
        self._refresh()
        digest = _digest(secret)
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def add(
        self,
        name: str,
        *,
        workspace: Path | None = None,
        budget_usd: float | None = None,
        budget_period: Period = "month",
        concurrent: int = CONCURRENT,
        per_minute: int = PER_MINUTE,
        terminal_sessions: bool = False,
    ) -> tuple[ClientKey, str]:
        """Make a key; it, and its secret, which is never to be had again.

        Raises ConfigurationError for a name that is taken or odd, a folder that isn't there, a limit that
        isn't positive, and when the file can't be written.
        """
        secret = SECRET_START + secrets.token_urlsafe(RANDOM_BYTES)
        key = ClientKey(
            id=f"key_{secrets.token_hex(8)}",
            name=_proper_name(name),
            created=float(int(time.time())),
            digest=_digest(secret),
            workspace=_folder(workspace, self.path.parent.parent),
            budget_usd=_dollars(budget_usd),
            budget_period=budget_period,
            concurrent=_at_least_one(concurrent, "concurrent"),
            per_minute=_at_least_one(per_minute, "per-minute"),
            terminal_sessions=terminal_sessions,
        )
        with self._changing() as rows:
            if any(name in (other.name, other.id) for other in self._keys):
                raise ConfigurationError(f"There is a key {name!r} already. Choose another name.")
            rows.append(_row(key))
        return key, secret

    def remove(self, name_or_id: str) -> ClientKey:
        """Take a key away, at once also from a server that runs. Raises NoSuchKey, ConfigurationError."""
        with self._changing() as rows:
            gone = next((key for key in self._keys if name_or_id in (key.id, key.name)), None)
            if gone is None:
                raise NoSuchKey(f"There is no key {name_or_id!r}. To see them: agent serve keys list")
            rows[:] = [row for row in rows if row.get("id") != gone.id]
        return gone

    def first(self) -> tuple[ClientKey, str] | None:
        """The key `default` and its secret, made now; None where there is a key already.

        It is the person's own, who starts the server: it sees the terminal's sessions too.
        """
        if self.keys:
            return None
        return self.add(DEFAULT, terminal_sessions=True)

    @contextmanager
    def _changing(self) -> Iterator[list[dict[str, Any]]]:
        """The file's rows of keys, to be changed in place; written whole at the end, one change at a time."""
        try:
            make_private(self.path.parent)
            self.path.parent.chmod(0o700)
            with open(self.path.with_name("keys.lock"), "ab", opener=private_opener) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._refresh()
                if self._document.get("version", VERSION) > VERSION:
                    raise ConfigurationError(
                        f"{self.path} was written by a newer Cachet. Update Cachet to change the keys."
                    )
                rows = [dict(row) for row in self._document.get("keys", [])]
                yield rows
                document = {"version": VERSION, **self._document, "keys": rows}
                write_whole(self.path, json_bytes(document, indent=1))
                self._refresh()
        except OSError as error:
            raise ConfigurationError(f"Cannot write {self.path}: {why_unwritable(error)}") from error

    def _refresh(self) -> None:
        """Read the file where it isn't the one that was read last. Raises ConfigurationError."""
        try:
            if signature(os.lstat(self.path)) == self._seen:
                return
            data, read = read_own(self.path)
        except FileNotFoundError:
            self._seen, self._document, self._keys = None, {}, ()
            return
        except OSError as error:
            self._seen = None
            raise ConfigurationError(
                f"Cannot read the server's keys in {self.path}: {error.strerror or error}. Nobody is let in."
            ) from error
        self._seen = None
        self._document, self._keys = _parsed(data, self.path)
        self._seen = signature(read)


def _parsed(data: bytes, path: Path) -> tuple[dict[str, Any], tuple[ClientKey, ...]]:
    try:
        document = json.loads(data)
        rows = document["keys"]
        if not isinstance(document.get("version", VERSION), int):
            raise ValueError("its version is no number")
        keys = tuple(_key(row) for row in rows)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ConfigurationError(
            f"The server's keys in {path} can't be read ({_why(error)}), so nobody is let in. "
            "Mend the file, or move it away and make the keys anew: agent serve keys add NAME"
        ) from error
    return document, keys


def _why(error: Exception) -> str:
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)


def _key(row: dict[str, Any]) -> ClientKey:
    """A key from its row. Raises ValueError, TypeError, KeyError: half a limit is no limit."""
    name, digest = row["name"], row["digest"]
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError(f"the digest of {name!r} is not a SHA-256")
    if row.get("budget_period", "month") not in PERIODS:
        raise ValueError(f"the budget period of {name!r} is none of {', '.join(PERIODS)}")
    try:
        return ClientKey(
            id=_text(row["id"]),
            name=_text(name),
            created=seconds(row.get("created", "")) or 0.0,
            digest=digest,
            workspace=None if row.get("workspace") is None else _text(row["workspace"]),
            budget_usd=_dollars(row.get("budget_usd")),
            budget_period=row.get("budget_period", "month"),
            concurrent=_at_least_one(row.get("concurrent", CONCURRENT), "concurrent"),
            per_minute=_at_least_one(row.get("per_minute", PER_MINUTE), "per-minute"),
            terminal_sessions=row.get("terminal_sessions") is True,
        )
    except ConfigurationError as error:
        raise ValueError(f"{name!r}: {error}") from error


def _row(key: ClientKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "created": timestamp(key.created),
        "digest": key.digest,
        "workspace": key.workspace,
        "budget_usd": key.budget_usd,
        "budget_period": key.budget_period,
        "concurrent": key.concurrent,
        "per_minute": key.per_minute,
        "terminal_sessions": key.terminal_sessions,
    }


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"want text, got {value!r}")
    return value


def _proper_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} can't be a key's name: letters, digits, '.', '_' and '-', 64 at most, no sign first."
        )
    return name


def _folder(workspace: Path | None, home: Path) -> str | None:
    if workspace is None:
        return None
    if not workspace.is_dir():
        raise ConfigurationError(f"There is no folder {workspace} to work in. Make it first.")
    check_apart(workspace, home)
    return str(workspace.resolve())


def _dollars(budget: object) -> float | None:
    if budget is None:
        return None
    if isinstance(budget, bool) or not isinstance(budget, int | float):
        raise ConfigurationError(f"A budget is a number of US dollars, not {budget!r}.")
    if not 0 < budget <= MOST:  # NaN isn't either
        raise ConfigurationError(f"A budget is more than 0 US dollars, {MOST} at most, not {budget}.")
    return float(budget)


def _at_least_one(limit: object, option: str) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST:
        raise ConfigurationError(f"{option} is a whole number from 1 to {MOST}, not {limit!r}.")
    return limit


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
