"""What a request asks the agent to do, whichever endpoint it came to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from providers.effort import Effort
from providers.errors import ConfigurationError
from providers.types import Image, canonical
from server.errors import bad_request, unsupported
from server.schemas import (
    ChatRequest,
    Content,
    ConversationRef,
    ImageUrlPart,
    InputImagePart,
    MessageItem,
    Part,
    RefusalPart,
    ResponsesRequest,
    Role,
    TextPart,
    Unsupported,
)

Body = TypeVar("Body", bound=BaseModel)

_DATA_URL = re.compile(r"data:(image/(?:png|jpeg|gif|webp));base64,(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the client's history."""

    role: Literal["user", "assistant"]
    text: str
    images: tuple[Image, ...] = ()

    @classmethod
    def joined(cls, several: Sequence[Said]) -> Said:
        """What one side said in a row, as one: a turn may be asked, and answered, in several messages."""
        if len(several) == 1:
            return several[0]
        text = "\n\n".join(each.text for each in several if each.text)
        return cls(several[0].role, text, tuple(image for each in several for image in each.images))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One turn to take: what was said so far, and where the client wants it to go on."""

    model: str
    """As the client named it; `server.models` knows what it means."""
    history: tuple[Said, ...]
    """What the client says was said before the prompt, instructions left out."""
    prompt: str
    images: tuple[Image, ...]
    instructions: str
    """The client's own system messages, joined; empty where it has none."""
    effort: Effort | None = None
    answer_tokens: int | None = None
    """The most tokens of one answer that the client wants."""
    previous: str = ""
    """Id of the response to go on from; empty for none."""
    session: str = ""
    """Id of the session to go on with; empty for none."""
    resends: bool = False
    """Whether a request that names a session tells its history again: then the session has it already."""
    stream: bool = False
    background: bool = False
    store: bool = True
    metadata: tuple[tuple[str, str], ...] = ()
    """The client's own notes on the response, given back as they came."""

    @property
    def named(self) -> bool:
        """Whether it says itself where to go on: then its history needn't be the session's."""
        return bool(self.previous or self.session)

    @property
    def chain(self) -> str:
        """The history's digest; empty where nothing was answered yet: a first message names no session."""
        return digest(self.history) if any(said.role == "assistant" for said in self.history) else ""

    def answered(self, text: str) -> str:
        """The digest of the history as it is once the prompt was answered with `text`."""
        return digest((*self.history, Said("user", self.prompt, self.images), Said("assistant", text)))


def parsed(model: type[Body], body: bytes) -> Body:
    """A request's body. Raises ApiError, which names the field."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        # Of a union's branches the one that fits best goes furthest into what the client wrote.
        fault = max((each for each in faults if each["loc"][:1] == faults[0]["loc"][:1]), key=_depth)
        field = _field(fault["loc"], body) or None
        raise bad_request(f"{field or 'The body'}: {fault['msg']}.", param=field) from error


def _depth(fault: ErrorDetails) -> int:
    return len(fault["loc"])


def _field(place: tuple[int | str, ...], body: bytes) -> str:
    """Where in the body that is, in the client's words: Pydantic names the branches of its own unions too."""
    if not place:
        return ""
    value, names = json.loads(body), list[str]()
    for number, part in enumerate(place, 1):
        match value:
            case dict() if part in value or (number == len(place) and isinstance(part, str)):
                names.append(str(part))
                value = value.get(part)
            case list() if isinstance(part, int):
                names.append(str(part))
                value = value[part]
            case _:
                pass  # a branch of a union
    return ".".join(names)


def chat_asked(body: ChatRequest, *, session: str = "") -> Asked:
    """What a chat completion asks for. Raises ApiError for what is not supported."""
    _refuse(body)
    if body.n not in (None, 1):
        raise unsupported("One answer at a time: n must be 1.", "n")
    if body.functions:
        raise unsupported("The agent brings its own tools: functions can't be sent.", "functions")
    if body.logprobs:
        raise unsupported("Log probabilities are not offered.", "logprobs")
    if set(body.modalities or ()) - {"text"}:
        raise unsupported("Answers are text only.", "modalities")
    _refuse_format(body.response_format, "response_format")
    messages = [(each.role, each.content or "") for each in body.messages]
    history, prompt, instructions = _spoken(messages, "messages")
    return Asked(
        model=body.model,
        history=history,
        prompt=prompt.text,
        images=prompt.images,
        instructions=instructions,
        effort=_effort(body.reasoning_effort, "reasoning_effort"),
        answer_tokens=body.max_completion_tokens or body.max_tokens,
        session=session,
        resends=True,
        stream=bool(body.stream),
        store=False,  # nobody can ask for it again
    )


