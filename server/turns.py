"""The endpoints that take turns: chat completions, responses, and what can be done with a response later."""

from __future__ import annotations

import asyncio
import hashlib

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from providers.call import new_id
from providers.types import JSON
from server.answer import TurnAnswer
from server.answers import DeletedResponse
from server.asked import Asked, chat_asked, parsed, response_asked
from server.chat_completions import ChatForm
from server.errors import not_found
from server.form import Form
from server.keys import ClientKey
from server.parameters import IDEMPOTENCY_KEY, SESSION, STARTING_AFTER, STREAM
from server.responses import ResponseForm, response
from server.run import Run
from server.schemas import ChatRequest, Id, ResponsesRequest
from server.service import Ask, Service
from server.shelf import Shelved
from server.streams import Replayed

_ID: TypeAdapter[str] = TypeAdapter(Id)


class Turns:
    """Answers requests for turns with one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        return [
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/responses", self.respond, methods=["POST"]),
            Route("/v1/responses/{id}", self.retrieve, methods=["GET"]),
            Route("/v1/responses/{id}", self.delete, methods=["DELETE"]),
            Route("/v1/responses/{id}/cancel", self.cancel, methods=["POST"]),
        ]

    async def chat(self, request: Request) -> ASGIApp:
        """Take a turn, told as a chat completion. A history that was answered here goes on in its session."""
        raw = await request.body()
        body = parsed(ChatRequest, raw)
        usage = body.stream_options is not None and body.stream_options.include_usage
        return self._answer(request, raw, ChatForm(usage), chat_asked(body, session=_session(request)))

    async def respond(self, request: Request) -> ASGIApp:
        """Take a turn, told as a response. It goes on from another one, in a session, or begins one."""
        raw = await request.body()
        asked = response_asked(parsed(ResponsesRequest, raw), session=_session(request))
        return self._answer(request, raw, ResponseForm(), asked)

    async def retrieve(self, request: Request) -> ASGIApp:
        """A response as it stands; with `stream=true` as its events, those after `starting_after`."""
        found = await self._find(request)
        stream, after = STREAM.read(request), STARTING_AFTER.read(request)
        if stream == "true":
            return Replayed(ResponseForm(), found, silence=self._service.silence, after=after)
        return JSONResponse(_body(found) if isinstance(found, Shelved) else response(found, found.outcome))

    async def cancel(self, request: Request) -> Response:
        """Stop a response that is at work; one that is over is answered as it ended."""
        run = await self._find(request)
        if isinstance(run, Shelved):
            return JSONResponse(_body(run))
        run.cancel()
        return JSONResponse(response(run, await run.ended()))

    async def delete(self, request: Request) -> Response:
        """Forget a response. Its session stays, and what it was billed."""
        run = await self._find(request)
        if isinstance(run, Run):
            run.cancel()
            await run.ended()
        id = _path_id(request)
        await asyncio.to_thread(self._service.shelf.remove, client(request).id, id)
        deleted: DeletedResponse = {"id": id, "object": "response", "deleted": True}
        return JSONResponse(deleted)

    def _answer(self, request: Request, raw: bytes, form: Form, asked: Asked) -> TurnAnswer:
        token = IDEMPOTENCY_KEY.read(request)
        ask = Ask(
            key=client(request),
            asked=asked,
            form=form,
            id=new_id(form.kind),
            token=token,
            request=hashlib.sha256(request.url.path.encode() + b"\n" + raw).hexdigest() if token else "",
        )
        return TurnAnswer(self._service, form, ask)

    async def _find(self, request: Request) -> Run | Shelved:
        """A response of this client's, under way or kept. Raises ApiError."""
        whose, id = client(request).id, _path_id(request)
        if id.startswith("resp_"):
            # Runs first: one that ends while the shelf is read was not over when it was read there.
            if (run := self._service.running(whose, id)) is not None:
                return run
            found = await asyncio.to_thread(self._service.shelf.by_id, whose, id)
            if found is not None and _body(found):
                return found
        raise not_found(f"There is no response {id!r}.", code="response_not_found")


def client(request: Request) -> ClientKey:
    """Whose request it is."""
    key: ClientKey = request.scope["state"]["client"]
    return key


def proper_id(text: str, what: str) -> str:
    """An id from a path or a header. Raises ApiError for what can't be one."""
    try:
        return _ID.validate_python(text)
    except ValidationError as error:
        raise not_found(f"There is no {what} of that id.", code=f"{what}_not_found") from error


def _path_id(request: Request) -> str:
    return proper_id(request.path_params["id"], "response")


def _session(request: Request) -> str:
    named = request.headers.get(SESSION.name)
    return "" if named is None else proper_id(named, "session")


def _body(shelved: Shelved) -> dict[str, JSON]:
    """The response that was kept; of one that failed it stands beside the error."""
    body = shelved.body or {}
    inner: dict[str, JSON] = body.get("response", body)
    return inner
