"""The journal's records as lines of JSON, each way: the one place where a line's keys are spelled."""

from __future__ import annotations

import json
import re
from typing import Literal, cast

from agent.host import Purpose
from providers.types import JSON, JSONObject, Message, ModelRef, Parameters, Prefix, Role, ToolSpec, Usage
from sessions.blocks import block_object, read_block
from sessions.fields import Fields
from sessions.records import (
    FORMAT_VERSION,
    MAIN,
    CallLine,
    CheckpointLine,
    CompactionLine,
    HeadLine,
    Line,
    MessageLine,
    MissLine,
    NoteLine,
    Origin,
    PrefixLine,
    Record,
    SessionLine,
    UnknownLine,
)

# JSON allows these inside strings as they are, but many programs take them for the end of a line, and a lone
# surrogate has no UTF-8 form.
_UNSAFE = re.compile("[\u0085\u2028\u2029\ud800-\udfff]")
_ROLES = frozenset(("user", "assistant", "tool", "system"))


def encode(record: Record) -> str:
    """The record as one line without its newline: `kind` first, keys in a fixed order, non-ASCII left raw."""
    text = json.dumps(_object(record), ensure_ascii=False, separators=(",", ":"))
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def decode(line: bytes | str) -> Record:
    """The record that a line holds. A missing counter is 0 and unknown keys stay in `extra`.

    Raises ValueError, with the reason, for a line that is none.
    """
    try:
        fields = Fields(json.loads(line.decode() if isinstance(line, bytes) else line))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    match kind := fields.need("kind"):
        case "session":
            return _session(fields)
        case "prefix":
            return _prefix(fields)
        case "message":
            return _message(fields)
        case "call":
            return _call(fields)
        case "head" | "compaction" | "checkpoint" | "note":
            return _mark(kind, fields)
        case _:
            body = dict(fields.rest())
            return UnknownLine(
                id=fields.text("id"),
                parent=fields.maybe_text("parent"),
                at=fields.text("at"),
                kind=kind,
                body=body,
            )


# --- records to objects ------------------------------------------------------------------------------------


def _object(record: Record) -> dict[str, JSON]:
    match record:
        case UnknownLine():
            return {"kind": record.kind, **record.body}
        case SessionLine():
            body = _session_body(record)
            return _line("session", record, body)
        case PrefixLine(prefix=prefix):
            return _line("prefix", record, _prefix_body(prefix))
        case MessageLine():
            return _line("message", record, _message_body(record))
        case CallLine():
            return _line("call", record, _call_body(record))
        case HeadLine():
            return _line("head", record, {"message": record.message, "reason": record.reason})
        case CompactionLine():
            return _line("compaction", record, _compaction_body(record))
        case CheckpointLine():
            body = {"number": record.number, "message": record.message, "tree": record.tree}
            return _line("checkpoint", record, body)
        case NoteLine():
            return _line("note", record, {"topic": record.topic, "text": record.text, "data": record.data})


def _line(kind: str, line: Line, body: dict[str, JSON]) -> dict[str, JSON]:
    return {"kind": kind, "id": line.id, "parent": line.parent, "at": line.at, **body, **line.extra}


def _session_body(line: SessionLine) -> dict[str, JSON]:
    body: dict[str, JSON] = {
        "version": line.version,
        "session": line.session,
        "cwd": line.cwd,
        "created": line.created,
    }
    if line.client:
        body["client"] = line.client
    if line.origin is not None:
        body["origin"] = {
            "kind": line.origin.kind,
            "path": line.origin.path,
            "sha256": line.origin.sha256,
            "inherited": usage_object(line.origin.inherited),
            "inexact": line.origin.inexact,
            "tool": line.origin.tool,
            "session": line.origin.session,
            "model": line.origin.model,
        } | ({"messages": line.origin.messages} if line.origin.messages else {})
    return body


def _prefix_body(prefix: Prefix) -> dict[str, JSON]:
    parameters = prefix.parameters
    return {
        "model": str(prefix.model),
        "encoder": prefix.encoder,
        "affinity_key": prefix.affinity_key,
        "parameters": {
            "max_output_tokens": parameters.max_output_tokens,
            "effort": parameters.effort,
            "cache_ttl": parameters.cache_ttl,
            "context_window": parameters.context_window,
            **({} if parameters.keep_alive is None else {"keep_alive": parameters.keep_alive}),
        },
        "system": prefix.system,
        "tools": [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in prefix.tools
        ],
    }


