"""Copying the files of a workspace, and telling what has become of the copy since. Blocking.

Copied is what git does not ignore. Ignored folders of dependencies are linked to, for commands need them and they are
large; a package in them that is a link to sources of the workspace leads to their copy. Links stay links: those that
lead inside lead inside the copy, those that lead out of the workspace lead to the same place as before. Left out are
special files (pipes, sockets, devices), what cannot be read, and whatever else is ignored.
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from agentic.change import ABSENT
from agentic.disk import tree
from agentic.disk.files import TextFile, read_text, version_of
from agentic.errors import Refusal
from agentic.ports.workspace import MAX_FILE_BYTES
from agentic.safety.paths import Roots

MAX_COPY_FILES = 100_000
"""Files, folders and links in a copy."""
MAX_COPY_BYTES = 2_000_000_000

LINKED_FOLDERS = frozenset(
    {
        *("node_modules", "bower_components", ".yarn", ".pnpm-store", ".venv", "venv", "env", ".tox", ".nox"),
        *("__pypackages__", "vendor", "target", "Pods", ".gradle", ".bundle", "_build", "deps", ".dart_tool"),
    }
)
"""Ignored folders of these names are linked to: installed dependencies, and what builds keep."""
_NEVER_SOURCES = frozenset({"node_modules", ".venv", "venv"})
"""Linked to where there is no git to ignore them, too."""
GENERATED = frozenset({*_NEVER_SOURCES, "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"})
"""What commands make under these names is nobody's work, also where nothing says that it is ignored."""

_STEP = 16_000_000
"""Bytes of a large file that are copied before somebody who wants to stop is listened to."""


@dataclass(frozen=True, slots=True)
class CopyLimits:
    """What a copy may hold at most."""

    entries: int = MAX_COPY_FILES
    bytes: int = MAX_COPY_BYTES


class CopyStopped(Exception):
    """Somebody wanted the copying to stop."""


@dataclass(frozen=True, slots=True)
class Known:
    """A file of the copy. `version` is None for what is no text; `given` is the one before any command."""

    stamp: tuple[int, ...]
    version: str | None
    given: str | None


@dataclass(frozen=True, slots=True)
class CopiedRoot:
    """One root and its copy. `files` has what the copy held when it was last looked at, `folders` end with a slash."""

    prefix: str
    source: Path
    copy: Path
    files: dict[str, Known] = field(default_factory=dict[str, Known])
    folders: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, slots=True)
class RootPlan:
    """What is to be copied of one root: paths below it with their entries, and links with where they are to lead."""

    root: CopiedRoot
    folders: list[tuple[str, os.DirEntry[str]]] = field(default_factory=list[tuple[str, os.DirEntry[str]]])
    files: list[tuple[str, os.DirEntry[str]]] = field(default_factory=list[tuple[str, os.DirEntry[str]]])
    links: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    left_out: list[str] = field(default_factory=list[str])


def plan_copy(roots: Roots, target: Path, limits: CopyLimits, stop: threading.Event) -> list[RootPlan] | Refusal:
    """Look at all that is to be copied. Refuses: too_large, before anything is written.

    :raises CopyStopped: when `stop` is set.
    """
    pairs = zip(roots.folders, roots.names, strict=True)
    plans = [RootPlan(CopiedRoot(prefix, source, target / name)) for (prefix, source), name in pairs]
    copied = [plan.root for plan in plans]
    entries = size = 0
    for plan in plans:
        versioned = (plan.root.source / ".git").exists()
        for found in tree.everything(plan.root.source, names=() if versioned else _NEVER_SOURCES):
            if stop.is_set():
                raise CopyStopped
            entries += 1
            size += _plan_entry(plan, found, copied)
            if entries > limits.entries:
                return _too_large(f"more than {limits.entries:,} files")
            if size > limits.bytes:
                return _too_large(f"more than {limits.bytes / 1e9:g} GB")
    if size > shutil.disk_usage(target).free:
        return _too_large("more than there is room for in the temporary folder")
    return plans


def carry_out(plan: RootPlan, stop: threading.Event) -> None:
    """Make the copy. :raises CopyStopped: when `stop` is set. :raises OSError: the copy cannot be written."""
    root = plan.root
    root.copy.mkdir()
    for path, _ in plan.folders:
        (root.copy / path).mkdir()
        if LINKED_FOLDERS.isdisjoint(path.split("/")):
            root.folders.add(path)
    for path, entry in plan.files:
        if not copy_file(root, path, Path(entry.path), stop):
            plan.left_out.append(path)
    for path, target in plan.links:
        os.symlink(target, root.copy / path)
    for path, entry in reversed(plan.folders):
        with suppress(OSError):
            os.chmod(root.copy / path, stat.S_IMODE(entry.stat().st_mode) & 0o777 | 0o700)


