"""What stands before a person's prompt in the same message: the place, and what happened meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from agent.prompt import opening
from agent.secrets import Redactor
from agent.workspace import Workspace
from providers.types import Text


class Preface:
    """The texts that wait for the next prompt. They wait on until a message with them is recorded."""

    def __init__(
        self, workspace: Workspace, home: Path, redactor: Redactor, waiting: Iterable[str] = ()
    ) -> None:
        """`waiting` are texts that an earlier process left to be told."""
        self._workspace = workspace
        self._home = home
        self._redactor = redactor
        self._waiting = [*waiting]
        self._told = 0
        """How many of these stand before the prompt that is being sent."""

    def add(self, text: str) -> None:
        self._waiting.append(text)

    async def blocks(self, *, first: bool) -> list[Text]:
        """For the next prompt; a conversation's `first` one begins with the place and the project's rules."""
        texts = list(self._waiting)
        self._told = len(texts)
        if first:
            now = datetime.now().astimezone()
            texts.insert(0, await asyncio.to_thread(opening, self._workspace, now=now, home=self._home))
        return [Text(await self._redactor.redact_aside(text)) for text in texts]

    def recorded(self) -> None:
        """The message with the blocks that were asked for last is in the journal."""
        del self._waiting[: self._told]
        self._told = 0
