"""Puts a front end together: configuration, trust, model and setup, then the chat or one headless answer."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agent.harmless import harmless
from cli.choose import choose, parse
from cli.compose import compose
from cli.config import Loaded, Untrusted, home_folder
from cli.failure import UsageProblem, complain
from cli.options import Options
from cli.place import Place
from cli.trust import Trust
from cli.which import folder_of, has_prefix
from cli.wish import Wish
from providers.types import ModelRef

if TYPE_CHECKING:
    from cli.chat import Chat
    from cli.front import Front
    from cli.headless import Errand


async def open_chat(wish: Wish, front: Front) -> Chat:
    """The chat behind a prompt that stands already. Raises CachetError."""
    from cli.chat import Chat, Opening

    place = _place(wish)
    loaded = place.configuration()
    if loaded.untrusted is not None:
        loaded = await _ask_for_trust(front, place, loaded.untrusted)
    for notice in loaded.notices:
        front.prompt.print(f"note: {harmless(notice)}\n")
    opening = Opening(
        setup=compose(place, wish.options, loaded.config),
        model=await _model(wish.options, place, loaded, wish.session),
        effort=wish.options.effort,
        session=wish.session,
        fork=wish.fork,
    )
    return await Chat.open(front, opening)


async def answer(wish: Wish) -> int:
    """One headless prompt; the exit code. Raises CachetError. `--usage-file` is left however it ends."""
    from cli.headless import headless
    from cli.result import Run, leave_usage

    run = Run()
    with ExitStack() as stack:
        try:
            prompt = _with_stdin(wish.prompt)
            stack.enter_context(_terminable())  # reading could not be ended so
            errand = await _errand(wish, prompt)
        except (asyncio.CancelledError, KeyboardInterrupt):
            run.interrupted()
            complain(run.result)
            leave_usage(run, None, wish.options.usage_file)
            return run.code
        except Exception as error:
            run.failed(error)
            leave_usage(run, None, wish.options.usage_file)
            raise
        return await headless(errand)


async def _errand(wish: Wish, prompt: str) -> Errand:
    from cli.headless import Errand

    place = _place(wish)
    loaded = place.configuration()
    for notice in loaded.notices:
        print(f"note: {notice}", file=sys.stderr)
    return Errand(
        setup=compose(place, wish.options, loaded.config),
        model=await _model(wish.options, place, loaded, wish.session),
        prompt=prompt,
        session=wish.session,
        effort=wish.options.effort,
        fork=wish.fork,
        output_format=wish.options.output_format,
        usage_file=wish.options.usage_file,
    )


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does: what was billed is booked, the result is printed."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _place(wish: Wish) -> Place:
    """Where to work: the folder named, else the session's own, else the current one. Raises UsageProblem."""
    folder = wish.options.cwd
    if folder is None and wish.session is not None:
        folder = folder_of(wish.session, home_folder(wish.environ))
    return Place.of(wish.environ, folder)


async def _model(options: Options, place: Place, loaded: Loaded, session: Path | None) -> ModelRef | None:
    """The model to use; None where the session's own is to be kept."""
    if session is None or not has_prefix(session):
        return await choose(place, loaded.config, options.model)
    return parse(options.model, "--model") if options.model else None


def _with_stdin(prompt: str | None) -> str:
    """The prompt, with what was piped in below it. Raises UsageProblem where there is neither."""
    piped = "" if sys.stdin.isatty() else sys.stdin.buffer.read().decode("utf-8", "replace")
    text = "\n\n".join(part for part in (prompt or "", piped.strip("\n")) if part.strip())
    if not text:
        raise UsageProblem("-p needs a prompt. Try: agent -p PROMPT, or pipe one in: agent -p < prompt.txt")
    return text


async def _ask_for_trust(front: Front, place: Place, untrusted: Untrusted) -> Loaded:
    """Show what the project's configuration asks for, and load it again with the person's answer.

    The answer is remembered for this content of the file, whichever it is.
    """
    from cli.question import Choice, Chosen, Question

    wishes = "".join(f"  {harmless(wish)}\n" for wish in untrusted.asks_for)
    path = harmless(str(untrusted.path))
    front.prompt.print(f"This project has a configuration of its own, {path}. It asks for:\n{wishes}")
    text = "Trust this content of the file? It is not in force otherwise."
    reply = await front.prompt.ask(Question(text, (Choice("y", "trust it"), Choice("n", "no"))))
    Trust(place.home).judge(untrusted.path, untrusted.sha256, trusted=reply == Chosen("y"))
    return place.configuration()
