"""What is remembered of conversations between their requests: where they were, and what their prompts were.

Nothing here must be remembered for the answers to be right; the oldest conversations are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from agentic.llm.prefix import PromptChain

CONVERSATIONS = 512
"""How many are remembered."""

CLEARLY = 0.8
"""A prompt that has grown and is told to be shorter than this share of its former length was cut."""

_ERRING_HIGH = 4 / 3
"""A prompt's chain counts four bytes a token, which is too few tokens for dense text."""


@dataclass(slots=True)
class Conversation:
    """One agent's requests. `calls` is shared by all agents of the session: the items of the calls that were shown."""

    calls: set[str] = field(default_factory=set[str])
    home: str = ""
    """The name of the endpoint that holds its prefix."""
    _told_waiting: bool = False
    _last: tuple[int, int, str] = (0, 0, "")
    """The length of the last prompt in links, the last one of these, and who answered it."""
    _rough: int = 0
    """Its length in tokens, uncounted."""
    _prompt: int = 0
    """Its length in tokens, as the server told it."""

    def tell_waiting(self) -> bool:
        """Whether a person should be told that its requests wait for others; once is enough."""
        told, self._told_waiting = self._told_waiting, True
        return not told

    def estimate(self, chain: PromptChain) -> int:
        """About how many tokens a prompt has; by the measure of the last one, where the server told its length."""
        return round(chain.tokens * (self._prompt / self._rough if self._prompt and self._rough else _ERRING_HIGH))

    def is_cut(self, chain: PromptChain, url: str, prompt: int | None) -> bool:
        """Whether a server read clearly less of this prompt than of the former one, which this one goes on with."""
        links, last, answered = self._last
        extends = 0 < links < len(chain.links) and chain.links[links - 1] == last and answered == url
        return extends and prompt is not None and prompt < self._prompt * CLEARLY

    def overflowed(self, chain: PromptChain, window: int) -> None:
        """A window of so many tokens is too small for this prompt."""
        if self.estimate(chain) <= window:
            self._rough, self._prompt = chain.tokens, window + 1

    def remember(self, chain: PromptChain, url: str, prompt: int | None) -> None:
        """An answer has come to this prompt."""
        self._last = len(chain.links), chain.links[-1], url
        self._rough, self._prompt = chain.tokens, prompt or 0


class Conversations:
    """The conversations that were used last."""

    def __init__(self, most: int = CONVERSATIONS) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, str], Conversation] = OrderedDict()
        self._calls: OrderedDict[str, set[str]] = OrderedDict()

    def of(self, key: tuple[str, str]) -> Conversation:
        """The conversation of a session id and an agent's name."""
        calls = self._calls[key[0]] = self._calls.pop(key[0], set())
        found = self._known[key] = self._known.pop(key, None) or Conversation(calls)
        for kept in (self._known, self._calls):
            if len(kept) > self._most:
                kept.popitem(last=False)
        return found
