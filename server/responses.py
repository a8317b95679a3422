"""A run as a response of the Responses API: one object, or OpenAI's named events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.events import Event
from providers.types import JSON
from server.answers import ItemStatus, OutputItem, OutputText, Response, SummaryText
from server.pieces import Piece, PieceBegun, PieceEnded, PieceGrew, Pieces, Told
from server.progress import extension
from server.run import Outcome, Run
from server.usage import response_usage


def response(run: Run, outcome: Outcome | None) -> Response:
    """The response of a run that ended like this, or is at work; its `usage` is null until it is over."""
    error = outcome.error if outcome else None
    asked = run.asked
    return {
        "id": run.id,
        "object": "response",
        "created_at": int(run.created),
        "status": outcome.status if outcome else "in_progress",
        "background": asked.background,
        "error": {"code": error.code or error.type, "message": error.message} if error else None,
        "incomplete_details": {"reason": outcome.reason} if outcome and outcome.reason else None,
        "instructions": asked.instructions or None,
        "max_output_tokens": asked.answer_tokens,
        "model": str(run.model),
        "output": _output(run) if outcome else [],
        "parallel_tool_calls": True,
        "previous_response_id": asked.previous or None,
        "conversation": {"id": run.session.id},
        "session_id": run.session.id,
        "reasoning": {"effort": run.session.prefix.parameters.effort, "summary": None},
        "store": asked.store,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "metadata": dict(asked.metadata),
        "usage": response_usage(run.calls) if outcome else None,
    }


@dataclass(frozen=True, slots=True)
class ResponseForm:
    """How `/v1/responses` answers.

    A run that failed is a response, too: a stream ends with it, and an error's envelope has it beside it.
    """

    kind = "resp"
    named = True
    last = b""
    begins_at_once = True

    def whole(self, run: Run, outcome: Outcome) -> tuple[int, dict[str, JSON]]:
        told = response(run, outcome)
        if outcome.error is None:
            return 200, {**told}
        return outcome.error.status, {**outcome.error.body(), "usage": told["usage"], "response": told}

    def started(self, run: Run) -> dict[str, JSON]:
        return {**response(run, None)}

    def translator(self, run: Run) -> ResponseEvents:
        return ResponseEvents(run)

    def replayed(self, body: dict[str, JSON]) -> Iterator[dict[str, JSON]]:
        events = _Events(body["id"])
        begun: dict[str, JSON] = {"status": "in_progress", "output": [], "usage": None, "error": None}
        for kind in _BEGINNING:
            yield events.next(kind, response={**body, **begun, "incomplete_details": None})
        for item in body["output"]:
            piece = _piece(item)
            for told in (PieceBegun(piece), PieceGrew(piece, piece.text), PieceEnded(piece)):
                yield from events.of(told)
        yield events.next(_last(body["status"]), response=body)


class ResponseEvents:
    """Turns a run's events into the Responses API's. Feed it every event in order, then end it.

    The order and the names are OpenAI's (`openai/types/responses/*_event.py`, 3.54); ours begin with
    `cachet.`. Thinking is told as a reasoning item's summary.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._pieces = Pieces()
        self._events = _Events(run.id)

    def begin(self) -> Iterator[dict[str, JSON]]:
        for kind in _BEGINNING:
            yield self._events.next(kind, response=response(self._run, None))

    def feed(self, event: Event) -> Iterator[dict[str, JSON]]:
        for told in self._pieces.feed(event):
            yield from self._events.of(told)
        if (more := extension(event)) is not None:
            yield self._events.next(**more)

    def end(self, outcome: Outcome) -> Iterator[dict[str, JSON]]:
        for told in self._pieces.end():
            yield from self._events.of(told)
        yield self._events.next(_last(outcome.status), response=response(self._run, outcome))


