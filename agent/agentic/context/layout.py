"""The user's message: their own words first, then what they have before their eyes. All of it at the prompt's tail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from agentic.context.mentions import MAX_ALL, Mentioned, mentioned
from agentic.context.prompts import render
from agentic.context.rules import MAX_FIRST, Rules, beginning, inert
from agentic.errors import Refusal
from agentic.ports.code_index import CodeIndex, NoIndex
from agentic.ports.workspace import Workspace
from agentic.task import Task
from agentic.text import split_lines

MAX_ENTRIES = 40
MAX_CONTEXT = 24_000
"""Characters of the context block."""
CUT = "[cut for want of room]"
SECONDS = 3.0
"""How long the context may take to be read; then the turn goes on without what is missing."""

Offer = Callable[[Collection[str]], Awaitable[str]]
"""Finds what may be of use for the task, leaving out files that are shown already."""

T = TypeVar("T")

_LATE = Mentioned("[what the user points at could not be read in time]")
_SHARES = {"mentions": 2 / 3, "rules": 1 / 3}
"""The parts of a small block that may be used at most."""
_LEAST = 200
"""Characters of a section that are worth showing."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the context block. When room is short, those with the greatest `rank` are cut first."""

    text: str
    rank: int


async def task_message(
    task: Task,
    workspace: Workspace,
    index: CodeIndex | None = None,
    offered: str | Offer = "",
    rules: Rules | None = None,
    max_chars: int = MAX_CONTEXT,
) -> str:
    """The task with its context, which is at most `max_chars` long: what the user points at, has open and has selected,
    the rules of the workspace, and what is `offered` to the model unasked.

    `rules` are those that the turn goes on with; without any, it begins anew.
    """
    chars = {part: int(max_chars * share) for part, share in _SHARES.items()}
    points = mentioned(task, workspace, index or NoIndex(), min(MAX_ALL, chars["mentions"]))
    until = asyncio.get_running_loop().time() + SECONDS
    pointed = await _by(until, points, _LATE)
    rules = rules or Rules(workspace)
    above = (*task.open_files, *pointed.paths)
    ruled = await _by(until, rules.first(above, min(MAX_FIRST, chars["rules"])), "")
    found = offered if isinstance(offered, str) else await offered(pointed.paths)
    sections = [
        Section(_place(task, workspace), 0),
        Section(await _tree(workspace), 7),
        Section(_line("open in the editor (the first is active)", task.open_files), 6),
        Section(_line("with unsaved text, which you see and commands do not", await workspace.unsaved()), 5),
        Section(f"selected by the user:\n{inert(task.selection)}" if task.selection else "", 3),
        Section(f"standing instructions of the user:\n{inert(task.instructions)}" if task.instructions else "", 1),
        Section(ruled, 4),
        Section(f"the user points at:\n{pointed.text}" if pointed.text else "", 2),
        Section(found, 8),
    ]
    return render("task", task=task.text, context="\n".join(fitting(sections, max_chars)))


def fitting(sections: Sequence[Section], max_chars: int) -> list[str]:
    """The texts of the sections in their order, the least important ones cut or left out where there is no room."""
    texts = [section.text for section in sections]
    over = sum(len(text) + 1 for text in texts if text) - max_chars
    for at in sorted(range(len(sections)), key=lambda at: -sections[at].rank):
        if over <= 0:
            break
        room = len(texts[at]) - over - len(CUT) - 1
        shorter = f"{beginning(split_lines(texts[at]), room).text.rstrip()}\n{CUT}" if room >= _LEAST else ""
        over -= len(texts[at]) - len(shorter)
        texts[at] = shorter
    return [text for text in texts if text]


async def _by(until: float, work: Awaitable[T], otherwise: T) -> T:
    try:
        async with asyncio.timeout_at(until):
            return await work
    except TimeoutError:
        return otherwise


_MODE_NOTES = {
    "plan": " (nothing may be changed and only reading commands run: work out a plan and say it)",
    "ask": " (the user approves each edit and each command)",
}


def _place(task: Task, workspace: Workspace) -> str:
    lines = [f"mode: {task.mode}{_MODE_NOTES.get(task.mode, '')}", _line("workspace folders", workspace.roots)]
    return "\n".join([*lines, *_overrides(task)])


def _line(title: str, names: Sequence[str]) -> str:
    return f"{title}: {', '.join(names)}" if names else ""


async def _tree(workspace: Workspace) -> str:
    entries = await workspace.list(".")
    if isinstance(entries, Refusal):
        return ""
    names = [f"{entry.path}/" if entry.is_dir else entry.path for entry in entries[:MAX_ENTRIES]]
    more = f" … and {len(entries) - MAX_ENTRIES} more" if len(entries) > MAX_ENTRIES else ""
    return f"files at the top: {' '.join(names) or '(none)'}{more}"


def _overrides(task: Task) -> list[str]:
    given = {
        "domain": task.overrides.domain,
        "complexity": task.overrides.complexity,
        "route": task.overrides.route,
    }
    words = [f"{name} {value}" for name, value in given.items() if value is not None]
    return [f"set by the user: {', '.join(words)}"] if words else []
