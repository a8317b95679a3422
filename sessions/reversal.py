"""Takes a session back to a checkpoint: its files, its conversation, or both."""

from __future__ import annotations

import asyncio

from agent.settled import settled
from checkpoint.types import CheckpointError
from sessions.cachebook import CacheBook
from sessions.chronicle import Chronicle
from sessions.dialogue import Dialogue
from sessions.journal import read
from sessions.keeper import Keeper, Rewound
from sessions.milestones import Milestones
from sessions.preface import Preface
from sessions.rehydrate import Conversation, rehydrate
from sessions.untold import TOPIC


class Reversal:
    """The way back of one session."""

    def __init__(
        self,
        dialogue: Dialogue,
        chronicle: Chronicle,
        keeper: Keeper,
        cache: CacheBook,
        milestones: Milestones,
        preface: Preface,
    ) -> None:
        self._dialogue = dialogue
        self._chronicle = chronicle
        self._keeper = keeper
        self._cache = cache
        self._milestones = milestones
        self._preface = preface

    async def rewind(self, number: int, *, files: bool, conversation: bool, keep: frozenset[str]) -> Rewound:
        """As `Session.rewind`. A cancellation is raised after all is done, so that neither part is without
        the other."""
        return await settled(self._rewound(number, files=files, conversation=conversation, keep=keep))

    async def before_last_turn(self) -> int:
        """The checkpoint before the latest live turn. Raises CheckpointError when there is none."""
        told = await self._told()
        if told.turn is None:
            raise CheckpointError("There is no turn to undo.")
        before = told.tree.chain(told.turn)[:-1]
        return self._keeper.number_at(before[-1].message.id if before else None)

    async def _rewound(
        self, number: int, *, files: bool, conversation: bool, keep: frozenset[str]
    ) -> Rewound:
        snapshot = self._keeper.load(number)
        rewound = await self._keeper.rewind(number, keep) if files else Rewound.nothing(number)
        if conversation:
            await self._cut_after(snapshot.message, f"rewind to checkpoint {number}")
        if files:
            self._milestones.files_moved()
        if files and not conversation:
            await self._tell(f"[The person brought the files back to how they were at checkpoint {number}.]")
        if conversation and not files:
            await self._tell(
                f"[The person took the conversation back to checkpoint {number}; the files stayed.]"
            )
        if files != conversation:
            await self._milestones.reached(f"/rewind {number} --{'files' if files else 'conversation'}")
        return rewound

    async def _tell(self, text: str) -> None:
        """Tell the model before the next prompt, in whichever process that is."""
        await self._chronicle.note(TOPIC, text)
        self._preface.add(text)

    async def _cut_after(self, message: str | None, reason: str) -> None:
        """Move the conversation's end, and read back from the journal what is live then."""
        await self._chronicle.move_head(message, reason)
        told = await self._told()
        self._dialogue.taken_back(told.state, told.reached)
        self._cache.record.rewound()
        self._milestones.conversation_moved(told.seen)

    async def _told(self) -> Conversation:
        return rehydrate((await asyncio.to_thread(read, self._chronicle.path)).records)
