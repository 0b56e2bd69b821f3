"""The model's window: how full a conversation makes it, and what is shortened when it is full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from agentic.context import compaction
from agentic.context.budget import Ledger, budget_of, result_limit
from agentic.context.history import History
from agentic.context.trim import Trimmed, fixed_tokens, goal_of, last_exchange, shorten_longest, shrink_outputs, trim
from agentic.errors import ContextExhausted
from agentic.events import Usage
from agentic.llm.tokens import estimate_message
from agentic.ports.model import Message, Model, TokenCount
from agentic.tools.registry import TOOLS, tool_specs

AFTER_REFUSAL = 3 / 4
"""The part of a prompt that is sent again when the server found it too long and does not say what its window is."""
FRUITLESS = 2
"""Compactions in a row that did not come down to their goal, or without an answer between: the turn ends."""

By = Literal["outputs", "summary", "dropped"]
_EDITS = frozenset(name for name, tool in TOOLS.items() if tool.kind == "edit")
_LARGER = "Serve the model with a larger window, or start a new session with a shorter task."


class Help(Protocol):
    """What a summary needs of the world."""

    async def summary(self, messages: Sequence[Message], tokens: int) -> str:
        """The model's summary of these messages; empty where it gave none that was whole, within its time."""
        ...

    async def files(self, paths: Sequence[str], tokens: int, count: Callable[[Message], int]) -> Message | None:
        """The first of these files as they are now, within so many tokens; None where none is small enough."""
        ...


@dataclass(frozen=True, slots=True)
class Compaction:
    """What was done: the prompt's tokens before and after."""

    before: int
    after: int
    by: By
    exact: bool


