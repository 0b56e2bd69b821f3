"""How full the window is: a conversation's running count, never counted twice, and what it leaves to others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from agentic.ports.model import TokenCount

SMALLEST_RESERVE = 1024
"""Tokens kept for an answer, in a window that is at least twice as large."""
MOST_CHARS = 50_000
"""Characters of a tool's result at most, however large the window."""
FEWEST_CHARS = 600
"""Characters that a tool's result may always have: with fewer nothing can be read."""
LARGEST_CALIBRATION = 2.0
"""A server that counts more than this many times as much puts something fixed in front of the prompt."""

_FADING = 0.2
"""The part of the way that the calibration goes back for each answer which needed less."""
_CUT_OFF = 1 / 4
"""Our count is hardly ever four times too high: a server that tells less than this part of it has cut the prompt."""
_CHARS_A_TOKEN = 3
"""Of source code, numbered: rather too few than too many."""
_NEGLIGIBLE = 0.03
"""A count is called exact while at most this part of it is estimated."""

Certainty = Literal["exact", "mixed", "estimate"]


def budget_of(window: int, answer_limit: int | None = None) -> int:
    """The tokens of a window that a prompt may fill; the rest is kept for the answer.

    That is a quarter of the window or `SMALLEST_RESERVE`, whichever is more, but never more than half of the window
    nor than an answer can be long.
    """
    reserve = min(max(window // 4, SMALLEST_RESERVE), window // 2)
    return window - (reserve if answer_limit is None else min(reserve, answer_limit))


def result_limit(window: int, used: int, fixed: int = 0) -> int:
    """The characters that a tool's next result may have, in a window of so many tokens of which `used` are.

    As much as still fits, or as will once older messages have made room: that is half of what the `fixed` tokens, which
    nothing makes shorter, leave. At most a quarter of the window, between `FEWEST_CHARS` and `MOST_CHARS`.
    """
    budget = budget_of(window)
    tokens = min(window // 4, max(budget - used, (budget - fixed) // 2))
    return min(MOST_CHARS, max(FEWEST_CHARS, tokens * _CHARS_A_TOKEN))


class Ledger:
    """The count of one conversation's prompt: its messages and what stands before them, such as the tools.

    Each message is counted by others when it is appended, and its count given to `append`. After an answer, `told`
    replaces the sum for the messages that the request held by what the server said; only those that follow are ours.
    Every method but `reset` and `counts` takes the same time however long the conversation is.
    """

    def __init__(self, before: Sequence[TokenCount] = ()) -> None:
        self.calibration = 1.0
        """What our counts are multiplied by, since the server counted more. Never less than 1: counts err high."""
        self._before = before
        self.reset(())

    def reset(self, counts: Sequence[TokenCount]) -> None:
        """Begin again with these messages; what was learned about the server stays."""
        self._told = 0
        self._told_of = 0
        self._sums = [sum(count.tokens for count in self._before)]
        self._estimates = [sum(map(_estimated, self._before))]
        for count in counts:
            self.append(count)

    def append(self, count: TokenCount) -> None:
        """One more message."""
        self._sums.append(self._sums[-1] + count.tokens)
        self._estimates.append(self._estimates[-1] + _estimated(count))

    def told(self, prompt_tokens: int, upto: int) -> bool:
        """The server counted `prompt_tokens` for a prompt of the first `upto` messages.

        False, and nothing is changed, when that is so little that the server must have cut the prompt off.
        News about fewer messages than are known of already change nothing either.
        """
        ours = self._sums[upto]
        if not ours:
            return False
        if prompt_tokens <= ours * _CUT_OFF:
            return False
        if upto >= self._told_of:
            self._told, self._told_of = prompt_tokens, upto
            self._calibrate(prompt_tokens / ours if ours else 1.0)
        return True

    @property
    def messages(self) -> int:
        """How many messages were counted."""
        return len(self._sums) - 1

    @property
    def tokens(self) -> int:
        """The prompt's length, rather too many than too few."""
        if not self._told:
            return self.scaled(self._sums[-1])
        return self._told + self.scaled(self._sums[-1] - self._sums[self._told_of])

    @property
    def estimated(self) -> int:
        """How many of `tokens` are neither told by the server nor counted with the model's tokenizer."""
        if not self._told:
            return self.scaled(self._estimates[-1])
        return self.scaled(self._estimates[-1] - self._estimates[self._told_of])

    @property
    def by(self) -> Certainty:
        """Whether `tokens` is exact but for a few percent, in parts an estimate, or nothing else."""
        estimated, tokens = self.estimated, self.tokens
        if estimated <= tokens * _NEGLIGIBLE:
            return "exact"
        return "estimate" if estimated >= tokens else "mixed"

    def counts(self) -> list[int]:
        """Each message's part of `tokens`, rather too many: with `before` they are never less than it in sum."""
        return [self._share(after - before) for before, after in pairwise(self._sums)]

    @property
    def before(self) -> int:
        """The part of `tokens` that stands before the messages."""
        return self._share(self._sums[0])

    def with_messages(self, counts: Sequence[TokenCount]) -> int:
        """The prompt's length if it had these messages instead."""
        return self.scaled(self._sums[0] + sum(count.tokens for count in counts))

    def scaled(self, tokens: int) -> int:
        """A count of ours as the server would count, calibrated."""
        return math.ceil(tokens * self.calibration)

    def _share(self, tokens: int) -> int:
        return math.ceil(tokens * max(self.calibration, self.tokens / (self._sums[-1] or 1)))

    def _calibrate(self, ratio: float) -> None:
        faded = self.calibration + (ratio - self.calibration) * _FADING
        self.calibration = min(max(ratio, faded, 1.0), LARGEST_CALIBRATION)


def _estimated(count: TokenCount) -> int:
    return count.tokens if count.by == "estimate" else 0
