"""`agent serve` and its keys on the command line."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Argument, Context, Option, Typer

from cli.options import Json
from cli.serving import Serving, with_serving

serve_app = Typer(
    invoke_without_command=True, help="The agent over HTTP, for any client that speaks OpenAI's API."
)
keys_app = Typer(no_args_is_help=True, help="The keys that let clients in.")
serve_app.add_typer(keys_app, name="keys")


@serve_app.callback()
@with_serving
def serve(ctx: Context, serving: Serving) -> None:
    """The agent over HTTP, for any client that speaks OpenAI's API."""
    if ctx.invoked_subcommand is not None:
        return
    from cli.serve import serve as start

    start(serving, os.environ)


class Period(StrEnum):
    """How often a key's budget renews."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


@keys_app.command("list")
def serve_keys_list(as_json: Json = False) -> None:
    """The keys and what each may do; never the secrets."""
    from cli.home import home_folder
    from cli.serve_keys import show_list

    show_list(home_folder(os.environ), as_json=as_json)


@keys_app.command("add")
def serve_keys_add(
    name: Annotated[str, Argument(metavar="NAME", help="To tell it from others: laptop, dashboard.")],
    workspace: Annotated[
        Path | None, Option(metavar="DIR", help="Its runs work here; in the server's folder if left out.")
    ] = None,
    budget: Annotated[float | None, Option(metavar="USD", help="What it may spend in a period.")] = None,
    period: Annotated[Period, Option(help="When the budget renews.")] = Period.MONTH,
    concurrent: Annotated[int, Option(metavar="N", help="Runs at the same time.")] = 4,
    per_minute: Annotated[int, Option(metavar="N", help="Turns a minute.")] = 60,
    terminal_sessions: Annotated[
        bool, Option("--terminal-sessions", metavar="", help="Let it see the terminal's sessions too.")
    ] = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    from cli.home import home_folder
    from cli.serve_keys import add

    add(
        home_folder(os.environ),
        name,
        workspace=workspace,
        budget_usd=budget,
        budget_period=period.value,
        concurrent=concurrent,
        per_minute=per_minute,
        terminal_sessions=terminal_sessions,
    )


@keys_app.command("remove")
def serve_keys_remove(
    key: Annotated[str, Argument(metavar="KEY", help="Its name or id.")],
) -> None:
    """Take a key away, at once also from a server that runs."""
    from cli.home import home_folder
    from cli.serve_keys import remove

    remove(home_folder(os.environ), key)
