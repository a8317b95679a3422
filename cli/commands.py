"""The slash commands: one function each, and the table that names them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TypeAlias

from rich.text import Text

from agent.harmless import one_line
from agent.permissions import Mode
from cli import cache, context, spending, switching, travel
from cli.desk import Desk
from cli.tables import table
from providers.errors import ConfigurationError

Run: TypeAlias = Callable[[Desk, str], Coroutine[None, None, None]]
"""Does the command with the words behind its name. Raises CachetError, CheckpointError, OSError."""

_KEYS = (
    ("Enter", "send · while it works: queue (↑ takes it back)"),
    ("Alt-Enter, Ctrl-J", "new line"),
    ("Esc, Ctrl-C", "stop; what came is kept"),
    ("Ctrl-R", "search what you typed before"),
    ("@path", "send a file along"),
    ("!command", "run it, and tell the model its output"),
    ("!!command", "run it, and keep it to yourself"),
    ("Ctrl-D", "quit"),
)


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command. `anytime` ones run at once while a turn is at work; the others wait for its end."""

    name: str
    summary: str
    run: Run
    anytime: bool = False
    argument: str = ""
    """What may follow the name."""


async def show_help(desk: Desk, argument: str) -> None:
    commands = ((f"/{command.name} {command.argument}".strip(), command.summary) for command in COMMANDS)
    desk.screen.print(table(("", ""), [*commands, ("", ""), *_KEYS]))


async def show_tools(desk: Desk, argument: str) -> None:
    """The tools the model has."""
    toolbox = desk.session.setup.toolbox
    rows = [
        (spec.name, one_line(spec.description.split("\n", 1)[0].split(". ", 1)[0])) for spec in toolbox.specs
    ]
    desk.screen.print(table(("tool", "what it does"), rows))
    for problem in toolbox.problems:
        desk.screen.note(problem)


async def permissions(desk: Desk, argument: str) -> None:
    """The mode and the rules; with a mode's name, switch to it. The prompt cache is untouched by it."""
    session = desk.session
    if argument:
        if argument not in [mode.value for mode in Mode]:
            raise ConfigurationError(f"No permission mode {argument!r}. There are: {', '.join(Mode)}.")
        session.policy = session.policy.with_mode(Mode(argument))
        desk.screen.note(f"Permission mode: {argument} ({_MEANING[Mode(argument)]}).")
        return
    rows = [(("→ " if mode is session.policy.mode else "  ") + mode.value, _MEANING[mode]) for mode in Mode]
    desk.screen.print(table(("mode", "what goes through"), rows))
    for heading, rules in (
        ("Always allowed in this project: ", session.policy.rules),
        ("Allowed at the start: ", sorted(session.policy.allow)),
        ("Denied: ", sorted(session.policy.deny)),
    ):
        if rules:
            desk.screen.print(Text(heading, "dim") + Text(", ".join(map(str, rules))))
    desk.screen.note("Switch with /permissions MODE.")


_MEANING = {
    Mode.PLAN: "reads only",
    Mode.ASK: "asks before edits and commands",
    Mode.EDITS: "edits in the project go through; commands ask",
    Mode.AUTO: "everything inside the project goes through",
}


async def leave(desk: Desk, argument: str) -> None:
    desk.leave()


COMMANDS = (
    Command("help", "commands and keys", show_help, anytime=True),
    Command("model", "show the model, or switch to another", switching.model, argument="[PROVIDER/MODEL]"),
    Command("effort", "how hard the model thinks", switching.effort, argument="[LEVEL]"),
    Command("cost", "tokens, cache hit rate and dollars of this session", spending.cost, anytime=True),
    Command("stats", "this session by model", spending.stats, anytime=True),
    Command("cache", "what is cached, until when, what the next turn costs", cache.cache, anytime=True),
    Command("checkpoints", "the checkpoints of this session", travel.checkpoints, anytime=True),
    Command("rewind", "bring files and conversation back to a checkpoint", travel.rewind, argument="[N]"),
    Command("diff", "what changed in the files since a checkpoint", travel.diff, argument="[N]"),
    Command("undo", "take the last turn back", travel.undo),
    Command("context", "what fills the context window", context.context, anytime=True),
    Command(
        "compact",
        "put a summary in the conversation's place, now",
        context.compact,
        argument="[WHAT TO KEEP]",
    ),
    Command("resume", "go on with another session", switching.resume, argument="[SESSION]"),
    Command("fork", "go on in a copy of this session", switching.fork),
    Command("new", "start a fresh conversation", switching.new),
    Command("permissions", "what may run unasked", permissions, anytime=True, argument="[MODE]"),
    Command("tools", "what the model can use", show_tools, anytime=True),
    Command("quit", "leave (Ctrl-D)", leave, anytime=True),
)


def find(name: str) -> Command | None:
    """The command of that name, or the only one that begins with it."""
    begun = [command for command in COMMANDS if command.name.startswith(name)]
    exact = [command for command in begun if command.name == name]
    return exact[0] if exact else begun[0] if len(begun) == 1 else None
