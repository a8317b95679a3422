"""Where Cachet keeps what is its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def home_folder(environ: Mapping[str, str]) -> Path:
    """Cachet's own folder: `CACHET_HOME`, else `~/.cachet`."""
    chosen = environ.get("CACHET_HOME", "").strip()
    return Path(chosen).expanduser().absolute() if chosen else Path.home() / ".cachet"
