"""Runs the real `agent` on the benchmark's clock: python clocked.py CLOCK_FILE ARGUMENTS...

Only `time.time` is another one: it says what the clock's file holds, in seconds since the epoch.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path

CACHET = Path(__file__).resolve().parents[2] / "cachet.py"


def main() -> None:
    clock = Path(sys.argv[1])

    def now() -> float:
        return float(clock.read_text())

    time.time = now
    sys.argv = [str(CACHET), *sys.argv[2:]]
    runpy.run_path(str(CACHET), run_name="__main__")


if __name__ == "__main__":
    main()
