"""How an agent's conversation begins: the task with its context, and what retrieval offers."""

from __future__ import annotations

from collections.abc import Collection

from agentic.context.layout import MAX_CONTEXT, task_message
from agentic.context.retrieval import DEFAULT, Budget, offer
from agentic.context.rules import MAX_FIRST
from agentic.events import RetrievalProgress, RetrievalResult
from agentic.graph.turn import Turn
from agentic.ports.code_index import NoIndex

OFFERED_SHARE = 16
"""What is offered takes at most this part of the window."""
RULES_SHARE = 4
"""The rules have at most this part of the window's tokens in characters: about a twelfth of it."""


async def open_task(turn: Turn) -> None:
    """The user's message: their words, and what they have before their eyes."""
    with turn.phase("context" if isinstance(turn.ports.index, NoIndex) else "retrieval"):
        text = await task_message(
            turn.task,
            turn.ports.workspace,
            turn.ports.index,
            lambda already: _offered(turn, already),
            turn.rules,
            max_chars=min(MAX_CONTEXT, turn.ports.model.window),
        )
        turn.opening = text
        turn.history.add_user(text)


async def open_assignment(turn: Turn) -> None:
    """Another agent's message: its assignment, and the rules of the workspace, of which a small window takes less."""
    with turn.phase("context"):
        rules = await turn.rules.first((), min(MAX_FIRST, turn.ports.model.window // RULES_SHARE))
        turn.history.add_user(f"{turn.task.text}\n\n{rules}" if rules else turn.task.text)


async def _offered(turn: Turn, already: Collection[str]) -> str:
    """The places that may matter for the task, told as events; nothing where nothing is good."""
    index = turn.ports.index
    if isinstance(index, NoIndex):
        return ""
    budget = Budget(tokens=min(DEFAULT.tokens, turn.ports.model.window // OFFERED_SHARE))
    found = await offer(turn.task, turn.ports.workspace, index, budget, already=already)
    if not index.state.complete:
        turn.emit(RetrievalProgress(**turn.origin, done=index.state.files, total=index.state.total))
    turn.emit(RetrievalResult(**turn.origin, paths=list(found.paths), tokens=found.tokens))
    return found.text
