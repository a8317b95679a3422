"""One prompt without a terminal: `agent -p`, its three formats, and what it leaves when it fails."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from agent.events import CheckpointMade, Event, TurnFinished
from checkpoint.types import CheckpointError
from cli.eventjson import event_object
from cli.failure import ExitCode, complain, exit_code, explain
from cli.options import OutputFormat
from cli.usagejson import usage_object
from providers.errors import CachetError
from providers.types import JSON, ModelRef, Usage
from sessions import begin
from sessions.session import Session
from sessions.setup import Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What `-p` was asked to do.

    `session` is the one to go on with; `model` None means that session's own.
    """

    setup: Setup
    model: ModelRef | None
    prompt: str
    session: Path | None = None
    fork: bool = False
    output_format: OutputFormat = OutputFormat.TEXT
    usage_file: Path | None = None


@dataclass(slots=True)
class Run:
    """What came of the errand so far."""

    started: float = field(default_factory=time.monotonic)
    result: str = ""
    stop_reason: str = "error"
    is_error: bool = True
    checkpoint: str | None = None
    calls_before: int = 0
    usage_before: Usage = field(default_factory=Usage)


async def headless(errand: Errand) -> int:
    """Run the prompt; the exit code. The result goes to stdout, an error's one line to stderr as well."""
    run = Run()
    session: Session | None = None
    code: int = ExitCode.DONE
    with _terminable():
        try:
            session = await _open(errand)
            for line in session.repairs:
                print(f"note: {line}", file=sys.stderr)
            run.calls_before, run.usage_before = len(session.calls), session.usage
            async for event in session.turn(errand.prompt):
                _follow(run, event)
                if errand.output_format is OutputFormat.STREAM_JSON:
                    _print_json(event_object(event))
        except (asyncio.CancelledError, KeyboardInterrupt):
            code, run.result, run.stop_reason = ExitCode.INTERRUPTED, "interrupted", "interrupted"
            complain(run.result)
        except (CachetError, CheckpointError, OSError) as error:
            code, run.result = exit_code(error), explain(error)
            complain(run.result)
        finally:
            if session is not None:
                with suppress(CheckpointError):
                    run.checkpoint = run.checkpoint or _latest_checkpoint(session)
                await asyncio.shield(session.close())
    _tell(errand, run, session)
    return code


async def _open(errand: Errand) -> Session:
    if errand.session is None:
        assert errand.model is not None, "a new session has a model"
        return await begin.start(errand.setup, errand.model)
    opened = begin.fork if errand.fork else begin.resume
    return await opened(errand.setup, errand.session, model=errand.model)


def _follow(run: Run, event: Event) -> None:
    match event:
        case CheckpointMade(path=path):
            run.checkpoint = path
        case TurnFinished(stop_reason=reason, text=text):
            run.result, run.stop_reason, run.is_error = text, reason, False
        case _:
            pass


def _tell(errand: Errand, run: Run, session: Session | None) -> None:
    if errand.output_format is OutputFormat.TEXT:
        if not run.is_error:
            print(run.result)
    else:
        result = result_object(run, session, errand.model)
        if errand.output_format is OutputFormat.STREAM_JSON:
            result = {"type": "result", **result}
        _print_json(result)
    if errand.usage_file is not None:
        _write(
            errand.usage_file,
            json.dumps(result_object(run, session, errand.model), ensure_ascii=False, indent=2),
        )


def result_object(run: Run, session: Session | None, model: ModelRef | None) -> dict[str, JSON]:
    """The one object of `--output-format json`.

    Usage and cost are this run's; `docs/usage.md` explains the keys.
    """
    calls = session.calls[run.calls_before :] if session else []
    usage = sum((call.usage for call in calls), Usage())
    costs = [call.cost for call in calls]
    known = [cost for cost in costs if cost is not None]
    return {
        "session_id": session.id if session else None,
        "result": run.result,
        "is_error": run.is_error,
        "stop_reason": run.stop_reason,
        "model": str(session.model) if session else str(model) if model else None,
        "turns": session.state.turn_count if session else 0,
        "model_calls": len(calls),
        "usage": usage_object(usage),
        "cost_usd": sum(known) if len(known) == len(costs) else None,
        "duration_ms": round((time.monotonic() - run.started) * 1000),
        "checkpoint": run.checkpoint,
    }


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the turn as Ctrl-C does: what was billed is booked, the result is printed."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _latest_checkpoint(session: Session) -> str | None:
    """The file of the checkpoint that a failed turn left, if it left one."""
    made = session.checkpoints()
    return str(made[-1].path) if made else None


def _print_json(value: dict[str, JSON]) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        complain(f"--usage-file {path}: {error.strerror}")
