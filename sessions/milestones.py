"""What is kept at a turn's end: a checkpoint, which files the model saw, how long this person pauses."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agent.events import CheckpointMade
from agent.settled import settled
from agent.tools.contract import FilesSeen
from sessions.bill import Bill, cost_of
from sessions.cachebook import CacheBook
from sessions.chronicle import Chronicle
from sessions.dialogue import Dialogue
from sessions.keeper import Keeper, Moment
from sessions.seen import TOPIC, Versions, news


class Milestones:
    """The points of a session that one can go back to. Raises CheckpointError, JournalError."""

    def __init__(
        self,
        dialogue: Dialogue,
        chronicle: Chronicle,
        keeper: Keeper,
        bill: Bill,
        cache: CacheBook,
        seen: Versions,
    ) -> None:
        """`seen` are the files that the conversation saw before, which the journal knows."""
        self._dialogue = dialogue
        self._chronicle = chronicle
        self._keeper = keeper
        self._bill = bill
        self._cache = cache
        self.seen = FilesSeen(dict(seen))
        self._noted: Versions = {}

    def moment(self, prompt: str = "") -> Moment:
        """Where the conversation and the bill stand now."""
        cost = cost_of(self._bill.calls)
        return Moment(
            state=replace(self._dialogue.state, messages=[]),
            message=self._chronicle.head,
            prompt=prompt,
            model=str(self._dialogue.prefix.model),
            cost=cost.exact,
            known_cost=cost.known,
        )

    async def reached(self, prompt: str) -> CheckpointMade:
        """The turn that `prompt` began is over. A cancellation is raised after all is written."""
        return await settled(self._reached(prompt))

    def files_moved(self) -> None:
        """The files are other ones: the model has to look at each again."""
        self.seen.versions, self._noted = {}, {}

    def conversation_moved(self, seen: Versions) -> None:
        """The conversation is an earlier one, which had seen these files."""
        self.seen.versions, self._noted = dict(seen), seen

    async def _reached(self, prompt: str) -> CheckpointMade:
        await asyncio.to_thread(self._cache.turn_ended)
        snapshot = await self._keeper.snapshot(self.moment(prompt))
        if told := news(self._noted, self.seen.versions):
            # The line of the checkpoint, which follows, takes it along to the disk.
            await self._chronicle.note(TOPIC, "", told, sync=False)
            self._noted = dict(self.seen.versions)
        await self._chronicle.checkpoint(snapshot)
        return CheckpointMade(snapshot.number, str(snapshot.path), snapshot.files_off)
