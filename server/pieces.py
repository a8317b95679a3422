"""What the model says in a turn, piece by piece: each message's text and thinking, told as they grow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from agent.events import CallFinished, Event, Retrying
from providers.types import StopReason, TextDelta, ThinkingDelta

Kind: TypeAlias = Literal["text", "thinking"]


@dataclass(slots=True)
class Piece:
    """One message's text, or the thinking before it."""

    kind: Kind
    index: int
    """Its place among all pieces of the turn, from 0."""
    parts: list[str] = field(default_factory=list)
    whole: bool = False
    """Whether it was said to its end: not while it grows, nor where a limit or a failure cut it off."""
    void: bool = False
    """The attempt that said this failed and was made again: it is no part of the answer."""

    @property
    def text(self) -> str:
        return "".join(self.parts)


@dataclass(frozen=True, slots=True)
class PieceBegun:
    piece: Piece


@dataclass(frozen=True, slots=True)
class PieceGrew:
    piece: Piece
    delta: str


@dataclass(frozen=True, slots=True)
class PieceEnded:
    piece: Piece


_CUT = frozenset(
    (StopReason.MAX_TOKENS, StopReason.CONTEXT_EXCEEDED, StopReason.REFUSAL, StopReason.INTERRUPTED)
)
"""Why an answer stops before its end."""

Told: TypeAlias = PieceBegun | PieceGrew | PieceEnded


class Pieces:
    """Sorts a turn's events into pieces."""

    def __init__(self) -> None:
        self.all: list[Piece] = []
        self._open: Piece | None = None
        self._attempt = 0
        """How many pieces there were when the model call at work began."""

    def text(self, *, with_void: bool = False) -> str:
        """The turn's words: a model that speaks between its tools says several things."""
        said = [piece.text for piece in self.all if piece.kind == "text" and (with_void or not piece.void)]
        return "\n\n".join(text for text in said if text)

    def feed(self, event: Event) -> Iterator[Told]:
        """What the event means for the pieces; nothing for most."""
        match event:
            case TextDelta(text):
                yield from self._grow("text", text)
            case ThinkingDelta(text):
                yield from self._grow("thinking", text)
            case CallFinished(report) if report.purpose == "main":
                yield from self.end(whole=report.outcome == "ok" and report.stop_reason not in _CUT)
                if report.outcome == "ok":
                    self._attempt = len(self.all)
            case Retrying(void=True):
                for piece in self.all[self._attempt :]:
                    piece.void = True
                self._attempt = len(self.all)
            case _:
                pass

    def end(self, *, whole: bool = False) -> Iterator[Told]:
        """The piece at work ends, if there is one."""
        if self._open is not None:
            ended, self._open = self._open, None
            ended.whole = whole
            yield PieceEnded(ended)

    def _grow(self, kind: Kind, text: str) -> Iterator[Told]:
        if not text:
            return
        if self._open is None or self._open.kind != kind:
            yield from self.end(whole=True)
            self._open = Piece(kind, len(self.all))
            self.all.append(self._open)
            yield PieceBegun(self._open)
        self._open.parts.append(text)
        yield PieceGrew(self._open, text)
