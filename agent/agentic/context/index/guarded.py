"""Parsing that may cost the process its life, but never twice for the same file.

The parsers are C, and some texts crash them or keep them busy for minutes. So the file that is being parsed stands in
a file beside the database, and too much time ends the process. The next one reads there which file to spare.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from agentic.syntax.reading import Reading, read

SECONDS = 3.0
"""Of processor time that one file may take; usual are milliseconds."""
_NOTHING = Reading([], [])


class GuardedReader:
    """Reads files for the index, leaving out what ended the process before.

    :raises OSError: when the note cannot be written.
    """

    def __init__(self, note: Path) -> None:
        self._note = os.open(note, os.O_RDWR | os.O_CREAT, 0o600)
        before = os.pread(self._note, 65_536, 0)
        self.spared = before.partition(b"\0")[0].decode(errors="replace")
        """The file that the process before this one did not survive; empty when there is none."""
        self._forget()

    def __call__(self, path: str, text: str) -> Reading:
        """What the file defines and uses; nothing where it is the one to be spared."""
        if path == self.spared:
            return _NOTHING
        os.pwrite(self._note, path.encode(errors="replace") + b"\0", 0)
        _limit(SECONDS)
        try:
            return read(path, text)
        finally:
            _limit(0)
            self._forget()

    def _forget(self) -> None:
        os.pwrite(self._note, b"\0", 0)


def _limit(seconds: float) -> None:
    """End the process after so much processor time; 0 for no limit. Where the system has no such timer: never."""
    with contextlib.suppress(AttributeError):
        signal.setitimer(signal.ITIMER_PROF, seconds)
