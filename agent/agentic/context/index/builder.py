"""Keeping the database what the files are: a scan compares all, then the watcher tells what changes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from agentic.context.index.contents import read_contents
from agentic.context.index.guarded import GuardedReader
from agentic.context.index.links import link_all
from agentic.context.index.places import Places
from agentic.context.index.watcher import Watcher
from agentic.context.index.writer import Writer
from agentic.ignore import RULES

FLOOD = 1_000
"""More changes than these at once, and everything is compared anew when they are over."""
_COMMIT_SECONDS = 0.25
_FIRST_FILES = 200
"""So many files are indexed before all are found, that there is something to be searched."""
_QUIET_SECONDS, _FLOOD_SECONDS = 0.5, 5.0
_IDLE_SECONDS = 1.0
_RESCAN_SECONDS = 2.0
_SHARE = 20
"""Rescans without a watcher take one part in so many of the time at most."""

Report = Callable[[int, int | None, bool], None]
"""Takes how many files are indexed, how many there are, and whether that is all."""


class Builder:
    """Builds an index and keeps it fresh, in the thread that calls it.

    :raises sqlite3.Error, OSError: when the database is damaged or cannot be written.
    """

    def __init__(self, connection: sqlite3.Connection, places: Places, note: Path, report: Report) -> None:
        self._connection = connection
        self._writer = Writer(connection)
        self._places = places
        self._read = GuardedReader(note)
        self._report = report
        self._watcher = Watcher(places.folders)
        self._committed = time.monotonic()
        self._total: int | None = None
        self._comparing = True
        self._rescan_due = False
        self._linking: Iterator[None] | None = None
        self._next_rescan = 0.0

    @property
    def failure(self) -> str:
        """Why files are not watched; empty while they are."""
        return self._watcher.failure

    @property
    def is_worn(self) -> bool:
        return self._writer.is_worn

    def start(self) -> None:
        """Begin to watch, and compare all files with the database."""
        self._tell()
        self._watcher.start()
        self.scan()

    def scan(self) -> None:
        """Compare all files with the database, and read what has changed."""
        began = time.monotonic()
        self._rescan_due = False
        self._places.reload_rules()
        known = self._writer.stamps()
        changed: list[tuple[str, str]] = []
        self._comparing, self._total, total = True, None, 0
        for path, place, stamp in self._places.all():
            total += 1
            if known.pop(path, None) != stamp:
                changed.append((path, place))
                if len(changed) == _FIRST_FILES and not self._writer.count:
                    self._index_all(changed)
        for path in known:
            self._writer.remove(path)
        self._total = total
        self._tell()
        if len(changed) > FLOOD:
            self._writer.mark_linked(False)
            self._linking = None
        self._index_all(changed)
        self._finish()
        self._next_rescan = time.monotonic() + max(_RESCAN_SECONDS, _SHARE * (time.monotonic() - began))

    def step(self) -> None:
        """Wait for changes, a second at most, and take them up."""
        self._take_up(self._watcher.changes(_IDLE_SECONDS if self._writer.linked else 0))
        if self._rescan_due or (self.failure and time.monotonic() >= self._next_rescan):
            self.scan()
        elif not self._writer.linked:
            self.link_some()

    def link_some(self) -> None:
        """Link some of the files, where all are to be linked."""
        self._linking = self._linking or link_all(self._connection)
        if next(self._linking, self) is self:
            self._writer.mark_linked(True)
            self._linking = None

    def _finish(self) -> None:
        self._comparing = False
        if self._writer.complete:
            self._writer.commit()
        else:
            self._writer.mark_complete()
        self._tell()

    def _index_all(self, files: Sequence[tuple[str, str]]) -> None:
        for path, place in files:
            self._index(path, place)
            if time.monotonic() - self._committed > _COMMIT_SECONDS:
                self._commit()
                self._take_up(self._watcher.changes(0))
        self._commit()

    def _take_up(self, changed: set[str]) -> None:
        if len(changed) > FLOOD:
            self._watcher.settle(_QUIET_SECONDS, _FLOOD_SECONDS)
            self._rescan_due = True
            return
        for place in sorted(changed):
            self._update(Path(place))
        if changed:
            self._commit()

    def _update(self, place: Path) -> None:
        paths = self._places.paths(place)
        if paths and place.name == RULES:
            self._rescan_due = True
        if place.is_dir() and not place.is_symlink():
            for path in paths:
                if self._writer.stamp(path):
                    self._writer.remove(path)
            for path, file, stamp in self._places.below(place):
                if self._writer.stamp(path) != stamp:
                    self._index(path, file)
            return
        for path in paths:
            self._index(path, str(place))

    def _index(self, path: str, place: str) -> None:
        contents = read_contents(place)
        if contents is None:
            self._writer.remove(path)
        elif not self._writer.is_same(path, contents.stamp, contents.data):
            self._writer.put(path, contents.stamp, contents.data, contents.text, self._read(path, contents.text))

    def _commit(self) -> None:
        self._writer.commit()
        self._committed = time.monotonic()
        self._tell()

    def _tell(self) -> None:
        self._report(self._writer.count, self._total if self._comparing else self._writer.count, not self._comparing)
