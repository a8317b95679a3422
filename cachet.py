"""The launcher: finds the rooms, answers `--version` without loading them, and hands over to the command line."""

import sys
from pathlib import Path

__version__ = "0.1.0"


def rooms() -> Path:
    """The folder that holds the packages: `cachet_rooms` beside this file when installed, else this folder."""
    here = Path(__file__).resolve().parent
    installed = here / "cachet_rooms"
    return installed if installed.is_dir() else here


def main() -> None:
    """Run the command line on `sys.argv`.

    The rooms' folder goes first on `sys.path`, before `PYTHONPATH`, because a person's project may have
    packages called `agent` or `cli` of its own.
    """
    if sys.argv[1:] in (["--version"], ["-V"]):
        print(f"cachet {__version__}")
        return
    sys.path.insert(0, str(rooms()))
    from cli.main import run

    run(__version__)


if __name__ == "__main__":
    main()
