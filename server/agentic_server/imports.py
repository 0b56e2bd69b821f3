"""Importing much at once."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

PATIENCE = 20_000
"""How many new objects bring the garbage collector in meanwhile. Without it 10 MB of garbage would stay; with its usual
700 it looks at the modules again and again, which is a quarter of the time that they take."""


@contextmanager
def for_good() -> Generator[None]:
    """What is made inside stays until the end: the garbage collector seldom looks at it, and afterwards never."""
    usual = gc.get_threshold()
    gc.set_threshold(PATIENCE, *usual[1:])
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*usual)
