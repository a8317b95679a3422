"""What a headless run came to, as the object that it prints and leaves in `--usage-file`."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cli.failure import ExitCode, complain, exit_code, explain
from providers.types import JSON, ModelRef, Usage
from sessions.bill import cost_of
from sessions.records import CallLine
from sessions.session import Session
from sessions.usagejson import cost_object, usage_object


@dataclass(slots=True)
class Run:
    """What came of the errand so far."""

    started: float = field(default_factory=time.monotonic)
    result: str = ""
    stop_reason: str = "error"
    is_error: bool = True
    code: int = ExitCode.FAILED
    """How it ends, as far as that can be told yet."""
    checkpoint: str | None = None
    session: Session | None = None
    calls_before: int = 0

    @property
    def calls(self) -> list[CallLine]:
        """The model calls that this run paid for."""
        return self.session.calls[self.calls_before :] if self.session else []

    def failed(self, error: BaseException) -> None:
        """Remember what ended it."""
        self.code, self.result, self.is_error = exit_code(error), explain(error), True

    def interrupted(self) -> None:
        """The person, or the system, ended it."""
        self.code, self.result, self.is_error = ExitCode.INTERRUPTED, "interrupted", True
        self.stop_reason = "interrupted"


def result_object(run: Run, model: ModelRef | None) -> dict[str, JSON]:
    """The one object of `--output-format json`; `model` is the one asked for.

    Usage, cost and calls are this run's; `docs/usage.md` explains the keys.
    """
    session, calls = run.session, run.calls
    cost = cost_of(calls)
    return {
        "session_id": session.id if session else None,
        "result": run.result,
        "is_error": run.is_error,
        "stop_reason": run.stop_reason,
        "exit_code": int(run.code),
        "exit_reason": ExitCode(run.code).name.lower(),
        "model": str(session.model) if session else str(model) if model else None,
        "turns": session.state.turn_count if session else 0,
        "model_calls": len(calls),
        "usage": usage_object(sum((call.usage for call in calls), Usage())),
        **cost_object(cost.known, cost.unknown_calls),
        "calls": [call_object(call) for call in calls],
        "duration_ms": round((time.monotonic() - run.started) * 1000),
        "checkpoint": run.checkpoint,
    }


def call_object(call: CallLine) -> dict[str, JSON]:
    """One model call. Times are in seconds, `started` since the epoch."""
    return {
        "id": call.id,
        "purpose": call.purpose,
        "lane": call.lane,
        "model": call.model,
        "outcome": call.outcome,
        "estimated": call.estimated,
        "usage": usage_object(call.usage),
        "cost_usd": call.cost,
        "price": call.price,
        "started": call.started,
        "duration": call.duration,
        "time_to_first_token": call.time_to_first_token,
    }


def leave_usage(run: Run, model: ModelRef | None, path: Path | None) -> bool:
    """Write `--usage-file` if one is wanted; whether nothing went wrong. A failure is one line on stderr."""
    if path is None:
        return True
    text = json.dumps(result_object(run, model), ensure_ascii=False, indent=2)
    try:
        _replace(path, (text + "\n").encode("utf-8", "backslashreplace"))
    except OSError as error:
        complain(f"Cannot write --usage-file {path}: {error.strerror}. Name another place.")
        return False
    return True


def _replace(path: Path, data: bytes) -> None:
    """Write the file whole or not at all: whoever reads it sees either the one before or this one.

    What is no regular file, such as a pipe, is written to. Raises OSError.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    path = path.resolve()  # a link stays one
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), _mode(path))
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _mode(path: Path) -> int:
    """The permissions of the file that is replaced, else those of any new file."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
