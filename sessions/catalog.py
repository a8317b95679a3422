"""The sessions on this machine: where their journals lie, which there are, which one is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from checkpoint.places import project_key
from checkpoint.rewind import remove_session
from checkpoint.types import CheckpointError
from providers.errors import ConfigurationError
from providers.types import Message, Text, Usage
from sessions.fields import seconds
from sessions.journal import Journal
from sessions.lines import decode
from sessions.records import MAIN, CallLine, MessageLine, NoteLine, PrefixLine, Record, SessionLine
from sessions.rehydrate import carried_usage
from sessions.skim import skim, spoken_by_user

_KINDS = frozenset((b"session", b"prefix", b"message", b"call", b"note"))
_SHOWN = 5


class NoSuchSession(ConfigurationError):
    """Nothing answers to what was asked for."""


class AmbiguousSession(ConfigurationError):
    """More than one session answers to it; the text lists them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """One session as a list shows it."""

    id: str
    path: Path
    title: str
    """The person's or the model's title; empty where there is none."""
    prompt: str
    """The first prompt, in one line."""
    cwd: str
    created: float
    """Seconds since the epoch, as `updated` is."""
    updated: float
    model: str
    """`provider/name`; empty where none is known."""
    turns: int
    """Prompts sent, those that were rewound too."""
    usage: Usage
    cost: float | None
    """US dollars of the calls with a known price; None where no call has one."""
    cost_unknown_calls: int
    origin: str
    """`fork`, `import`, or empty."""
    client: str = ""
    """Id of the server's client that began it; empty where a person did."""

    @property
    def name(self) -> str:
        """What to call it: its title, else its first prompt, else its id."""
        return self.title or self.prompt or self.id


def journal_path(home: Path, cwd: Path, session: str) -> Path:
    """Where the journal of a session of the project `cwd` lies."""
    return _project_folder(home, cwd) / f"{session}.jsonl"


@dataclass(frozen=True, slots=True)
class Catalog:
    """The sessions below `home` (`~/.cachet`). Reading them takes no lock."""

    home: Path

    def journals(self, project: Path | None = None) -> tuple[Path, ...]:
        """The journals of a project, or all of them; the most recently written first."""
        folder = self.home / "sessions"
        found = _project_folder(self.home, project).glob("*.jsonl") if project else folder.glob("*/*.jsonl")
        return tuple(sorted(found, key=_written, reverse=True))

    def sessions(self, project: Path | None = None) -> tuple[SessionSummary, ...]:
        """The sessions of a project, or all of them; the most recently used first."""
        return tuple(summary(path) for path in self.journals(project))

    def last(self, cwd: Path) -> Path:
        """The journal most recently written in this project. Raises NoSuchSession."""
        journals = self.journals(cwd)
        if not journals:
            raise NoSuchSession(f"There is no session in {cwd} yet. Start one: agent")
        return journals[0]

    def find(self, text: str) -> Path:
        """The session a person means: a path, an id, the unique start of one, or a title.

        A path may be that of any session file, whoever wrote it. Raises NoSuchSession, AmbiguousSession.
        """
        path = Path(text).expanduser()
        if text and path.is_file():
            return path
        journals = self.journals()
        exact = [journal for journal in journals if journal.stem == text]
        if exact:
            return exact[0]
        if text and (begin := [journal for journal in journals if journal.stem.startswith(text)]):
            return _only(text, begin)
        titled = [journal for journal in journals if text and _title(journal).casefold() == text.casefold()]
        if titled:
            return _only(text, titled)
        if "/" in text:
            raise NoSuchSession(f"There is no file {text}. To list the sessions: agent sessions list")
        raise NoSuchSession(
            f"No session has the id or title {text!r}. To list the sessions: agent sessions list"
        )

    def remove(self, path: Path, *, first: Callable[[Path], None] | None = None) -> None:
        """Delete a session's journal, its checkpoints, and the kept files that only these held.

        `first` is called with the path once nobody else can write it, and removes nothing where it raises.
        Raises JournalBusy while a process writes it, NoSuchSession for a file that is none of ours.
        """
        if path.resolve().parent.parent != (self.home / "sessions").resolve():
            raise NoSuchSession(f"{path} is not one of Cachet's own sessions; delete it yourself.")
        project = Path(summary(path).cwd or Path.cwd())
        with Journal.open(path):
            if first is not None:
                first(path)
            path.unlink()
        with suppress(CheckpointError):
            remove_session(self.home, project, path.stem)


def begun_by(path: Path) -> str | None:
    """Id of the server's client that began a session.

    Empty where a person did, None where there is no session.
    """
    try:
        with path.open("rb") as file:
            first = decode(file.readline())
    except (OSError, ValueError):
        return None
    return first.client if isinstance(first, SessionLine) else None


def summary(path: Path) -> SessionSummary:
    """One journal's summary, parsing only the lines it needs. An unreadable journal has an empty one."""
    records = _wanted(path)
    first = next((record for record in records if isinstance(record, SessionLine)), None)
    calls = [record for record in records if isinstance(record, CallLine)]
    prompts = [record for record in records if isinstance(record, MessageLine)]
    known = [call.cost for call in calls if call.cost is not None]
    updated = _written(path)
    origin = first.origin if first else None
    return SessionSummary(
        id=path.stem,
        path=path,
        title=_last_title(records),
        prompt=_one_line(_said(prompts[0].message)) if prompts else "",
        cwd=first.cwd if first else "",
        created=(seconds(first.created) if first else None) or updated,
        updated=updated,
        model=_model(records) or (origin.model if origin else ""),
        turns=sum(line.turn is None or line.turn == line.message.id for line in prompts),
        usage=sum((call.usage for call in calls), carried_usage(origin)),
        cost=sum(known) if known or not calls else None,
        cost_unknown_calls=len(calls) - len(known),
        origin=origin.kind if origin else "",
        client=first.client if first else "",
    )


def _wanted(path: Path) -> list[Record]:
    records: list[Record] = []
    for line in skim(path, _KINDS):
        if line.startswith(b'{"kind":"message"') and not spoken_by_user(line):
            continue
        try:
            record = decode(line)
        except ValueError:
            continue
        if not isinstance(record, MessageLine) or (record.message.role == "user" and record.lane == MAIN):
            records.append(record)
    return records


def _model(records: Iterable[Record]) -> str:
    model = ""
    for record in records:
        match record:
            case PrefixLine(prefix=prefix):
                model = str(prefix.model)
            case CallLine(purpose="main", model=called) if called:
                model = called
            case _:
                pass
    return model


def _title(path: Path) -> str:
    titles: list[Record] = []
    for line in skim(path, frozenset((b"note",))):
        try:
            titles.append(decode(line))
        except ValueError:
            continue
    return _last_title(titles)


def _last_title(records: Iterable[Record]) -> str:
    title = ""
    for record in records:
        if isinstance(record, NoteLine) and record.topic == "title":
            title = record.text
    return title


def _only(text: str, found: list[Path]) -> Path:
    if len(found) == 1:
        return found[0]
    named = "\n".join(f"  {path.stem}  {summary(path).name}" for path in found[:_SHOWN])
    more = f"\n  … and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise AmbiguousSession(f"{len(found)} sessions answer to {text!r}. Say which:\n{named}{more}")


def _project_folder(home: Path, project: Path) -> Path:
    return home / "sessions" / project_key(project)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _said(message: Message) -> str:
    """What the person wrote: the last text of the message, after the blocks that tell of the place."""
    return next((block.text for block in reversed(message.blocks) if isinstance(block, Text)), "")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
