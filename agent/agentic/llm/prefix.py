"""What an endpoint's prefix cache must hold, by vLLM's rule: whole blocks of tokens, chained from the first one.

A prompt is a chain: its head (the tools), then its messages, each linked to all that stands before it by a hash over
the exact bytes. Two prompts that share links share that prefix in the server's cache, whichever conversations they
belong to. Lengths are the token counts that are given; nothing is tokenised here.

    prompt = chains.of(request.conversation, request.messages, request.tools)
    held = cache.expected(prompt)             # at each endpoint, for routing; and when the answer has come:
    usage_cached = cache.expected(prompt, usage.prompt)
    cache.remember(prompt, usage.completion)  # at the endpoint that answered
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import msgspec

from agentic.ports.model import Message, ToolSpec

BLOCK_SIZE = 16
"""Tokens in a block of vLLM's cache on a GPU; its metrics tell where it is another (128 on a CPU)."""

LINKS = 16_384
"""How many links an endpoint's map keeps; about 2 MB. The ones that were used last stay."""

CONVERSATIONS = 8
"""How many conversations' chains are kept to be gone on with, with their messages; another one is hashed anew."""

_BYTES_A_TOKEN = 4
"""For counts that are not given; only their proportions matter where the server tells the prompt's length."""


@dataclass(frozen=True, slots=True)
class PromptChain:
    """A prompt's links, the head's first, and the tokens up to the end of each; `answers` marks the model's own."""

    links: Sequence[int]
    ends: Sequence[int]
    answers: Sequence[bool]

    @property
    def tokens(self) -> int:
        """The prompt's length by the counts that were given."""
        return self.ends[-1]


class PromptChains:
    """Makes the chains of prompts. A conversation that has grown costs what it has grown by.

    A message is known again by its being the same object, so a message that was sent must not be changed in place.
    """

    def __init__(self, conversations: int = CONVERSATIONS) -> None:
        self._most = conversations
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    def of(
        self,
        conversation: tuple[str, str],
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        counts: Sequence[int] | None = None,
    ) -> PromptChain:
        """The chain of a prompt. `counts`: the tokens of each message and then of each tool, as the `Model` port's
        `count` gives them; without them, lengths in bytes stand for them."""
        kept = self._kept.pop(conversation, None) or _Kept()
        self._kept[conversation] = kept
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        kept.follow(messages, tools)
        sizes = kept.sizes if counts is None else [sum(counts[len(messages) :]), *counts[: len(messages)]]
        return PromptChain(tuple(kept.links), tuple(accumulate(sizes)), tuple(kept.answers))


class PrefixMap:
    """What one endpoint's cache holds if it forgot nothing. `capacity` is in links."""

    def __init__(self, block_size: int = BLOCK_SIZE, capacity: int = LINKS) -> None:
        self.block_size = block_size
        self._capacity = capacity
        self._answered: OrderedDict[int, int] = OrderedDict()
        """Each link that was computed there, and the tokens of the longest answer that was given right after it."""

    def expected(self, prompt: PromptChain, prompt_tokens: int | None = None) -> int:
        """How many tokens of a prompt the cache holds: whole blocks, and never the last token, which is computed anew.

        `prompt_tokens`: the prompt's length where the server tells it; the lengths of its parts are scaled to it.
        """
        total = prompt.tokens if prompt_tokens is None else prompt_tokens
        held = self._held(prompt, total / max(prompt.tokens, 1))
        return max(min(held, total - 1), 0) // self.block_size * self.block_size

    def remember(self, prompt: PromptChain, answer_tokens: int | None = 0) -> None:
        """The endpoint has computed this prompt, and `answer_tokens` of an answer to it."""
        answered, last = self._answered, prompt.links[-1]
        for link in reversed(prompt.links):
            answered[link] = answered.pop(link, 0)
        answered[last] = max(answered[last], answer_tokens or 0)
        while len(answered) > self._capacity:
            answered.popitem(last=False)

    def forget(self) -> None:
        """The server was started anew."""
        self._answered.clear()

    def _held(self, prompt: PromptChain, scale: float) -> int:
        """The tokens of the longest prefix that is known, with the answer that stands behind it in the prompt."""
        ends = prompt.ends
        for place in range(len(prompt.links) - 1, -1, -1):
            answer = self._answered.get(prompt.links[place])
            if answer is None:
                continue
            end, after = round(ends[place] * scale), place + 1
            if after < len(ends) and prompt.answers[after]:
                return min(end + answer, round(ends[after] * scale))
            return end
        return 0


@dataclass(slots=True)
class _Kept:
    """A conversation's chain so far, and the messages that it was made of."""

    tools: Sequence[ToolSpec] | None = None
    messages: list[Message] = field(default_factory=list[Message])
    links: list[int] = field(default_factory=list[int])
    sizes: list[int] = field(default_factory=list[int])
    answers: list[bool] = field(default_factory=list[bool])

    def follow(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> None:
        """Make the chain that of these messages, from where they part with those that it was made of."""
        if tools is not self.tools:
            self._begin(tools)
        same = self._same(messages)
        for part in (self.links, self.sizes, self.answers):
            del part[same + 1 :]
        self.messages[same:] = messages[same:]
        for message in messages[same:]:
            self._link(_encoded(message), answer=message.get("role") == "assistant")

    def _begin(self, tools: Sequence[ToolSpec]) -> None:
        """The head; what follows it stands if the tools are the same in another object."""
        data, self.tools = _encoded(tools), tools
        if self.links and self.links[0] == hash((0, data)):
            return
        for part in (self.messages, self.links, self.sizes, self.answers):
            part.clear()
        self._link(data, answer=False)

    def _same(self, messages: Sequence[Message]) -> int:
        """How many messages at the front are the very same objects."""
        for place, (kept, message) in enumerate(zip(self.messages, messages, strict=False)):
            if kept is not message:
                return place
        return min(len(self.messages), len(messages))

    def _link(self, data: bytes, *, answer: bool) -> None:
        self.links.append(hash((self.links[-1] if self.links else 0, data)))
        self.sizes.append(len(data) // _BYTES_A_TOKEN)
        self.answers.append(answer)


def _encoded(part: Message | Sequence[ToolSpec]) -> bytes:
    try:
        return msgspec.json.encode(part)
    except UnicodeEncodeError:
        return json.dumps(part, ensure_ascii=False).encode("utf-8", "replace")
