"""`agentic run` as a process, with a real server."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.daemon import environment
from support.raw_client import python

PATIENCE = 120.0
CALC = "def add(a, b):\n    return a - b\n"
TEST = """import unittest

from calc import add


class TestAdd(unittest.TestCase):
    def test_add(self) -> None:
        self.assertEqual(add(2, 3), 5)


if __name__ == "__main__":
    unittest.main()
"""


@dataclass
class Ran:
    """What became of a run."""

    code: int
    events: list[dict[str, Any]]
    errors: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    @property
    def session(self) -> str:
        return self.events[0]["sessionId"]

    @property
    def cached(self) -> list[tuple[int, int]]:
        """Tokens of each prompt, and how many of them the server's cache held."""
        usages = [event["usage"] for event in self.of("modelFinished")]
        return [(usage["prompt"], usage["cached"]) for usage in usages]

    @property
    def said(self) -> str:
        """The last text."""
        return self.of("textFinished")[-1]["text"].strip()


def make_workspace(folder: Path) -> Path:
    """A small project whose test fails."""
    workspace = folder / "workspace"
    workspace.mkdir()
    (workspace / "calc.py").write_text(CALC, "utf-8")
    (workspace / "test_calc.py").write_text(TEST, "utf-8")
    return workspace


async def run(folder: Path, task: str, *urls: str, session: str = "") -> Ran:
    """Do a task in the folder's workspace; edits and commands are allowed."""
    line = ["-m", "agentic_server", "run", "--json", "--mode", "accept-edits", "--yes"]
    line += [part for url in urls for part in ("--base-url", url)]
    line += ["--session", session] if session else []
    process = await asyncio.create_subprocess_exec(
        *python(*line, task),
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "AGENTIC_TEMPERATURE": "0", **_without_empty(environment(folder))},
        cwd=folder / "workspace",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return Ran(process.returncode, [json.loads(one) for one in out.decode().splitlines()], err.decode())


def _without_empty(names: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in names.items() if value}
