"""From a parsed command line to a front end. It loads little, so that the chat's prompt stands at once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cli.failure import UsageProblem
from cli.home import home_folder
from cli.options import Options
from cli.wish import Wish

if TYPE_CHECKING:
    from cli.front import Front, Worker


def launch(
    options: Options, prompt: str | None, *, session: Path | None, fork: bool, environ: Mapping[str, str]
) -> int:
    """Open the chat, or with `-p` answer one prompt; the exit code. Raises CachetError."""
    wish = Wish(options=options, prompt=prompt, session=session, fork=fork, environ=environ)
    if options.print_:
        if options.keep_warm:
            raise UsageProblem("--keep-warm is for the chat: -p ends with its answer. Leave one of them out.")
        from cli.opening import answer

        return asyncio.run(answer(wish))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageProblem("The chat needs a terminal. For one answer without one: agent -p PROMPT")
    return asyncio.run(_chat(wish))


async def _chat(wish: Wish) -> int:
    """Show the prompt; the rest is loaded in a thread while the person types."""
    from cli.front import Front

    async def begin(front: Front) -> Worker:
        await asyncio.to_thread(_load)
        from cli.opening import open_chat

        return await open_chat(wish, front)

    front = Front(home_folder(wish.environ), wish.options.cwd or Path.cwd())
    return await front.run(begin, wish.prompt)


def _load() -> None:
    """Import what the chat needs, so that the event loop needn't stand still for it."""
    import cli.chat
    import cli.opening  # noqa: F401
