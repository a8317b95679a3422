"""Changes files below one folder, never following a symlink on the way."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Blocked(Exception):
    """A path can't be reached or replaced as it stands; the text says why."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The folder, opened once: should it be replaced meanwhile, the work goes on in the one meant."""

    root: int

    @classmethod
    @contextmanager
    def of(cls, folder: Path) -> Iterator[Ground]:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield cls(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: str) -> None:
        """Remove a file or link; one that is gone is fine. Raises Blocked and OSError."""
        try:
            with self._folder(path, make=False) as (folder, name):
                os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return
        except IsADirectoryError as error:
            raise Blocked("a folder stands there now") from error

    def remove_empty(self, folder: str) -> bool:
        """Remove a folder if nothing is in it; return whether it is gone."""
        try:
            with self._folder(folder, make=False) as (parent, name):
                os.rmdir(name, dir_fd=parent)
        except FileNotFoundError:
            return True
        except (OSError, Blocked):
            return False
        return True

    def write(self, path: str, data: bytes, mode: int) -> None:
        """Put a file there, whole or not at all, making its folders. Raises Blocked and OSError."""

        def make(folder: int, name: str) -> None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(name, flags, 0o600, dir_fd=folder), "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), mode)

        self._put(path, make)

    def link(self, path: str, target: bytes) -> None:
        """Put a symlink there. Raises Blocked and OSError."""
        self._put(path, lambda folder, name: os.symlink(target, os.fsencode(name), dir_fd=folder))

    def permit(self, path: str, mode: int) -> bool:
        """Set a file's permission bits; False where no file is. Raises Blocked and OSError."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with self._folder(path, make=False) as (folder, name), _opened(name, flags, folder) as file:
                os.fchmod(file, mode)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno == errno.ELOOP:
                return False
            raise
        return True

    def _put(self, path: str, make: Callable[[int, str], None]) -> None:
        with self._folder(path, make=True) as (folder, name):
            temporary = f".cachet-restore-{secrets.token_hex(6)}"
            try:
                make(folder, temporary)
                _rename(temporary, name, folder)
            except BaseException:
                _discard(temporary, folder)
                raise

    @contextmanager
    def _folder(self, path: str, *, make: bool) -> Iterator[tuple[int, str]]:
        """The open folder that holds `path`, and the name in it. With `make`, missing folders are made."""
        *parents, name = path.split("/")
        if name in ("", ".", "..") or any(part in ("", ".", "..") for part in parents):
            raise Blocked("not a path inside the project")
        folder = os.dup(self.root)
        try:
            for part in parents:
                inner = _step(folder, part, make=make)
                os.close(folder)
                folder = inner
            yield folder, name
        finally:
            os.close(folder)


@contextmanager
def _opened(name: str, flags: int, folder: int) -> Iterator[int]:
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _step(folder: int, part: str, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(part, 0o777, dir_fd=folder)
    try:
        return os.open(part, _FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Blocked(f"{part} is no folder now, but a link or a file") from error
        raise


def _rename(temporary: str, name: str, folder: int) -> None:
    try:
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        return
    except IsADirectoryError:
        pass
    try:
        os.rmdir(name, dir_fd=folder)
    except OSError as error:
        raise Blocked("a folder with other files stands there") from error
    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def _discard(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        return
