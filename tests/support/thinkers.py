"""Models that think, call a tool and answer, one a wire, and what each wire's strictest endpoint refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from providers.settings import ProviderSettings
from providers.types import ModelRef
from tests.support import (
    anthropic_server,
    bedrock_server,
    ollama_server,
    openai_server,
    responses_server,
)
from tests.support.anthropic_server import AnthropicServer
from tests.support.bedrock_server import BedrockServer
from tests.support.loopback import LoopbackServer, Reply, sse
from tests.support.ollama_server import OllamaServer
from tests.support.openai_server import DONE, OpenAIServer, chunk, fragment
from tests.support.responses_server import ResponsesServer

USAGE = {"prompt_eval_count": 10, "eval_count": 5}


@dataclass(frozen=True, slots=True)
class Thinker:
    """One wire's model. Its name is in what it thinks, so that a request shows whose thoughts it holds."""

    name: str
    """Its provider's name."""
    model: str
    serve: Callable[[list[Any]], LoopbackServer]
    calls: Callable[[], Any]
    """An answer that thinks, and calls `ls`, with an id as this wire's models write them."""
    says: Callable[[str], Any]
    """An answer that thinks, and says this."""
    stares: Callable[[], Any]
    """An answer that thinks until its limit is reached, and says nothing."""
    objection: Callable[[dict[str, Any]], str]
    """What its endpoint would refuse in a request; "" if nothing."""
    keeps: bool = True
    """Whether its thinking goes back to it."""
    wire: str = ""
    quirks: frozenset[str] = frozenset()

    @property
    def ref(self) -> ModelRef:
        return ModelRef(self.name, self.model)

    @property
    def mark(self) -> str:
        return f"thought-of-{self.name}"

    def settings(self, server: LoopbackServer) -> ProviderSettings:
        path = "/v1" if self.serve in (OpenAIServer, ResponsesServer) else ""
        return ProviderSettings(base_url=server.url + path, api_key="k", quirks=self.quirks, wire=self.wire)


# --- Anthropic and Bedrock -------------------------------------------------------------------------------


def _anthropic_thoughts() -> tuple[dict[str, Any], ...]:
    seen = anthropic_server.thinking("Hm.\u00a0thought-of-anthropic ", "sig+/thought-of-anthropic==")
    return seen, anthropic_server.redacted("thought-of-anthropic+/==")


def _anthropic_stares() -> Reply:
    return sse(
        *anthropic_server.answer(
            anthropic_server.thinking("thought-of-anthropic"),
            usage={"input_tokens": 10},
            stop_reason="max_tokens",
        )
    )


def _bedrock_thoughts() -> tuple[dict[str, Any], ...]:
    return (bedrock_server.thinking("thought-of-bedrock", "sig+/thought-of-bedrock=="),)


ANTHROPIC = Thinker(
    name="anthropic",
    model="claude-test",
    serve=AnthropicServer,
    calls=lambda: (*_anthropic_thoughts(), anthropic_server.tool_use("toolu_01A09q90qw", "ls", path=".")),
    says=lambda words: (*_anthropic_thoughts(), anthropic_server.text(words)),
    stares=_anthropic_stares,
    objection=anthropic_server.objection,
)
BEDROCK = Thinker(
    name="bedrock",
    model="us.anthropic.claude-test",
    serve=BedrockServer,
    calls=lambda: (*_bedrock_thoughts(), bedrock_server.tool_use("tooluse_a.b:c-1", "ls", {"path": "."})),
    says=lambda words: (*_bedrock_thoughts(), bedrock_server.text(words)),
    stares=lambda: bedrock_server.streamed(*bedrock_server.answer(*_bedrock_thoughts(), stop="max_tokens")),
    objection=bedrock_server.objection,
)


# --- OpenAI's two -----------------------------------------------------------------------------------------


def _chat(name: str, finish: str, *deltas: dict[str, Any]) -> Reply:
    thought = chunk({"role": "assistant", "content": None, "reasoning_content": f"thought-of-{name}"})
    billed = chunk(usage=openai_server.usage(10, 2))
    return sse(thought, *map(chunk, deltas), chunk({}, finish), billed, DONE)


_THOUGHT = responses_server.thought("thought-of-openai", encrypted="gAAAA+/thought-of-openai==")

CHAT = Thinker(
    name="deepseek",
    model="deepseek-test",
    serve=OpenAIServer,
    calls=lambda: _chat("deepseek", "tool_calls", fragment(0, "functions.ls:0|é", "ls", '{"path": "."}')),
    says=lambda words: _chat("deepseek", "stop", {"content": words}),
    stares=lambda: _chat("deepseek", "length"),
    objection=lambda body: openai_server.objection(body, known=("reasoning_content",)),
    quirks=frozenset({"short_call_ids"}),
)
MISTRAL = Thinker(
    name="mistral",
    model="mistral-test",
    serve=OpenAIServer,
    calls=lambda: _chat("mistral", "tool_calls", fragment(0, "D681PevKs", "ls", '{"path": "."}')),
    says=lambda words: _chat("mistral", "stop", {"content": words}),
    stares=lambda: _chat("mistral", "length"),
    objection=lambda body: openai_server.objection(body, ids="[a-zA-Z0-9]{9}"),
    keeps=False,
)
RESPONSES = Thinker(
    name="openai",
    model="gpt-test",
    serve=ResponsesServer,
    calls=lambda: (_THOUGHT, responses_server.called("call_" + 50 * "x", "ls", {"path": "."})),
    says=lambda words: (_THOUGHT, responses_server.said(words)),
    stares=lambda: sse(
        *responses_server.answer(
            _THOUGHT, status="incomplete", incomplete_details={"reason": "max_output_tokens"}
        )
    ),
    objection=responses_server.objection,
    wire="openai-responses",
)


# --- Ollama and the script --------------------------------------------------------------------------------


def _ollama(reason: str, **said: Any) -> Reply:
    thought = ollama_server.line({"thinking": "thought-of-ollama"})
    return ollama_server.ndjson(thought, ollama_server.line(said), ollama_server.end(reason, **USAGE))


def _ollama_objection(body: dict[str, Any]) -> str:
    for message in body["messages"]:
        if not isinstance(message["content"], str):
            return "content is text"
        for call in message.get("tool_calls", ()):
            if not isinstance(call["function"]["arguments"], dict):
                return "arguments are an object"
    return ""


OLLAMA = Thinker(
    name="ollama",
    model=ollama_server.MODEL,
    serve=OllamaServer,
    calls=lambda: _ollama("stop", tool_calls=[ollama_server.tool_call("ls", {"path": "."}, "call_8f2k")]),
    says=lambda words: _ollama("stop", content=words),
    stares=lambda: _ollama("length"),
    objection=_ollama_objection,
)

THINKERS = (ANTHROPIC, BEDROCK, CHAT, MISTRAL, RESPONSES, OLLAMA)
