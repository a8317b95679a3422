"""`agent sessions`: list, show, import and remove."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from agent.harmless import harmless, one_line
from checkpoint.rewind import remove_session
from cli import figures
from cli.config import home_folder
from cli.console import print_table
from cli.failure import UsageProblem
from cli.place import Place
from cli.which import Which
from providers.types import JSON, Message, Opaque, Text, ToolCall, ToolResult
from sessions.catalog import Catalog, SessionSummary, summary
from sessions.fields import timestamp
from sessions.importers import import_all
from sessions.journal import read
from sessions.rehydrate import Conversation, rehydrate
from sessions.usagejson import cost_object, usage_object

SHOWN_RESULT = 400
"""Characters of a tool's result that `show` prints."""


def show_list(*, everywhere: bool, as_json: bool) -> None:
    """Print this folder's sessions, or all."""
    place = Place.of(os.environ)
    found = Catalog(place.home).sessions(None if everywhere else place.project)
    if as_json:
        print(json.dumps([session_object(each) for each in found], indent=2, ensure_ascii=False))
        return
    if not found:
        print(
            "No session yet. Start one: agent"
            if everywhere
            else f"No session in {place.project} yet. Of every folder: agent sessions list --all"
        )
        return
    now = time.time()
    print_table(
        (
            "session",
            "folder and subject" if everywhere else "about",
            "used",
            "turns",
            "tokens",
            "hit rate",
            "cost",
        ),
        [_cells(each, now, folder=everywhere) for each in found],
        narrow=(0, 1, 2, 6),
        text=(0, 1),
        gives_way=1,
    )


def session_object(session: SessionSummary) -> dict[str, JSON]:
    """A session as `--json` gives it. Times are ISO 8601 in UTC."""
    return {
        "id": session.id,
        "path": str(session.path),
        "title": session.title,
        "prompt": session.prompt,
        "cwd": session.cwd,
        "created": timestamp(session.created),
        "updated": timestamp(session.updated),
        "model": session.model or None,
        "turns": session.turns,
        "usage": usage_object(session.usage),
        **cost_object(session.cost or 0.0, session.cost_unknown_calls),
        "cost_unknown_calls": session.cost_unknown_calls,
        "origin": session.origin or None,
    }


def show_one(text: str, *, as_json: bool) -> None:
    """Print one session's live conversation and its bill."""
    path = Which.of(os.environ).named(text)
    told = read(path)
    conversation = rehydrate(told.records)
    about = summary(path)
    if as_json:
        messages = [_message_object(message) for message in conversation.state.messages]
        print(json.dumps({**session_object(about), "messages": messages}, indent=2, ensure_ascii=False))
        return
    for line in (*told.notices, *conversation.repairs):
        print(f"note: {harmless(line)}", file=sys.stderr)
    _print_conversation(conversation)
    usage = about.usage
    print(
        f"{one_line(about.id)} · {one_line(about.model) or 'no model'} · "
        f"{figures.plural(about.turns, 'turn')} · "
        f"{figures.tokens(usage.prompt_tokens)} in, {figures.tokens(usage.output_tokens)} out, "
        f"cache {figures.percent(usage.cache_hit_rate)} · {cost_of(about)}"
    )


def import_file(path: Path, *, as_json: bool) -> None:
    """Make a session of ours of each in another file. Importing a file twice gives the same session."""
    if not path.is_file():
        raise UsageProblem(
            f"There is no file {path}. Name a session file of an older version or another agent."
        )
    made = [summary(each) for each in import_all(path, home_folder(os.environ))]
    if as_json:
        print(json.dumps([session_object(each) for each in made], indent=2, ensure_ascii=False))
        return
    for about in made:
        print(f"{about.id}: {figures.plural(about.turns, 'turn')}. Go on with it: agent resume {about.id}")


def remove(text: str, *, yes: bool) -> None:
    """Remove a session's journal, its checkpoints and the files they kept, after a question."""
    home = home_folder(os.environ)
    catalog = Catalog(home)
    path = catalog.find(text)
    about = summary(path)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageProblem(f"Removing {about.id} can't be undone. To do it without a question: add --yes")
        question = f"Remove {about.id} ({one_line(about.name, 60)}) with its checkpoints? [y/N] "
        if input(question).strip().lower() not in ("y", "yes"):
            print("Nothing was removed.")
            return
    catalog.remove(path)
    if about.cwd:
        remove_session(home, Path(about.cwd), about.id)
    print(f"Removed {about.id}.")


def cost_of(session: SessionSummary) -> str:
    """The cost in dollars: `unknown`, or with `≥` where it is only a part."""
    if session.cost is None or not session.cost_unknown_calls:
        return figures.dollars(session.cost)
    return f"≥ {figures.dollars(session.cost)}"


def _cells(session: SessionSummary, now: float, *, folder: bool) -> tuple[str, ...]:
    where = f"{session.cwd.replace(str(Path.home()), '~', 1)}: " if folder else ""
    return (
        session.id,
        one_line(where + session.name, 60),
        figures.ago(now - session.updated),
        str(session.turns),
        figures.tokens(session.usage.total_tokens),
        figures.percent(session.usage.cache_hit_rate),
        cost_of(session),
    )


def _print_conversation(conversation: Conversation) -> None:
    for message in conversation.state.messages:
        for block in message.blocks:
            match block:
                case Text(text):
                    print(f"{message.role}: {harmless(text)}\n")
                case ToolCall(name=name, raw_arguments=arguments):
                    print(f"  → {one_line(name)} {one_line(arguments)}")
                case ToolResult(text=text):
                    shown = harmless(text[:SHOWN_RESULT]).strip().replace("\n", "\n    ")
                    print(f"    {shown}{'…' if len(text) > SHOWN_RESULT else ''}\n")
                case Opaque():
                    pass  # a provider's own, nothing that anyone could read
                case _:
                    print(f"  [{type(block).__name__.lower()}]\n")


def _message_object(message: Message) -> dict[str, JSON]:
    calls = [
        {"id": call.id, "name": call.name, "arguments": call.raw_arguments} for call in message.tool_calls
    ]
    results = [
        {"call_id": block.call_id, "text": block.text, "is_error": block.is_error}
        for block in message.blocks
        if isinstance(block, ToolResult)
    ]
    kept = {"tool_calls": calls, "tool_results": results}
    return {
        "id": message.id,
        "role": message.role,
        "text": message.text,
        **{name: value for name, value in kept.items() if value},
    }
