"""Folds the chunks of the embedded engine's completion into blocks, tokens and usage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from providers.call import new_id
from providers.counts import count
from providers.local_encoder import CALL_END, CALL_START, kept_tokens
from providers.openai_faults import in_stream_fault
from providers.openai_usage import openai_usage
from providers.types import (
    JSON,
    Block,
    JSONObject,
    Origin,
    StopReason,
    StreamEvent,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)

STOPPED: Mapping[str, str] = {
    "eos": StopReason.END_TURN,
    "limit": StopReason.MAX_TOKENS,
    "word": StopReason.STOP_SEQUENCE,
}
COMPUTED = "computed"
"""The key, in the last chunk, of this answer's tokens as the engine's cache holds them, where they had to be
looked up: all but the last one sampled."""

USAGE = ("tokens_evaluated", "tokens_predicted", "tokens_cached", "timings")

Piece: TypeAlias = Text | ToolCall


class LocalAnswer:
    """One answer in the making. Where no `tools` were offered, a call is text like any other."""

    def __init__(self, origin: Origin, *, provider: str, tools: bool) -> None:
        self.model: str | None = None
        self.stop_reason: str | None = None
        self.raw_usage: JSONObject = {}
        self._origin = origin
        self._provider = provider
        self._calls = CallSplitter() if tools else None
        self._pieces: list[Piece] = []
        self._tokens: list[int] = []
        self._sampled = 0
        """How many tokens had been sampled by the last chunk that brought one."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Text and tool calls as they came, then the answer's tokens.

        Calls are handed out only if the model ended its message and so meant them: none of a message that
        was cut at its limit.
        """
        blocks: list[Block] = []
        for piece in self._pieces:
            match piece, blocks:
                case Text(text), [*_, Text(before)]:
                    blocks[-1] = Text(before + text)
                case Text(), _:
                    blocks.append(piece)
                case ToolCall(), _ if self.stop_reason == StopReason.TOOL_USE:
                    blocks.append(piece)
        if self.stop_reason is not None and self._tokens:
            blocks.append(kept_tokens(self._tokens, self._origin))
        return tuple(blocks)

    @property
    def usage(self) -> Usage:
        return openai_usage(self.raw_usage)

    def feed(self, event: JSONObject) -> Iterable[StreamEvent]:
        """Take one chunk."""
        if error := event.get("error"):
            raise in_stream_fault(self._provider, error)
        usage = {key: event[key] for key in USAGE if key in event}
        if openai_usage(usage).total_tokens:
            self.raw_usage = usage
        if "prompt_progress" in event:  # its `tokens` are none of the answer's
            return []
        if ids := _token_ids(event.get("tokens")):
            self._tokens += ids
            self._sampled = count(event.get("tokens_predicted")) or 0
        text = event.get("content")
        events = list(self._said(text)) if isinstance(text, str) and text else []
        if event.get("stop") is True:
            events += self._finish(event)
        return events

    def _said(self, text: str) -> Iterator[StreamEvent]:
        for said in [text] if self._calls is None else self._calls.split(text):
            yield from self._take(said)

    def _take(self, said: str) -> Iterator[StreamEvent]:
        """A stretch of text, or a whole call with its marks."""
        call = _call_of(said) if self._calls and said.startswith(CALL_START) else None
        if call is None:
            self._pieces.append(Text(said))
            yield TextDelta(said)
            return
        self._pieces.append(call)
        yield ToolCallStarted(call.id, call.name)
        yield ToolCallDelta(call.id, call.raw_arguments)

    def _finish(self, event: JSONObject) -> Iterator[StreamEvent]:
        model = event.get("model")
        if isinstance(model, str) and model:
            self.model = model
        reason = str(event.get("stop_type") or "eos")
        stop = STOPPED.get(reason, reason)
        rest = self._calls.rest if self._calls else ""
        if rest and not (stop == StopReason.MAX_TOKENS and rest.lstrip().startswith(CALL_START)):
            self._pieces.append(Text(rest))
            yield TextDelta(rest)
        called = any(isinstance(piece, ToolCall) for piece in self._pieces)
        self._tokens = self._generated(event, ended=reason == "eos")
        self.stop_reason = StopReason.TOOL_USE if called and stop == StopReason.END_TURN else stop

    def _generated(self, event: JSONObject, *, ended: bool) -> list[int]:
        """What the answer was generated as, without the token that ended the turn; none if that isn't known.

        The last chunk's token is the last one sampled, unless a character was left unfinished.
        """
        predicted = count(event.get("tokens_predicted"))
        last = self._tokens[-1:] if self._sampled == predicted else []
        if COMPUTED in event:
            return _token_ids(event[COMPUTED]) + ([] if ended else last)
        if len(self._tokens) != predicted:
            return []
        return self._tokens[:-1] if ended else self._tokens


class CallSplitter:
    """Cuts an answer that comes in pieces into stretches of text and whole `<tool_call>`s.

    What may yet turn out to be a call is held back, and so is the white space that may belong to its mark.
    """

    def __init__(self) -> None:
        self.rest = ""
        """What was held back so far."""
        self._after_call = False

    def split(self, text: str) -> Iterator[str]:
        """The stretches that are certain now: text, or a call from `<tool_call>` to `</tool_call>`."""
        self.rest += text
        while self.rest:
            if self._after_call:
                self.rest = self.rest.lstrip()
            at = _held_back(self.rest)
            if at:
                self._after_call = False
                yield self.rest[:at]
                self.rest = self.rest[at:]
            marked = self.rest.lstrip()
            end = marked.find(CALL_END) if marked.startswith(CALL_START) else -1
            if end < 0:
                return
            end += len(CALL_END)
            self._after_call = True
            self.rest = marked[end:]
            yield marked[:end]


_MAY_BE_A_CALL = re.compile(
    r"\s*(?:<tool_call>|(?:" + "|".join(re.escape(CALL_START[:n]) for n in range(len(CALL_START))) + r")\Z)"
)


def _held_back(text: str) -> int:
    """Where in `text` a call begins, or what may become one; its length if nowhere."""
    found = _MAY_BE_A_CALL.search(text)
    return found.start() if found else len(text)


def _call_of(marked: str) -> ToolCall | None:
    """The call between the marks; None if it names no tool.

    Arguments that are no JSON stay as they came: whoever runs the call will see that they don't parse.
    """
    body = marked.removeprefix(CALL_START).removesuffix(CALL_END).strip()
    try:
        name, arguments = _read(json.loads(body))
    except (ValueError, RecursionError):
        name, arguments = _broken(body)
    return ToolCall(new_id("tool"), name, arguments) if name else None


def _read(call: JSON) -> tuple[str, str]:
    """The name and the arguments' text of a call; no name where it has none."""
    match call:
        case {"name": str(name), **rest}:
            return name, _arguments_text(rest.get("arguments"))
        case _:
            return "", ""


def _broken(body: str) -> tuple[str, str]:
    """The same of a call that is no JSON: its arguments are what follows, which doesn't parse either."""
    name = re.search(r'"name"\s*:\s*"([^"\\]+)"', body)
    arguments = re.search(r'"arguments"\s*:\s*(.*)', body, re.DOTALL)
    return (name[1], arguments[1] if arguments else body) if name else ("", "")


def _arguments_text(arguments: JSON) -> str:
    """The arguments' JSON text; some models write the text itself in quotes."""
    if isinstance(arguments, str):
        return arguments
    return json.dumps({} if arguments is None else arguments, ensure_ascii=False)


def _token_ids(value: JSON) -> list[int]:
    return [each for each in value if type(each) is int] if isinstance(value, list) else []
