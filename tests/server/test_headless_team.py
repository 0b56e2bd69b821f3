"""Sub-agents in `agentic run`: what a person at a terminal reads, is asked, and gets."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.cast import Cast
from support.daemon import PATIENCE, Model, call, edit, environment
from support.model_server import Answer, Reply
from support.raw_client import python
from support.runs import work

NAMES = ("api", "web")
PARTS = call("delegate", {"subtasks": [{"name": name, "text": f"Do {name}.py."} for name in NAMES]})
MAIN: list[Answer] = [Reply(work(complexity=0.9)), PARTS, Reply("All of it is done.")]
ASKS = re.compile(r"^.*\[n\] Reject(?: all)?: ", re.MULTILINE)
"""A prompt, with all that stands before it on its line."""


def worker(name: str) -> list[Answer]:
    prints = call(
        "run_command", {"command": f"printf '{name} '; echo one; printf '{name} '; echo two; touch /dev/null"}
    )
    return [edit(f"{name}.py", "1", "2"), prints, Reply(f"Changed {name}.py.\nDecision: two it is.")]


@pytest.fixture
async def model(tmp_path: Path) -> AsyncIterator[Model]:
    (tmp_path / "workspace").mkdir()
    for name in NAMES:
        (tmp_path / "workspace" / f"{name}.py").write_text("a = 1\n")
    model = Model()
    cast = Cast({"main": MAIN, **{name: worker(name) for name in NAMES}}, len(NAMES))
    cast.hold()
    model.play_by(cast)
    async with model.server:
        yield model


async def start(folder: Path, model: Model, *flags: str, stdin: int, stdout: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *python("-m", "agentic_server", "run", "--base-url", model.url, *flags, "Build it all."),
        env={"PATH": "/usr/bin:/bin", "TERM": "xterm", **environment(folder)},
        cwd=folder / "workspace",
        stdin=stdin,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
    )


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "workspace").iterdir()}


async def test_on_a_pipe_every_line_is_whole_and_stands_under_its_name(tmp_path: Path, model: Model) -> None:
    process = await start(tmp_path, model, "--yes", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE)
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert (process.returncode, err) == (0, b"")
    lines = out.decode().split("\n")
    for name in NAMES:
        own = [line.partition(" │ ")[2] for line in lines if line.startswith(f"{name} ")]
        assert own[0] == f"⇉ Do {name}.py."
        assert [line for line in own if line.startswith(f"  {name} ")] == [f"  {name} one", f"  {name} two"]
        assert own[-3:] == [f"Changed {name}.py.", "Decision: two it is.", f"⇇ has finished · {name}.py"]
    assert lines.count("All of it is done.") == 1
    assert texts(tmp_path) == {f"{name}.py": "a = 2\n" for name in NAMES}
    assert list((tmp_path / "temporary").iterdir()) == []


async def test_at_a_terminal_each_is_asked_for_in_turn_and_nothing_comes_between(tmp_path: Path, model: Model) -> None:
    outer, inner = os.openpty()
    process = await start(tmp_path, model, stdin=inner, stdout=inner)
    os.close(inner)
    seen, asked = "", list[str]()
    while process.returncode is None and len(asked) < 4:
        seen += (await asyncio.wait_for(asyncio.to_thread(os.read, outer, 4096), PATIENCE)).decode()
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen).replace("\r\n", "\n")
        if found := ASKS.search(plain):
            assert plain.endswith(found[0]), "nothing is printed behind a prompt"
            asked.append(found[0])
            seen = ""
            os.write(outer, b"y\n")
    await asyncio.wait_for(asyncio.gather(asyncio.to_thread(drain, outer), process.wait()), PATIENCE)
    os.close(outer)
    assert process.returncode == 0
    assert asked[0].startswith("Work on 2 parts at once? [y] Allow")
    assert {line.split(" [y]")[0] for line in asked[1:3]} == {f"{name}: Run this command?" for name in NAMES}
    assert asked[3].startswith("Apply the joined work: 2 files, +2 −2? [y] Apply all, [2] File by file")
    assert texts(tmp_path) == {f"{name}.py": "a = 2\n" for name in NAMES}


def drain(descriptor: int) -> None:
    """Read what is left, until the other end is closed."""
    try:
        while os.read(descriptor, 4096):
            pass
    except OSError:
        pass
