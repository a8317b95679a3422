"""A server of ours before an upstream that caches as OpenAI does, and what each request sent it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.clients import Door, door
from tests.support.openai_server import OpenAIServer
from tests.support.wires import KEY, Sent

MODEL = "openai/gpt-5.6"


@dataclass(frozen=True, slots=True)
class Counted:
    """The door, and the provider behind it."""

    door: Door
    upstream: OpenAIServer

    @property
    def sent(self) -> list[Sent]:
        """Each request to the provider, without what only its cache reads."""
        return [Sent.of(request) for request in self.upstream.prompts]

    @property
    def affinity(self) -> list[str]:
        """The key by which the provider finds its cache, request by request."""
        return [request.json["prompt_cache_key"] for request in self.upstream.prompts]

    @property
    def cached(self) -> list[int]:
        """The tokens that each request read from the provider's cache."""
        return [billed["prompt_tokens_details"]["cached_tokens"] for billed in self.upstream.billed]

    def grew(self) -> bool:
        """Whether each request is the one before with more at its end, byte for byte."""
        pairs = zip(self.sent, self.sent[1:], strict=False)
        return all(later.goes_on_from(earlier) for earlier, later in pairs)

    def said(self, session: str) -> list[tuple[str, str]]:
        """A session's messages as they stand in its journal: whose, and the last text of each."""
        lines = self.door.lines(session, "message")
        return [(line["role"], line["blocks"][-1].get("text", "")) for line in lines]


@contextmanager
def counted(folder: Path, answers: Iterable[Any] = (), **more: Any) -> Iterator[Counted]:
    """A server whose model answers `Answer 1.`, `Answer 2.` and so on, unless told what to answer."""
    given = answers or (f"Answer {number}." for number in count(1))
    with OpenAIServer(given, writes=True) as upstream:
        environ = {"OPENAI_BASE_URL": upstream.base_url, "OPENAI_API_KEY": KEY}
        with door(folder, MODEL, environ=environ, **more) as here:
            yield Counted(here, upstream)
