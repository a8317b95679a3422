"""Telling a command from a prompt: `agent stats` is a command, `agent "fix the test"` a prompt."""

from __future__ import annotations

from difflib import get_close_matches

from typer._click.core import Context
from typer.core import TyperGroup, TyperOption

from cli.failure import UsageProblem


class Agent(TyperGroup):
    """The program: a group of commands that is itself the chat.

    A first word that is a command's name is the command, and options before it are that command's. Anything
    else is the chat's prompt, with options before and after it; `--` ends options and commands alike.
    """

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Leaves a command's words as a group does, a prompt's in `ctx.args`. Raises UsageProblem."""
        place = self._first_word(ctx, args)
        word = args[place] if place is not None else ""
        if place is not None and word in self.commands:
            return super().parse_args(ctx, [word, *args[:place], *args[place + 1 :]])
        self._doubt(word, args)
        ctx.allow_interspersed_args = True
        words = super(TyperGroup, self).parse_args(ctx, args)
        if len(words) > 1:
            raise UsageProblem('A prompt is one argument. Put it in quotes: agent "fix the failing test"')
        return words

    def _first_word(self, ctx: Context, args: list[str]) -> int | None:
        """The place of the first word that is neither an option nor an option's value; None after a `--`."""
        options = [param for param in self.get_params(ctx) if isinstance(param, TyperOption)]
        flags = {name for option in options if option.is_flag for name in option.opts}
        valued = {name for option in options if not option.is_flag for name in option.opts}
        place = 0
        while place < len(args):
            word = args[place]
            if word == "--":
                return None
            if word == "-" or not word.startswith("-"):
                return place
            cluster = not word.startswith("--") and all(f"-{letter}" in flags for letter in word[1:-1])
            place += 2 if word in valued or (cluster and f"-{word[-1]}" in valued) else 1
        return None

    def _doubt(self, word: str, args: list[str]) -> None:
        """Raise UsageProblem for a lone word that is nearly a command: as a prompt it would cost money."""
        near = get_close_matches(word, self.commands, n=1, cutoff=0.75)
        if near and args == [word]:
            raise UsageProblem(
                f"No command named '{word}'. Did you mean: agent {near[0]}? As a prompt: agent -- {word}"
            )
