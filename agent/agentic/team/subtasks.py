"""What sub-agents are told: their part as the first message, and the conflicts that one of them is to resolve."""

from __future__ import annotations

from collections.abc import Sequence

from agentic.context.prompts import render
from agentic.ports.team import Conflict, Subtask
from agentic.task import Task
from agentic.team.shared import Board
from agentic.text import clip

MAX_TASK = 6_000
"""Characters of the user's task, for orientation; a part's own text is given whole."""
MAX_OTHER = 400
MAX_BOARD = 4_000
MAX_DIFF = 4_000
"""Of one conflict."""
MAX_CONFLICTS = 16_000


def subtask_text(task: Task, subtask: Subtask, board: Board, others: Sequence[Subtask]) -> str:
    """A sub-agent's first message. `others` are the other parts; what the board holds comes with it."""
    known = board.render(MAX_BOARD)
    return render(
        "subtask",
        agent=subtask.name,
        part=subtask.text,
        task=clip(task.text, MAX_TASK),
        others="\n".join(f"- {other.name}: {_line(other.text)}" for other in others) or "(nobody)",
        iterations=str(task.team.iterations),
        minutes=f"{task.team.seconds / 60:.2g}",
        board=f"\n<known_so_far>\n{known}\n</known_so_far>\n" if known else "",
    )


def resolve_text(task: Task, conflicts: Sequence[Conflict], subtasks: Sequence[Subtask]) -> str:
    """The first message of the agent that resolves conflicts: both versions, and what those meant who wrote them."""
    names = {name for conflict in conflicts for name in (conflict.kept, conflict.left)}
    goals = [f"- {subtask.name}: {_line(subtask.text)}" for subtask in subtasks if subtask.name in names]
    told = [
        f"{conflict.path}, line {conflict.line}: {conflict.kept}'s is in, {conflict.left}'s was left out.\n"
        f"{clip(conflict.diff, MAX_DIFF)}"
        for conflict in conflicts
    ]
    return render(
        "resolve",
        task=clip(task.text, MAX_TASK),
        goals="\n".join(goals) or "(not told)",
        conflicts=clip("\n".join(told).rstrip("\n"), MAX_CONFLICTS),
    )


def _line(text: str) -> str:
    """A text on one line, shortened."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_OTHER else line[: MAX_OTHER - 1] + "…"
