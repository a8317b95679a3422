"""The options of `agent serve`: declared once, and handed on as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Option

from agent.permissions import Mode
from cli.options import CacheTtl, Options, Result, unfolded
from providers.effort import Effort


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What a person chose for the server; None or empty where they chose nothing."""

    model: Annotated[
        list[str] | None,
        Option("--model", "-m", metavar="PROVIDER/MODEL", help="Clients may use it; repeatable."),
    ] = None
    cwd: Annotated[Path | None, Option("--cwd", "-C", metavar="DIR", help="Where its runs work.")] = None
    add_dir: Annotated[
        list[Path] | None, Option(metavar="DIR", help="One more folder to work in; repeatable.")
    ] = None
    permission_mode: Annotated[Mode, Option(help="What goes through. Nobody is asked: ask means no.")] = (
        Mode.PLAN
    )
    allow_tool: Annotated[list[str] | None, Option(metavar="TOOL", help="Let this tool run; repeatable.")] = (
        None
    )
    deny_tool: Annotated[
        list[str] | None, Option(metavar="TOOL", help="Never run this tool; repeatable.")
    ] = None
    effort: Annotated[Effort | None, Option(metavar="LEVEL", help="How hard it thinks.")] = None
    cache_ttl: Annotated[CacheTtl | None, Option(help="How long the provider keeps the prompt cache.")] = None
    max_cost: Annotated[
        float | None, Option(metavar="USD", min=0, help="Stop each run before it spends more.")
    ] = None
    max_turns: Annotated[
        int | None, Option(metavar="N", min=1, help="Stop each run after N model calls.")
    ] = None
    host: Annotated[str, Option(help="The address to listen on; beyond this machine only if you say so.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Option(min=0, max=65535, help="0 takes any that is free.")] = 8642
    allow_host: Annotated[
        list[str] | None, Option(metavar="NAME", help="One more name it answers to; repeatable.")
    ] = None
    allow_origin: Annotated[
        list[str] | None, Option(metavar="URL", help="A web page that may send requests; repeatable.")
    ] = None
    max_body: Annotated[int, Option(metavar="MIB", min=1, help="The largest request.")] = 32
    grace: Annotated[
        int, Option(metavar="SECONDS", min=0, help="What runs have to finish when it stops.")
    ] = 30

    @property
    def options(self) -> Options:
        """What each of its runs begins with; which model, its client says."""
        return Options(
            cwd=self.cwd,
            add_dir=self.add_dir,
            permission_mode=self.permission_mode,
            allow_tool=self.allow_tool,
            deny_tool=self.deny_tool,
            effort=self.effort,
            cache_ttl=self.cache_ttl,
            max_cost=self.max_cost,
            max_turns=self.max_turns,
        )


def with_serving(command: Callable[..., Result]) -> Callable[..., Result]:
    """The command with its parameter `serving: Serving` unfolded into one parameter for each field."""
    return unfolded(command, "serving", Serving)
