"""One of the servers that are measured side by side."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from benchmarks.server.load import Order
from benchmarks.server.upstream import FIRST_WORD, Mode

PROMPT = "Say the words that you always say."


@dataclass(frozen=True, slots=True)
class Side:
    """How a client asks it."""

    name: str
    port: int
    key: str
    path: str
    body: dict[str, Any]
    last: str
    """Text that only a whole answer contains."""
    pid: int
    """The process whose memory, with its children's, is the server's."""
    variant: bool = False
    """Another way to ask a server that is there already: only its answers' times are measured."""
    alone: bool = False
    """Whether one stream alone asks it: a session takes one turn after the other."""

    @classmethod
    def chat(cls, name: str, port: int, key: str, model: str, pid: int) -> Self:
        """Asked by chat completions."""
        said = {"messages": [{"role": "user", "content": PROMPT}], "stream_options": {"include_usage": True}}
        body = {"model": model, "stream": True, **said}
        return cls(name, port, key, "/v1/chat/completions", body, "data: [DONE]", pid)

    @classmethod
    def responses(cls, name: str, port: int, key: str, model: str, pid: int) -> Self:
        """Asked by the Responses API."""
        body = {"model": model, "stream": True, "input": PROMPT}
        return cls(name, port, key, "/v1/responses", body, "event: response.completed", pid, variant=True)

    def resumed(self, session: str, messages: int) -> Side:
        """Asked to go on with a session that has so many messages."""
        name = f"{self.name}, after {messages} messages"
        return replace(self, name=name, body={**self.body, "conversation": session}, alone=True)

    def order(self, *, streams: int, seconds: float, mode: Mode) -> str:
        """The load's order, as it reads it."""
        order = Order(
            port=self.port,
            path=self.path,
            headers={"authorization": f"Bearer {self.key}", "accept": "text/event-stream"},
            body=json.dumps(self.body),
            streams=streams,
            seconds=seconds,
            first=FIRST_WORD,
            last=self.last,
            wanted="".join(mode.words),
        )
        return json.dumps(asdict(order))
