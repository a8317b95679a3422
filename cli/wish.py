"""What a command line asks of a front end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.options import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    options: Options
    prompt: str | None
    session: Path | None
    """The file to go on with, in its own folder unless `-C` names another."""
    fork: bool
    environ: Mapping[str, str]