def _message_body(line: MessageLine) -> dict[str, JSON]:
    body: dict[str, JSON] = {}
    if line.message.id != line.id:
        body["message"] = line.message.id
    body["role"] = line.message.role
    if line.call is not None:
        body["call"] = line.call
    if line.turn is not None:
        body["turn"] = line.turn
    if line.lane != MAIN:
        body["lane"] = line.lane
    body["blocks"] = [block_object(block) for block in line.message.blocks]
    return body


def _compaction_body(line: CompactionLine) -> dict[str, JSON]:
    lane: dict[str, JSON] = {} if line.lane == MAIN else {"lane": line.lane}
    return {**lane, "summary": line.summary, "first": line.first, "last": line.last}


def _call_body(line: CallLine) -> dict[str, JSON]:
    return {
        "purpose": line.purpose,
        "lane": line.lane,
        "model": line.model,
        "usage": usage_object(line.usage),
        "raw_usage": line.raw_usage,
        "estimated": line.estimated,
        "cost": line.cost,
        "price": line.price,
        "uncached_cost": line.uncached_cost,
        "started": line.started,
        "duration": line.duration,
        "time_to_first_token": line.time_to_first_token,
        "stop_reason": line.stop_reason,
        "outcome": line.outcome,
        **({"wire": line.wire} if line.wire else {}),
        **({"kept": line.kept} if line.kept else {}),
        **({"miss": _miss_object(line.miss)} if line.miss else {}),
        **({"client": line.client} if line.client else {}),
    }


def _miss_object(miss: MissLine) -> dict[str, JSON]:
    return {
        "cause": miss.cause,
        "detail": miss.detail,
        "expected": miss.expected,
        "read": miss.read,
        "cost": miss.cost,
    }


