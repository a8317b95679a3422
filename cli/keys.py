"""What each key does in the chat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition, has_completions, is_searching
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from cli.paste import pasted
from cli.question import Chosen, Dismissed, Pick, Question, Reason

if TYPE_CHECKING:
    from cli.input import Prompt


def bindings(prompt: Prompt) -> KeyBindings:
    """The chat's own keys; the rest are Emacs's, as in a shell."""
    keys = KeyBindings()
    _line_keys(prompt, keys)
    _stop_keys(prompt, keys)
    _question_keys(prompt, keys)  # last, because the last binding that fits a key wins
    return keys


def _question_keys(prompt: Prompt, keys: KeyBindings) -> None:
    empty = Condition(lambda: not prompt.buffer.text)
    asked = (
        Condition(lambda: prompt.asking is not None and isinstance(prompt.asking.question, Question)) & empty
    )
    listed = Condition(lambda: prompt.asking is not None and isinstance(prompt.asking.question, Pick)) & empty

    @keys.add(Keys.Any, filter=asked & ~is_searching)
    def _(event: KeyPressEvent) -> None:
        if prompt.asking is None or prompt.asking.press(event.data):
            return
        if event.data.isprintable() and isinstance(prompt.asking.question, Question):
            event.current_buffer.insert_text(event.data * event.arg)

    @keys.add("up", filter=listed)
    @keys.add("c-p", filter=listed)
    def _(event: KeyPressEvent) -> None:
        prompt.move(-1)

    @keys.add("down", filter=listed)
    @keys.add("c-n", filter=listed)
    def _(event: KeyPressEvent) -> None:
        prompt.move(1)

    @keys.add("pageup", filter=listed)
    def _(event: KeyPressEvent) -> None:
        prompt.move(-10)

    @keys.add("pagedown", filter=listed)
    def _(event: KeyPressEvent) -> None:
        prompt.move(10)

    @keys.add("enter", filter=listed)
    def _(event: KeyPressEvent) -> None:
        if prompt.asking is not None:
            prompt.asking.reply(Chosen("", prompt.asking.index))


def _line_keys(prompt: Prompt, keys: KeyBindings) -> None:
    waiting = Condition(lambda: not prompt.buffer.text and prompt.wiring.queued() != ())

    @keys.add("enter", filter=~is_searching)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None
            return
        line = buffer.text
        asking = prompt.asking
        if asking and asking.armed and isinstance(asking.question, Question) and asking.question.reason:
            if line.strip():
                buffer.reset()
                asking.reply(Reason(line.strip()))
            return
        if line.strip():
            buffer.append_to_history()
            buffer.reset()
            prompt.wiring.submit(line)

    @keys.add("escape", "enter", filter=~is_searching)
    @keys.add("c-j", filter=~is_searching)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add(Keys.BracketedPaste)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(pasted(event.data))

    @keys.add("up", filter=waiting & ~is_searching)
    def _(event: KeyPressEvent) -> None:
        prompt.recall()


def _stop_keys(prompt: Prompt, keys: KeyBindings) -> None:
    def stop() -> bool:
        """Whether there was something to stop."""
        if prompt.asking is not None:
            prompt.asking.reply(Dismissed())
            return True
        if prompt.wiring.working():
            prompt.wiring.stop()
            return True
        return False

    @keys.add("escape", filter=~is_searching & ~has_completions)
    def _(event: KeyPressEvent) -> None:
        stop()

    @keys.add("escape", filter=has_completions)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.cancel_completion()

    @keys.add("c-c", filter=~is_searching)
    @keys.add("<sigint>")
    def _(event: KeyPressEvent) -> None:
        if stop():
            return
        if event.current_buffer.text:
            event.current_buffer.reset()
        elif prompt.hint:
            prompt.wiring.quit()
        else:
            prompt.hint = "Ctrl-C again quits"

    @keys.add("c-d", filter=Condition(lambda: not prompt.buffer.text))
    def _(event: KeyPressEvent) -> None:
        if prompt.asking is not None:
            prompt.asking.reply(Dismissed())
        prompt.wiring.quit()

    @keys.add("c-z")
    def _(event: KeyPressEvent) -> None:
        event.app.suspend_to_background()
