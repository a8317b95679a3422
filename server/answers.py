"""What the server answers: each object's shape, for the code that builds it and for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias

from typing_extensions import TypedDict

from server.extensions import Extension
from server.usage import ChatUsage, ResponseUsage, Totals


class Health(TypedDict):
    status: Literal["ok"]


class ErrorDetail(TypedDict):
    """What is wrong."""

    message: str
    """One line for a person: what, why, and what to do about it."""
    type: str
    """OpenAI's kinds: `invalid_request_error`, `rate_limit_error`, `insufficient_quota`, `server_error` …"""
    param: str | None
    """The field of the request that it is about."""
    code: str | None
    """One word for a program."""


class Error(TypedDict):
    """OpenAI's error envelope."""

    error: ErrorDetail


class ChatError(Error):
    """OpenAI's error envelope; beside it what a run had come to when it failed."""

    usage: NotRequired[ChatUsage]
    """What was spent. Absent where no run began."""
    session_id: NotRequired[str]
    """The session, which can be gone on with. Absent where no run began."""


class Model(TypedDict):
    """A model that may be asked for."""

    id: str
    object: Literal["model"]
    created: int
    """When the server was started, in seconds since the epoch: OpenAI's list wants a date."""
    owned_by: str
    """Who provides it."""
    model: str
    """The model that the name stands for: `provider/name`."""


class ModelList(TypedDict):
    object: Literal["list"]
    data: list[Model]


class AssistantMessage(TypedDict):
    role: Literal["assistant"]
    content: str
    """All that the agent said in this turn; what it said between its tools is set apart by empty lines."""
    refusal: None


FinishReason: TypeAlias = Literal["stop", "length", "content_filter"]


class ChatChoice(TypedDict):
    index: Literal[0]
    message: AssistantMessage
    finish_reason: FinishReason
    logprobs: None


class ChatHead(TypedDict):
    id: str
    created: int
    """Seconds since the epoch."""
    model: str
    """The model that answers: `provider/name`."""
    session_id: str
    """The session: send it as `X-Session-Id` to go on with it."""


class ChatCompletion(ChatHead):
    """A whole turn of the agent, as one chat completion."""

    object: Literal["chat.completion"]
    choices: list[ChatChoice]
    """One."""
    usage: ChatUsage


class ChatDelta(TypedDict):
    """What the answer grew by."""

    role: NotRequired[Literal["assistant"]]
    content: NotRequired[str]
    reasoning_content: NotRequired[str]
    """Thinking, where the model shows it."""


class ChunkChoice(TypedDict):
    index: Literal[0]
    delta: ChatDelta
    finish_reason: FinishReason | None
    """Null but in the last chunk with a choice."""
    logprobs: None


class ChatChunk(ChatHead):
    """A piece of a streamed chat completion."""

    object: Literal["chat.completion.chunk"]
    choices: list[ChunkChoice]
    """One; none in the chunk that has the usage."""
    usage: NotRequired[ChatUsage | None]
    """With `stream_options.include_usage`: null but in the last chunk."""
    cachet: NotRequired[Extension]
    """What the agent does meanwhile; stock clients ignore it."""


class OutputText(TypedDict):
    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    """Empty."""
    logprobs: list[Any]
    """Empty."""


ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]


class OutputMessage(TypedDict):
    """Something the agent said."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: ItemStatus
    content: list[OutputText]
    """One text; none while the message has only begun."""


class SummaryText(TypedDict):
    type: Literal["summary_text"]
    text: str


class ReasoningOutput(TypedDict):
    """What the agent thought, where the model shows it."""

    id: str
    type: Literal["reasoning"]
    summary: list[SummaryText]
    status: ItemStatus


OutputItem: TypeAlias = OutputMessage | ReasoningOutput


class ResponseFault(TypedDict):
    code: str
    message: str


class Incomplete(TypedDict):
    reason: str
    """`max_output_tokens` or `content_filter`."""


class Conversation(TypedDict):
    id: str
    """The session's id."""


class ReasoningAsked(TypedDict):
    effort: str | None
    summary: None


class PlainText(TypedDict):
    type: Literal["text"]


class TextSettings(TypedDict):
    format: PlainText


class Response(TypedDict):
    """A turn of the agent, as a response."""

    id: str
    object: Literal["response"]
    created_at: int
    """Seconds since the epoch."""
    status: Literal["in_progress", "completed", "incomplete", "failed", "cancelled"]
    background: bool
    error: ResponseFault | None
    """Why it failed."""
    incomplete_details: Incomplete | None
    instructions: str | None
    max_output_tokens: int | None
    model: str
    """The model that answers: `provider/name`."""
    output: list[OutputItem]
    """What was said and thought, in order; empty while it is at work."""
    parallel_tool_calls: Literal[True]
    previous_response_id: str | None
    conversation: Conversation
    session_id: str
    """The session: the same as `conversation.id`."""
    reasoning: ReasoningAsked
    store: bool
    temperature: None
    text: TextSettings
    tool_choice: Literal["auto"]
    tools: list[Any]
    """Empty: the agent's own tools are its own business."""
    top_p: None
    truncation: Literal["disabled"]
    metadata: dict[str, str]
    usage: ResponseUsage | None
    """Null while it is at work. Failed and cancelled runs say what they spent, too."""


class ResponseError(Error):
    """OpenAI's error envelope; beside it the response of a run that failed."""

    usage: NotRequired[ResponseUsage]
    """What was spent. Absent where no run began."""
    response: NotRequired[Response]
    """The response, with `status: "failed"`. Absent where no run began."""


class DeletedResponse(TypedDict):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


class Budget(TypedDict):
    """What a key may spend."""

    usd: float
    period: Literal["day", "month", "total"]
    spent_usd: float
    """In the period that runs."""


class KeyTotals(Totals):
    """What a key's calls came to."""

    model_calls: int


class ModelDay(KeyTotals):
    """What a key's calls of one model on one day came to."""

    model: str
    day: str
    """Such as `2026-11-22`, by the server's calendar."""


class KeyUsage(TypedDict):
    """What the key has used."""

    object: Literal["usage"]
    key: str
    """The key's name."""
    budget: Budget | None
    """Null for a key without one."""
    total: KeyTotals
    data: list[ModelDay]
    """The latest day first."""
