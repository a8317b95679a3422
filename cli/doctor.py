"""`agent doctor`: looks at everything Cachet needs, and says what is in the way. It sends no prompt."""

from __future__ import annotations

import asyncio
import json
import os
import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from agent.harmless import one_line
from agent.secrets import Redactor
from cli import doctor_home, doctor_machine, doctor_reach, figures
from cli.config import Config, Loaded
from cli.config_view import MASKED
from cli.doctor_check import Check, Finding, Level, blocking, examine
from cli.failure import ExitCode
from cli.place import Place
from cli.reach import PATIENCE
from providers.errors import ConfigurationError

GAP = "  "
SHORTEST = 20
"""Cells that a text has in any case."""

SECRET_PARAMETER = r"(?i)(?<=[?&])([\w-]*(?:key|token|secret|password|signature|sig))=[^&#\s)]+"
"""A secret at the end of an address, as some gateways want it: `?key=...`."""

LONGEST = 1_000
"""Characters of a finding, or of what to do: a server's whole answer is too much, but no sentence of ours."""

COLOURS = {Level.OK: "green", Level.NOTE: "yellow", Level.PROBLEM: "bold red"}


def show(version: str, *, as_json: bool) -> int:
    """Print what was found; the exit code, which is 1 where there is a problem."""
    place = Place.of(os.environ)
    loaded = _loaded(place)
    config = loaded.config if isinstance(loaded, Loaded) else Config()
    found = asyncio.run(examine(checks(place, loaded, config, version)))
    discreet = _Discreet.of(place, config)
    found = tuple(discreet.finding(each) for each in found)
    if as_json:
        print(json.dumps([_object(each) for each in found], indent=2, ensure_ascii=False))
    else:
        _print(found)
    return ExitCode.FAILED if any(each.level is Level.PROBLEM for each in found) else ExitCode.DONE


def checks(
    place: Place, loaded: Loaded | ConfigurationError, config: Config, version: str
) -> tuple[Check, ...]:
    """All checks, in the order in which their findings are told."""
    home, machine, reach = doctor_home, doctor_machine, doctor_reach
    patience = PATIENCE + 5  # each endpoint has its own limit, and is told by itself
    return (
        Check("cachet", blocking(partial(machine.versions, version))),
        Check("clock", blocking(machine.clock)),
        Check("state", blocking(partial(home.state_folder, place.home))),
        Check("space", blocking(partial(home.free_space, place.home))),
        Check("session", blocking(partial(home.writers, place.home))),
        Check("config", blocking(partial(home.configuration, place, loaded))),
        Check("model", partial(reach.model, place, config), patience),
        Check("endpoints", partial(reach.endpoints, place, config, PATIENCE), patience),
        Check("ollama", partial(reach.ollama_server, place, config, PATIENCE), 2 * patience),
        Check("embedded", blocking(partial(reach.embedded, place))),
        Check("git", blocking(partial(machine.git, place))),
        Check("ripgrep", blocking(machine.search)),
        Check("shell", blocking(machine.commands)),
        Check("tools", blocking(machine.tools)),
        Check("terminal", blocking(partial(machine.terminal, place.environ))),
        Check("proxy", blocking(partial(machine.proxies, place.environ))),
    )


@dataclass(frozen=True, slots=True)
class _Discreet:
    """Takes out of a finding whatever an error or a variable may have brought in: keys, passwords in URLs."""

    redactor: Redactor

    @classmethod
    def of(cls, place: Place, config: Config) -> _Discreet:
        return cls(Redactor.of(place.environ, config.secrets))

    def finding(self, found: Finding) -> Finding:
        return replace(found, said=self._text(found.said), todo=self._text(found.todo))

    def _text(self, text: str) -> str:
        # Up to the last @: a password may hold any character, though it should be escaped in an address.
        said = re.sub(r"(?<=//)\S*@", f"{MASKED}@", self.redactor.redact(text))
        return one_line(re.sub(SECRET_PARAMETER, rf"\1={MASKED}", said), LONGEST)


def _loaded(place: Place) -> Loaded | ConfigurationError:
    try:
        return place.configuration()
    except ConfigurationError as error:
        return error


def _print(found: Sequence[Finding]) -> None:
    """One line for each, wrapped below its own beginning where the terminal is narrow."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    widest = max(len(each.thing) for each in found)
    for each in found:
        level = f"{each.level.value:<{len(Level.PROBLEM)}}"
        room = max(console.width - len(level) - widest - 2 * len(GAP), SHORTEST)
        said = textwrap.wrap(f"{each.said} {each.todo}", room, break_on_hyphens=False)
        below = "\n" + " " * (len(level) + widest + 2 * len(GAP))
        line = f"{GAP}{each.thing:<{widest}}{GAP}{below.join(said)}"
        console.print(Text(level, COLOURS[each.level]).append(line, "default"), soft_wrap=True)
    print(_sum(found))


def _sum(found: Sequence[Finding]) -> str:
    count = Counter(each.level for each in found)
    if not count[Level.PROBLEM]:
        return "Nothing is in the way."
    return f"{figures.plural(count[Level.PROBLEM], 'problem')}."


def _object(found: Finding) -> dict[str, str | None]:
    return {
        "level": found.level.value,
        "thing": found.thing,
        "said": found.said,
        "next": found.todo or None,
    }
