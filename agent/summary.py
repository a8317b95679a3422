"""The summary that stands for a conversation: how it is asked for, and the message it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.prompt import opening_of
from providers.call import new_id
from providers.types import Message, Text

HEAD = "[Summary of the conversation so far"
QUOTE = "[What the person wrote last, in their own words]"
QUOTE_LIMIT = 8_000
"""Characters of the person's last message that are quoted behind a summary."""

_ASK = """\
[From Cachet, the program that runs you; not from the person.] This conversation is about to be replaced by \
a summary, because its context window is limited. Write that summary now. You go on working from it alone, \
and can see nothing else of what was said before, so leave out nothing that you would need:

1. The task: what the person wants, with their wishes, limits and corrections in their own words.
2. Decisions made, and why; what was tried and did not work.
3. Files read or changed: path, what matters in each, and its state now. Exact names, numbers, commands and \
error messages.
4. Open work: what was under way when this came, what is left, and the next step.

Call no tool. Answer with the summary only, in plain text, without a preamble."""

_FIRMER = "\n\nThis is the second time of asking. Write text; a tool call is not run here and helps nobody."


def ask(keep: str, *, again: bool = False) -> Message:
    """The message that asks for a summary; `keep` is what the person wants kept of all things."""
    wish = f"\n\nThe person asks that it keep above all: {keep}" if keep else ""
    return Message(new_id("msg"), "user", (Text(f"{_ASK}{wish}{_FIRMER if again else ''}"),))


@dataclass(frozen=True, slots=True)
class Parts:
    """A conversation that a summary is wanted of, in order."""

    opening: tuple[Message, ...]
    """The opening where it is a message of its own, as with a sub-agent: it stays, and so does its cache."""
    answered: tuple[Message, ...]
    """What the summary stands for. Keeping more would be paid for again behind the summary."""
    unread: tuple[Message, ...]
    """What the model has yet to answer: a prompt, or its last tool calls with their results, none open."""


def divide(messages: Sequence[Message]) -> Parts:
    """The conversation in parts; without an answer in it all is unread but for the opening."""
    alone = 1 if messages and messages[0].blocks == opening_of(messages) else 0
    place = next((i for i in range(len(messages), alone, -1) if messages[i - 1].role == "assistant"), alone)
    if place > alone and messages[place - 1].tool_calls:
        place -= 1
    return Parts(tuple(messages[:alone]), tuple(messages[alone:place]), tuple(messages[place:]))


def is_summary(message: Message) -> bool:
    return message.role == "user" and any(
        isinstance(block, Text) and block.text.startswith(HEAD) for block in message.blocks
    )


def stand_in(replaced: Sequence[Message], text: str, *, quoting: bool) -> Message:
    """The message that stands for those replaced.

    It begins with the block that the conversation began with, the facts of the place and the project's
    instructions, byte for byte. With `quoting` the person's last message stands at its end as it was
    written, so that the task under way is not left to what the model made of it.
    """
    blocks = [*opening_of(replaced), Text(f"{HEAD}; the messages it stands for are gone]\n{text}")]
    if quoting and (quote := _quote(replaced)):
        blocks.append(quote)
    return Message(new_id("msg"), "user", tuple(blocks))


def _quote(replaced: Sequence[Message]) -> Text | None:
    last = next((message for message in reversed(replaced) if message.role == "user"), None)
    said = [block for block in last.blocks if isinstance(block, Text)] if last else []
    if last is None or not said:
        return None
    if is_summary(last):
        return said[-1] if said[-1].text.startswith(QUOTE) else None
    words = said[-1].text
    cut = words if len(words) <= QUOTE_LIMIT else words[:QUOTE_LIMIT] + "…"
    return Text(f"{QUOTE}\n{cut}")
