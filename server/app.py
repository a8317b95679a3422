"""The server's endpoints put together: what is open, what wants a key, and how every error is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp

from server.accounts import Accounts
from server.dismissal import dismiss
from server.errors import INVALID, ApiError, api_error
from server.guard import Guard, Identified
from server.keys import KeyRing
from server.models import Models
from server.openapi import Document
from server.service import Service
from server.sessions import Sessions
from server.turns import Turns

_log = logging.getLogger("cachet.server")


def build(
    service: Service, ring: KeyRing, *, hosts: frozenset[str], origins: frozenset[str], largest_body: int
) -> ASGIApp:
    """The whole application. `largest_body` in bytes; `hosts` and `origins` as `guard.Guard` has them."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        dismissing = asyncio.create_task(dismiss(service.dismiss))
        yield
        dismissing.cancel()
        await service.close()

    app = Starlette(
        routes=routes(service),
        exception_handlers={HTTPException: _http_error, ClientDisconnect: _left, Exception: _error},
        lifespan=lifespan,
    )
    return Guard(Identified(app, ring), hosts, origins, largest_body)


def routes(service: Service) -> list[BaseRoute]:
    """Every endpoint."""
    others: list[BaseRoute] = [
        Route("/health", _health, methods=["GET"]),
        *_model_routes(service.models),
        *Turns(service).routes(),
        *Sessions(service).routes(),
        *Accounts(service).routes(),
    ]
    return [*others, Document(others).route]


async def _health(request: Request) -> Response:
    """Whether the server is up. It wants no key, and tells nothing else."""
    return JSONResponse({"status": "ok"})


def _model_routes(models: Models) -> list[Route]:
    async def listed(request: Request) -> Response:
        """The models that may be asked for."""
        return JSONResponse(models.listed())

    async def described(request: Request) -> Response:
        """One model."""
        return JSONResponse(models.described(request.path_params["id"]))

    return [
        Route("/v1/models", listed, methods=["GET"]),
        Route("/v1/models/{id:path}", described, methods=["GET"]),
    ]


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router refuses, in the envelope of everything else."""
    assert isinstance(error, HTTPException)
    message = f"There is nothing at {request.url.path}." if error.status_code == 404 else f"{error.detail}."
    told = ApiError(error.status_code, INVALID, None, message)
    headers = {"allow": _allowed(request)} if error.status_code == 405 else {}
    return JSONResponse(told.body(), error.status_code, headers=headers | told.headers())


def _allowed(request: Request) -> str:
    """Every method that the path answers: Starlette names only those of the first route that has it."""
    routes: list[Route] = [route for route in request.app.routes if isinstance(route, Route)]
    here = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted({method for route in here for method in route.methods or ()}))


async def _left(request: Request, error: Exception) -> Response:
    """The client is gone, or was sent away, before all of its request was here: nobody hears this answer."""
    return Response(status_code=408)


async def _error(request: Request, error: Exception) -> Response:
    told = api_error(error)
    if told.status >= 500:
        _log.error("%s %s: %s", request.method, request.url.path, error, exc_info=not _told(error))
    return JSONResponse(told.body(), told.status, headers=told.headers())


def _told(error: Exception) -> bool:
    """Whether the error says what is wrong, so that nobody needs to know where it was raised."""
    return isinstance(error, ApiError) or api_error(error).code is not None
