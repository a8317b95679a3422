"""Shows a turn's events: finished things above the prompt for good, what still changes in the live region."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from agent.events import (
    CacheMissed,
    CallFinished,
    CheckpointMade,
    Compacted,
    Compacting,
    Event,
    NotCompacted,
    Retrying,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from agent.harmless import harmless, one_line
from cli import compaction, figures
from cli.paint import Painter, coloured_diff, is_diff, shortened
from cli.paragraphs import split
from providers.types import StopReason, TextDelta, ThinkingDelta, ToolCallDelta, ToolCallStarted

_TAIL_LINES = 5
"""Lines of a running tool's output that the live region shows."""
_TAIL_CHARACTERS = 4000
"""What is kept of a running tool's output: enough for those lines."""
_MARKDOWN_LIMIT = 4000
"""Characters of unfinished text up to which the live region renders Markdown at every redraw."""
_RESULT_LINES = 12
_DIFF_LINES = 60
_OUTPUT_LINES = 300
_STOPPED = {
    StopReason.MAX_TOKENS: "The answer stopped at the output limit; say “go on” to continue it.",
    StopReason.REFUSAL: "The provider stopped this answer (refusal).",
}


@dataclass(slots=True)
class _Running:
    """A tool at work."""

    summary: str
    started: float = field(default_factory=time.monotonic)
    tail: str = ""


