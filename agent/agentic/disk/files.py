"""Text files as bytes on a disk: read as they are, written all or nothing. Blocking."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agentic.change import ABSENT
from agentic.errors import Refusal
from agentic.ports.workspace import MAX_FILE_BYTES

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file's text without its byte order mark; `version` is the hash of all its bytes, or ABSENT."""

    text: str
    version: str
    bom: bool = False


NO_FILE = TextFile("", ABSENT)


def read_text(place: Path, name: str) -> TextFile | Refusal:
    """The text of a regular file. `name` is what refusals call it."""
    try:
        data = _read_bytes(place, name)
    except FileNotFoundError:
        return NO_FILE
    except NotADirectoryError:
        return Refusal("not_a_file", f"{name} lies below a file.", "List the folder above it.")
    except OSError as error:
        return Refusal("io_error", f"{name} cannot be read: {error.strerror}.", "Look at its permissions.")
    if isinstance(data, Refusal):
        return data
    if b"\0" in data:
        return Refusal("not_text", f"{name} is a binary file.", "Use a command that knows its format.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return Refusal("not_text", f"{name} is not UTF-8.", "Convert it with a command first, if it must be edited.")
    bom = data.startswith(BOM)
    return TextFile(text[1:] if bom else text, version_of(data), bom)


def to_bytes(text: str, bom: bool) -> bytes:
    """The bytes of a text. :raises UnicodeEncodeError: where it holds half a character."""
    return (BOM if bom else b"") + text.encode("utf-8")


def version_of(data: bytes) -> str:
    """The version of a file with these bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def write_bytes(place: Path, data: bytes, expected: str) -> bool:
    """Put `data` in place of the file, atomically and durably, keeping its mode; make the folders above it.

    False, and nothing done, when the file's version is not `expected` any more.

    :raises OSError: with all left as it was.
    """
    made = _make_folders(place.parent)
    temporary = place.parent / f".agentic-{secrets.token_hex(8)}.tmp"
    try:
        _fill(temporary, data, place)
        now = read_text(place, place.name)
        if isinstance(now, Refusal) or now.version != expected:
            return False
        os.replace(temporary, place)
        made.clear()
        _sync_folder(place.parent)
    finally:
        temporary.unlink(missing_ok=True)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
    return True


def remove_file(place: Path, expected: str) -> bool:
    """Remove the file; False, and nothing done, when its version is not `expected` any more. :raises OSError:"""
    now = read_text(place, place.name)
    if isinstance(now, Refusal) or now.version != expected:
        return False
    place.unlink()
    _sync_folder(place.parent)
    return True


def _read_bytes(place: Path, name: str) -> bytes | Refusal:
    """What a regular file holds; nothing else is ever opened, and what becomes something else cannot block."""
    mode = place.lstat().st_mode
    if not stat.S_ISREG(mode):
        return _not_a_file(mode, name)
    descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return _not_a_file(status.st_mode, name)
        data = b"" if status.st_size > MAX_FILE_BYTES else file.read(MAX_FILE_BYTES + 1)
    if status.st_size > MAX_FILE_BYTES or len(data) > MAX_FILE_BYTES:
        return Refusal(
            "too_large", f"{name} is larger than {MAX_FILE_BYTES // 1_000_000} MB.", "Search it, or use head or tail."
        )
    return data


def _not_a_file(mode: int, name: str) -> Refusal:
    if stat.S_ISDIR(mode):
        return Refusal("not_a_file", f"{name} is a folder.", "List it instead.")
    return Refusal("not_a_file", f"{name} is no regular file.", "Use a regular file.")


def _fill(temporary: Path, data: bytes, model: Path) -> None:
    """Write and sync a new file with the mode and, where allowed, the owner of `model` if there is one."""
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
        file.write(data)
        file.flush()
        with suppress(FileNotFoundError):
            status = model.stat()
            with suppress(PermissionError):
                os.chown(temporary, status.st_uid, status.st_gid)
            temporary.chmod(stat.S_IMODE(status.st_mode))
        os.fsync(file.fileno())


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it; returns what was made, the innermost first."""
    missing: list[Path] = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    made: list[Path] = []
    try:
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            made.insert(0, path)
    except OSError:
        for path in made:
            path.rmdir()
        raise
    return made


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
