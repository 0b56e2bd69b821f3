"""What an endpoint can do and how fast it is, found out with a handful of small requests.

About fifteen completions of at most 512 tokens each are asked for; no more time is taken than is given.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

from agentic.errors import DeadlineExceeded, ModelError, RequestRefused
from agentic.events import FirstToken, ModelEvent, Origin, TextDelta, ThinkingDelta, ToolCallDelta, Usage
from agentic.llm.answers import AnswerReader
from agentic.llm.attempt import EndpointClient
from agentic.llm.client import open_client
from agentic.llm.clock import Clock
from agentic.llm.dialect import Dialect
from agentic.llm.endpoint import Deadlines, Endpoint, EndpointInfo
from agentic.llm.gauges import Gauges, read_gauges
from agentic.llm.wire import Chunk, Delta
from agentic.ports.model import Message, ModelRequest, ToolSpec
from agentic.task import new_id

ToolSupport = Literal["native", "recovered", "prompted", "refused", "unused", "unknown"]
"""How a call arrives: as the protocol has it; as text, out of which it was read; asked for in the prompt; not at all,
because the server refuses requests with tools; not, because the model answered in words; not found out."""

ReasoningField = Literal["reasoning", "reasoning_content", "text", "none", "unknown"]
"""Where thoughts arrive: in a field of this name; in the middle of the answer's text; nowhere; not found out."""

IN_FLIGHT = (4, 8)
"""How many requests are sent at once to see what they do together."""


@dataclass(frozen=True, slots=True)
class Speed:
    """The tokens per second of so many requests in flight, in sum."""

    requests: int
    tokens_per_second: float


@dataclass(slots=True)
class Measured:
    """What was found out. None where it was not; shares go from 0 to 1.

    `hit_share`: the part of a prompt, sent a second time, that the server's prefix cache held. `tells_cached`: whether
    the answers say so themselves. `first_token_seconds` is that of a fresh prompt of some 600 tokens.
    `problems` are what went wrong; `cut_short`: there was not enough time for everything.
    """

    tools: ToolSupport = "unknown"
    reasoning: ReasoningField = "unknown"
    usage_in_stream: bool | None = None
    prefix_caching: bool | None = None
    hit_share: float | None = None
    tells_cached: bool | None = None
    tells_gauges: bool = False
    first_token_seconds: float | None = None
    speeds: list[Speed] = field(default_factory=list[Speed])
    problems: list[ModelError] = field(default_factory=list[ModelError])
    cut_short: bool = False


async def measure(
    endpoint: Endpoint, info: EndpointInfo, seconds: float = 20.0, tell: Callable[[str], None] = lambda _: None
) -> Measured:
    """Find out what there is to find out within `seconds`, and `tell` each step before it begins.

    Whatever the server sends, this returns; what failed is among the problems.
    """
    client = EndpointClient(endpoint, info, Deadlines(connect=min(5.0, seconds)))
    measurement = _Measurement(endpoint, client, seconds, tell)
    try:
        await measurement.run()
    finally:
        await client.aclose()
    return measurement.found


_ORIGIN: Origin = {"session_id": "doctor", "turn_id": "doctor", "agent": "main"}
_MARKED_THOUGHT = re.compile(r"</?think(?:ing)?>|<\|channel\|>|\[THINK\]|◁think▷")
_SHORTEST = 0.001
"""Seconds; a server that sends an answer in one piece has no time between its tokens."""
_TOOL: ToolSpec = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "The city's name."}},
            "required": ["city"],
        },
    },
}
_WITH_TOOL: list[Message] = [
    {"role": "system", "content": "You answer with the help of tools."},
    {"role": "user", "content": "What is the weather in Paris now? Call get_weather."},
]
_COUNT = "Write the numbers from 1 to 200 in words, one on each line, and nothing else."


class _Watching(AnswerReader):
    """Reads an answer as every other is read, and notes in which shape it came."""

    def __init__(self, tools: Sequence[ToolSpec]) -> None:
        super().__init__(_ORIGIN, tools=tools)
        self.usage_told = False
        self.fields: set[ReasoningField] = set()
        self.text = ""

    def read(self, chunk: Chunk) -> list[ModelEvent]:
        """See `AnswerReader.read`."""
        self.usage_told = self.usage_told or chunk.usage is not None
        for choice in chunk.choices or ():
            if choice.delta is not None:
                self._note(choice.delta)
        return super().read(chunk)

    def _note(self, delta: Delta) -> None:
        self.text += delta.content or ""
        if delta.reasoning:
            self.fields.add("reasoning")
        if delta.reasoning_content:
            self.fields.add("reasoning_content")

    @property
    def reasoning(self) -> ReasoningField:
        if self.fields:
            return min(self.fields)
        return "text" if _MARKED_THOUGHT.search(self.text) else "none"


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer and when it came, in the event loop's time."""

    shape: _Watching
    called: bool
    began: float
    first: float
    ended: float
    tokens: int


