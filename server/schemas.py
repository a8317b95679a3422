"""What clients may send: the bodies of requests, as the OpenAPI document describes them.

Fields that change nothing here (`temperature`, `user`, `seed` …) are taken and ignored, because stock
clients send them; those that would change the answer's shape or who runs tools are named, to be refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

MODEL = "cachet"
"""What a client may call the server's first model."""

Role: TypeAlias = Literal["system", "developer", "user", "assistant"]

Id: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""The form of every id here; nothing else reaches a path."""

MOST = 10_000
"""Messages, or parts of one: reading them holds up everybody else's streams."""

Words: TypeAlias = Annotated[str, Field(max_length=2_000_000)]
"""Text of at most so many characters."""


class _Body(BaseModel):
    """Nothing is read as what it isn't: `"files": 1` or `"yes"` is no way to say true."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class TextPart(_Body):
    type: Literal["text", "input_text", "output_text"]
    text: Words


class RefusalPart(_Body):
    type: Literal["refusal"]
    refusal: Words


class ImageAddress(_Body):
    url: str


class ImageUrlPart(_Body):
    """Chat's way to send an image. The URL must be a `data:` one: the server fetches nothing."""

    type: Literal["image_url"]
    image_url: ImageAddress


class InputImagePart(_Body):
    """The Responses API's way to send an image. The URL must be a `data:` one."""

    type: Literal["input_image"]
    image_url: str


Part: TypeAlias = Annotated[
    TextPart | RefusalPart | ImageUrlPart | InputImagePart, Field(discriminator="type")
]
Content: TypeAlias = Words | Annotated[list[Part], Field(max_length=MOST)]


class ChatMessage(_Body):
    role: Role
    content: Content | None = None
    tool_calls: list[dict[str, Any]] | None = Field(None, max_length=0)


class StreamOptions(_Body):
    include_usage: bool = False


class Unsupported(_Body):
    """Fields that are refused unless they say what is so anyway."""

    tools: list[Any] | None = Field(None, description="Not supported yet: the agent brings its own tools.")
    tool_choice: Any = None
    stop: Any = None


class ChatRequest(Unsupported):
    """`POST /v1/chat/completions`."""

    model: str = Field(MODEL, max_length=200)
    messages: list[ChatMessage] = Field(min_length=1, max_length=MOST)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    reasoning_effort: str | None = None
    functions: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    modalities: list[str] | None = None


class MessageItem(_Body):
    type: Literal["message"] = "message"
    role: Role
    content: Content


class ReasoningItem(_Body):
    """Reasoning that a client sends back; the session has it already."""

    type: Literal["reasoning"]


Item: TypeAlias = ReasoningItem | MessageItem


class Reasoning(_Body):
    effort: str | None = None


Metadata: TypeAlias = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]
"""A client's own notes on a response, as few and as short as OpenAI allows."""


class ConversationRef(_Body):
    id: Id


class TextFormat(_Body):
    format: dict[str, Any] | None = None


class ResponsesRequest(Unsupported):
    """`POST /v1/responses`."""

    model: str = Field(MODEL, max_length=200)
    input: Words | Annotated[list[Item], Field(max_length=MOST)]
    instructions: Words | None = None
    previous_response_id: Id | None = None
    conversation: Id | ConversationRef | None = None
    stream: bool | None = None
    background: bool | None = None
    store: bool | None = None
    max_output_tokens: int | None = Field(None, ge=1)
    reasoning: Reasoning | None = None
    text: TextFormat | None = None
    metadata: Metadata | None = None
    prompt: Any = None


class RewindRequest(_Body):
    """`POST /v1/sessions/{id}/rewind`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    checkpoint: int = Field(ge=0)
    files: bool = False
    conversation: bool = True
    dry_run: bool = False
