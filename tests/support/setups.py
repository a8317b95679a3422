"""A session's setup for tests: a home and a project in a temporary folder, everything real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.permissions import Mode, Policy
from agent.tools.toolbox import Toolbox
from agent.workspace import Workspace
from providers.registry import open_provider
from providers.retry import Retry
from sessions.setup import Setup


def setup(folder: Path, *, mode: Mode = Mode.AUTO, **more: Any) -> Setup:
    """Home in `folder/home`, project in `folder/project`; retries don't wait."""
    project, home = folder / "project", folder / "home"
    project.mkdir(exist_ok=True)
    workspace = Workspace.at(project)
    given: dict[str, Any] = {
        "home": home,
        "workspace": workspace,
        "providers": lambda name, encoder="": open_provider(name, {}, {}, home, encoder=encoder),
        "toolbox": Toolbox.standard(),
        "policy": Policy(mode, workspace),
        "environ": {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)},
        "retry": Retry(first=0.0, longest=0.0),
    }
    return Setup(**(given | more))