class _Measurement:
    def __init__(self, endpoint: Endpoint, client: EndpointClient, seconds: float, tell: Callable[[str], None]) -> None:
        self.found = Measured()
        self._endpoint = endpoint
        self._client = client
        self._now = asyncio.get_running_loop().time
        self._end = self._now() + seconds
        self._tell = tell

    async def run(self) -> None:
        """Take the steps in turn, each in half of the time that is left, the last in all of it."""
        self._tell("asks for a tool call")
        await self._try(self._see_tools, self._left() / 2)
        self._tell("sends a prompt twice")
        if not await self._try(self._see_prefix, self._left() / 2):
            self.found.tools = "unknown" if self.found.tools == "refused" else self.found.tools
            return
        for requests in IN_FLIGHT:
            self._tell(f"sends {requests} requests at once")
            if not await self._try(lambda seconds, n=requests: self._see_speed(n, seconds), self._left()):
                return

    async def _try(self, step: Callable[[float], Awaitable[None]], seconds: float) -> bool:
        try:
            await step(seconds)
        except DeadlineExceeded:
            self.found.cut_short = True
            return False
        except ModelError as error:
            self.found.problems.append(error)
            return False
        return True

    def _left(self) -> float:
        return max(0.0, self._end - self._now())

    async def _see_tools(self, seconds: float) -> None:
        """Offer a tool; a server that refuses it is asked again in whatever way its words suggest."""
        end = self._now() + seconds
        while True:
            dialect = self._client.dialect
            try:
                answer = await self._ask(_WITH_TOOL, 512, end - self._now(), [_TOOL])
            except ModelError as error:
                if self._client.learn(error, dialect):
                    continue
                if isinstance(error, RequestRefused):
                    self.found.tools = "refused"
                raise
            self.found.tools = _support(answer, self._client.dialect, refused=self._endpoint.tools != "prompted")
            return

    async def _see_prefix(self, seconds: float) -> None:
        """The same prompt twice: the first is new to the server, of the second it may still hold the beginning."""
        end, prompt = self._now() + seconds, _long_prompt()
        answer = await self._ask(prompt, 32, seconds)
        self.found.first_token_seconds = answer.first - answer.began
        async with open_client(self._endpoint.base_url, self._endpoint.key, 1.0) as client:
            before = await read_gauges(client, self._endpoint.base_url)
            answer = await self._ask(prompt, 128, end - self._now())
            after = await read_gauges(client, self._endpoint.base_url)
        self.found.speeds.append(Speed(1, _rate([answer])))
        self._note_cache(answer.shape.usage, before or Gauges(), after)

    def _note_cache(self, usage: Usage, before: Gauges, after: Gauges | None) -> None:
        found, gauges = self.found, after or Gauges()
        found.tells_gauges = after is not None
        found.tells_cached = usage.cached is not None
        if usage.cached is not None and usage.prompt:
            found.hit_share = min(1.0, usage.cached / usage.prompt)
        else:
            found.hit_share = gauges.hit_share_since(before)
        found.prefix_caching = gauges.prefix_caching
        if found.prefix_caching is None and found.hit_share is not None:
            found.prefix_caching = found.hit_share > 0

    async def _see_speed(self, requests: int, seconds: float) -> None:
        prompt = _long_prompt()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._try_ask(prompt, 64, seconds)) for _ in range(requests)]
        answers = [answer for task in tasks if isinstance(answer := task.result(), _Answer)]
        for failure in (task.result() for task in tasks):
            if isinstance(failure, ModelError):
                raise failure
        self.found.speeds.append(Speed(requests, _rate(answers)))

    async def _try_ask(self, messages: Sequence[Message], max_tokens: int, seconds: float) -> _Answer | ModelError:
        try:
            return await self._ask(messages, max_tokens, seconds)
        except ModelError as error:
            return error

    async def _ask(
        self, messages: Sequence[Message], max_tokens: int, seconds: float, tools: Sequence[ToolSpec] = ()
    ) -> _Answer:
        """One answer within `seconds`. :raises ModelError: there was none."""
        limit = max(0.01, seconds)
        clock = Clock(Deadlines(first_token=limit, silence=limit, total=limit))
        shape = _Watching(tools)
        temperature = 0.0 if tools else None
        request = ModelRequest(_ORIGIN, messages, tools, temperature=temperature, max_tokens=max_tokens)
        began = self._now()
        called, deltas, first = False, 0, began
        async with aclosing(self._client.attempt("doctor", self._client.encode(request), shape, clock)) as events:
            async for event in events:
                called = called or isinstance(event, ToolCallDelta)
                if isinstance(event, FirstToken):
                    first = self._now()
                deltas += isinstance(event, TextDelta | ThinkingDelta | ToolCallDelta)
        self._note_shape(shape)
        return _Answer(shape, called, began, first, self._now(), shape.usage.completion or deltas)

    def _note_shape(self, shape: _Watching) -> None:
        self.found.usage_in_stream = shape.usage_told
        if self.found.reasoning in ("unknown", "none"):
            self.found.reasoning = shape.reasoning


def _support(answer: _Answer, dialect: Dialect, *, refused: bool) -> ToolSupport:
    if dialect.tools == "prompted" and not answer.called:
        return "refused" if refused else "unused"
    if dialect.tools == "prompted":
        return "prompted"
    if not answer.called:
        return "unused"
    return "recovered" if answer.shape.recovered else "native"


def _rate(answers: Sequence[_Answer]) -> float:
    """Tokens per second of all together, from the first token of any to the end of the last."""
    first, end = min(answer.first for answer in answers), max(answer.ended for answer in answers)
    if end - first < _SHORTEST:
        first = min(answer.began for answer in answers)
    return sum(answer.tokens for answer in answers) / max(end - first, _SHORTEST)


def _long_prompt() -> list[Message]:
    """Some 600 tokens that no server has seen before, and a short demand."""
    lines = "\n".join(f"Shelf {number} holds {number * 7} boxes of screws and nails." for number in range(1, 41))
    return [
        {"role": "system", "content": f"Stocktaking {new_id('doctor')}.\n{lines}"},
        {"role": "user", "content": _COUNT},
    ]
