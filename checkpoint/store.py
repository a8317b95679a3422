"""Keeps a session's checkpoints, one JSON file each."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from checkpoint.places import make_private, session_folder
from checkpoint.types import Capture, CheckpointError, CheckpointUnwritable, Snapshot, Totals
from checkpoint.writing import json_bytes, why_unwritable, write_whole

FORMAT_VERSION = 1
_PROMPT_LENGTH = 80
_COUNTERS = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "reported_prompt",
)
_OLDER_NAMES = {"cache_creation": "cache_write"}
_KEYS = frozenset(each.name for each in fields(Snapshot)) - {"path", "extra"} | {"version"}


@dataclass(slots=True)
class SnapshotStore:
    """One session's checkpoints, in `~/.cachet/checkpoints/<session>/`. The folder is made by the first one.

    Raises CheckpointError for a session id that is not a plain name. `problems` has a line for each file that
    the latest `list` had to leave out.
    """

    home: Path
    session: str
    problems: tuple[str, ...] = ()
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = session_folder(self.home, self.session)

    def list(self) -> tuple[Snapshot, ...]:
        """All checkpoints that can be read, by number."""
        found, problems = [], []
        for number in self._numbers():
            try:
                found.append(self.load(number))
            except CheckpointError as error:
                problems.append(str(error))
        self.problems = tuple(problems)
        return tuple(found)

    def load(self, number: int) -> Snapshot:
        """One checkpoint. Raises CheckpointError when it is missing, damaged or of a newer format."""
        path = self._path(number)
        try:
            body = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise CheckpointError(
                f"Session {self.session} has no checkpoint {number}. To list them: agent checkpoints"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise CheckpointError(f"Checkpoint {number} can't be read ({path}): {error}") from error
        if not isinstance(body, dict):
            raise CheckpointError(f"Checkpoint {number} can't be read ({path}): it holds no JSON object")
        version = body.get("version", FORMAT_VERSION)
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise CheckpointError(
                f"Checkpoint {number} was written by a newer Cachet (format {version}; this one reads "
                f"{FORMAT_VERSION}). Update Cachet to open it."
            )
        return _parse(body, self.session, number, path)

    def next_number(self) -> int:
        """One more than the highest number on disk, unreadable files included; 0 at the session's start."""
        return max(self._numbers(), default=-1) + 1

    def save(self, snapshot: Snapshot) -> Snapshot:
        """Write it, whole or not at all; keys this version doesn't know are kept.

        Raises CheckpointUnwritable.
        """
        try:
            make_private(self.folder)
            write_whole(snapshot.path, json_bytes(_body(snapshot), indent=2))
        except OSError as error:
            raise CheckpointUnwritable(
                f"Cannot write the checkpoint {snapshot.path}: {why_unwritable(error)}"
            ) from error
        return snapshot

    def remove(self) -> None:
        """Delete the session's checkpoint files. Their trees are `FileStore.forget`'s."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.json"

    def _numbers(self) -> tuple[int, ...]:
        try:
            names = os.listdir(self.folder)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise CheckpointUnwritable(
                f"Cannot list the checkpoints in {self.folder}: {why_unwritable(error)}"
            ) from error
        stems = [name.removesuffix(".json") for name in names if name.endswith(".json")]
        return tuple(sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit()))


def make_snapshot(
    state: Totals,
    *,
    store: SnapshotStore,
    number: int | None = None,
    message: str | None = None,
    prompt: str = "",
    model: str = "",
    cwd: str | Path = "",
    cost_usd: float | None = None,
    cost_at_least: float | None = None,
    before: str | None = None,
    capture: Capture | None = None,
    files_off: str = "",
    created: str = "",
) -> Snapshot:
    """Write the checkpoint of a conversation as it stands, and return it.

    `number` is the next free one unless given; `message` the conversation's last message; `before` the tree
    before the turn's first change, `capture` the files now; `created` is now unless given. Tokens are the
    state's totals to date: rewinding takes none of them back. Raises CheckpointUnwritable.
    """
    number = store.next_number() if number is None else number
    files = capture or Capture("")
    return store.save(
        Snapshot(
            session=store.session,
            number=number,
            created=created or _now(),
            message=message,
            turn_count=state.turn_count,
            prompt=prompt[:_PROMPT_LENGTH],
            model=model,
            cwd=str(cwd),
            token_snapshot={
                "input": state.total_input_tokens,
                "output": state.total_output_tokens,
                "cache_read": state.total_cache_read_tokens,
                "cache_write": state.total_cache_write_tokens,
                "cache_write_1h": state.total_cache_write_1h_tokens,
                "reasoning": state.total_reasoning_tokens,
                "reported_prompt": state.total_reported_prompt_tokens,
            },
            cost_usd=cost_usd,
            cost_at_least=cost_usd if cost_at_least is None else cost_at_least,
            before=before or None,
            tree=files.tree or None,
            files_off=files_off,
            skipped=files.skipped,
            git_head=files.head,
            git_branch=files.branch,
            path=store.folder / f"{number}.json",
        )
    )


def counters(value: Any) -> dict[str, int]:
    """A token snapshot with every counter assigned: what is absent, null or no number of tokens is 0."""
    given: Mapping[str, Any] = value if isinstance(value, dict) else {}
    found = dict.fromkeys(_COUNTERS, 0)
    for name, inner in given.items():
        modern = _OLDER_NAMES.get(name, name)
        if modern == name or modern not in given:
            found[modern] = tokens(inner)
    return found


def tokens(value: Any) -> int:
    """A number of tokens; numeric text counts, and what is none is 0."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if math.isfinite(value) and value > 0 else 0


def _parse(body: Mapping[str, Any], session: str, number: int, path: Path) -> Snapshot:
    skipped = body.get("skipped")
    return Snapshot(
        session=_text(body, "session") or session,
        number=number,
        created=_text(body, "created"),
        message=_text(body, "message") or None,
        turn_count=tokens(body.get("turn_count")),
        prompt=_text(body, "prompt"),
        model=_text(body, "model"),
        cwd=_text(body, "cwd"),
        token_snapshot=counters(body.get("token_snapshot")),
        cost_usd=_dollars(body, "cost_usd"),
        cost_at_least=_dollars(body, "cost_at_least"),
        before=_text(body, "before") or None,
        tree=_text(body, "tree") or None,
        files_off=_text(body, "files_off"),
        skipped=tuple(str(line) for line in skipped) if isinstance(skipped, list) else (),
        git_head=_text(body, "git_head"),
        git_branch=_text(body, "git_branch"),
        path=path,
        extra={key: value for key, value in body.items() if key not in _KEYS},
    )


def _body(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "version": FORMAT_VERSION,
        "session": snapshot.session,
        "number": snapshot.number,
        "created": snapshot.created,
        "message": snapshot.message,
        "turn_count": snapshot.turn_count,
        "prompt": snapshot.prompt,
        "model": snapshot.model,
        "cwd": snapshot.cwd,
        "token_snapshot": snapshot.token_snapshot,
        "cost_usd": snapshot.cost_usd,
        **({} if snapshot.cost_at_least is None else {"cost_at_least": snapshot.cost_at_least}),
        "before": snapshot.before,
        "tree": snapshot.tree,
        "files_off": snapshot.files_off,
        "skipped": list(snapshot.skipped),
        "git_head": snapshot.git_head,
        "git_branch": snapshot.git_branch,
        **snapshot.extra,
    }


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""


def _dollars(body: Mapping[str, Any], key: str) -> float | None:
    value = body.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
