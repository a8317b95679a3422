"""One prompt without a terminal: `agent -p`, its three formats, and what it leaves when it fails."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.events import (
    CacheMissed,
    CheckpointMade,
    Compacted,
    Compacting,
    Event,
    NotCompacted,
    Retrying,
    TurnFinished,
)
from agent.harmless import harmless
from checkpoint.types import CheckpointError
from cli import compaction, figures
from cli.eventjson import event_object
from cli.failure import ExitCode, complain, exit_code
from cli.options import OutputFormat
from cli.rereading import expired, rereading
from cli.result import Run, leave_usage, result_object
from providers.effort import Effort
from providers.errors import BudgetReached, CachetError
from providers.types import JSON, ModelRef
from sessions import begin
from sessions.session import Session
from sessions.setup import Setup
from sessions.switch import Switch


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What `-p` was asked to do.

    `session` is the one to go on with; `model` and `effort` None mean that session's own.
    """

    setup: Setup
    model: ModelRef | None
    prompt: str
    session: Path | None = None
    effort: Effort | None = None
    fork: bool = False
    output_format: OutputFormat = OutputFormat.TEXT
    usage_file: Path | None = None


class OutputLost(CachetError):
    """What was to be printed could not be: a full disk behind a redirection."""


async def headless(errand: Errand) -> int:
    """Run the prompt; the exit code. The result goes to stdout, an error's one line to stderr as well."""
    run = Run()
    try:
        await _attempt(errand, run)
    except Exception as error:  # a fault of ours, or no output left: what it cost is told all the same
        run.failed(error)
        leave_usage(run, errand.model, errand.usage_file)
        if not isinstance(error, OutputLost | BrokenPipeError):
            _tell(errand, run)
        raise
    left = leave_usage(run, errand.model, errand.usage_file)
    _tell(errand, run)
    return run.code or (ExitCode.DONE if left else ExitCode.FAILED)


async def _attempt(errand: Errand, run: Run) -> None:
    """Run the prompt to its end, whichever that is, and close the session."""
    try:
        run.session = session = await _open(errand)
        for line in session.repairs:
            print(f"note: {harmless(line)}", file=sys.stderr)
        if session.left is not None and (cost := await rereading(session, session.prefix, session.left)):
            print(f"note: {harmless(cost)}.", file=sys.stderr)
        if cost := await expired(session):
            print(f"note: {harmless(cost)}", file=sys.stderr)
        run.calls_before = len(session.calls)
        # A reader that leaves ends the loop below: the turn must have ended before its session is closed.
        async with aclosing(session.turn(errand.prompt)) as events:
            async for event in events:
                _follow(run, event)
                if errand.output_format is OutputFormat.STREAM_JSON:
                    _print(_json(event_object(event, session.calls)))
        _judge(session, run)
    except (asyncio.CancelledError, KeyboardInterrupt):
        run.interrupted()
        complain(run.result)
    except (OutputLost, BrokenPipeError):
        raise
    except (CachetError, CheckpointError, OSError) as error:
        run.failed(error)
        complain(run.result)
    finally:
        if run.session is not None:
            with suppress(CheckpointError):
                run.checkpoint = run.checkpoint or _latest_checkpoint(run.session)
            await asyncio.shield(run.session.close())


def _judge(session: Session, run: Run) -> None:
    """The answer stands, but the run fails where it used the cache less than the person demands."""
    try:
        session.check_cache()
    except BudgetReached as reached:
        run.code = exit_code(reached)
        complain(str(reached))


async def _open(errand: Errand) -> Session:
    if errand.session is None:
        assert errand.model is not None, "a new session has a model"
        return await begin.start(errand.setup, errand.model)
    opened = begin.fork if errand.fork else begin.resume
    switch = Switch(model=errand.model, effort=errand.effort)
    return await opened(errand.setup, errand.session, switch=switch)


def _follow(run: Run, event: Event) -> None:
    match event:
        case CheckpointMade(path=path):
            run.checkpoint = path
        case TurnFinished(stop_reason=reason, text=text):
            run.result, run.stop_reason, run.is_error, run.code = text, reason, False, ExitCode.DONE
        case CacheMissed(cause, detail, tokens, cost):
            print(f"note: {harmless(figures.missed(cause, detail, tokens, cost))}", file=sys.stderr)
        case Compacting() | Compacted() | NotCompacted():
            print(f"note: {harmless(compaction.told(event))}", file=sys.stderr)
        case Retrying(seconds, reason, attempt, attempts):
            print(f"note: {figures.retrying(seconds, reason, attempt, attempts)}", file=sys.stderr)
        case _:
            pass


def _tell(errand: Errand, run: Run) -> None:
    """Print the result. Raises OutputLost."""
    match errand.output_format:
        case OutputFormat.TEXT:
            if not run.is_error:
                _print(harmless(run.result) if sys.stdout.isatty() else run.result)
        case OutputFormat.JSON:
            _print(_json(result_object(run, errand.model)))
        case OutputFormat.STREAM_JSON:
            _print(_json({"type": "result", **result_object(run, errand.model)}))


def _latest_checkpoint(session: Session) -> str | None:
    """The file of the checkpoint that a failed turn left, if it left one."""
    made = session.checkpoints()
    return str(made[-1].path) if made else None


def _json(value: dict[str, JSON]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _print(text: str) -> None:
    """Raises OutputLost; a reader that left is not that, and ends the program quietly."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        # Python would try again at its end, and exit with a code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputLost(
            f"Cannot write to standard output: {error.strerror}. "
            "Nothing is lost, the session has it: agent sessions list"
        ) from error
