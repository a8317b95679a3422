"""`agent stats --verify`: whether the ledger is right, line by line."""

from __future__ import annotations

import json
import os

from agent.harmless import harmless
from cli import figures
from cli.console import print_table
from cli.failure import ExitCode
from cli.place import Place
from cli.stats import nothing_booked, span
from providers.types import JSON
from sessions.verify import Audit, audit, to_json


def verify(*, since: str | None, until: str | None, as_json: bool) -> ExitCode:
    """Print what the audit of every booked call came to; FAILED if any line disagrees with itself.

    Raises UsageProblem for a date that is none, ConfigurationError for a configuration that cannot be read.
    """
    first, last = span(since, until)
    place = Place.of(os.environ)
    made = audit(place.home, place.configuration().config.prices, since=first, until=last)
    if as_json:
        print(json.dumps(to_json(made), indent=2))
    elif made.calls or made.unchecked:
        _print(made)
    else:
        print(nothing_booked(first, last))
    return ExitCode.FAILED if made.disagreements else ExitCode.DONE


def _print(made: Audit) -> None:
    if made.disagreements:
        print_table(
            ("session", "call", "field", "recorded", "recomputed"),
            [
                (one.session, one.call, one.field, _shown(one.recorded), _shown(one.recomputed))
                for one in made.disagreements
            ],
            narrow=(1, 2, 3, 4),
            text=(0, 1, 2),
            gives_way=1,
        )
    for note in made.notes:
        print(harmless(f"note: {note.session} {note.call}: {note.text}"))
    for reason, calls in made.unchecked.most_common():
        print(harmless(f"Not checked of {figures.plural(calls, 'call')}: {reason}."))
    print(_verdict(made))


def _verdict(made: Audit) -> str:
    looked = f"{figures.plural(made.calls, 'call')} in {figures.plural(made.sessions, 'session')}"
    if made.disagreeing:
        verb = "disagrees" if made.disagreeing == 1 else "disagree"
        return f"{looked}: {made.disagreeing:,} {verb} with the raw usage or the price."
    checked = "all that could be checked agrees" if made.unchecked else "every line agrees"
    return f"{looked}: {checked} with the raw usage and the price."


def _shown(value: JSON) -> str:
    return figures.UNKNOWN if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)
