"""The model's window: how full a conversation makes it, and what is shortened when it is full."""

from __future__ import annotations

from agentic.context.budget import Ledger
from agentic.context.history import History
from agentic.context.trim import budget_of, trim
from agentic.errors import ContextOverflow
from agentic.events import Usage
from agentic.llm.tokens import estimate_message
from agentic.ports.model import Model
from agentic.tools.registry import tool_specs

AFTER_REFUSAL = 3 / 4
"""The part of a prompt that is sent again when the server found it too long and does not say what its window is."""


class PromptWindow:
    """Keeps one conversation within the window of the model that answers it."""

    def __init__(self, model: Model, history: History) -> None:
        self._model = model
        self._history = history
        self._ledger: Ledger | None = None

    async def count(self) -> Ledger:
        """The ledger, with every message counted; only those that are new cost anything."""
        messages = self._history.for_server
        if self._ledger is None:
            tools = tool_specs()
            counts = await self._model.count(messages, tools)
            self._ledger = Ledger(counts[len(messages) :])
            self._ledger.reset(counts[: len(messages)])
        elif self._ledger.messages < len(messages):
            for count in await self._model.count(messages[self._ledger.messages :]):
                self._ledger.append(count)
        return self._ledger

    async def fit(self, answer_limit: int, *, refused: bool = False) -> tuple[int, int] | None:
        """Shorten the conversation if its prompt leaves too little room for an answer of up to `answer_limit` tokens.

        `refused`: the server has just found it too long, whatever was counted. The prompt's tokens before and after;
        None where nothing was done.

        :raises ContextOverflow: what must stay does not fit either.
        """
        ledger = await self.count()
        window, before = self._model.window, ledger.tokens
        budget = budget_of(window, answer_limit)
        if refused:
            budget = min(budget, int(before * AFTER_REFUSAL))
        if before <= budget:
            return None
        trimmed = trim(
            self._history.for_server,
            ledger.counts(),
            budget - ledger.before,
            lambda message: ledger.scaled(estimate_message(message)),
        )
        if trimmed.changed:
            self._history.compact(trimmed.messages)
            ledger.reset(await self._model.count(trimmed.messages))
        if not trimmed.fits and not (refused and trimmed.changed):
            raise ContextOverflow(
                f"The task and the last messages alone do not fit into the model's window of {window} tokens.",
                "Serve the model with a larger window, or start a new session with a shorter task.",
            )
        return before, ledger.tokens

    async def room(self, answer_limit: int) -> int:
        """How many tokens the next answer may have."""
        ledger = await self.count()
        return max(1, min(answer_limit, self._model.window - ledger.tokens))

    def told(self, usage: Usage, upto: int) -> None:
        """The server has counted the prompt of the first `upto` messages."""
        if self._ledger is not None and usage.prompt:
            self._ledger.told(usage.prompt, upto)