class PromptWindow:
    """Keeps one conversation within the window of the model that answers it."""

    def __init__(self, model: Model, history: History) -> None:
        self._model = model
        self._history = history
        self._ledger: Ledger | None = None
        self._fruitless = 0
        """Compactions in a row that did not reach their goal."""
        self._unanswered = 0
        """Compactions since the last answer."""
        self._summaries = True
        """Whether the model's summaries have been of use so far."""

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

    async def fit(self, answer_limit: int, helper: Help | None = None, *, refused: bool = False) -> Compaction | None:
        """Shorten the conversation if its prompt leaves too little room for an answer of up to `answer_limit` tokens.

        Tool outputs go first, then the model sums old turns up, with `helper`; where it cannot, old exchanges are
        dropped. Until it is known what is sent from now on, the conversation stays as it was: a cancelled compaction
        leaves no trace. `refused`: the server has just found the prompt too long, whatever was counted.

        :raises ContextExhausted: what must stay does not fit, or compactions have come to be of no use.
        """
        ledger = await self.count()
        budget = budget_of(self._model.window, answer_limit)
        if refused:
            budget = min(budget, int(ledger.tokens * AFTER_REFUSAL))
        if ledger.tokens <= budget:
            return None
        if self._unanswered >= FRUITLESS:
            raise self._exhausted("The conversation was shortened twice without an answer, and still is too long for")
        by, messages = await self._shorter(ledger, budget, helper)
        return self._take(by, messages, await self._model.count(messages), budget, refused=refused)

    async def room(self, answer_limit: int) -> int:
        """How many tokens the next answer may have."""
        ledger = await self.count()
        return max(1, min(answer_limit, self._model.window - ledger.tokens))

    async def result_chars(self) -> int:
        """How many characters the next tool's result may have. What the same answer's calls gave so far stays whole."""
        ledger = await self.count()
        messages, counts = self._history.for_server, ledger.counts()
        fixed = ledger.before + fixed_tokens(messages, counts) + sum(counts[last_exchange(messages) :])
        return result_limit(self._model.window, ledger.tokens, fixed)

    def told(self, usage: Usage, upto: int) -> None:
        """An answer has come; the server has counted the prompt of the first `upto` messages."""
        self._unanswered = 0
        if self._ledger is not None and usage.prompt:
            self._ledger.told(usage.prompt, upto)

    async def _shorter(self, ledger: Ledger, budget: int, helper: Help | None) -> tuple[By, list[Message]]:
        messages, counts, count = self._history.for_server, ledger.counts(), _counting(ledger)
        shrunk = shrink_outputs(messages, counts, budget, count, ledger.before)
        if shrunk.fits:
            return "outputs", shrunk.messages
        if helper is not None and self._summaries:
            summed_up = await self._summed_up(ledger, shrunk, budget, helper)
            if summed_up is not None:
                return "summary", summed_up
        trimmed = trim(messages, counts, budget, count, ledger.before)
        return "dropped" if trimmed.dropped else "outputs", trimmed.messages

    async def _summed_up(self, ledger: Ledger, shrunk: Trimmed, budget: int, helper: Help) -> list[Message] | None:
        """The conversation with a summary; None where that would not pay, or the model gave none of use."""
        messages, counts, count = self._history.for_server, ledger.counts(), _counting(ledger)
        limit = compaction.summary_limit(self._model.window)
        cut = compaction.cut_of(messages, counts, budget)
        gone = compaction.replaced(messages, cut)
        size = sum(counts[place] for place in gone)
        fixed = ledger.before + fixed_tokens(messages, counts)
        goal = goal_of(budget, fixed)
        if not compaction.is_worth_it(size, limit) or fixed + limit > goal:
            return None
        text = await helper.summary(self._to_sum_up(ledger, shrunk, cut, limit), limit)
        summary = compaction.summary_message(text, [messages[place] for place in gone])
        if summary is None or count(summary) >= size:
            self._summaries = False
            return None
        left = goal - fixed - count(summary) - sum(counts[cut:])
        room = min(left, int(budget * compaction.FILES_ROOM))
        files = await helper.files(compaction.edited_paths(messages, _EDITS), room, count)
        shorter = compaction.rebuilt(messages, cut, summary, files)
        known = dict(zip(map(id, messages), counts, strict=True))
        sizes = [known[id(one)] if id(one) in known else count(one) for one in shorter]
        shortened = shorten_longest(shorter, sizes, budget, count, ledger.before)
        return shortened.messages if shortened.fits else None

    def _to_sum_up(self, ledger: Ledger, shrunk: Trimmed, cut: int, limit: int) -> Sequence[Message]:
        """What is sent to be summed up: the conversation up to the cut as the server knows it, if that fits."""
        messages, counts, count = self._history.for_server, ledger.counts(), _counting(ledger)
        room = self._model.window - limit - count(compaction.summary_request(limit))
        if ledger.before + sum(counts[:cut]) <= room:
            return messages[:cut]
        return trim(shrunk.messages[:cut], shrunk.counts[:cut], room, count, ledger.before).messages

    def _take(
        self, by: By, messages: list[Message], counts: Sequence[TokenCount], budget: int, *, refused: bool
    ) -> Compaction:
        """Judge what came of it, and send it from now on."""
        ledger = self._ledger
        assert ledger is not None
        before, after = ledger.tokens, ledger.with_messages(counts)
        fixed = ledger.before + fixed_tokens(messages, [ledger.scaled(count.tokens) for count in counts])
        fruitless = 0 if after <= goal_of(budget, fixed) else self._fruitless + 1
        if after > budget and not (refused and after < before):
            raise self._exhausted("The task and the last messages alone do not fit into")
        if fruitless >= FRUITLESS:
            raise self._exhausted("Twice, shortening the conversation made too little room in")
        self._fruitless = fruitless
        self._unanswered += 1
        self._history.compact(messages)
        ledger.reset(counts)
        return Compaction(before, after, by, ledger.by == "exact")

    def _exhausted(self, why: str) -> ContextExhausted:
        return ContextExhausted(f"{why} the model's window of {self._model.window} tokens.", _LARGER)


def _counting(ledger: Ledger) -> Callable[[Message], int]:
    return lambda message: ledger.scaled(estimate_message(message))
