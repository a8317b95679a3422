"""From a parsed command line to a running front end: the chat, or one headless prompt."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from agent.harmless import harmless
from cli.choose import choose, parse
from cli.compose import compose
from cli.config import Loaded
from cli.failure import UsageProblem
from cli.options import Options
from cli.place import Place
from cli.trust import Trust
from cli.which import folder_of, has_prefix
from providers.types import ModelRef


def launch(
    options: Options, prompt: str | None, *, session: Path | None, fork: bool, environ: Mapping[str, str]
) -> int:
    """Open the chat, or with `-p` answer one prompt; the exit code.

    `session` is the file to go on with, in its own folder unless `-C` names another. Raises CachetError.
    """
    if not options.print_ and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageProblem("The chat needs a terminal. For one answer without one: agent -p PROMPT")
    place = Place.of(environ, options.cwd or (folder_of(session) if session else None))
    loaded = place.configuration()
    if loaded.untrusted is not None and not options.print_:
        loaded = _ask_for_trust(place, loaded)
    for notice in loaded.notices:
        print(f"note: {notice}", file=sys.stderr)
    return asyncio.run(_run(options, prompt, place, loaded, session=session, fork=fork))


async def _run(
    options: Options, prompt: str | None, place: Place, loaded: Loaded, *, session: Path | None, fork: bool
) -> int:
    """Compose and hand over. The front ends are imported here: neither needs the other's modules."""
    setup = compose(place, options, loaded.config)
    model = await _model(options, place, loaded, session)
    if options.print_:
        from cli.headless import Errand, headless

        return await headless(
            Errand(
                setup=setup,
                model=model,
                prompt=_with_stdin(prompt),
                session=session,
                fork=fork,
                output_format=options.output_format,
                usage_file=options.usage_file,
            )
        )
    from cli.chat import Opening, chat

    return await chat(Opening(setup=setup, model=model, prompt=prompt, session=session, fork=fork))


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


def _ask_for_trust(place: Place, loaded: Loaded) -> Loaded:
    """Show what the project's configuration asks for, and load it again with the person's answer.

    The answer is remembered for this content of the file, whichever it is.
    """
    untrusted = loaded.untrusted
    assert untrusted is not None
    print(f"This project has a configuration of its own, {untrusted.path}. It asks for:")
    for wish in untrusted.asks_for:
        print(f"  {harmless(wish)}")
    try:
        answer = input("Trust this content of the file? It is not in force otherwise. [y/N] ")
    except EOFError:
        answer = ""
    Trust(place.home).judge(untrusted.path, untrusted.sha256, trusted=answer.strip().lower() in ("y", "yes"))
    return place.configuration()
