"""The launcher: finds the rooms, answers `--version` without loading them, hands over to the command line."""

import gc
import os.path  # pathlib would double the time that `agent --version` takes
import sys

__version__ = "0.1.0"


def rooms() -> str:
    """The folder of the packages: `cachet_rooms` beside this file when installed, else this file's own."""
    here = os.path.dirname(os.path.realpath(__file__))
    installed = os.path.join(here, "cachet_rooms")
    return installed if os.path.isdir(installed) else here


def main() -> None:
    """Run the command line on `sys.argv`.

    The rooms' folder goes first on `sys.path`, before `PYTHONPATH`, because a person's project may have
    packages called `agent` or `cli` of its own.
    """
    if sys.argv[1:] in (["--version"], ["-V"]):
        print(f"cachet {__version__}")
        return
    sys.path.insert(0, rooms())
    gc.set_threshold(50_000, 20, 100)  # imports make no garbage: looking for it took an eighth of the start
    from cli.main import run

    run(__version__)


if __name__ == "__main__":
    main()
