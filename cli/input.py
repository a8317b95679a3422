"""The live bottom of the terminal: what still changes, a question, the input line, the footer."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import Completer, ThreadedCompleter
from prompt_toolkit.filters import Condition, has_completions, is_searching
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples
from prompt_toolkit.history import FileHistory
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.layout import (
    AnyContainer,
    ConditionalContainer,
    HSplit,
    Layout,
    VerticalAlign,
    VSplit,
    Window,
)
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.layout.menus import CompletionsMenuControl
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Style
from prompt_toolkit.widgets import SearchToolbar

from cli.keys import bindings
from cli.paste import plain
from cli.question import Asking, Chosen, Pick, Question, Reply

if TYPE_CHECKING:
    from cli.footer import Fragment

_INPUT_ROWS = 10
_MENU_ROWS = 8
_QUESTION_ROWS = 10
"""Kept free of live text while a question waits."""
_ESCAPE_WAIT = 0.1
"""Seconds after Esc in which a second key makes it Alt; short enough to feel like one key."""
_REDRAW = 0.04
"""Seconds between two redraws at least."""
_STYLE = Style.from_dict(
    {
        "footer": "ansibrightblack",
        "footer.model": "ansicyan",
        "footer.working": "ansigreen",
        "footer.cooling": "ansiyellow",
        "footer.mode.plan": "ansiblue",
        "footer.mode.edits": "ansiyellow",
        "footer.mode.auto": "ansired bold",
        "prompt": "bold ansicyan",
        "hint": "ansibrightblack",
        "question": "bold",
        "key": "bold ansiyellow",
        "chosen": "reverse",
        "queued": "ansibrightblack italic",
        "search-toolbar": "ansibrightblack",
        "completion-menu": "bg:default fg:default",
        "completion-menu.completion": "bg:default fg:ansibrightblack",
        "completion-menu.completion.current": "bg:default fg:ansicyan bold noreverse",
        "completion-menu.meta.completion": "bg:default fg:ansibrightblack",
        "completion-menu.meta.completion.current": "bg:default fg:ansicyan noreverse",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the prompt asks of the chat, and tells it."""

    live: Callable[[int], str]
    """What still changes, as ANSI text of at most so many lines."""
    footer: Callable[[int], tuple[Fragment, ...]]
    """The footer for a width."""
    queued: Callable[[], tuple[str, ...]]
    """Lines that wait for the turn's end."""
    submit: Callable[[str], None]
    """A line was entered; pasted characters are marked (`cli.paste`)."""
    recall: Callable[[], str]
    """Take back the line that was queued last."""
    working: Callable[[], bool]
    stop: Callable[[], None]
    quit: Callable[[], None]


