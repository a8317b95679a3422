"""pi's session files: a tree of rows by id and parentId whose last row's branch is live."""

from __future__ import annotations

from collections.abc import Iterator

from providers.types import JSON, Block, JSONObject, Text, Thinking, ToolCall, Usage
from sessions.fields import Fields, seconds
from sessions.importers.anthropic_blocks import arguments, result_content
from sessions.importers.imported import Imported, Source, Transcript, image, rows

TOOL = "pi"


def import_session(source: Source) -> list[Imported]:
    """The live branch, and the usage of all branches."""
    transcript = Transcript(TOOL)
    found = [value for _, value in rows(source, transcript)]
    for place, row in enumerate(_live(found)):
        try:
            _add(row, transcript)
        except ValueError as error:
            transcript.skip(f"row {place + 1} of the branch", error)
    head = Fields(found[0] if found and found[0].get("type") == "session" else {})
    names = [Fields(row).text("name") for row in found if row.get("type") == "session_info"]
    return [
        Imported(
            tool=TOOL,
            session=head.text("id"),
            title=names[-1] if names else "",
            cwd=head.text("cwd"),
            model=_model(found),
            created=seconds(head.text("timestamp")),
            messages=transcript.messages,
            usage=sum(map(_usage, found), Usage()),
            skipped=tuple(transcript.skipped),
        )
    ]


def _live(found: list[JSONObject]) -> list[JSONObject]:
    """The branch of the last row, compacted as its last compaction says. The first format knew no tree."""
    if not any("parentId" in row for row in found):
        return found
    by_id = {str(row["id"]): row for row in found if "id" in row and row.get("type") != "session"}
    branch: dict[str, JSONObject] = {}
    end: JSON = next((row["id"] for row in reversed(found) if "parentId" in row and "id" in row), None)
    while isinstance(end, str) and end in by_id and end not in branch:
        branch[end] = by_id[end]
        end = by_id[end].get("parentId")
    chain = list(reversed(branch.values()))
    return _compacted(chain)


def _compacted(chain: list[JSONObject]) -> list[JSONObject]:
    places = [place for place, row in enumerate(chain) if row.get("type") == "compaction"]
    if not places:
        return chain
    last = places[-1]
    first_kept = chain[last].get("firstKeptEntryId")
    kept = next((place for place, row in enumerate(chain) if row.get("id") == first_kept), last)
    return [chain[last], *(row for row in chain[kept:] if row.get("type") != "compaction")]


def _add(row: JSONObject, transcript: Transcript) -> None:
    fields = Fields(row)
    match fields.text("type"):
        case "message":
            _message(Fields(fields.object("message")), transcript)
        case "compaction" | "branch_summary":
            transcript.say("user", Text(fields.text("summary")))
        case "custom_message":
            text, images = result_content(fields.any("content"))
            transcript.say("user", Text(text), *images)
        case _:
            pass


def _message(fields: Fields, transcript: Transcript) -> None:
    match role := fields.need("role"):
        case "user" | "custom":
            text, images = result_content(fields.any("content"))
            transcript.say("user", Text(text), *images)
        case "assistant":
            model = fields.text("model")
            transcript.say("assistant", *_blocks(fields.any("content"), transcript, model))
        case "toolResult":
            text, images = result_content(fields.any("content"))
            transcript.answer(
                fields.need("toolCallId"),
                text,
                name=fields.text("toolName"),
                is_error=fields.flag("isError"),
                images=images,
            )
        case "bashExecution":
            transcript.say("user", Text(f"$ {fields.text('command')}\n{fields.text('output')}"))
        case "branchSummary" | "compactionSummary":
            transcript.say("user", Text(fields.text("summary")))
        case _:
            raise ValueError(f"no role {role!r}")


def _blocks(content: JSON, transcript: Transcript, model: str) -> Iterator[Block]:
    if isinstance(content, str):
        yield Text(content)
    for value in content if isinstance(content, list) else ():
        fields = Fields(value)
        match fields.need("type"):
            case "text":
                yield Text(fields.text("text"))
            case "thinking":
                signature = fields.text("thinkingSignature")
                yield Thinking(fields.text("thinking"), transcript.maker(model), signature)
            case "toolCall":
                yield ToolCall(fields.need("id"), fields.need("name"), arguments(fields.any("arguments")))
            case "image":
                yield image(fields.text("data"), fields.text("mimeType")) or transcript.opaque(value)
            case _:
                yield transcript.opaque(value)


def _usage(row: JSONObject) -> Usage:
    """A row's disjoint counts; nothing for a row that made no call."""
    message = Fields(Fields(row).object("message"))
    if message.text("role") != "assistant":
        return Usage()
    fields = Fields(message.object("usage"))
    read, write = fields.maybe_count("cacheRead"), fields.maybe_count("cacheWrite")
    return Usage.told(fields.count("input"), fields.count("output"), read, write)


def _model(found: list[JSONObject]) -> str:
    for row in reversed(found):
        message = Fields(Fields(row).object("message"))
        provider, model = message.text("provider"), message.text("model")
        if provider and model:
            return f"{provider}/{model}"
    return ""
