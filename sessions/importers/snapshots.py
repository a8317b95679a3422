"""Checkpoint lists (`snapshots.json`) of cheetahclaws and bouzecode: what had been billed, no messages."""

from __future__ import annotations

from providers.types import JSON, Usage
from sessions.fields import Fields, seconds
from sessions.importers.imported import Imported
from sessions.importers.neutral import BOUZECODE, CHEETAHCLAWS


def is_list(value: JSON) -> bool:
    """Whether this is such a list."""
    return isinstance(value, list) and any(isinstance(row, dict) and "token_snapshot" in row for row in value)


def import_list(value: list[JSON]) -> list[Imported]:
    """The totals of the last row: each row has those of its time. Its prompts stay in the notes."""
    rows = [row for row in value if isinstance(row, dict)]
    lost = tuple(
        f"row {place}: not an object" for place, row in enumerate(value) if not isinstance(row, dict)
    )
    first, last = Fields(rows[0]), Fields(rows[-1])
    tokens = Fields(last.object("token_snapshot"))
    prompts = [Fields(row).text("user_prompt_preview") for row in rows]
    return [
        Imported(
            tool=BOUZECODE if "distinct_base" in tokens else CHEETAHCLAWS,
            session=last.text("session_id"),
            title=next((prompt for prompt in prompts if prompt and not prompt.startswith("(")), ""),
            created=seconds(first.text("created_at")),
            usage=_usage(tokens),
            inexact=True,
            extra={"prompts": prompts},
            skipped=lost,
        )
    ]


def _usage(fields: Fields) -> Usage:
    """`cache_creation` means the cache write."""
    read = fields.maybe_count("cache_read")
    written, created = fields.maybe_count("cache_write"), fields.maybe_count("cache_creation")
    write = written if created is None else created
    return Usage.told(fields.count("input"), fields.count("output"), read, write)
