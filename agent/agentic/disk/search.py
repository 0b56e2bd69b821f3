"""Searching files: ripgrep where it is installed, else the same in a Python process of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

from agentic.disk import grep, tree
from agentic.disk.environment import child_environment, trusted_program
from agentic.disk.glob import matcher
from agentic.errors import Refusal
from agentic.ports.workspace import MAX_FILE_BYTES, Match
from agentic.safety.paths import Roots, is_nameable

_SECONDS = 20.0
_MAX_LINE = 2_000
"""Characters of a line that a match shows."""
_RIPGREP_OPTIONS = (
    *("--no-config", "--json", "--crlf", "--hidden", "--sort=path", "--no-messages", "--no-require-git"),
    *("--no-ignore-dot", "--no-ignore-exclude", "--no-ignore-global", "--no-ignore-parent", "--glob=!.git"),
)


async def search(roots: Roots, pattern: str, glob: str, limit: int, *, ripgrep: bool = True) -> list[Match] | Refusal:
    """The port's `search`. `ripgrep=False` does without it. Patterns that only Python understands are Python's."""
    try:
        async with asyncio.timeout(_SECONDS):
            program = trusted_program("rg", [folder for _, folder in roots.folders]) if ripgrep else None
            if program is not None:
                found = await _with_ripgrep(program, roots, pattern, glob, limit)
                if found is not None:
                    return found
            return await _with_python(roots, pattern, glob, limit)
    except TimeoutError:
        return Refusal("timeout", "The search took too long.", "Use a simpler pattern, or a glob that narrows it.")


async def _with_ripgrep(program: str, roots: Roots, pattern: str, glob: str, limit: int) -> list[Match] | None:
    """None when ripgrep does not take the pattern."""
    matches_glob = matcher(glob or "**")
    found: list[Match] = []
    for prefix, folder in roots.folders:
        ignored = tree.Ignored(folder)

        def wanted(name: str, prefix: str = prefix, ignored: tree.Ignored = ignored) -> bool:
            return matches_glob(prefix + name) and is_nameable(name) and not ignored(name)

        command = [program, *_RIPGREP_OPTIONS, f"--max-filesize={MAX_FILE_BYTES}", "-e", pattern, "--", "./"]
        process = await _start(command, folder)
        try:
            async with aclosing(_matches(process, prefix, wanted, limit - len(found))) as matches:
                found += [match async for match in matches]
            if len(found) < limit and await process.wait() == 2 and not found:
                return None
        finally:
            await _end(process)
    return found


async def _matches(process: Process, prefix: str, wanted: Callable[[str], bool], limit: int) -> AsyncGenerator[Match]:
    """What ripgrep finds, file by file; dropped is what turns out to be binary or, by git's rules, ignored."""
    held: list[Match] = []
    name = ""
    async for line in _json_lines(process):
        kind, data = line["type"], line.get("data", {})
        if kind == "begin":
            name = data["path"].get("text", "").removeprefix("./")
            name = name if name and wanted(name) else ""
            held = []
        elif kind == "match" and name and len(held) < limit:
            held.append(Match(prefix + name, data["line_number"], _text(data["lines"])))
        elif kind == "end" and data["binary_offset"] is None:
            for match in held:
                yield match
            limit -= len(held)
            if limit <= 0:
                return


async def _with_python(roots: Roots, pattern: str, glob: str, limit: int) -> list[Match] | Refusal:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        message = f"The pattern is no regular expression: {error}."
        return Refusal("bad_arguments", message, "Escape its special characters.")
    files = await asyncio.to_thread(_files, roots, matcher(glob or "**"))
    request = {
        "pattern": pattern,
        "files": files,
        "limit": limit,
        "max_bytes": MAX_FILE_BYTES,
        "max_line": _MAX_LINE,
    }
    process = await _start([sys.executable, "-ISEXutf8", grep.__file__], roots.folders[0][1], stdin=PIPE)
    try:
        said, _ = await process.communicate(json.dumps(request).encode())
    finally:
        await _end(process)
    return [Match(name, line, text) for name, line, text in map(json.loads, said.splitlines())]


def _files(roots: Roots, wanted: Callable[[str], bool]) -> list[tuple[str, str]]:
    walks = (
        (path, folder / path.removeprefix(prefix))
        for prefix, folder in roots.folders
        for path in tree.walk(folder, prefix)
    )
    return [(path, str(place)) for path, place in walks if wanted(path)]


async def _start(command: list[str], folder: Path, stdin: int = DEVNULL) -> Process:
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=stdin,
        stdout=PIPE,
        stderr=DEVNULL,
        cwd=folder,
        env=child_environment(os.environ, [folder]),
        start_new_session=True,
    )


async def _end(process: Process) -> None:
    """Kill a process that still runs, and reap it. What it printed is read to its end, else asyncio waits for ever."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def _json_lines(process: Process) -> AsyncGenerator[dict[str, Any]]:
    """The process's output, object by object, however long its lines are."""
    assert process.stdout is not None
    rest: list[bytes] = []
    while data := await process.stdout.read(65_536):
        head, *more = data.split(b"\n")
        rest.append(head)
        for line in more:
            yield json.loads(b"".join(rest))
            rest = [line]


def _text(lines: dict[str, str]) -> str:
    """A line as ripgrep gives it: text, or base64 where it is not UTF-8."""
    text = lines["text"] if "text" in lines else base64.b64decode(lines["bytes"]).decode(errors="replace")
    return text.removesuffix("\n").removesuffix("\r")[:_MAX_LINE]
