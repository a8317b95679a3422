"""Where checkpoints lie below `~/.cachet`, and what a project is called there."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from checkpoint.types import CheckpointError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def project_key(path: Path) -> str:
    """A readable name for a project, its own to the folder's real path: `shop-3f9a1c02be`."""
    real = os.path.realpath(path)
    slug = re.sub(r"[^a-z0-9]+", "-", os.path.basename(real).lower()).strip("-")[:40]
    return f"{slug or 'project'}-{hashlib.sha256(os.fsencode(real)).hexdigest()[:10]}"


def checkpoints_folder(home: Path) -> Path:
    return home / "checkpoints"


def project_store(home: Path, project: Path) -> Path:
    """The project's private git directory."""
    return checkpoints_folder(home) / f"{project_key(project)}.git"


def session_folder(home: Path, session: str) -> Path:
    """Where a session's JSON files lie. Raises CheckpointError for an id that is not a plain name."""
    if not _NAME.fullmatch(session):
        raise CheckpointError(f"{session!r} is not a session id: it may hold letters, digits, - and _ only")
    return checkpoints_folder(home) / session


def session_refs(session: str) -> str:
    """The folder of refs that keeps a session's trees alive."""
    return f"refs/ckpt/{session}"


def make_private(folder: Path) -> None:
    """Make the folder and its missing parents, readable by their owner only."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