def response_asked(body: ResponsesRequest, *, session: str = "") -> Asked:
    """What a response asks for. Raises ApiError for what is not supported."""
    _refuse(body)
    _refuse_format(body.text.format if body.text else None, "text.format")
    if body.prompt is not None:
        raise unsupported("Stored prompts are not offered: send the text as input.", "prompt")
    if body.previous_response_id and body.conversation:
        raise bad_request(
            "previous_response_id and conversation both say where to go on: send one.", "conversation"
        )
    if body.background and body.store is False:
        raise bad_request(
            "What is done in the background must be stored to be had: leave store out.", "store"
        )
    items = body.input if isinstance(body.input, list) else [MessageItem(role="user", content=body.input)]
    messages = [(item.role, item.content) for item in items if isinstance(item, MessageItem)]
    history, prompt, instructions = _spoken(messages, "input")
    given = "\n\n".join(part for part in (body.instructions or "", instructions) if part)
    named = body.conversation.id if isinstance(body.conversation, ConversationRef) else body.conversation
    return Asked(
        model=body.model,
        history=history,
        prompt=prompt.text,
        images=prompt.images,
        instructions=given,
        effort=_effort(body.reasoning.effort if body.reasoning else None, "reasoning.effort"),
        answer_tokens=body.max_output_tokens,
        previous=body.previous_response_id or "",
        session=named or session,
        stream=bool(body.stream),
        background=bool(body.background),
        store=body.store is not False,
        metadata=tuple((body.metadata or {}).items()),
    )


def digest(history: Iterable[Said]) -> str:
    """A hash of messages in their order: the same only for the very same words and images."""
    facts = [
        [said.role, said.text, [[image.media_type, image.data] for image in said.images]] for said in history
    ]
    return hashlib.sha256(canonical(facts).encode("utf-8", "replace")).hexdigest()


def _spoken(messages: Sequence[tuple[Role, Content]], field: str) -> tuple[tuple[Said, ...], Said, str]:
    """The history, the prompt (all that was said since the last answer), and the instructions.

    What one side says in several messages counts as one: so it is the same history when it is sent again.
    """
    instructions: list[str] = []
    single: list[Said] = []
    for place, (role, content) in enumerate(messages):
        text, images = _read(content, f"{field}.{place}.content")
        match role:
            case "user" | "assistant":
                single.append(Said(role, text, images))
            case _:
                instructions.append(text)
    said = [Said.joined(tuple(each)) for _, each in groupby(single, key=lambda one: one.role)]
    *history, prompt = said or [Said("user", "")]
    if prompt.role != "user" or not (prompt.text.strip() or prompt.images):
        raise bad_request("There is no prompt: the last message must be the user's and say something.", field)
    return tuple(history), prompt, "\n\n".join(text for text in instructions if text)


def _read(content: Content, field: str) -> tuple[str, tuple[Image, ...]]:
    if isinstance(content, str):
        return content, ()
    texts: list[str] = []
    images: list[Image] = []
    for place, part in enumerate(content):
        match _part(part, f"{field}.{place}"):
            case Image() as image:
                images.append(image)
            case str() as text:
                texts.append(text)
    return "".join(texts), tuple(images)


def _part(part: Part, field: str) -> str | Image:
    match part:
        case TextPart(text=text) | RefusalPart(refusal=text):
            return text
        case ImageUrlPart():
            return _image(part.image_url.url, field)
        case InputImagePart():
            return _image(part.image_url, field)


def _image(url: str, field: str) -> Image:
    found = _DATA_URL.fullmatch(url)
    if found is None:
        raise unsupported(
            "Images must be sent in the request, as data:image/png;base64,…: nothing is fetched.", field
        )
    try:
        base64.b64decode(found[2], validate=True)
    except binascii.Error as error:
        raise bad_request(f"The image is not base64: {error}.", field) from error
    return Image(found[1], found[2])


def _effort(word: str | None, field: str) -> Effort | None:
    if word is None:
        return None
    try:
        return Effort.parse(word)
    except ConfigurationError as error:
        raise bad_request(str(error), field) from error


def _refuse(body: Unsupported) -> None:
    if body.tools:
        raise unsupported(
            "Tools of the client's own are not supported yet: the agent brings its own. Leave tools out.",
            "tools",
        )
    if body.tool_choice not in (None, "auto", "none"):
        raise unsupported("The agent chooses its tools itself. Leave tool_choice out.", "tool_choice")
    if body.stop:
        raise unsupported("Stop sequences are not offered. Leave stop out.", "stop")


def _refuse_format(given: dict[str, object] | None, field: str) -> None:
    if given is not None and given.get("type", "text") != "text":
        raise unsupported("Answers are text: other formats are not offered.", field)