class _Events:
    """The events of one response's stream, numbered from 0."""

    def __init__(self, response: str) -> None:
        """`response` is its id."""
        self._response = response
        self._number = -1

    def next(self, type: str, **fields: JSON) -> dict[str, JSON]:
        """The event that comes now."""
        self._number += 1
        return {"type": type, "sequence_number": self._number, **fields}

    def of(self, told: Told) -> Iterator[dict[str, JSON]]:
        """What tells of a piece that began, grew or ended."""
        match told:
            case PieceBegun(piece):
                yield from self._begun(piece)
            case PieceGrew(piece, delta) if piece.kind == "text":
                place = self._place(piece)
                yield self.next(
                    "response.output_text.delta", **place, content_index=0, delta=delta, logprobs=[]
                )
            case PieceGrew(piece, delta):
                place = self._place(piece)
                yield self.next(
                    "response.reasoning_summary_text.delta", **place, summary_index=0, delta=delta
                )
            case PieceEnded(piece):
                yield from self._ended(piece)

    def _begun(self, piece: Piece) -> Iterator[dict[str, JSON]]:
        place = self._place(piece)
        item = {**_item(self._response, piece), "status": "in_progress", **_EMPTY[piece.kind]}
        yield self.next("response.output_item.added", output_index=piece.index, item=item)
        if piece.kind == "text":
            yield self.next("response.content_part.added", **place, content_index=0, part=_text_part(""))
        else:
            part = {"type": "summary_text", "text": ""}
            yield self.next("response.reasoning_summary_part.added", **place, summary_index=0, part=part)

    def _ended(self, piece: Piece) -> Iterator[dict[str, JSON]]:
        place, text = self._place(piece), piece.text
        if piece.kind == "text":
            yield self.next("response.output_text.done", **place, content_index=0, text=text, logprobs=[])
            yield self.next("response.content_part.done", **place, content_index=0, part=_text_part(text))
        else:
            part = {"type": "summary_text", "text": text}
            yield self.next("response.reasoning_summary_text.done", **place, summary_index=0, text=text)
            yield self.next("response.reasoning_summary_part.done", **place, summary_index=0, part=part)
        item = _item(self._response, piece)
        yield self.next("response.output_item.done", output_index=piece.index, item=item)

    def _place(self, piece: Piece) -> dict[str, JSON]:
        return {"item_id": _item_id(self._response, piece), "output_index": piece.index}


def _last(status: str) -> str:
    """The event that a stream ends with.

    OpenAI's streams have none for a response that was cancelled: `response.cancelled` is a webhook's only,
    and clients that don't know it take a cut answer for a whole one. This one they know, usage and all.
    """
    return "response.incomplete" if status == "cancelled" else f"response.{status}"


_BEGINNING = ("response.created", "response.in_progress")
_EMPTY: dict[str, dict[str, JSON]] = {"text": {"content": []}, "thinking": {"summary": []}}


def _output(run: Run) -> list[OutputItem]:
    return [_item(run.id, piece) for piece in run.pieces.all if not piece.void]


def _item(response: str, piece: Piece) -> OutputItem:
    id, status = _item_id(response, piece), _status(piece)
    if piece.kind == "thinking":
        summary: list[SummaryText] = [{"type": "summary_text", "text": piece.text}]
        return {"id": id, "type": "reasoning", "summary": summary, "status": status}
    content = [_text_part(piece.text)]
    return {"id": id, "type": "message", "role": "assistant", "status": status, "content": content}


def _status(piece: Piece) -> ItemStatus:
    return "completed" if piece.whole else "incomplete"


def _item_id(response: str, piece: Piece) -> str:
    kind = "msg" if piece.kind == "text" else "rs"
    return f"{kind}_{response.removeprefix('resp_')}_{piece.index}"


def _piece(item: dict[str, JSON]) -> Piece:
    """What an item was made from: the way back from `_item`."""
    index, whole = int(item["id"].rpartition("_")[2]), item["status"] == "completed"
    if item["type"] == "reasoning":
        return Piece("thinking", index, [item["summary"][0]["text"]], whole=whole)
    return Piece("text", index, [item["content"][0]["text"]], whole=whole)


def _text_part(text: str) -> OutputText:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
