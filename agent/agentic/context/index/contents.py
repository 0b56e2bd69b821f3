"""Reading a file for the index, in bounded time, whatever it is."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from agentic.context.index.writer import Stamp

MAX_BYTES = 1_000_000
"""Of a larger file only the name is indexed."""
_LOOKED_AT = 8_192
"""A NUL among the first bytes makes a file binary."""


@dataclass(frozen=True, slots=True)
class Contents:
    """A file as it was at one moment; no `data` where it is binary or too large."""

    stamp: Stamp
    data: bytes | None

    @property
    def text(self) -> str:
        """Bytes that are no UTF-8 are replaced."""
        return "" if self.data is None else self.data.removeprefix(b"\xef\xbb\xbf").decode(errors="replace")


def read_contents(place: str | Path) -> Contents | None:
    """None for what is no regular file, is a link, or cannot be read."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(place, flags)
    except (OSError, ValueError):
        return None
    try:
        return _read(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> Contents | None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        return None
    stamp = Stamp(found.st_mtime_ns, found.st_size)
    if found.st_size > MAX_BYTES:
        return Contents(stamp, None)
    with os.fdopen(os.dup(descriptor), "rb") as file:
        data = file.read(MAX_BYTES + 1)
    is_text = len(data) <= MAX_BYTES and b"\0" not in data[:_LOOKED_AT]
    return Contents(stamp, data if is_text else None)
