"""What a turn spends: one account for each agent, and one above them for the turn as a whole."""

from __future__ import annotations

import msgspec

from agentic.events import Metrics
from agentic.ports.model import Answer
from agentic.task import Prices


class Meter:
    """Adds up the figures of answers and calls. What is counted here is counted in `above` too."""

    def __init__(self, prices: Prices | None = None, above: Meter | None = None) -> None:
        self.metrics = Metrics()
        self._prices = prices
        self._above = above
        self._cacheable = 0
        """Prompt tokens of the answers whose part in the server's cache is known."""
        self._warned: set[str] = set()

    @property
    def whole(self) -> Meter:
        """The account of the turn with all its agents."""
        return self._above.whole if self._above is not None else self

    @property
    def tokens(self) -> int:
        """Of prompts and answers."""
        return self.metrics.prompt_tokens + self.metrics.completion_tokens

    @property
    def cost(self) -> float | None:
        """In the currency of the prices; None where there are none."""
        spent, prices = self.metrics, self._prices
        return prices and prices.cost(spent.prompt_tokens, spent.cached_tokens, spent.completion_tokens)

    def count(self, answer: Answer) -> None:
        """Add an answer's figures."""
        old, usage = self.metrics, answer.usage
        streaming = answer.seconds - (answer.first_token_seconds or 0.0)
        completion = usage.completion or 0
        if usage.cached is not None:
            self._cacheable += usage.prompt or 0
        cached = old.cached_tokens + (usage.cached or 0)
        rate = completion / streaming if completion and streaming > 0.01 else old.tokens_per_second
        self.metrics = Metrics(
            model_calls=old.model_calls + 1,
            tool_calls=old.tool_calls,
            iterations=old.iterations,
            prompt_tokens=old.prompt_tokens + (usage.prompt or 0),
            cached_tokens=cached,
            completion_tokens=old.completion_tokens + completion,
            reasoning_tokens=old.reasoning_tokens + (usage.reasoning or 0),
            first_token_seconds=old.first_token_seconds or answer.first_token_seconds,
            tokens_per_second=round(rate, 1) if rate is not None else None,
            hit_share=round(cached / self._cacheable, 4) if self._cacheable else None,
        )
        if self._above is not None:
            self._above.count(answer)

    def warns_first(self, budget: str) -> bool:
        """Whether nobody has warned of this budget yet; from now on somebody has."""
        first = budget not in self._warned
        self._warned.add(budget)
        return first

    def add_call(self) -> None:
        """One more tool call."""
        self.metrics = msgspec.structs.replace(self.metrics, tool_calls=self.metrics.tool_calls + 1)
        if self._above is not None:
            self._above.add_call()

    def add_iteration(self) -> None:
        """One more iteration, of this agent alone."""
        self.metrics = msgspec.structs.replace(self.metrics, iterations=self.metrics.iterations + 1)
