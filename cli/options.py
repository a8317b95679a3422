"""The options that the chat, `-p` and `resume` share: declared once, and handed on as one value."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

from typer import Option

from agent.permissions import Mode
from providers.effort import Effort


class OutputFormat(StrEnum):
    """What `-p` prints: the answer's text, one JSON object, or one JSON object per event."""

    TEXT = "text"
    JSON = "json"
    STREAM_JSON = "stream-json"


class CacheTtl(StrEnum):
    """How long a provider that sells lifetimes keeps a cache entry; `auto` goes by this person's pauses."""

    AUTO = "auto"
    SHORT = "5m"
    LONG = "1h"


Json = Annotated[bool, Option("--json", metavar="", help="Print JSON.")]
"""What every command has that prints a list or figures."""

SESSION = "The session"
LIMITS = "Permissions and limits"
HEADLESS = "Without a terminal (-p)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person chose on the command line; None or empty where they chose nothing."""

    model: Annotated[
        str | None,
        Option("--model", "-m", metavar="PROVIDER/MODEL", help="The model to use.", rich_help_panel=SESSION),
    ] = None
    effort: Annotated[
        Effort | None,
        Option(metavar="LEVEL", help=f"How hard it thinks: {', '.join(Effort)}.", rich_help_panel=SESSION),
    ] = None
    cwd: Annotated[
        Path | None,
        Option("--cwd", "-C", metavar="DIR", help="The project's folder.", rich_help_panel=SESSION),
    ] = None
    add_dir: Annotated[
        list[Path] | None,
        Option(metavar="DIR", help="One more folder to work in; repeatable.", rich_help_panel=SESSION),
    ] = None
    cache_ttl: Annotated[
        CacheTtl | None,
        Option(help="How long the provider keeps the prompt cache.", rich_help_panel=SESSION),
    ] = None
    keep_warm: Annotated[
        bool,
        Option(
            "--keep-warm",
            metavar="",
            help="In the chat: keep the cache alive while you are away, where that can pay for itself.",
            rich_help_panel=SESSION,
        ),
    ] = False
    permission_mode: Annotated[
        Mode | None,
        Option(help="What goes through without a question.", rich_help_panel=LIMITS),
    ] = None
    allow_tool: Annotated[
        list[str] | None,
        Option(metavar="TOOL", help="Let this tool run unasked; repeatable.", rich_help_panel=LIMITS),
    ] = None
    deny_tool: Annotated[
        list[str] | None,
        Option(metavar="TOOL", help="Never run this tool; repeatable.", rich_help_panel=LIMITS),
    ] = None
    max_cost: Annotated[
        float | None,
        Option(metavar="USD", min=0, help="Stop before spending more.", rich_help_panel=LIMITS),
    ] = None
    allow_unknown_cost: Annotated[
        bool,
        Option(
            "--allow-unknown-cost",
            metavar="",
            help="With --max-cost: count calls without a known price as $0.",
            rich_help_panel=LIMITS,
        ),
    ] = False
    max_turns: Annotated[
        int | None,
        Option(metavar="N", min=1, help="Stop after N model calls.", rich_help_panel=LIMITS),
    ] = None
    max_missed_tokens: Annotated[
        int | None,
        Option(
            metavar="N",
            min=0,
            help="Stop once so many tokens were paid for again.",
            rich_help_panel=LIMITS,
        ),
    ] = None
    min_hit_rate: Annotated[
        float | None,
        Option(
            metavar="SHARE",
            min=0,
            max=1,
            help="With -p: fail if less of the prompts came from the cache (0.9).",
            rich_help_panel=LIMITS,
        ),
    ] = None
    print_: Annotated[
        bool,
        Option(
            "--print",
            "-p",
            metavar="",
            help="Answer one prompt and exit.",
            rich_help_panel=HEADLESS,
        ),
    ] = False
    output_format: Annotated[
        OutputFormat,
        Option(help="What -p prints.", rich_help_panel=HEADLESS),
    ] = OutputFormat.TEXT
    usage_file: Annotated[
        Path | None,
        Option(metavar="PATH", help="Write the usage here, after a failure too.", rich_help_panel=HEADLESS),
    ] = None


Result = TypeVar("Result")


def with_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """The command with its parameter `options: Options` unfolded into one parameter for each field."""
    return unfolded(command, "options", Options)


def unfolded(command: Callable[..., Result], name: str, kind: type[Any]) -> Callable[..., Result]:
    """The command with the parameter of this name, a dataclass, unfolded into one for each of its fields.

    Typer reads a command's options from its signature; so they are declared in one place, as one value.
    """
    hints = get_type_hints(kind, include_extras=True)
    own = [
        parameter
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.name != name
    ]
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]
    names = {parameter.name for parameter in shared}

    @functools.wraps(command)
    def wide(**given: Any) -> Result:
        chosen = {field: value for field, value in given.items() if field in names}
        rest = {field: value for field, value in given.items() if field not in names}
        return command(**{name: kind(**chosen)}, **rest)

    signature = inspect.Signature([*(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own), *shared])
    vars(wide)["__signature__"] = signature
    wide.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return wide
