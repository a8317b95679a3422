"""What each wire's server may say, piece by piece, so that one fault can be played on all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from providers.provider import Provider
from providers.registry import open_provider
from providers.settings import ProviderSettings
from providers.types import StopReason, Usage
from tests.support import anthropic_server, ollama_server, openai_server, responses_server
from tests.support.loopback import Reply, json_reply, sse

KEY = "sk-test-0123456789abcdef"

Stops: TypeAlias = Mapping[str | None, str | None]
"""A wire's words for why a message stopped, and ours for it where it calls a tool; None for an error."""


class Speaker(Protocol):
    """One wire's server. Each piece is wire text; `reply` makes an answer of them."""

    name: str
    model: str
    usage: Usage
    """What an answer that ends properly was billed."""
    begins_with_prompt: bool
    """Whether the wire tells of the prompt's tokens at the answer's start."""
    stops: Stops
    done: str
    """The wire's word for a message that is whole."""

    def open(self, url: str, home: Path, stall_seconds: float | None = None) -> Provider: ...

    def begin(self) -> str: ...

    def say(self, text: str) -> str: ...

    def call(self, name: str, arguments: str, *, whole: bool = True) -> str:
        """A tool call with the text of its arguments; if not `whole`, without what would end it."""
        ...

    def end(self, stop: str | None) -> str: ...

    def error(self, kind: str, message: str) -> str: ...

    def idle(self) -> str:
        """Bytes that only show that the server lives."""
        ...

    def reply(self, *pieces: str, cut: bool = False, hold: bool = False) -> Reply: ...

    def refusal(
        self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None
    ) -> Reply: ...


def _opened(name: str, home: Path, **settings: Any) -> Provider:
    return open_provider(name, {name: ProviderSettings(api_key=KEY, **settings)}, {}, home)


READ = Usage(input_tokens=61, cache_read_tokens=300, output_tokens=89, reported_prompt_tokens=361)
READ_AND_WRITTEN = Usage(
    input_tokens=21,
    cache_read_tokens=300,
    cache_write_tokens=40,
    output_tokens=89,
    reported_prompt_tokens=361,
)


class _Events:
    """A wire of server-sent events."""

    __slots__ = ()

    def reply(self, *pieces: str, cut: bool = False, hold: bool = False) -> Reply:
        return sse(*pieces, cut=cut, hold=hold)


class _OpenAI(_Events):
    """One of OpenAI's two wires, whose refusals are alike."""

    __slots__ = ()

    def refusal(
        self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None
    ) -> Reply:
        return openai_server.refusal(status, message, kind=kind, **(headers or {}))


ANTHROPIC_STOPS: Stops = {
    "tool_use": StopReason.TOOL_USE,
    "end_turn": StopReason.END_TURN,
    "max_tokens": StopReason.MAX_TOKENS,
    "stop_sequence": StopReason.STOP_SEQUENCE,
    "refusal": StopReason.REFUSAL,
    "model_context_window_exceeded": StopReason.CONTEXT_EXCEEDED,
    "pause_turn": "pause_turn",
    "compaction": "compaction",
    "quite_new": "quite_new",
    None: StopReason.END_TURN,
}


@dataclass(frozen=True, slots=True)
class AnthropicSpeaker(_Events):
    name: str = "anthropic"
    model: str = "anthropic/claude-test"
    usage: Usage = READ_AND_WRITTEN
    begins_with_prompt: bool = True
    stops: Stops = field(default_factory=lambda: ANTHROPIC_STOPS)
    done: str = "end_turn"

    def open(self, url: str, home: Path, stall_seconds: float | None = None) -> Provider:
        return _opened(self.name, home, base_url=url, stall_seconds=stall_seconds)

    def begin(self) -> str:
        usage = {"input_tokens": 21, "cache_read_input_tokens": 300, "cache_creation_input_tokens": 40}
        message = {"id": "msg_1", "model": "claude-test", "usage": {**usage, "output_tokens": 1}}
        return anthropic_server.event("message_start", message=message)

    def say(self, text: str) -> str:
        delta = {"type": "text_delta", "text": text}
        return (
            anthropic_server.event("content_block_start", index=0, content_block=anthropic_server.text(""))
            + anthropic_server.event("content_block_delta", index=0, delta=delta)
            + anthropic_server.event("content_block_stop", index=0)
        )

    def call(self, name: str, arguments: str, *, whole: bool = True) -> str:
        block, delta = anthropic_server.tool_use("toolu_1", name), {"partial_json": arguments}
        text = anthropic_server.event("content_block_start", index=1, content_block=block)
        text += anthropic_server.event(
            "content_block_delta", index=1, delta={"type": "input_json_delta", **delta}
        )
        return text + anthropic_server.event("content_block_stop", index=1) if whole else text

    def end(self, stop: str | None) -> str:
        delta = anthropic_server.event(
            "message_delta", delta={"stop_reason": stop}, usage={"output_tokens": 89}
        )
        return delta + anthropic_server.event("message_stop")

    def error(self, kind: str, message: str) -> str:
        return anthropic_server.event("error", error={"type": kind, "message": message})

    def idle(self) -> str:
        return ": still there\n\n" + anthropic_server.event("ping")

    def refusal(
        self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None
    ) -> Reply:
        return anthropic_server.refusal(status, kind, message, dict(headers or {}))


