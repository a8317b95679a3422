"""Where a command works: folders, environment, and the configuration that holds there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.config import Config, Loaded, home_folder, load
from cli.failure import UsageProblem
from providers.provider import Provider
from providers.registry import open_provider


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command works: Cachet's own folder, the project, and the person's environment."""

    home: Path
    project: Path
    environ: Mapping[str, str]

    @classmethod
    def of(cls, environ: Mapping[str, str], folder: Path | None = None) -> Place:
        """The place for a folder a person named, else the current one. Raises UsageProblem."""
        project = (folder or Path.cwd()).expanduser()
        if not project.is_dir():
            raise UsageProblem(f"There is no folder {project}. Name one that exists: agent -C DIR")
        return cls(home_folder(environ), project.resolve(), environ)

    def configuration(self) -> Loaded:
        return load(self.home, self.project, self.environ)

    def provider(self, name: str, config: Config, encoder: str = "") -> Provider:
        """The provider, on the wire of a session's `encoder` if there is one. Raises ConfigurationError."""
        return open_provider(name, config.providers, self.environ, self.home, encoder=encoder)
