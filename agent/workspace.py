"""Where the agent may work: the project's folder and the folders a person added."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Workspace:
    """`root` and `added` are real paths (symlinks resolved)."""

    root: Path
    added: tuple[Path, ...] = ()

    @classmethod
    def at(cls, root: Path, *added: Path) -> Workspace:
        return cls(root.resolve(), tuple(path.resolve() for path in added))

    def locate(self, text: str) -> Path:
        """The absolute path a model means by `text`, relative to the root; no `..` is left in it.

        Symlinks stay, except before a `..`: what follows it belongs to where the link leads, and a program
        that is handed the path as text would go up from the link's own place instead. Raises RuntimeError.
        """
        path = Path(self.root, Path(text).expanduser())
        if ".." not in path.parts:
            return path
        after = len(path.parts) - path.parts[::-1].index("..")
        return Path(*path.parts[:after]).resolve().joinpath(*path.parts[after:])

    def holds(self, path: Path) -> bool:
        """Whether the path, all symlinks resolved, lies in the project or an added folder."""
        real = path.resolve()
        return any(real.is_relative_to(place) for place in (self.root, *self.added))

    def show(self, path: Path) -> str:
        """The path as a person would write it: relative inside the root."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)