class _Unmarked(Processor):
    """Shows pasted characters as they are."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        return Transformation([(piece[0], plain(piece[1])) for piece in transformation_input.fragments])


class Prompt:
    """The terminal while the chat runs. `print` writes above it; everything else is redrawn in place."""

    def __init__(self, wiring: Wiring, completer: Completer, history: Path) -> None:
        self.wiring = wiring
        self.asking: Asking | None = None
        self.hint = ""
        """Shown in place of the footer until the next edit."""
        self._live = ""
        self._output = _output()
        self.buffer = Buffer(
            multiline=True,
            completer=ThreadedCompleter(completer),
            complete_while_typing=Condition(self._completes),
            history=_history(history),
            enable_history_search=False,
            on_text_changed=self._edited,
        )
        self._app: Application[None] = Application(
            layout=self._layout(),
            key_bindings=bindings(self),
            style=_STYLE,
            input=_input(),
            output=self._output,
            erase_when_done=True,
            mouse_support=False,
            refresh_interval=1.0,
            min_redraw_interval=_REDRAW,
            before_render=self._before_render,
        )
        self._app.ttimeoutlen = _ESCAPE_WAIT
        self._app.timeoutlen = _ESCAPE_WAIT

    # --- for the chat ---------------------------------------------------------------------------------------

    async def run(self, ready: Callable[[], None]) -> None:
        """Read keys until `exit`; calls `ready` at the start. Raises EOFError when the terminal goes away."""
        await self._app.run_async(pre_run=ready)

    def exit(self) -> None:
        if self._app.is_running and not self._app.is_done:
            self._app.exit()

    def print(self, ansi: str) -> None:
        """Write above the prompt, for good. The text's lines are ended and fit the width."""
        if self._app.is_running:
            self._app.renderer.erase(leave_alternate_screen=False)
        self._output.write_raw(ansi.replace("\n", "\r\n"))
        self._output.flush()
        self._app.invalidate()

    def refresh(self) -> None:
        """Something in the live region or the footer changed."""
        self._app.invalidate()

    @property
    def width(self) -> int:
        return self.size[0]

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal."""
        size = self._output.get_size()
        return max(size.columns, 1), size.rows

    def fill(self, text: str) -> None:
        """Put text into the input line, before what is there."""
        rest = self.buffer.text
        self.buffer.text = f"{text}\n{rest}" if rest else text
        self.buffer.cursor_position = len(self.buffer.text)

    def recall(self) -> None:
        """Bring the line that was queued last back for editing."""
        self.fill(self.wiring.recall())

    def move(self, steps: int) -> None:
        if self.asking is not None:
            self.asking.move(steps)

    async def ask(self, question: Question) -> Reply:
        """Put a question and wait for its answer."""
        return await self._put(question)

    async def pick(self, pick: Pick) -> int | None:
        """The number of the row that was picked; None when the person left the list."""
        match await self._put(pick):
            case Chosen(index=index):
                return index
            case _:
                return None

    async def _put(self, question: Question | Pick) -> Reply:
        self.asking = asking = Asking(question, armed=not self.buffer.text)
        self.refresh()
        try:
            return await asking.answer
        finally:
            self.asking = None
            self.refresh()

    # --- the picture ----------------------------------------------------------------------------------------

    def _layout(self) -> Layout:
        search = SearchToolbar(ignore_case=True)
        line = Window(
            BufferControl(
                self.buffer,
                input_processors=[_Unmarked()],
                search_buffer_control=search.control,
                focusable=True,
            ),
            height=Dimension(min=1, max=_INPUT_ROWS),
            wrap_lines=True,
            dont_extend_height=True,
            get_line_prefix=lambda number, wrapped: [("class:prompt", "  " if number or wrapped else "› ")],
        )
        menu = Window(
            CompletionsMenuControl(),
            height=Dimension(min=1, max=_MENU_ROWS),
            dont_extend_width=True,
            dont_extend_height=True,
        )
        rows: list[AnyContainer] = [
            _Shown(lambda: [*ANSI(self._live).__pt_formatted_text__()], lambda: bool(self._live)),
            _Shown(self._question, lambda: self.asking is not None, wraps=True),
            _Shown(self._queued, lambda: self.wiring.queued() != ()),
            line,
            search,
            ConditionalContainer(VSplit([menu, Window()]), has_completions & ~is_searching),
            Window(FormattedTextControl(self._footer), height=1),
        ]
        return Layout(HSplit([Window(height=1), *rows], align=VerticalAlign.TOP), focused_element=line)

    def _before_render(self, app: Application[None]) -> None:
        rows = self._output.get_size().rows - min(self.buffer.document.line_count, _INPUT_ROWS) - 6
        asked = 0 if self.asking is None else _QUESTION_ROWS
        self._live = self.wiring.live(max(rows - asked - len(self.wiring.queued()), 0))

    def _question(self) -> StyleAndTextTuples:
        rows = self._output.get_size().rows - 6
        pieces: list[Fragment] = self.asking.fragments(min(rows, 16)) if self.asking else []
        return [*pieces]

    def _queued(self) -> StyleAndTextTuples:
        lines = (plain(line).replace("\n", " ") for line in self.wiring.queued())
        return [
            ("class:queued", "\n".join(f"queued: {line}" for line in lines)),
            ("class:hint", "  (↑ edits)"),
        ]

    def _footer(self) -> StyleAndTextTuples:
        width = self.width
        return [("class:hint", self.hint[:width])] if self.hint else [*self.wiring.footer(width)]

    def _completes(self) -> bool:
        document = self.buffer.document
        word = document.get_word_before_cursor(WORD=True)
        return self.asking is None and (document.text.startswith("/") or word.lstrip("([\"'").startswith("@"))

    def _edited(self, buffer: Buffer) -> None:
        self.hint = ""
        if self.asking is not None and not buffer.text:
            self.asking.armed = True


class _Shown(ConditionalContainer):
    """Lines that are there only while there is something to show."""

    def __init__(
        self, text: Callable[[], StyleAndTextTuples], shown: Callable[[], bool], *, wraps: bool = False
    ) -> None:
        window = Window(FormattedTextControl(text), dont_extend_height=True, wrap_lines=wraps)
        super().__init__(window, Condition(shown))


def _input() -> Input:
    return create_input(always_prefer_tty=True)


def _output() -> Output:
    """The terminal, without cursor-position requests: their late answers would end up in a child's input."""
    import sys

    plain_output = Vt100_Output.from_pty(
        sys.stdout, term=os.environ.get("TERM"), default_color_depth=ColorDepth.from_env()
    )
    plain_output.enable_cpr = False
    return plain_output


def _history(path: Path) -> FileHistory:
    """The lines entered before, in a file that only its owner reads."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    return FileHistory(path)
