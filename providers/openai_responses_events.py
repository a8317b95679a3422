"""Folds the events of the Responses API, or a whole response, into blocks and usage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from providers.call import new_id
from providers.counts import section
from providers.openai_faults import in_stream_fault
from providers.openai_responses_diagnosis import told
from providers.openai_responses_items import Item, content_of, objects, same_item, string
from providers.openai_responses_messages import CALL, MESSAGE, REASONING
from providers.openai_usage import openai_usage
from providers.types import (
    JSON,
    Block,
    JSONObject,
    Opaque,
    Origin,
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

WIRE = "openai-responses"

CUT: Mapping[str, str] = {
    "max_output_tokens": StopReason.MAX_TOKENS,
    "content_filter": StopReason.REFUSAL,
}
"""Why a response is incomplete."""

DELTAS: Mapping[str, str] = {
    "response.output_text.delta": MESSAGE,
    "response.refusal.delta": MESSAGE,
    "response.reasoning_summary_text.delta": REASONING,
    "response.reasoning_text.delta": REASONING,
    "response.function_call_arguments.delta": CALL,
}
"""The events that bring a piece of an item, and that item's kind."""


class ResponseAccumulator:
    """One answer in the making.

    `taken` are the tool call ids that the conversation already uses, `limit` the most tokens that were asked
    for.
    """

    def __init__(
        self,
        origin: Origin = Origin(WIRE, "", ""),  # noqa: B008  a frozen value
        *,
        provider: str = "openai",
        taken: frozenset[str] = frozenset(),
        limit: int | None = None,
    ) -> None:
        self.model: str | None = None
        self.stop_reason: str | None = None
        self.raw_usage: JSONObject = {}
        self._origin = origin
        self._provider = provider
        self._taken = taken
        self._limit = limit
        self._items: list[Item] = []
        self._at: dict[int | str, Item] = {}
        """The item that an output index or an item id means by now."""
        self._refused = False

    @property
    def usage(self) -> Usage:
        return openai_usage(self.raw_usage)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The items in order. Calls are there only once the response was completed with calls to run.

        Reasoning goes back only together with what it led to: the endpoint refuses it alone.
        """
        blocks: list[Block] = []
        before: list[Block] = []
        for item in self._items:
            if item.kind == REASONING:
                blocks += [Thinking(item.text, self._origin)] if item.text else []
                before += [self._opaque(item.raw)] if item.goes_back else []
                continue
            kept = self._kept(item)
            if not kept and item.kind == MESSAGE:
                continue  # nothing was said: the reasoning led to what follows
            blocks += [*before, *kept] if kept else []
            before = []
        return tuple(blocks)

    def _kept(self, item: Item) -> list[Block]:
        match item.kind:
            case "message":
                return [self._opaque(item.frame()), Text(item.text)] if item.text else []
            case "function_call":
                call = ToolCall(item.id, item.name, item.text)
                whole = self.stop_reason == StopReason.TOOL_USE and item.runs
                return [self._opaque(item.frame()), call] if whole else []
            case _:
                return [self._opaque(item.raw)] if item.whole and item.kind else []

    def _opaque(self, raw: JSONObject) -> Opaque:
        return Opaque(json.dumps(raw, ensure_ascii=False, separators=(",", ":")), self._origin)

    def feed(self, event: JSONObject) -> Iterable[StreamEvent]:
        """Take an event, or a whole response from a server that doesn't stream."""
        kind = event.get("type")
        if not isinstance(kind, str) and "status" in event:
            return list(self._ended(event, event.get("status"), event))
        if kind == "error" or (kind is None and event.get("error")):
            raise in_stream_fault(self._provider, event)
        response = section(event, "response")
        match kind:
            case "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled":
                return list(self._ended(response, kind.removeprefix("response."), event))
            case "response.output_item.added":
                return list(self._added(event))
            case "response.output_item.done":
                raw = section(event, "item")
                return list(self._settle(self._known(event, raw) or self._begin(raw, event), raw))
            case str() if kind in DELTAS:
                return list(self._piece(event, DELTAS[kind], refused="refusal" in kind))
            case _:
                self._take(response)
                return ()

    # --- items ----------------------------------------------------------------------------------------------

    def _added(self, event: JSONObject) -> Iterator[StreamEvent]:
        raw = section(event, "item")
        item = self._begin(raw, event)
        yield from self._started(item)
        if item.kind != REASONING:  # its summary comes in parts, and the blob only with its end
            yield from self._more(item, content_of(raw))

    def _begin(self, raw: JSONObject, event: JSONObject, kind: str = "") -> Item:
        item = Item(kind or string(raw.get("type")), raw)
        self._items.append(item)
        for place in (event.get("output_index"), event.get("item_id") or raw.get("id")):
            if isinstance(place, int | str) and place != "":
                self._at[place] = item
        return item

    def _known(self, event: JSONObject, raw: JSONObject) -> Item | None:
        """The item that an event is about, by its id, by its place, else the latest one still open.

        Some servers leave out either, some proxies give every event an id of its own.
        """
        kind = string(raw.get("type"))
        for place in (event.get("item_id") or raw.get("id"), event.get("output_index")):
            item = self._at.get(place) if isinstance(place, int | str) else None
            if item is not None and item.kind == kind:
                return item
        return next((item for item in reversed(self._items) if item.kind == kind and not item.whole), None)

    def _piece(self, event: JSONObject, kind: str, *, refused: bool) -> Iterator[StreamEvent]:
        raw = {"type": kind}
        item = self._known(event, raw) or self._begin(raw, event)
        part = event.get("summary_index", event.get("content_index"))
        apart = kind == REASONING and item.pieces and part != item.part
        item.part = part
        self._refused |= refused
        yield from self._more(item, ("\n\n" if apart else "") + string(event.get("delta")))

    def _more(self, item: Item, text: str) -> Iterator[StreamEvent]:
        if not text:
            return
        item.pieces.append(text)
        match item.kind:
            case "message":
                yield TextDelta(text)
            case "reasoning":
                yield ThinkingDelta(text)
            case "function_call" if item.shown:
                yield ToolCallDelta(item.id, text)

    def _started(self, item: Item) -> Iterator[StreamEvent]:
        """A tool call is shown once its name is there."""
        if item.kind != CALL or item.shown or not item.name:
            return
        used = self._taken.union(other.id for other in self._items)
        wanted = string(item.raw.get("call_id")) or string(item.raw.get("id"))
        item.id = wanted if wanted and wanted not in used else new_id("call")
        item.shown = True
        yield ToolCallStarted(item.id, item.name)
        if item.text:
            yield ToolCallDelta(item.id, item.text)

    def _settle(self, item: Item, raw: JSONObject) -> Iterator[StreamEvent]:
        """Take an item as it is in the end, which counts for more than what was streamed of it."""
        item.raw, item.whole = raw, True
        yield from self._started(item)
        self._refused |= any(part.get("type") == "refusal" for part in objects(raw.get("content")))
        content, streamed = content_of(raw), item.text
        if item.kind == REASONING and streamed:
            return  # what a person saw of it is enough; what goes back is the item
        if content.startswith(streamed):
            yield from self._more(item, content[len(streamed) :])
        elif content:
            item.pieces = [content]

    # --- the end --------------------------------------------------------------------------------------------

    def _ended(self, response: JSONObject, status: JSON, event: JSONObject) -> Iterator[StreamEvent]:
        self._take(response)
        if not self.raw_usage and (timings := section(event, "timings")):
            self.raw_usage = {"timings": timings}
        if status in ("failed", "cancelled"):
            raise in_stream_fault(self._provider, response.get("error") or f"the response was {status}")
        yield from self._reconciled(objects(response.get("output")))
        if status == "completed":
            self.stop_reason = self._completed()
        elif status == "incomplete":
            reason = string(section(response, "incomplete_details").get("reason"))
            self.stop_reason = CUT.get(reason, reason or status)

    def _completed(self) -> str:
        if self.usage.output_tokens == self._limit:
            return StopReason.MAX_TOKENS  # llama.cpp calls an answer completed that it cut there
        if any(item.runs for item in self._items):
            return StopReason.TOOL_USE
        return StopReason.REFUSAL if self._refused else StopReason.END_TURN

    def _reconciled(self, output: list[JSONObject]) -> Iterator[StreamEvent]:
        """Take what the finished response holds and its stream did not bring, or not to its end."""
        unseen = list(self._items)
        for raw in output:
            item = same_item(raw, unseen) or self._begin(raw, {})
            unseen = [other for other in unseen if other is not item]
            if not item.whole:
                yield from self._settle(item, raw)

    def _take(self, response: JSONObject) -> None:
        """The model's name, and the usage: a placeholder of zeros is none."""
        self.model = string(response.get("model")) or self.model
        usage = section(response, "usage")
        if openai_usage(usage).total_tokens:
            self.raw_usage = {**usage, **told(response)}
