"""gemini-cli's chat files: rows that replace each other by id, patches, and marks that go back."""

from __future__ import annotations

from collections.abc import Iterator

from providers.types import JSON, Block, JSONObject, Text, Thinking, ToolCall, Usage
from sessions.fields import Fields, seconds
from sessions.importers.anthropic_blocks import arguments
from sessions.importers.imported import Imported, Source, Transcript, compact, image, rows

TOOL = "gemini-cli"


class _Replay:
    """The rows as they stand after all of the file: of one id the last copy counts."""

    def __init__(self) -> None:
        self.about: dict[str, JSON] = {}
        self.rows: dict[str, JSONObject] = {}
        self.spent: dict[str, JSONObject] = {}
        """Token counts by row, of rows that were taken back too: they were billed."""

    def feed(self, value: JSONObject) -> None:
        fields = Fields(value)
        if "$set" in fields:
            self._patch(fields.object("$set"))
        elif "$rewindTo" in fields:
            self._go_back(fields.text("$rewindTo"))
        elif "type" in fields and "id" in fields:
            self._put(value)
        else:
            self.about.update(value)
            self._patch(value)

    def _patch(self, value: JSONObject) -> None:
        messages = value.get("messages")
        if isinstance(messages, list):
            self.rows = {}
            for row in messages:
                if isinstance(row, dict):
                    self._put(row)
        self.about.update((key, kept) for key, kept in value.items() if key != "messages")

    def _put(self, row: JSONObject) -> None:
        id = str(row.get("id") or f"row {len(self.rows)}")
        self.rows[id] = row
        if isinstance(tokens := row.get("tokens"), dict):
            self.spent[id] = tokens

    def _go_back(self, id: str) -> None:
        """Take back the named row and what follows it; all of them where the name is not known."""
        ids = list(self.rows)
        for later in ids[ids.index(id) :] if id in ids else ids:
            del self.rows[later]


def import_log(source: Source) -> list[Imported]:
    """The chat file of today: one row a line."""
    transcript = Transcript(TOOL)
    replay = _Replay()
    for _, value in rows(source, transcript):
        replay.feed(value)
    return [_imported(replay, transcript)]


def import_json(value: JSONObject) -> list[Imported]:
    """The chat file of before: one object."""
    replay = _Replay()
    replay.feed(value)
    return [_imported(replay, Transcript(TOOL))]


def _imported(replay: _Replay, transcript: Transcript) -> Imported:
    model = ""
    answered: set[str] = set()
    for id, row in replay.rows.items():
        try:
            fields = Fields(row)
            model = fields.text("model") or model
            _add(fields, transcript, answered)
        except ValueError as error:
            transcript.skip(id, error)
    about = Fields(replay.about)
    return Imported(
        tool=TOOL,
        session=about.text("sessionId"),
        title=about.text("summary"),
        model=f"gemini/{model}" if model else "",
        created=seconds(about.text("startTime")),
        messages=transcript.messages,
        usage=sum((_usage(Fields(tokens)) for tokens in replay.spent.values()), Usage()),
        extra=about.rest(),
        skipped=tuple(transcript.skipped),
    )


def _usage(fields: Fields) -> Usage:
    """Of these counts the input includes what was read from the cache; thoughts stand beside."""
    cached, thoughts = fields.maybe_count("cached"), fields.count("thoughts")
    prompt = fields.count("input") + fields.count("tool")
    read = min(cached or 0, prompt)
    output = fields.count("output") + thoughts
    return Usage.told(prompt - read, output, None if cached is None else read, None, reasoning=thoughts)


def _add(fields: Fields, transcript: Transcript, answered: set[str]) -> None:
    match fields.need("type"):
        case "user":
            _user(_parts(fields.any("content")), transcript, answered)
        case "gemini":
            calls = [Fields(call) for call in fields.array("toolCalls")]
            blocks = [*_thoughts(fields, transcript), *_spoken(_parts(fields.any("content")), transcript)]
            made = [(_call(call), call) for call in calls]
            transcript.say("assistant", *blocks, *(call for call, _ in made))
            for call, rest in made:
                for part in _parts(rest.any("result")):
                    _result(
                        Fields(part), call.id, transcript, answered, failed=rest.text("status") == "error"
                    )
        case _:
            pass  # the tool's own notices: never sent


def _user(parts: list[JSON], transcript: Transcript, answered: set[str]) -> None:
    """A person's words; results that stand here again; the tool's own account of the session, left out."""
    for part in parts:
        if isinstance(part, dict) and "functionResponse" in part:
            _result(Fields(part), "", transcript, answered, failed=False)
    said = list(_spoken(parts, transcript))
    first = said[0] if said else None
    if isinstance(first, Text) and first.text.startswith("<session_context>"):
        return
    transcript.say("user", *said)


def _result(part: Fields, call: str, transcript: Transcript, answered: set[str], *, failed: bool) -> None:
    fields = Fields(part.object("functionResponse"))
    id = fields.text("id", call)
    if not id or id in answered:
        return
    answered.add(id)
    response = Fields(fields.object("response"))
    error, output = response.any("error"), response.any("output")
    told = error if error is not None else output if output is not None else dict(response.rest())
    text = told if isinstance(told, str) else compact(told)
    transcript.answer(id, text, name=fields.text("name"), is_error=failed or error is not None)


def _call(fields: Fields) -> ToolCall:
    return ToolCall(fields.need("id"), fields.need("name"), arguments(fields.any("args")))


def _thoughts(fields: Fields, transcript: Transcript) -> Iterator[Block]:
    for value in fields.array("thoughts"):
        thought = Fields(value)
        yield Thinking(
            f"{thought.text('subject')}\n{thought.text('description')}".strip(), transcript.maker()
        )


def _spoken(parts: list[JSON], transcript: Transcript) -> Iterator[Block]:
    for value in parts:
        part = Fields(value)
        if "functionResponse" in part or "functionCall" in part:
            continue
        if "text" in part:
            yield Text(part.text("text"))
        else:
            inline = Fields(part.object("inlineData"))
            yield image(inline.text("data"), inline.text("mimeType")) or transcript.opaque(value)


def _parts(content: JSON) -> list[JSON]:
    if isinstance(content, str):
        return [{"text": content}] if content else []
    if isinstance(content, dict):
        return [content]
    return [{"text": part} if isinstance(part, str) else part for part in content or ()]