def usage_object(usage: Usage) -> dict[str, JSON]:
    """The seven counters, all of them written."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "reported_prompt_tokens": usage.reported_prompt_tokens,
    }


# --- objects to records ------------------------------------------------------------------------------------


def _session(fields: Fields) -> SessionLine:
    found = fields.object("origin")
    return SessionLine(
        id=fields.text("id"),
        parent=fields.maybe_text("parent"),
        at=fields.text("at"),
        version=fields.maybe_count("version") or FORMAT_VERSION,
        session=fields.need("session"),
        cwd=fields.text("cwd"),
        created=fields.text("created"),
        origin=_session_origin(Fields(found)) if found else None,
        client=fields.text("client"),
        extra=fields.rest(),
    )


def _session_origin(fields: Fields) -> Origin:
    return Origin(
        kind=fields.text("kind"),
        path=fields.text("path"),
        sha256=fields.text("sha256"),
        inherited=read_usage(fields.object("inherited")),
        inexact=fields.flag("inexact"),
        tool=fields.text("tool"),
        session=fields.text("session"),
        model=fields.text("model"),
        messages=fields.count("messages"),
    )


def _prefix(fields: Fields) -> PrefixLine:
    return PrefixLine(
        id=fields.text("id"),
        parent=fields.maybe_text("parent"),
        at=fields.text("at"),
        prefix=Prefix(
            model=ModelRef.parse(fields.need("model")),
            system=fields.text("system"),
            tools=tuple(_tool(Fields(tool)) for tool in fields.array("tools")),
            parameters=_parameters(Fields(fields.object("parameters"))),
            encoder=fields.text("encoder"),
            affinity_key=fields.text("affinity_key"),
        ),
        extra=fields.rest(),
    )


def _tool(fields: Fields) -> ToolSpec:
    return ToolSpec(fields.need("name"), fields.text("description"), fields.text("parameters", "{}"))


def _parameters(fields: Fields) -> Parameters:
    return Parameters(
        max_output_tokens=fields.maybe_count("max_output_tokens") or Parameters().max_output_tokens,
        effort=fields.maybe_text("effort"),
        cache_ttl=_wish(fields.text("cache_ttl")),
        context_window=fields.maybe_count("context_window"),
        keep_alive=fields.maybe_number("keep_alive"),
    )


def _message(fields: Fields) -> MessageLine:
    id = fields.need("id")
    role = fields.need("role")
    if role not in _ROLES:
        raise ValueError(f"no message has the role {role!r}")
    return MessageLine(
        id=id,
        parent=fields.maybe_text("parent"),
        at=fields.text("at"),
        message=Message(
            id=fields.text("message", id),
            role=cast(Role, role),
            blocks=tuple(read_block(block) for block in fields.array("blocks")),
        ),
        call=fields.maybe_text("call"),
        turn=fields.maybe_text("turn"),
        lane=fields.text("lane", MAIN),
        extra=fields.rest(),
    )


def _call(fields: Fields) -> CallLine:
    return CallLine(
        id=fields.need("id"),
        parent=fields.maybe_text("parent"),
        at=fields.text("at"),
        purpose=cast(Purpose, fields.text("purpose", "main")),
        lane=fields.text("lane", MAIN),
        model=fields.text("model"),
        usage=read_usage(fields.object("usage")),
        raw_usage=fields.object("raw_usage"),
        estimated=fields.flag("estimated"),
        cost=fields.dollars("cost"),
        price=fields.maybe_text("price"),
        uncached_cost=fields.dollars("uncached_cost"),
        started=fields.moment("started"),
        duration=fields.number("duration"),
        time_to_first_token=fields.maybe_number("time_to_first_token"),
        stop_reason=fields.maybe_text("stop_reason"),
        outcome=fields.text("outcome"),
        wire=fields.text("wire"),
        kept=fields.text("kept"),
        miss=_miss(Fields(found)) if (found := fields.object("miss")) else None,
        client=fields.text("client"),
        extra=fields.rest(),
    )


def _miss(fields: Fields) -> MissLine:
    return MissLine(
        cause=fields.text("cause"),
        detail=fields.text("detail"),
        expected=fields.count("expected"),
        read=fields.count("read"),
        cost=fields.dollars("cost"),
    )


def _wish(text: str) -> Literal["auto", "5m", "1h"]:
    match text:
        case "auto":
            return "auto"
        case "1h":
            return "1h"
        case _:
            return "5m"


def read_usage(value: JSONObject) -> Usage:
    """The counters of an object that `usage_object` made; one that is absent or no count is 0."""
    fields = Fields(value)
    return Usage(
        input_tokens=fields.count("input_tokens"),
        output_tokens=fields.count("output_tokens"),
        cache_read_tokens=fields.count("cache_read_tokens"),
        cache_write_tokens=fields.count("cache_write_tokens"),
        cache_write_1h_tokens=fields.count("cache_write_1h_tokens"),
        reasoning_tokens=fields.count("reasoning_tokens"),
        reported_prompt_tokens=fields.count("reported_prompt_tokens"),
    )


def _mark(kind: str, fields: Fields) -> HeadLine | CompactionLine | CheckpointLine | NoteLine:
    id, parent, at = fields.text("id"), fields.maybe_text("parent"), fields.text("at")
    match kind:
        case "head":
            message, reason = fields.maybe_text("message"), fields.text("reason")
            return HeadLine(id=id, parent=parent, at=at, message=message, reason=reason, extra=fields.rest())
        case "compaction":
            summary, first, last = fields.need("summary"), fields.need("first"), fields.need("last")
            return CompactionLine(
                id=id,
                parent=parent,
                at=at,
                summary=summary,
                first=first,
                last=last,
                lane=fields.text("lane", MAIN),
                extra=fields.rest(),
            )
        case "checkpoint":
            number, message = fields.count("number"), fields.maybe_text("message")
            tree = fields.maybe_text("tree")
            return CheckpointLine(
                id=id, parent=parent, at=at, number=number, message=message, tree=tree, extra=fields.rest()
            )
        case _:
            topic, text, data = fields.text("topic"), fields.text("text"), fields.object("data")
            return NoteLine(
                id=id, parent=parent, at=at, topic=topic, text=text, data=data, extra=fields.rest()
            )
