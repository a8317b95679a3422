"""The provider that plays a script: for the demo, and for tests that need a model that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from providers.call import Call, StreamedCall
from providers.counts import count
from providers.errors import ConfigurationError, RequestRejected
from providers.faults import http_fault
from providers.provider import ModelInfo
from providers.script import COUNTS, Step, read_script
from providers.settings import ProviderSettings
from providers.types import (
    Block,
    JSONObject,
    Origin,
    Request,
    StopReason,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)

ENCODER = "scripted/1"
WIRE = "scripted"
CACHED = frozenset({"cache_read_tokens", "cache_write_tokens"})


def connect(
    name: str, settings: ProviderSettings, environ: Mapping[str, str], home: Path
) -> ScriptedProvider:
    """A player of scripts; a model's name is the script's path from the current folder. No settings apply."""
    return ScriptedProvider(name, Path.cwd())


class ScriptedProvider:
    """Plays step n to a conversation that holds n answers, so that a resumed session goes on where it was.

    A sub-agent's conversation, known by the prompt that it begins with, may have steps of its own.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.encoder = ENCODER
        self._folder = folder
        self._failed: dict[tuple[str, str, int], int] = {}
        """How often a step that fails some times has failed."""

    def stream(self, request: Request) -> Call:
        answer = ScriptedAccumulator(Origin(WIRE, "", request.prefix.model.name))
        return StreamedCall(request, lambda: self._open(request), answer)

    async def prepare(self) -> None:
        """There is nothing to prepare."""

    async def context_window(self, model: str) -> int | None:
        try:
            return read_script(self._folder / model).context_window
        except ConfigurationError:
            return None

    async def models(self) -> tuple[ModelInfo, ...]:
        return ()

    async def aclose(self) -> None:
        """There is nothing to close."""

    @asynccontextmanager
    async def _open(self, request: Request) -> AsyncIterator[AsyncIterator[JSONObject]]:
        model = request.prefix.model.name
        path = self._folder / model
        script = read_script(path)
        index = sum(message.role == "assistant" for message in request.messages)
        prompt = _prompt(request)
        steps = script.answers(prompt)
        if index >= len(steps):
            raise RequestRejected(
                f"The script {path} is over: it has {len(steps)} steps, and the conversation asks for "
                f"step {index + 1}. Add a step, or go back a turn with: /undo"
            )
        step = steps[index]
        fails = self._fails(step, (model, prompt if prompt in script.tasks else "", index))
        if fails and step.failure and not (step.thinking or step.text or step.tool_calls or step.usage):
            raise http_fault(self.name, step.failure.status, step.failure.message, kind=step.failure.kind)
        async with aclosing(self._events(step, fails=fails)) as events:
            yield events

    def _fails(self, step: Step, place: tuple[str, str, int]) -> bool:
        """Whether this try of a step fails; counts it."""
        if step.failure is None:
            return False
        self._failed[place] = self._failed.get(place, 0) + 1
        return step.failure.times is None or self._failed[place] <= step.failure.times

    async def _events(self, step: Step, *, fails: bool) -> AsyncGenerator[JSONObject]:
        for number, delta in enumerate(_deltas(step)):
            if number and step.pause:
                await asyncio.sleep(step.pause)
            yield delta
        if fails and step.failure:
            yield {"usage": step.usage}
            raise http_fault(self.name, step.failure.status, step.failure.message, kind=step.failure.kind)
        yield {"usage": step.usage or dict.fromkeys(COUNTS, 0), "stop_reason": step.stop_reason}


def _prompt(request: Request) -> str:
    """The last text that was said before the conversation's first answer."""
    before = takewhile(lambda message: message.role != "assistant", request.messages)
    texts = [block.text for message in before for block in message.blocks if isinstance(block, Text)]
    return texts[-1] if texts else ""


def _deltas(step: Step) -> Iterator[JSONObject]:
    for kind, text in (("thinking", step.thinking), ("text", step.text)):
        for piece in _pieces(text, step.chunk):
            yield {kind: piece}
    for call in step.tool_calls:
        yield {"id": call.id, "name": call.name}
        for piece in _pieces(call.raw_arguments, step.chunk):
            yield {"id": call.id, "arguments": piece}


def _pieces(text: str, size: int) -> Iterator[str]:
    size = size or len(text)
    return (text[start : start + size] for start in range(0, len(text), size or 1))


class ScriptedAccumulator:
    """One answer in the making."""

    def __init__(self, origin: Origin) -> None:
        self.model: str | None = None
        self.stop_reason: str | None = None
        self.raw_usage: JSONObject = {}
        self._origin = origin
        self._thinking: list[str] = []
        self._text: list[str] = []
        self._names: dict[str, str] = {}
        self._arguments: dict[str, list[str]] = {}

    @property
    def blocks(self) -> tuple[Block, ...]:
        blocks: list[Block] = []
        if thinking := "".join(self._thinking):
            blocks.append(Thinking(thinking, self._origin))
        if text := "".join(self._text):
            blocks.append(Text(text))
        if self.stop_reason == StopReason.TOOL_USE:
            for call_id, name in self._names.items():
                blocks.append(ToolCall(call_id, name, "".join(self._arguments[call_id])))
        return tuple(blocks)

    @property
    def usage(self) -> Usage:
        return scripted_usage(self.raw_usage)

    def feed(self, event: JSONObject) -> Iterable[StreamEvent]:
        match event:
            case {"thinking": str(text)}:
                self._thinking.append(text)
                yield ThinkingDelta(text)
            case {"text": str(text)}:
                self._text.append(text)
                yield TextDelta(text)
            case {"id": str(call_id), "name": str(name)}:
                self._names[call_id] = name
                self._arguments[call_id] = []
                yield ToolCallStarted(call_id, name)
            case {"id": str(call_id), "arguments": str(text)}:
                self._arguments[call_id].append(text)
                yield ToolCallDelta(call_id, text)
            case {"usage": usage}:
                self.raw_usage = usage
                self.stop_reason = event.get("stop_reason")


def scripted_usage(raw: JSONObject) -> Usage:
    """As written. One that names a cache bucket reports on its whole prompt, unless it says otherwise."""
    usage = Usage(**{name: count(raw.get(name)) or 0 for name in COUNTS})
    if "reported_prompt_tokens" in raw or not raw.keys() & CACHED:
        return usage
    return replace(usage, reported_prompt_tokens=usage.prompt_tokens)
