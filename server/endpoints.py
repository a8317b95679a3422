"""What each endpoint takes and answers, as the OpenAPI document tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel

from providers.types import JSON
from server.answers import (
    ChatChunk,
    ChatCompletion,
    ChatError,
    DeletedResponse,
    Error,
    Health,
    KeyUsage,
    Model,
    ModelList,
    Response,
    ResponseError,
)
from server.parameters import (
    AFTER,
    IDEMPOTENCY_KEY,
    LIMIT,
    MODEL_NAME,
    PATH_ID,
    SESSION,
    SINCE,
    STARTING_AFTER,
    STREAM,
    UNTIL,
    Parameter,
)
from server.response_events import AnyEvent
from server.schemas import MODEL, ChatRequest, ResponsesRequest, RewindRequest
from server.session_answers import CheckpointList, DeletedSession, Rewind, SessionList, SessionWithMessages

Shape: TypeAlias = Any
"""A type that Pydantic can describe: a model, a TypedDict, a union of them."""

ALWAYS = (400, 401, 403, 408, 413, 429, 500)
"""What any request with a key may be answered: by the guard, for its slowness, or where a setting fails."""
OF_A_RUN = (404, 409, 422, 499, 502, 503, 504, 507)


@dataclass(frozen=True, slots=True)
class Stream:
    """Server-sent events: the JSON of each, and the text behind the last where there is one."""

    event: Shape
    last: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One operation. What it does is told by its handler's docstring."""

    id: str
    tag: str
    answer: Shape
    """The JSON of a success; `str` where it is text of the media type `media`."""
    media: str = "application/json"
    stream: Stream | None = None
    parameters: tuple[Parameter[Any], ...] = ()
    body: type[BaseModel] | None = None
    example: JSON = None
    """A body that works."""
    errors: tuple[int, ...] = ()
    """Statuses beside those of every endpoint."""
    error: Shape = Error
    open: bool = False
    """Whether it wants no key."""

    @property
    def answers(self) -> tuple[Shape, ...]:
        """Every kind of JSON that may come back."""
        streamed = (self.stream.event,) if self.stream else ()
        return (self.answer, self.error, *streamed)

    @property
    def bodies(self) -> tuple[Shape, ...]:
        return () if self.body is None else (self.body,)

    @property
    def statuses(self) -> tuple[int, ...]:
        """Every status of an error."""
        always = (status for status in ALWAYS if not self.open or status not in (401, 429, 500))
        return tuple(sorted((*always, *self.errors)))


CHAT_STREAM = Stream(ChatChunk | ChatError, "[DONE]")
RESPONSE_STREAM = Stream(AnyEvent)
METRICS = "text/plain"

ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "/health"): Endpoint(id="getHealth", tag="Server", answer=Health, open=True),
    ("GET", "/openapi.json"): Endpoint(id="getOpenAPI", tag="Server", answer=dict[str, Any]),
    ("GET", "/v1/models"): Endpoint(id="listModels", tag="Models", answer=ModelList),
    ("GET", "/v1/models/{id}"): Endpoint(
        id="getModel", tag="Models", answer=Model, parameters=(MODEL_NAME,), errors=(404,)
    ),
    ("POST", "/v1/chat/completions"): Endpoint(
        id="createChatCompletion",
        tag="Turns",
        answer=ChatCompletion,
        stream=CHAT_STREAM,
        parameters=(SESSION, IDEMPOTENCY_KEY),
        body=ChatRequest,
        example={"model": MODEL, "messages": [{"role": "user", "content": "What does this project do?"}]},
        errors=OF_A_RUN,
        error=ChatError,
    ),
    ("POST", "/v1/responses"): Endpoint(
        id="createResponse",
        tag="Turns",
        answer=Response,
        stream=RESPONSE_STREAM,
        parameters=(SESSION, IDEMPOTENCY_KEY),
        body=ResponsesRequest,
        example={"model": MODEL, "input": "What does this project do?"},
        errors=OF_A_RUN,
        error=ResponseError,
    ),
    ("GET", "/v1/responses/{id}"): Endpoint(
        id="getResponse",
        tag="Turns",
        answer=Response,
        stream=RESPONSE_STREAM,
        parameters=(PATH_ID, STREAM, STARTING_AFTER),
        errors=(404,),
    ),
    ("DELETE", "/v1/responses/{id}"): Endpoint(
        id="deleteResponse", tag="Turns", answer=DeletedResponse, parameters=(PATH_ID,), errors=(404,)
    ),
    ("POST", "/v1/responses/{id}/cancel"): Endpoint(
        id="cancelResponse", tag="Turns", answer=Response, parameters=(PATH_ID,), errors=(404,)
    ),
    ("GET", "/v1/sessions"): Endpoint(
        id="listSessions", tag="Sessions", answer=SessionList, parameters=(LIMIT, AFTER)
    ),
    ("GET", "/v1/sessions/{id}"): Endpoint(
        id="getSession", tag="Sessions", answer=SessionWithMessages, parameters=(PATH_ID,), errors=(404,)
    ),
    ("DELETE", "/v1/sessions/{id}"): Endpoint(
        id="deleteSession",
        tag="Sessions",
        answer=DeletedSession,
        parameters=(PATH_ID,),
        errors=(404, 409, 507),
    ),
    ("GET", "/v1/sessions/{id}/checkpoints"): Endpoint(
        id="listCheckpoints", tag="Sessions", answer=CheckpointList, parameters=(PATH_ID,), errors=(404,)
    ),
    ("POST", "/v1/sessions/{id}/rewind"): Endpoint(
        id="rewindSession",
        tag="Sessions",
        answer=Rewind,
        parameters=(PATH_ID,),
        body=RewindRequest,
        example={"checkpoint": 1, "dry_run": True},
        errors=(404, 409, 503, 507),
    ),
    ("GET", "/v1/usage"): Endpoint(id="getUsage", tag="Usage", answer=KeyUsage, parameters=(SINCE, UNTIL)),
    ("GET", "/metrics"): Endpoint(id="getMetrics", tag="Usage", answer=str, media=METRICS),
}