def copy_file(root: CopiedRoot, path: str, source: Path, stop: threading.Event) -> bool:
    """Copy one regular file with its mode and time; False where it is none, cannot be read, or is gone."""
    if stop.is_set():
        raise CopyStopped
    try:
        descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return False
        with open(root.copy / path, "xb", buffering=0) as made:
            version = _fill(file, made, status.st_size, stop)
            os.fchmod(made.fileno(), stat.S_IMODE(status.st_mode) & 0o777)
            os.utime(made.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
            root.files[path] = Known(_stamp(os.fstat(made.fileno())), version, version)
    return True


def note_written(root: CopiedRoot, path: str) -> None:
    """The file now holds, or lacks, what was to be written into it."""
    now = read_text(root.copy / path, path)
    if isinstance(now, TextFile) and now.version == ABSENT:
        root.files.pop(path, None)
    elif isinstance(now, TextFile):
        root.files[path] = Known(_stamp(os.lstat(root.copy / path)), now.version, now.version)


def changed_since(root: CopiedRoot) -> dict[str, str | None]:
    """The text files of the copy that are not as they were when it was last looked at; None for removed ones."""
    known = root.files.keys() | root.folders
    found = [f for f in tree.everything(root.copy, known, GENERATED) if not f.ignored and not f.entry.is_symlink()]
    root.folders.update(f.path for f in found if f.path.endswith("/"))
    changed: dict[str, str | None] = {}
    for path in sorted({*root.files, *(f.path for f in found if not f.path.endswith("/"))}):
        status = _status(root.copy / path)
        old = root.files.get(path)
        if status is None:
            if old is not None and old.version is not None:
                changed[root.prefix + path] = None
            root.files[path] = Known((), None, old.given if old else None)
        elif old is None or old.stamp != _stamp(status):
            now = read_text(root.copy / path, path)
            text, version = (now.text, now.version) if isinstance(now, TextFile) else (None, None)
            root.files[path] = Known(_stamp(status), version, old.given if old else None)
            if text is not None and (old is None or version != old.version):
                changed[root.prefix + path] = text
    return changed


def _plan_entry(plan: RootPlan, found: tree.Found, copied: Sequence[CopiedRoot]) -> int:
    """Put something that was found in the plan; returns its size where it is a file that is to be copied."""
    entry = found.entry
    if entry.is_symlink():
        if not found.ignored or entry.name in LINKED_FOLDERS:
            plan.links.append((found.path, _target(copied, plan.root, Path(entry.path))))
    elif found.ignored:
        if found.path.endswith("/") and entry.name in LINKED_FOLDERS:
            _plan_dependencies(plan, found.path.rstrip("/"), entry, copied)
    elif found.path.endswith("/"):
        plan.folders.append((found.path, entry))
        if not _can_be_listed(entry):
            plan.left_out.append(found.path)
    elif entry.is_file():
        plan.files.append((found.path, entry))
        with suppress(OSError):
            return entry.stat().st_size
    return 0


def _plan_dependencies(plan: RootPlan, path: str, folder: os.DirEntry[str], copied: Sequence[CopiedRoot]) -> None:
    """Link to a folder; to each package in it where some are links to sources, as in workspaces of npm and its kin."""
    packages = list(_packages(path, folder)) if folder.name == "node_modules" else []
    sources = {name for name, entry in packages if entry.is_symlink() and _leads_to_sources(entry, copied)}
    if not sources:
        plan.links.append((path, folder.path))
        return
    plan.folders.append((f"{path}/", folder))
    for name, entry in packages:
        if _is_scope(entry):
            plan.folders.append((f"{name}/", entry))
        else:
            target = _target(copied, plan.root, Path(entry.path)) if name in sources else entry.path
            plan.links.append((name, target))


def _packages(path: str, folder: os.DirEntry[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """What lies in a folder of packages, and in its scopes."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            yield f"{path}/{entry.name}", entry
            if _is_scope(entry):
                yield from _packages(f"{path}/{entry.name}", entry)


def _is_scope(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith("@") and entry.is_dir(follow_symlinks=False)


def _leads_to_sources(link: os.DirEntry[str], copied: Sequence[CopiedRoot]) -> bool:
    real = Path(os.path.realpath(link.path))
    inside = [real.relative_to(root.source) for root in copied if real.is_relative_to(root.source)]
    return bool(inside) and LINKED_FOLDERS.isdisjoint(inside[0].parts)


def _can_be_listed(folder: os.DirEntry[str]) -> bool:
    try:
        os.scandir(folder).close()
    except OSError:
        return False
    return True


def _target(roots: Sequence[CopiedRoot], own: CopiedRoot, link: Path) -> str:
    """Where a link's copy leads: inside the copies for what lies in the workspace, else to the very same place."""
    text, real = os.readlink(link), Path(os.path.realpath(link))
    home = next((root for root in roots if real.is_relative_to(root.source)), None)
    if home is None:
        return str(real)
    folder = link.parent
    if home is own and not os.path.isabs(text) and Path(os.path.normpath(folder / text)) == real:
        return text
    there = own.copy / folder.relative_to(own.source)
    return os.path.relpath(home.copy / real.relative_to(home.source), there)


def _fill(file: BinaryIO, made: FileIO, size: int, stop: threading.Event) -> str | None:
    """Copy what a file holds, and give its version where it is a text; large files are taken for none."""
    if size <= MAX_FILE_BYTES:
        data = file.read()
        _write(made, data)
        return _text_version(data)
    # Copying within the kernel shares the blocks on file systems that can; where it does not work, bytes are copied.
    copy_range = getattr(os, "copy_file_range", None)
    with suppress(OSError):
        while copy_range is not None and copy_range(file.fileno(), made.fileno(), _STEP):
            if stop.is_set():
                raise CopyStopped
    file.seek(made.tell())
    while data := file.read(_STEP):
        if stop.is_set():
            raise CopyStopped
        _write(made, data)
    return None


def _write(made: FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[made.write(left) :]


def _text_version(data: bytes) -> str | None:
    """The version of a text file with these bytes; None where they are no text."""
    if b"\0" in data:
        return None
    try:
        data.decode()
    except UnicodeDecodeError:
        return None
    return version_of(data)


def _status(place: Path) -> os.stat_result | None:
    try:
        return os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    """What changes when a file does. The time of the last change of its inode cannot be set back by programs."""
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


def _too_large(what: str) -> Refusal:
    return Refusal(
        "too_large",
        f"The workspace cannot be copied: it holds {what}.",
        "Do without commands, or ask the user to open a part of it, or to ignore generated files in .gitignore.",
    )
