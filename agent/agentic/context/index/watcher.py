"""Which paths below the roots change, as the system tells."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_STEP_MS = 50
_GROUP_MS = 200
_START_SECONDS = 10.0
"""How long to wait until a large tree is watched, before it is read nevertheless."""


class Watcher:
    """Watches in a thread of its own. `failure` tells why something may be missed, once it may."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = roots
        self._changes: queue.SimpleQueue[set[str]] = queue.SimpleQueue()
        self._running = threading.Event()
        self.failure = ""

    def start(self) -> None:
        """Returns when nothing that changes from now on is missed, or when watching has failed."""
        threading.Thread(target=self._watch, name="watcher", daemon=True).start()
        self._running.wait(_START_SECONDS)

    def changes(self, seconds: float) -> set[str]:
        """The paths that have changed; empty after so many seconds without any."""
        found: set[str] = set()
        with contextlib.suppress(queue.Empty):
            found |= self._changes.get(timeout=seconds) if seconds > 0 else self._changes.get_nowait()
            while True:
                found |= self._changes.get_nowait()
        return found

    def settle(self, quiet: float, limit: float) -> None:
        """Throw away what changes until nothing does for `quiet` seconds, at most `limit` seconds long."""
        end = time.monotonic() + limit
        while time.monotonic() < end and self.changes(quiet):
            pass

    def _watch(self) -> None:
        try:
            self._follow(ignore_permission_denied=False)
        except PermissionError as error:
            # The folders after the one that may not be read are not all watched, so this counts as a failure too.
            self.failure = str(error)
            with contextlib.suppress(OSError, RuntimeError):
                self._follow(ignore_permission_denied=True)
        except (OSError, RuntimeError) as error:
            self.failure = str(error) or type(error).__name__
        finally:
            self._running.set()

    def _follow(self, *, ignore_permission_denied: bool) -> None:
        import watchfiles

        batches = watchfiles.watch(
            *self._roots,
            watch_filter=None,
            debounce=_GROUP_MS,
            step=_STEP_MS,
            rust_timeout=2 * _STEP_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            ignore_permission_denied=ignore_permission_denied,
        )
        for batch in batches:
            self._running.set()
            if batch:
                self._changes.put({path for _, path in batch})