class Screen:
    """Holds what the live region shows; prints the rest once, for good, through `write`."""

    def __init__(self, painter: Painter, write: Callable[[str], None]) -> None:
        self.painter = painter
        self._write = write
        self._text = ""
        self._thinking = ""
        self._status = ""
        self._calling: dict[str, str] = {}
        self._running: dict[str, _Running] = {}
        self._previewed: set[str] = set()
        self._files_off = ""
        self._checkpoint: int | None = None
        self._began = time.monotonic()
        self._characters = 0
        self._tight = True
        """Whether the next block goes without a blank line before it."""

    @property
    def streamed(self) -> int:
        """Output tokens of the answer that streams now, estimated: one for four characters."""
        return self._characters // 4

    def show(self, event: Event) -> None:
        """Take one event of a turn."""
        match event:
            case TurnStarted():
                self._began = time.monotonic()
                self._status = ""
            case TextDelta(text):
                self._end_thinking()
                self._characters += len(text)
                self._add_text(text)
            case ThinkingDelta(text):
                self._characters += len(text)
                self._thinking += text
            case ToolCallStarted(id=call, name=name):
                self._settle()
                self._calling[call] = harmless(name)
            case ToolCallDelta(json_text=text):
                self._characters += len(text)
            case CallFinished():
                self._settle()
                self._characters = 0
                self._calling.clear()
            case ToolStarted(call=call, summary=summary):
                self._running[call.id] = _Running(summary)
            case ToolOutput(call_id=call, text=text):
                if running := self._running.get(call):
                    running.tail = (running.tail + text)[-_TAIL_CHARACTERS:]
            case ToolFinished():
                self._finish_tool(event)
            case Retrying(seconds, reason, attempt, attempts, void):
                self._settle()
                self.note(figures.retrying(seconds, reason, attempt, attempts, void=void))
            case CacheMissed(cause, detail, tokens, cost):
                self._settle()
                self.note(figures.missed(cause, detail, tokens, cost))
            case Compacting() | Compacted() | NotCompacted():
                self._settle()
                self.note(compaction.told(event))
            case CheckpointMade(number=number, files_off=files_off):
                self._checkpoint = number
                if files_off != self._files_off:
                    self._files_off = files_off
                    if files_off:
                        self.note(f"Checkpoints hold the conversation only: {files_off}")
            case TurnFinished(stop_reason=stop_reason):
                self._end_turn()
                if stop_reason in _STOPPED:
                    self.note(_STOPPED[stop_reason])

    def stopped(self, reason: str) -> None:
        """The turn ended early: what came stays, and `reason` stands behind it."""
        self._settle()
        for running in self._running.values():
            self._block(Text.assemble(("● ", "red"), running.summary, (" (stopped)", "dim")), tight=True)
        self._clear()
        if reason:
            self.note(reason)

    def live(self, rows: int) -> str:
        """What still changes, as ANSI text of at most `rows` lines."""
        pieces: list[str] = []
        if self._text.strip():
            pieces.append(self._live_text().rstrip("\n"))
        elif self._thinking:
            last = self._thinking.rstrip().rsplit("\n", 1)[-1]
            pieces.append(self.painter.line(Text(f"thinking… {harmless(last)}", "dim italic")))
        pieces += [self.painter.line(Text(f"● {name} …", "dim")) for name in self._calling.values()]
        pieces += [self._live_tool(running) for running in self._running.values()]
        lines = "\n".join(pieces).split("\n")[-rows:] if rows > 0 else []
        return "\n".join(lines)

    # --- what isn't an event --------------------------------------------------------------------------------

    def prompt(self, text: str) -> None:
        """A message of the person's, as it is sent."""
        lines = harmless(text).split("\n")
        echo = Text("\n").join(
            Text(("› " if i == 0 else "  ") + line, "bold") for i, line in enumerate(lines)
        )
        self._block(echo)

    def note(self, text: str) -> None:
        """A remark of Cachet's own."""
        self._block(Text(text, "dim"), tight=True)

    def error(self, text: str) -> None:
        """What went wrong, in its one line."""
        self._block(Text.assemble(("✗ ", "bold red"), (harmless(text), "red")), tight=True)

    def print(self, *renderables: RenderableType) -> None:
        """A block of anything Rich can render."""
        self._block(*renderables)

    def diff(self, patch: str) -> None:
        """A unified diff in full."""
        self._block(coloured_diff(patch))

    def output(self, call: str, text: str) -> None:
        """What a command of the person's own printed, as a whole, now that it ended."""
        self._running.pop(call, None)
        self._block(Text(shortened(harmless(text), _OUTPUT_LINES)))

    def previewed(self, call: str) -> None:
        """The person saw this call's diff in a question: its result needn't show it again."""
        self._previewed.add(call)

    # --- inside ---------------------------------------------------------------------------------------------

    def _add_text(self, text: str) -> None:
        self._text += text
        blocks, self._text = split(self._text)
        for block in blocks:
            self._paragraph(block)

    def _paragraph(self, text: str) -> None:
        self._raw("\n" + self.painter.markdown(text))
        self._tight = False

    def _settle(self) -> None:
        """Nothing more comes to the text and the thinking so far: print them for good."""
        self._end_thinking()
        if self._text.strip():
            self._paragraph(self._text)
        self._text = ""

    def _end_thinking(self) -> None:
        if self._thinking.strip():
            first = one_line(self._thinking.strip().split("\n", 1)[0], self.painter.width - 10)
            self._block(Text(f"thought: {first}", "dim italic"))
        self._thinking = ""

    def _finish_tool(self, event: ToolFinished) -> None:
        self._settle()
        self._calling.pop(event.call.id, None)
        running = self._running.pop(event.call.id, None)
        summary = running.summary if running else harmless(event.call.name)
        head = Text.assemble(("● ", "red" if event.is_error else "green"), (summary, "bold"))
        display = harmless(event.display).strip("\n")
        if running and running.tail.strip() and not is_diff(display):
            display = "\n".join([*_last_lines(running.tail), display])
        if event.call.id in self._previewed and is_diff(display) and not event.is_error:
            display = ""
        if cell_len(f"{head.plain}  {display}") <= self.painter.width and "\n" not in display:
            self._block(head + Text(f"  {display}".rstrip(), "red" if event.is_error else "dim"), tight=True)
        else:
            self._block(head, _indented(_body(display, event.is_error)))

    def _end_turn(self) -> None:
        self._settle()
        self._clear()
        took = figures.seconds(time.monotonic() - self._began)
        place = f"checkpoint {self._checkpoint} · " if self._checkpoint is not None else ""
        self._raw("\n" + self.painter.paint(Text(f"{place}{took}", "dim")))
        self._tight = False

    def _clear(self) -> None:
        self._calling.clear()
        self._running.clear()
        self._previewed.clear()
        self._characters = 0

    def _live_text(self) -> str:
        if len(self._text) <= _MARKDOWN_LIMIT:
            return self.painter.markdown(self._text)
        return self.painter.paint(Text(harmless(self._text[-_MARKDOWN_LIMIT:])))

    def _live_tool(self, running: _Running) -> str:
        took = figures.seconds(int(time.monotonic() - running.started))
        head = Text.assemble(("● ", "yellow"), (running.summary, "bold"), (f"  {took}", "dim"))
        tail = [Text(f"  {row}", "dim") for row in _last_lines(running.tail)]
        return "\n".join(map(self.painter.line, [head, *tail]))

    def _block(self, *renderables: RenderableType, tight: bool = False) -> None:
        gap = "" if tight and self._tight else "\n"
        self._raw(gap + self.painter.paint(*renderables))
        self._tight = tight

    def _raw(self, ansi: str) -> None:
        self._write(ansi)


def _last_lines(output: str) -> list[str]:
    return output.rstrip("\n").split("\n")[-_TAIL_LINES:] if output.strip() else []


def _body(display: str, is_error: bool) -> Text:
    if is_diff(display):
        return coloured_diff(shortened(display, _DIFF_LINES))
    return Text(shortened(display, _RESULT_LINES), "red" if is_error else "dim")


def _indented(body: Text) -> RenderableType:
    from rich.padding import Padding

    return Padding(body, (0, 0, 0, 2))
