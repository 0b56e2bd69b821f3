"""The user's message: their own words first, then what they have before their eyes. All of it at the prompt's tail."""

from __future__ import annotations

from agentic.context.prompts import render
from agentic.errors import Refusal
from agentic.ports.workspace import Workspace
from agentic.task import Task

MAX_ENTRIES = 40


async def task_message(task: Task, workspace: Workspace) -> str:
    """The task with its context: mode, folders, open files, selection, and the top of the file tree."""
    lines = [f"mode: {task.mode}{_MODE_NOTES.get(task.mode, '')}"]
    lines.append(f"workspace folders: {', '.join(workspace.roots)}")
    lines += await _tree(workspace)
    if task.open_files:
        lines.append(f"open in the editor (the first is active): {', '.join(task.open_files)}")
    if unsaved := await workspace.unsaved():
        lines.append(f"with unsaved text, which you see and commands do not: {', '.join(unsaved)}")
    if task.selection:
        lines.append(f"selected by the user:\n{task.selection}")
    lines += _overrides(task)
    return render("task", task=task.text, context="\n".join(lines))


_MODE_NOTES = {
    "plan": " (nothing may be changed and only reading commands run: work out a plan and say it)",
    "ask": " (the user approves each edit and each command)",
}


async def _tree(workspace: Workspace) -> list[str]:
    entries = await workspace.list(".")
    if isinstance(entries, Refusal):
        return []
    names = [f"{entry.path}/" if entry.is_dir else entry.path for entry in entries[:MAX_ENTRIES]]
    more = f" … and {len(entries) - MAX_ENTRIES} more" if len(entries) > MAX_ENTRIES else ""
    return [f"files at the top: {' '.join(names) or '(none)'}{more}"]


def _overrides(task: Task) -> list[str]:
    given = {
        "domain": task.overrides.domain,
        "complexity": task.overrides.complexity,
        "route": task.overrides.route,
    }
    words = [f"{name} {value}" for name, value in given.items() if value is not None]
    return [f"set by the user: {', '.join(words)}"] if words else []
