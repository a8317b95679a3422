"""What an error comes to: one line on stderr, and the exit code."""

from __future__ import annotations

import os
import sys
from enum import IntEnum

from agent.harmless import harmless
from checkpoint.types import CheckpointError
from providers.errors import (
    BudgetReached,
    CachetError,
    ConfigurationError,
    ProviderError,
    ServerFault,
    Stalled,
    StreamTruncated,
)


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    """The turn failed, or the command could not do what it was asked."""
    USAGE = 2
    """The arguments or the configuration cannot work."""
    BUDGET = 3
    """A limit that the person set was reached."""
    PROVIDER = 4
    """The provider could not be reached, or refused."""
    INTERRUPTED = 130


class UsageProblem(ConfigurationError):
    """Arguments that don't go together, or name nothing."""


def exit_code(error: BaseException) -> ExitCode:
    """The exit code for an error that ended a command.

    A provider's refusal is `PROVIDER`; an answer that had begun and broke off is a failed turn.
    """
    match error:
        case KeyboardInterrupt():
            return ExitCode.INTERRUPTED
        case ConfigurationError():
            return ExitCode.USAGE
        case BudgetReached():
            return ExitCode.BUDGET
        case StreamTruncated() | ServerFault(status=None) | Stalled(begun=True):
            return ExitCode.FAILED
        case ProviderError():
            return ExitCode.PROVIDER
        case _:
            return ExitCode.FAILED


def explain(error: BaseException) -> str:
    """The error in one line a person can act on, free of control sequences."""
    match error:
        case CachetError() | CheckpointError():
            text = str(error)
        case KeyboardInterrupt():
            text = "interrupted"
        case OSError(strerror=str(why), filename=str(name)):
            text = f"{name}: {why}"
        case OSError():
            text = str(error)
        case _:
            text = (
                f"{type(error).__name__}: {error}. This is a fault of Cachet; the session is kept. "
                "Run it again with --debug to see where"
            )
    return harmless(" ".join(text.split()))


def complain(message: str) -> None:
    """One line on stderr, `error` in red where that is a terminal and colour is wanted."""
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    label = "\x1b[31merror\x1b[0m" if colour else "error"
    print(f"{label}: {message}", file=sys.stderr)
