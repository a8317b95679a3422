"""The prompt's side of the chat stands before anything else is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_prompt_needs_no_session_no_tool_and_no_provider() -> None:
    code = "import sys, cli.front; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "prompt_toolkit" in loaded
    assert loaded & {"agent", "checkpoint", "providers", "sessions", "rich", "anthropic", "openai"} == set()
