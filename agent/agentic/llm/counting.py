"""How many tokens messages are, from the best source at hand that takes no noticeable time.

1. The model's own tokenizer, where it is the one that we have (`tokenizer.has_o200k`).
2. The server's count, for texts that are worth a round trip (vLLM and llama.cpp): of each text where they are few,
   as in a turn; of the whole prompt where they are many, as when a session is taken up again. Other servers offer none.
3. The estimate, which errs high: for short messages always, and for all of them where the others fail.

The exact figure comes with each answer's usage, for free; these counts are for what was added since.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from agentic.llm.endpoint import EndpointInfo
from agentic.llm.failures import CLIENT_FAILURES
from agentic.llm.probe import root_of
from agentic.llm.tokenizer import Tokenizer, has_o200k, load_o200k
from agentic.llm.tokens import estimate_message, overhead_of, text_of
from agentic.ports.model import Message, TokenCount, ToolSpec

if TYPE_CHECKING:
    from openai import AsyncOpenAI

DEADLINE = 0.5
"""Seconds that a server's count, or the tokenizer's of a long text, may take."""
LOADING = 2.0
"""Seconds for the tokenizer to be loaded; it is loaded to the end all the same, for the next time."""
WORTH_ASKING = 200
"""Messages of fewer tokens, by the estimate, are not worth a round trip."""
MOST_ASKED = 4
"""Texts that a server is asked for one by one; of more it is asked for the sum."""

_INLINE = 32_768
"""Characters that are tokenized at once, in about 2 ms; more are given to a thread."""
_LONGEST_TOKEN = 200
"""Bytes; a server that counts fewer tokens has not read the text."""
_MOST_TOKENS = 2
"""Tokens a byte; a server that counts more has counted something else."""
_FRAME = 10_000
"""Tokens that a template may put around any prompt."""


class TokenCounter:
    """Counts for one endpoint, over its client. `info` says which model and which kind of server it is."""

    def __init__(self, client: AsyncOpenAI, info: EndpointInfo, deadline: float = DEADLINE) -> None:
        self._client = client
        self._info = info
        self._deadline = deadline
        self._given_up: set[str] = set()
        """Paths that the server refused or was slow at."""

    async def count(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[TokenCount]:
        """See `agentic.ports.model.Model.count`."""
        parts = [*messages, *tools]
        if has_o200k(self._info.model) and (tokenizer := await _loaded()) is not None:
            return await self._tokenized(tokenizer, parts)
        estimates = [estimate_message(part) for part in parts]
        long = [place for place, estimate in enumerate(estimates) if estimate >= WORTH_ASKING]
        if len(long) > MOST_ASKED:
            return _in_proportion(estimates, await self._ask_prompt(messages, tools))
        told = await self._ask_texts({place: parts[place] for place in long})
        return [
            TokenCount(told[place], "server") if place in told else TokenCount(estimate)
            for place, estimate in enumerate(estimates)
        ]

    async def _tokenized(self, tokenizer: Tokenizer, parts: Sequence[Message]) -> list[TokenCount]:
        texts = [text_of(part) for part in parts]
        counts = await self._tokenize(tokenizer, texts)
        return [
            TokenCount(estimate_message(part)) if count is None else TokenCount(count + overhead_of(part), "tokenizer")
            for count, part in zip(counts, parts, strict=True)
        ]

    async def _tokenize(self, tokenizer: Tokenizer, texts: Sequence[str]) -> Sequence[int | None]:
        if sum(map(len, texts)) <= _INLINE:
            return [tokenizer.count(text) for text in texts]
        try:
            async with asyncio.timeout(self._deadline):
                return await asyncio.to_thread(lambda: [tokenizer.count(text) for text in texts])
        except TimeoutError:
            return [None] * len(texts)

    async def _ask_texts(self, parts: Mapping[int, Message]) -> dict[int, int]:
        """The server's counts of messages by their places, without those that it did not give."""
        async with asyncio.TaskGroup() as group:
            asked = {place: group.create_task(self._ask_text(text_of(part))) for place, part in parts.items()}
        counts = {place: task.result() for place, task in asked.items()}
        return {place: count + overhead_of(parts[place]) for place, count in counts.items() if count is not None}

    async def _ask_text(self, text: str) -> int | None:
        match self._info.server:
            case "vllm":
                body = {"model": self._info.model, "prompt": text, "add_special_tokens": False}
            case "llama.cpp":
                body = {"content": text, "add_special": False}
            case _:
                return None
        return await self._ask("text", f"{root_of(self._info.url)}/tokenize", body, _size(text))

    async def _ask_prompt(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> int | None:
        """The server's count of everything. vLLM does not tell it for gpt-oss: there it uses another template."""
        body = {"model": self._info.model, "messages": messages, **({"tools": tools} if tools else {})}
        size = sum(_size(text_of(part)) for part in (*messages, *tools))
        match self._info.server:
            case "vllm" if not has_o200k(self._info.model):
                return await self._ask("prompt", f"{root_of(self._info.url)}/tokenize", body, size)
            case "llama.cpp":
                return await self._ask("prompt", "/chat/completions/input_tokens", body, size)
            case _:
                return None

    async def _ask(self, what: str, path: str, body: Mapping[str, object], size: int) -> int | None:
        """What the server counts in `size` bytes, if it can be. One that fails or is slow is not asked for it again."""
        if what in self._given_up:
            return None
        try:
            async with asyncio.timeout(self._deadline):
                count = _read(await self._client.post(path, cast_to=object, body=body))
        except (TimeoutError, *CLIENT_FAILURES):
            count = -1
        if size // _LONGEST_TOKEN < count <= size * _MOST_TOKENS + _FRAME:
            return count
        self._given_up.add(what)
        return None


class _Answer(msgspec.Struct):
    """`tokens` from /tokenize, `input_tokens` from llama.cpp's count of a prompt."""

    tokens: list[int] = []
    input_tokens: int = 0


def _read(answer: object) -> int:
    told = msgspec.convert(answer, _Answer)
    return told.input_tokens or len(told.tokens)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


async def _loaded() -> Tokenizer | None:
    try:
        async with asyncio.timeout(LOADING):
            return await load_o200k()
    except TimeoutError:
        return None


def _in_proportion(estimates: Sequence[int], total: int | None) -> list[TokenCount]:
    """The parts of a total that the server told, each as large as the estimates say."""
    if total is None:
        return [TokenCount(estimate) for estimate in estimates]
    share = total / sum(estimates)
    return [TokenCount(math.ceil(estimate * share), "server") for estimate in estimates]
