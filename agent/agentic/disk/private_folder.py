"""Private folders for copies of workspaces. Each is locked while its process lives, so that leftovers can be told."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_PREFIX = "agentic-copy-"
_ATTEMPTS = 5
"""Another process may take a new folder for a leftover before it is locked."""


class PrivateFolder:
    """A new folder that only this user can enter. Blocking."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock: int | None = lock

    @classmethod
    def make(cls, parent: Path) -> PrivateFolder:
        """:raises OSError: it cannot be made."""
        for _ in range(_ATTEMPTS):
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            lock = _lock(path)
            if lock is not None:
                return cls(path, lock)
            _remove(path)
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    def remove(self) -> None:
        """Remove it with all that is in it, whatever its modes. What cannot be removed is left to the next start."""
        _remove(self.path)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def parent_outside(roots: Sequence[Path]) -> Path | None:
    """A place for private folders that lies in none of these."""
    places = [Path(os.path.realpath(place)) for place in _parents()]
    return next((place for place in places if not any(place.is_relative_to(root) for root in roots)), None)


def remove_leftovers(parents: Sequence[Path] | None = None) -> list[Path]:
    """Remove the private folders of processes that were killed; returns them."""
    removed: list[Path] = []
    for parent in _parents() if parents is None else parents:
        for path in parent.glob(f"{_PREFIX}*"):
            lock = _lock(path) if _is_ours(path) else None
            if lock is not None:
                _remove(path)
                os.close(lock)
                removed.append(path)
    return removed


def remove_leftovers_meanwhile() -> None:
    """As `remove_leftovers`, in a thread that nobody waits for: what it does not get to is left to the next start."""
    threading.Thread(target=remove_leftovers, name="leftovers", daemon=True).start()


def _parents() -> list[Path]:
    return [place for place in dict.fromkeys([Path(tempfile.gettempdir()), Path("/var/tmp")]) if place.is_dir()]


def _lock(path: Path) -> int | None:
    """An open descriptor of the folder that holds its lock; None when another has it, or the folder is gone."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def _is_ours(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if not path.exists():
        return
    _open_folders(path)
    shutil.rmtree(path, ignore_errors=True)


def _open_folders(path: Path) -> None:
    """Give ourselves every right on a folder and on those in it."""
    with suppress(OSError):
        path.chmod(0o700)
        for folder, names, _ in os.walk(path):
            for place in (Path(folder, name) for name in names):
                if not place.is_symlink():
                    place.chmod(0o700)
