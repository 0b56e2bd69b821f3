"""A repository for a copy of its files: git works in it as in the original, and writes nothing to the original.

HEAD, index, refs, stash, logs and settings are copied. Objects are not: the copy looks them up in the original (git's
alternates) and puts new ones into itself. No hooks run in the copy, and other worktrees and submodules are not known
there. Only a root that is the top of its repository gets one. Blocking.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from agentic.disk.environment import child_environment, trusted_program

_SHARED = frozenset({"refs", "packed-refs", "reftable", "logs", "info", "config", "shallow"})
"""What a linked worktree takes from its repository."""
_FOLDERS = frozenset({"refs", "reftable", "logs", "info", "rebase-merge", "rebase-apply", "sequencer"})
"""The folders that are copied: others hold objects, hooks, other worktrees, submodules, or what other programs keep."""
_POINTERS = frozenset({"commondir", "gitdir", "locked"})
"""Files with which a linked worktree and its repository know each other."""
_SETTINGS = """
[core]
\tbare = false
\tworktree = {worktree}
\thooksPath = {nowhere}
\tfsmonitor = false
\tcheckStat = minimal
\ttrustctime = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""
"""Added to the copy's settings. With the modification times kept, a minimal look at files spares reading them all."""
_SECONDS = 30.0


def copy_repository(root: Path, copy: Path) -> bool:
    """Give the copy of a root a repository; False where the root is not the top of one.

    :raises OSError: it cannot be read, or written.
    """
    own = _git_folder(root)
    if own is None:
        return False
    shared = _shared_folder(own)
    target = copy / ".git"
    target.mkdir()
    if shared != own:
        _copy_entries([shared / name for name in sorted(_SHARED)], target)
    _copy_entries([entry for entry in sorted(own.iterdir()) if _is_copied(entry)], target)
    (target / "objects" / "info").mkdir(parents=True)
    (target / "objects" / "info" / "alternates").write_bytes(os.fsencode(shared / "objects") + b"\n")
    (target / "refs").mkdir(exist_ok=True)
    quoted = '"' + str(copy).replace("\\", "\\\\").replace('"', '\\"') + '"'
    settings = _SETTINGS.format(worktree=quoted, nowhere=os.devnull)
    for name in ("config", "config.worktree"):
        if name == "config" or (target / name).is_file():
            with open(target / name, "a", encoding="utf-8") as file:
                file.write(settings)
    return True


def ignored_but_tracked(copy: Path, avoid: Sequence[Path]) -> list[str]:
    """The files that the copy's repository tracks although they are ignored; nothing where git is not installed."""
    program = trusted_program("git", avoid)
    if program is None:
        return []
    try:
        told = subprocess.run(
            [program, "ls-files", "-z", "--cached", "--ignored", "--exclude-standard"],
            cwd=copy,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
            env=child_environment(os.environ, avoid),
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [os.fsdecode(name) for name in told.stdout.split(b"\0") if name] if told.returncode == 0 else []


def _git_folder(root: Path) -> Path | None:
    """The folder with HEAD: `.git` itself, or where the file of that name points."""
    place = root / ".git"
    if place.is_file():
        key, _, value = _line(place).partition(":")
        if key != "gitdir":
            return None
        place = root / value.strip()
    place = Path(os.path.realpath(place))
    known = (place / "HEAD").is_file() and (_shared_folder(place) / "objects").is_dir()
    return place if known and "\n" not in str(place) else None


def _shared_folder(own: Path) -> Path:
    """The folder with the objects and the refs: another one for linked worktrees."""
    pointer = own / "commondir"
    if not pointer.is_file():
        return own
    return Path(os.path.realpath(own / _line(pointer)))


def _line(pointer: Path) -> str:
    """What a file says that leads elsewhere; a path is not longer."""
    with open(pointer, encoding="utf-8", errors="surrogateescape") as file:
        return file.read(8_192).strip()


def _is_copied(entry: Path) -> bool:
    return entry.name in _FOLDERS if entry.is_dir() else entry.name not in _POINTERS


def _copy_entries(entries: Sequence[Path], target: Path) -> None:
    """Copy files and folders over what is there; locks and special files are left out."""
    for entry in entries:
        if entry.is_symlink() or entry.name.endswith(".lock"):
            continue
        if entry.is_dir():
            (target / entry.name).mkdir(exist_ok=True)
            _copy_entries(sorted(entry.iterdir()), target / entry.name)
        elif entry.is_file():
            shutil.copy2(entry, target / entry.name, follow_symlinks=False)
            os.chmod(target / entry.name, 0o600)
