"""The endpoints for sessions: list, look, remove, and go back to a checkpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent.permissions import Mode
from checkpoint.rewind import RewindPlan, Rewound
from checkpoint.store import SnapshotStore
from checkpoint.types import CheckpointError, Snapshot
from providers.types import Message, ToolResult
from server import session_answers
from server.asked import parsed
from server.errors import bad_request, forbidden, not_found
from server.parameters import AFTER, LIMIT
from server.schemas import RewindRequest
from server.service import Service
from server.session_answers import (
    Checkpoint,
    CheckpointList,
    DeletedSession,
    Rewind,
    Session,
    SessionList,
    SessionMessage,
    SessionWithMessages,
    ToolCall,
)
from server.turns import client, proper_id
from server.usage import totals_of
from sessions import begin
from sessions.catalog import Catalog, SessionSummary, summary
from sessions.journal import read
from sessions.rehydrate import rehydrate


class Sessions:
    """Answers requests about the sessions that a key may see."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        return [
            Route("/v1/sessions", self.list, methods=["GET"]),
            Route("/v1/sessions/{id}", self.show, methods=["GET"]),
            Route("/v1/sessions/{id}", self.delete, methods=["DELETE"]),
            Route("/v1/sessions/{id}/checkpoints", self.checkpoints, methods=["GET"]),
            Route("/v1/sessions/{id}/rewind", self.rewind, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """The key's sessions, the one used last first; `limit` and `after` turn the pages."""
        limit, after = LIMIT.read(request), AFTER.read(request)
        key = client(request)
        found = partial(self._service.finder.journals, key, self._service.workspace(key))
        page, more = await asyncio.to_thread(_page, found, limit, after)
        told: SessionList = {
            "object": "list",
            "data": [_session(each) for each in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": more,
        }
        return JSONResponse(told)

    async def show(self, request: Request) -> Response:
        """One session with its live conversation."""
        journal = await self._journal(request)
        told = await asyncio.to_thread(summary, journal)
        messages = await asyncio.to_thread(_live, journal)
        whole: SessionWithMessages = {**_session(told), "messages": messages}
        return JSONResponse(whole)

    async def delete(self, request: Request) -> Response:
        """Remove a session with its checkpoints. What it was billed stays in the key's usage."""
        journal = await self._journal(request)
        async with self._service.held(client(request), journal.stem):
            await asyncio.to_thread(self._remove, journal)
        deleted: DeletedSession = {"id": journal.stem, "object": "session", "deleted": True}
        return JSONResponse(deleted)

    async def checkpoints(self, request: Request) -> Response:
        """A session's checkpoints, the first one first."""
        journal = await self._journal(request)
        made = await asyncio.to_thread(self._checkpoints(journal).list)
        told: CheckpointList = {
            "object": "list",
            "data": [_checkpoint(each) for each in made],
            "has_more": False,
        }
        return JSONResponse(told)

    async def rewind(self, request: Request) -> Response:
        """Go back to a checkpoint: the conversation, and the files where the server's mode lets files change.

        Files that the person changed themselves stay as they are.
        """
        wanted = parsed(RewindRequest, await request.body())
        journal = await self._journal(request)
        key = client(request)
        setup = self._service.setup(key)
        if wanted.files and not wanted.dry_run and setup.policy.mode not in (Mode.EDITS, Mode.AUTO):
            raise forbidden(
                f"The server's permission mode is {setup.policy.mode}: files stay as they are. "
                "Send files: false to take back the conversation alone.",
                "read_only",
            )
        if not wanted.files and not wanted.conversation:
            raise bad_request("Say what to bring back: files, conversation, or both.", "files")
        async with self._service.held(key, journal.stem):
            session = await begin.resume(setup, journal)
            try:
                plan = await session.preview_rewind(wanted.checkpoint) if wanted.files else None
                done = Rewound.nothing(wanted.checkpoint)
                if not wanted.dry_run:
                    edits = frozenset(plan.person_edits) if plan else frozenset[str]()
                    done = await session.rewind(
                        wanted.checkpoint, files=wanted.files, conversation=wanted.conversation, keep=edits
                    )
                head = session.head
            except CheckpointError as error:
                if any(made.number == wanted.checkpoint for made in self._checkpoints(journal).list()):
                    raise  # what is the matter with it may name files of the server's
                message = f"There is no checkpoint {wanted.checkpoint} in this session."
                raise not_found(message, "checkpoint", "checkpoint_not_found") from error
            finally:
                await session.close()
        return JSONResponse(_rewound(journal.stem, wanted, plan, done, head))

    def _checkpoints(self, journal: Path) -> SnapshotStore:
        return SnapshotStore(self._service.finder.home, journal.stem)

    async def _journal(self, request: Request) -> Path:
        key, id = client(request), proper_id(request.path_params["id"], "session")
        return await asyncio.to_thread(self._service.finder.journal, key, self._service.workspace(key), id)

    def _remove(self, journal: Path) -> None:
        Catalog(self._service.finder.home).remove(journal, first=self._service.ledger.keep)
        self._service.shelf.forget_session(journal.stem)


def _page(
    journals: Callable[[], Iterator[Path]], limit: int, after: str
) -> tuple[list[SessionSummary], bool]:
    """So many sessions, those behind `after` unless that is empty, and whether more follow. Blocks."""
    rest = journals()
    if after and not any(path.stem == after for path in rest):
        raise bad_request("There is no session of the id in after.", "after")
    found = [*islice(rest, limit + 1)]
    return [summary(path) for path in found[:limit]], len(found) > limit


def _live(journal: Path) -> list[SessionMessage]:
    """The live conversation of a session. Blocks."""
    return [_message(message) for message in rehydrate(read(journal).records).state.messages]


def _session(told: SessionSummary) -> Session:
    """Times are whole seconds since the epoch, as OpenAI's are."""
    return {
        "id": told.id,
        "object": "session",
        "title": told.title or None,
        "prompt": told.prompt or None,
        "created_at": int(told.created),
        "updated_at": int(told.updated),
        "model": told.model or None,
        "turns": told.turns,
        "origin": told.origin or None,
        "usage": totals_of(told.usage, told.cost or 0.0, told.cost_unknown_calls),
    }


def _message(message: Message) -> SessionMessage:
    calls: list[ToolCall] = [
        {"id": call.id, "name": call.name, "arguments": call.raw_arguments} for call in message.tool_calls
    ]
    results: list[session_answers.ToolResult] = [
        {"call_id": block.call_id, "text": block.text, "is_error": block.is_error}
        for block in message.blocks
        if isinstance(block, ToolResult)
    ]
    told: SessionMessage = {"id": message.id, "role": message.role, "content": message.text}
    if calls:
        told["tool_calls"] = calls
    if results:
        told["tool_results"] = results
    return told


def _checkpoint(snapshot: Snapshot) -> Checkpoint:
    return {
        "object": "checkpoint",
        "number": snapshot.number,
        "created": snapshot.created,
        "prompt": snapshot.prompt,
        "model": snapshot.model,
        "message_id": snapshot.message,
        "token_snapshot": dict(snapshot.token_snapshot),
        "cost_usd": snapshot.cost_usd,
        "files": snapshot.tree is not None,
        "files_off": snapshot.files_off or None,
    }


def _rewound(
    session: str, wanted: RewindRequest, plan: RewindPlan | None, done: Rewound, head: str | None
) -> Rewind:
    return {
        "object": "rewind",
        "session_id": session,
        "checkpoint": wanted.checkpoint,
        "dry_run": wanted.dry_run,
        "would_change": [change.path for change in plan.changes] if plan else [],
        "changed": list(done.changed),
        "deleted": list(done.deleted),
        "kept": list(done.kept),
        "problems": list(done.problems),
        "message_id": head,
    }