# `stop` tells that the message is whole: many compatible servers say it of one that calls tools.
CHAT_STOPS: Stops = {
    "tool_calls": StopReason.TOOL_USE,
    "function_call": StopReason.TOOL_USE,
    "stop": StopReason.TOOL_USE,
    "eos_token": StopReason.TOOL_USE,
    "length": StopReason.MAX_TOKENS,
    "model_length": StopReason.MAX_TOKENS,
    "content_filter": StopReason.REFUSAL,
    "quite_new": "quite_new",
    "error": None,
    None: None,
}


@dataclass(frozen=True, slots=True)
class ChatSpeaker(_OpenAI):
    name: str = "openai-chat"
    model: str = "gateway/served"
    usage: Usage = READ
    begins_with_prompt: bool = False
    stops: Stops = field(default_factory=lambda: CHAT_STOPS)
    done: str = "stop"

    def open(self, url: str, home: Path, stall_seconds: float | None = None) -> Provider:
        return _opened("gateway", home, base_url=f"{url}/v1", stall_seconds=stall_seconds)

    def begin(self) -> str:
        return openai_server.chunk({"role": "assistant", "content": None}, usage=None)

    def say(self, text: str) -> str:
        return openai_server.chunk({"content": text})

    def call(self, name: str, arguments: str, *, whole: bool = True) -> str:
        return openai_server.chunk(openai_server.fragment(0, "call_1", name, arguments))

    def end(self, stop: str | None) -> str:
        billed = openai_server.chunk(usage=openai_server.usage(361, 89, 300))
        return openai_server.chunk({}, stop) + billed + openai_server.DONE

    def error(self, kind: str, message: str) -> str:
        return f"data: {json.dumps({'error': {'type': kind, 'message': message}})}\n\n"

    def idle(self) -> str:
        return ": OPENROUTER PROCESSING\n\n"


RESPONSES_STOPS: Stops = {
    "completed": StopReason.TOOL_USE,
    "max_output_tokens": StopReason.MAX_TOKENS,
    "content_filter": StopReason.REFUSAL,
    "quite_new": "quite_new",
    None: "incomplete",
    "failed": None,
    "cancelled": None,
}


@dataclass(frozen=True, slots=True)
class ResponsesSpeaker(_OpenAI):
    name: str = "openai-responses"
    model: str = "gateway/served"
    usage: Usage = READ
    begins_with_prompt: bool = False
    stops: Stops = field(default_factory=lambda: RESPONSES_STOPS)
    done: str = "completed"

    def open(self, url: str, home: Path, stall_seconds: float | None = None) -> Provider:
        return _opened("gateway", home, base_url=f"{url}/v1", wire=self.name, stall_seconds=stall_seconds)

    def begin(self) -> str:
        return "".join(responses_server.began())

    def say(self, text: str) -> str:
        return "".join(responses_server.streamed(0, responses_server.said(text)))

    def call(self, name: str, arguments: str, *, whole: bool = True) -> str:
        pieces = responses_server.streamed(1, responses_server.called("call_1", name, arguments))
        return "".join(pieces if whole else pieces[:-1])

    def end(self, stop: str | None) -> str:
        usage = responses_server.usage(361, 89, 300)
        if stop in ("completed", "failed", "cancelled"):
            return responses_server.ended(status=stop, usage=usage)
        return responses_server.ended(status="incomplete", incomplete_details={"reason": stop}, usage=usage)

    def error(self, kind: str, message: str) -> str:
        return responses_server.event("error", code=kind, message=message, param=None)

    def idle(self) -> str:
        return ": still there\n\n"


# This wire has no word of its own for a message that calls tools; an old server gives no word at all.
OLLAMA_STOPS: Stops = {
    "stop": StopReason.TOOL_USE,
    None: StopReason.TOOL_USE,
    "length": StopReason.MAX_TOKENS,
    "load": "load",
    "unload": "unload",
    "quite_new": "quite_new",
}


@dataclass(frozen=True, slots=True)
class OllamaSpeaker:
    name: str = "ollama"
    model: str = f"ollama/{ollama_server.MODEL}"
    usage: Usage = READ
    begins_with_prompt: bool = False
    stops: Stops = field(default_factory=lambda: OLLAMA_STOPS)
    done: str = "stop"

    def open(self, url: str, home: Path, stall_seconds: float | None = None) -> Provider:
        return _opened(self.name, home, base_url=url, stall_seconds=stall_seconds)

    def begin(self) -> str:
        return ollama_server.line({"thinking": "Hm."})

    def say(self, text: str) -> str:
        return ollama_server.line({"content": text})

    def call(self, name: str, arguments: str, *, whole: bool = True) -> str:
        if whole:
            return ollama_server.line(
                {"tool_calls": [ollama_server.tool_call(name, json.loads(arguments), "call_1")]}
            )
        return ollama_server.line({"tool_calls": [ollama_server.tool_call(name, arguments, "call_1")]})

    def end(self, stop: str | None) -> str:
        return ollama_server.end(stop, prompt_eval_count=361, prompt_eval_cached_count=300, eval_count=89)

    def error(self, kind: str, message: str) -> str:
        return json.dumps({"error": message}) + "\n"

    def idle(self) -> str:
        return "\n"

    def reply(self, *pieces: str, cut: bool = False, hold: bool = False) -> Reply:
        return ollama_server.ndjson(*pieces, cut=cut, hold=hold)

    def refusal(
        self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None
    ) -> Reply:
        return json_reply({"error": message}, status, headers)


SPEAKERS: tuple[Speaker, ...] = (AnthropicSpeaker(), ChatSpeaker(), ResponsesSpeaker(), OllamaSpeaker())
MUTE = Reply(mute=True)
"""The connection is taken, the request is read, and nothing is ever sent."""
