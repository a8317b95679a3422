"""A project folder and the built-in tools, as a session would hold them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from agent.tools.contract import FilesSeen, Intent, Outcome, Tool, ToolContext
from agent.tools.toolbox import Toolbox
from agent.workspace import Workspace
from providers.types import JSON


class Bench:
    """Runs tools by name in `project`; `shown` collects what they show live."""

    def __init__(self, place: Path) -> None:
        self.project = place / "project"
        self.scratch = place / "scratch"
        self.outside = place / "outside"
        for folder in (self.project, self.scratch, self.outside):
            folder.mkdir()
        self.workspace = Workspace.at(self.project)
        self.toolbox = Toolbox.standard()
        self.shown: list[str] = []
        self._news = asyncio.Event()
        self.seen = FilesSeen()

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def tool(self, name: str) -> Tool:
        tool = self.toolbox.find(name)
        assert tool is not None
        return tool

    def context(self) -> ToolContext:
        return ToolContext(
            workspace=self.workspace,
            environment=dict(os.environ),
            scratch=self.scratch,
            seen=self.seen,
            emit=self._show,
        )

    def intend(self, name: str, **arguments: JSON) -> Intent:
        return self.tool(name).intend(arguments, self.workspace)

    async def run(self, name: str, **arguments: JSON) -> Outcome:
        return await self.tool(name).run(arguments, self.context())

    def start(self, name: str, **arguments: JSON) -> asyncio.Task[Outcome]:
        return asyncio.create_task(self.run(name, **arguments))

    async def first_shown(self, task: asyncio.Task[Outcome]) -> str:
        """The first piece that a running tool shows live; fails when it ends without one."""
        news = asyncio.create_task(self._news.wait())
        await asyncio.wait({task, news}, return_when=asyncio.FIRST_COMPLETED)
        news.cancel()
        assert self.shown, task.result().text
        return self.shown[0]

    def _show(self, text: str) -> None:
        self.shown.append(text)
        self._news.set()
