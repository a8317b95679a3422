"""A run as a chat completion: one object, or OpenAI's stream of chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.events import Event
from providers.types import JSON
from server.answers import (
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatDelta,
    ChunkChoice,
    FinishReason,
)
from server.pieces import PieceBegun, PieceEnded, PieceGrew, Pieces, Told
from server.progress import extension
from server.run import Outcome, Run
from server.sse import DONE
from server.usage import chat_usage

CANCELLED = 499
"""The status of a run that was cancelled: nobody is there to read it, but an idempotent request finds it."""

_FINISH: dict[str, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}


def completion(run: Run, outcome: Outcome) -> ChatCompletion:
    """The whole completion of a run that is over and did not fail."""
    choice: ChatChoice = {
        "index": 0,
        "message": {"role": "assistant", "content": run.pieces.text(), "refusal": None},
        "finish_reason": _finish(outcome),
        "logprobs": None,
    }
    return {
        "id": run.id,
        "object": "chat.completion",
        "created": int(run.created),
        "model": str(run.model),
        "session_id": run.session.id,
        "choices": [choice],
        "usage": chat_usage(run.calls),
    }


def failure(run: Run, outcome: Outcome) -> dict[str, JSON]:
    """The envelope of a run that failed or was cancelled, with what was spent."""
    envelope: dict[str, JSON] = (
        outcome.error.body()
        if outcome.error
        else {
            "error": {"message": "The run was cancelled.", "type": "cancelled", "param": None, "code": None}
        }
    )
    return {**envelope, "usage": chat_usage(run.calls), "session_id": run.session.id}


@dataclass(frozen=True, slots=True)
class ChatForm:
    """How `/v1/chat/completions` answers."""

    include_usage: bool
    """Whether the client wants a last chunk with the usage."""
    kind = "chatcmpl"
    named = False
    last = DONE
    begins_at_once = False

    def whole(self, run: Run, outcome: Outcome) -> tuple[int, dict[str, JSON]]:
        if outcome.status in ("failed", "cancelled"):
            return outcome.error.status if outcome.error else CANCELLED, failure(run, outcome)
        return 200, {**completion(run, outcome)}

    def started(self, run: Run) -> None:
        return None

    def translator(self, run: Run) -> ChatStream:
        return ChatStream(run, include_usage=self.include_usage)

    def replayed(self, body: dict[str, JSON]) -> Iterator[dict[str, JSON]]:
        [choice] = body["choices"]
        head = {**body, "object": "chat.completion.chunk"}
        usage = head.pop("usage")
        delta = {"role": "assistant", "content": choice["message"]["content"]}
        for part, finish in ((delta, None), ({}, choice["finish_reason"])):
            yield {
                **head,
                "choices": [{"index": 0, "delta": part, "finish_reason": finish, "logprobs": None}],
            }
        if self.include_usage:
            yield {**head, "choices": [], "usage": usage}


class ChatStream:
    """Turns a run's events into chunks. Feed it every event in order, then end it."""

    def __init__(self, run: Run, *, include_usage: bool) -> None:
        self._run = run
        self._include_usage = include_usage
        self._pieces = Pieces()
        self._said = False
        """Whether any words were streamed that the next ones must stand apart from."""

    def begin(self) -> Iterator[ChatChunk]:
        yield self._chunk({"role": "assistant", "content": ""})

    def feed(self, event: Event) -> Iterator[ChatChunk]:
        for told in self._pieces.feed(event):
            yield from self._piece(told)
        if (more := extension(event)) is not None:
            chunk = self._chunk({})
            chunk["cachet"] = more
            yield chunk

    def end(self, outcome: Outcome) -> Iterator[Mapping[str, JSON]]:
        """The last chunks; for a run that failed or was cancelled the error in their place."""
        if outcome.status in ("failed", "cancelled"):
            yield failure(self._run, outcome)
            return
        yield self._chunk({}, _finish(outcome))
        if self._include_usage:
            chunk = self._chunk({})
            chunk["choices"], chunk["usage"] = [], chat_usage(self._run.calls)
            yield chunk

    def _piece(self, told: Told) -> Iterator[ChatChunk]:
        match told:
            case PieceBegun(piece) if piece.kind == "text" and self._said:
                yield self._chunk({"content": "\n\n"})
            case PieceGrew(piece, delta):
                if piece.kind == "text":
                    self._said = True
                    yield self._chunk({"content": delta})
                else:
                    yield self._chunk({"reasoning_content": delta})
            case PieceBegun() | PieceEnded():
                pass

    def _chunk(self, delta: ChatDelta, finish: FinishReason | None = None) -> ChatChunk:
        choice: ChunkChoice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        chunk: ChatChunk = {
            "id": self._run.id,
            "object": "chat.completion.chunk",
            "created": int(self._run.created),
            "model": str(self._run.model),
            "session_id": self._run.session.id,
            "choices": [choice],
        }
        if self._include_usage:
            chunk["usage"] = None
        return chunk


def _finish(outcome: Outcome) -> FinishReason:
    return _FINISH.get(outcome.reason, "stop")
