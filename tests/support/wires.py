"""Four wires, each with its loopback server, for tests that must come out the same on all of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support import anthropic_server, ollama_server, openai_server, responses_server
from tests.support.anthropic_server import AnthropicServer
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply, sse
from tests.support.ollama_server import OllamaServer
from tests.support.openai_server import OpenAIServer
from tests.support.responses_server import ResponsesServer

KEY = "sk-test-0123456789abcdef"
BUCKETS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")

Bill = Counter[str]
"""Tokens by bucket; the buckets are disjoint."""


@dataclass(frozen=True, slots=True)
class Wire:
    """How to speak to a person's agent over one wire."""

    name: str
    model: str
    serve: Callable[[list[Any]], LoopbackServer]
    """A server that gives these answers in order, made by the functions below."""
    environ: Callable[[str], dict[str, str]]
    """The variables a person sets to reach the server at a URL."""
    say: Callable[[str], Any]
    """An answer of text."""
    use: Callable[[str, dict[str, Any]], Any]
    """An answer that calls a tool by name with arguments."""
    begin: Callable[[str], Reply]
    """An answer that begins with a text and then hangs."""
    refuse: Callable[[int, str], Reply]
    """An HTTP error."""
    bill: Callable[[Mapping[str, Any]], Bill]
    """The disjoint buckets of a usage as this wire writes it."""
    config: str = ""
    """What a person's `config.toml` says so that this wire is spoken."""

    def billed(self, server: Any) -> list[Bill]:
        """What the server billed, answer by answer."""
        return [self.bill(usage) for usage in server.billed]


@dataclass(frozen=True, slots=True)
class Sent:
    """A request without what only the cache reads: the bytes before its messages, each message, the rest."""

    head: str
    messages: tuple[str, ...]
    tail: str

    @classmethod
    def of(cls, request: Recorded) -> Sent:
        asides = r',"(?:cache_control|diagnostics|prompt_cache_options)":\{[^}]*\}'
        unread = asides + r'|, \{"cachePoint": \{[^}]*\}\}'
        body = re.sub(unread, "", request.body.decode())
        found = re.search(r'"(?:messages|input)":\s*\[', body)
        assert found is not None
        decoder, place, messages = json.JSONDecoder(), found.end(), []
        while body[place] != "]":
            _, end = decoder.raw_decode(body, place)
            messages.append(body[place:end])
            place = end + len(body[end:]) - len(body[end:].lstrip(", "))
        return cls(body[: found.end()], tuple(messages), body[place:])

    def goes_on_from(self, earlier: Sent) -> bool:
        """Whether this request is the earlier one with more at its end, byte for byte.

        More may be said in the earlier one's last message too: where a turn failed, the next prompt joins it.
        """
        before, now = ",".join(earlier.messages).rstrip("]}"), ",".join(self.messages)
        same = (self.head, self.tail) == (earlier.head, earlier.tail)
        return same and len(now) > len(before) and now.startswith(before)


def _anthropic_begin(text: str) -> Reply:
    usage = {"input_tokens": 4000, "cache_read_input_tokens": 300, "cache_creation_input_tokens": 200}
    whole = anthropic_server.answer(anthropic_server.text(text + text), usage=usage)
    return sse(*whole[:3], hold=True)


def _anthropic_bill(usage: Mapping[str, Any]) -> Bill:
    return Counter(
        input_tokens=usage["input_tokens"],
        output_tokens=usage["output_tokens"],
        cache_read_tokens=usage["cache_read_input_tokens"],
        cache_write_tokens=usage["cache_creation_input_tokens"],
    )


def _openai_bill(usage: Mapping[str, Any]) -> Bill:
    details = usage["prompt_tokens_details"]
    read, written = details["cached_tokens"], details["cache_write_tokens"]
    return Counter(
        input_tokens=usage["prompt_tokens"] - read - written,
        output_tokens=usage["completion_tokens"],
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


def _responses_begin(text: str) -> Reply:
    opened, delta, *_ = responses_server.streamed(0, responses_server.said(text + text))
    return sse(*responses_server.began(), opened, delta, hold=True)


def _responses_bill(usage: Mapping[str, Any]) -> Bill:
    details = usage["input_tokens_details"]
    read, written = details["cached_tokens"], details["cache_write_tokens"]
    return Counter(
        input_tokens=usage["input_tokens"] - read - written,
        output_tokens=usage["output_tokens"],
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


def _ollama_bill(usage: Mapping[str, Any]) -> Bill:
    read = usage["prompt_eval_cached_count"]
    return Counter(
        input_tokens=usage["prompt_eval_count"] - read,
        output_tokens=usage["eval_count"],
        cache_read_tokens=read,
        cache_write_tokens=0,
    )


_AT_ONCE = {"retry-after": "0"}

ANTHROPIC = Wire(
    name="anthropic",
    model="anthropic/claude-sonnet-5-5",
    serve=AnthropicServer,
    environ=lambda url: {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": KEY},
    say=lambda text: (anthropic_server.text(text),),
    use=lambda name, arguments: (anthropic_server.tool_use("toolu_1", name, **arguments),),
    begin=_anthropic_begin,
    refuse=lambda status, message: anthropic_server.refusal(status, "", message, _AT_ONCE),
    bill=_anthropic_bill,
)
OPENAI = Wire(
    name="openai",
    model="openai/gpt-5.6",
    serve=lambda answers: OpenAIServer(answers, writes=True),
    environ=lambda url: {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": KEY},
    say=lambda text: text,
    use=lambda name, arguments: (("call_1", name, arguments),),
    begin=lambda text: sse(openai_server.chunk({"role": "assistant", "content": text}), hold=True),
    refuse=lambda status, message: openai_server.refusal(status, message, **_AT_ONCE),
    bill=_openai_bill,
)
RESPONSES = Wire(
    name="openai-responses",
    model="openai/gpt-5.6",
    serve=ResponsesServer,
    environ=lambda url: {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": KEY},
    say=lambda text: (responses_server.thought("Hm."), responses_server.said(text)),
    use=lambda name, arguments: (
        responses_server.thought("Hm."),
        responses_server.called("call_1", name, arguments),
    ),
    begin=_responses_begin,
    refuse=lambda status, message: responses_server.refusal(status, message, **_AT_ONCE),
    bill=_responses_bill,
    config='[providers.openai]\nwire = "openai-responses"\n',
)
OLLAMA = Wire(
    name="ollama",
    model=f"ollama/{ollama_server.MODEL}",
    serve=OllamaServer,
    environ=lambda url: {"OLLAMA_HOST": url},
    say=lambda text: text,
    use=lambda name, arguments: (ollama_server.tool_call(name, arguments, "call_1"),),
    begin=lambda text: ollama_server.ndjson(ollama_server.line({"content": text}), hold=True),
    refuse=lambda status, message: json_reply({"error": message}, status, _AT_ONCE),
    bill=_ollama_bill,
)
WIRES = (ANTHROPIC, OPENAI, RESPONSES, OLLAMA)
