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
        begun = {**body, "status": "in_progress", "output": [], "usage": None}
        yield {"type": "response.created", "sequence_number": 0, "response": begun}
        yield {"type": f"response.{body['status']}", "sequence_number": 1, "response": body}


class ResponseEvents:
    """Turns a run's events into the Responses API's. Feed it every event in order, then end it.

    The order and the names are OpenAI's (`openai/types/responses/*_event.py`, 3.54); ours begin with
    `cachet.`. Thinking is told as a reasoning item's summary.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._pieces = Pieces()
        self._number = -1

    def begin(self) -> Iterator[dict[str, JSON]]:
        for kind in ("response.created", "response.in_progress"):
            yield self._event(kind, response=response(self._run, None))

    def feed(self, event: Event) -> Iterator[dict[str, JSON]]:
        for told in self._pieces.feed(event):
            yield from self._piece(told)
        if (more := extension(event)) is not None:
            yield {**more, "sequence_number": self._next()}

    def end(self, outcome: Outcome) -> Iterator[dict[str, JSON]]:
        for told in self._pieces.end():
            yield from self._piece(told)
        yield self._event(f"response.{outcome.status}", response=response(self._run, outcome))

    def _piece(self, told: Told) -> Iterator[dict[str, JSON]]:
        match told:
            case PieceBegun(piece):
                yield from self._begun(piece)
            case PieceGrew(piece, delta) if piece.kind == "text":
                yield self._event(
                    "response.output_text.delta",
                    **self._place(piece),
                    content_index=0,
                    delta=delta,
                    logprobs=[],
                )
            case PieceGrew(piece, delta):
                yield self._event(
                    "response.reasoning_summary_text.delta",
                    **self._place(piece),
                    summary_index=0,
                    delta=delta,
                )
            case PieceEnded(piece):
                yield from self._ended(piece)

    def _begun(self, piece: Piece) -> Iterator[dict[str, JSON]]:
        item = {**_item(self._run.id, piece, "in_progress"), **_EMPTY[piece.kind]}
        yield self._event("response.output_item.added", output_index=piece.index, item=item)
        if piece.kind == "text":
            yield self._event(
                "response.content_part.added", **self._place(piece), content_index=0, part=_text_part("")
            )
        else:
            yield self._event(
                "response.reasoning_summary_part.added",
                **self._place(piece),
                summary_index=0,
                part={"type": "summary_text", "text": ""},
            )

    def _ended(self, piece: Piece) -> Iterator[dict[str, JSON]]:
        place, text = self._place(piece), piece.text
        if piece.kind == "text":
            yield self._event("response.output_text.done", **place, content_index=0, text=text, logprobs=[])
            yield self._event("response.content_part.done", **place, content_index=0, part=_text_part(text))
        else:
            part = {"type": "summary_text", "text": text}
            yield self._event("response.reasoning_summary_text.done", **place, summary_index=0, text=text)
            yield self._event("response.reasoning_summary_part.done", **place, summary_index=0, part=part)
        item = _item(self._run.id, piece, "completed")
        yield self._event("response.output_item.done", output_index=piece.index, item=item)

    def _place(self, piece: Piece) -> dict[str, JSON]:
        return {"item_id": _item_id(self._run.id, piece), "output_index": piece.index}

    def _event(self, kind: str, **fields: JSON) -> dict[str, JSON]:
        return {"type": kind, "sequence_number": self._next(), **fields}

    def _next(self) -> int:
        self._number += 1
        return self._number


def _output(run: Run) -> list[OutputItem]:
    return [_item(run.id, piece, "completed") for piece in run.pieces.all if not piece.void]


_EMPTY: dict[str, dict[str, JSON]] = {"text": {"content": []}, "thinking": {"summary": []}}


def _item(run: str, piece: Piece, status: ItemStatus) -> OutputItem:
    if piece.kind == "thinking":
        summary: list[SummaryText] = [{"type": "summary_text", "text": piece.text}]
        return {"id": _item_id(run, piece), "type": "reasoning", "summary": summary, "status": status}
    return {
        "id": _item_id(run, piece),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [_text_part(piece.text)],
    }


def _item_id(run: str, piece: Piece) -> str:
    kind = "msg" if piece.kind == "text" else "rs"
    return f"{kind}_{run.removeprefix('resp_')}_{piece.index}"


def _text_part(text: str) -> OutputText:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
