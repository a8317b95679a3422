"""Which projects' configuration a person trusts: remembered by the file's path and its content's hash."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

FILE = "trusted.json"


class Trust:
    """The judgements in `~/.cachet/trusted.json`. A file that changed has not been judged."""

    def __init__(self, home: Path) -> None:
        self.path = home / FILE

    def judged(self, file: Path, sha256: str) -> bool | None:
        """Whether the person trusts this content of the file; None when they weren't asked about it."""
        match self._judgements().get(str(file.resolve())):
            case {"sha256": str(known), "trusted": bool(verdict)} if known == sha256:
                return verdict
            case _:
                return None

    def judge(self, file: Path, sha256: str, *, trusted: bool) -> None:
        """Remember the person's verdict on this content of the file. Raises OSError."""
        judgements = {**self._judgements(), str(file.resolve()): {"sha256": sha256, "trusted": trusted}}
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=".trusted-")  # 0600
        try:
            with os.fdopen(descriptor, "w") as out:
                json.dump(judgements, out, indent=1, sort_keys=True)
            os.replace(name, self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _judgements(self) -> dict[str, object]:
        """What the file holds; nothing where it is missing or damaged, so that the person is asked again."""
        try:
            value = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}
