"""The model port: one request in, a stream of events out.

The double, `ScriptedModel`, answers from a list written by hand and complains when it runs out.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from agentic.errors import ModelError
from agentic.events import (
    FirstToken,
    ItemWithdrawn,
    ModelEvent,
    ModelFinished,
    ModelStarted,
    Origin,
    TextDelta,
    TextFinished,
    ThinkingDelta,
    ThinkingFinished,
    ToolCallDelta,
    Usage,
)

Message = dict[str, Any]
"""One message in the chat completions format."""
ToolSpec = dict[str, Any]
"""One tool in the chat completions format: `{"type": "function", "function": {name, description, parameters}}`."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What is sent. `messages` and `tools` go out as they are: their bytes decide what the server's cache holds."""

    origin: Origin
    messages: Sequence[Message]
    tools: Sequence[ToolSpec] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    may_call: bool = True
    """Whether the answer may call tools. They are sent either way: the server's cache lives from the same bytes."""

    @property
    def conversation(self) -> tuple[str, str]:
        """Whose prefix the server's cache holds: the session and the agent in it."""
        return self.origin["session_id"], self.origin["agent"]


@dataclass(frozen=True, slots=True)
class TokenCount:
    """How many tokens, and who says so. An estimate errs high."""

    tokens: int
    by: Literal["server", "tokenizer", "estimate"] = "estimate"


AGAIN = "#again-"
"""Stands in an item's id between the id that the server gave the call, as it did before, and what makes it unique."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call as the model wrote it; `arguments` is JSON text that nobody has checked yet."""

    id: str
    """The item of its events, unique in the session."""
    name: str
    arguments: str

    @property
    def server_id(self) -> str:
        """The id by which the server knows it; some give the same ones in each answer."""
        return self.id.partition(AGAIN)[0]


@dataclass(slots=True)
class Answer:
    """The sum of a request's events. `add` is the only way in; a withdrawn item leaves no trace."""

    texts: dict[str, str] = field(default_factory=dict[str, str])
    thoughts: dict[str, str] = field(default_factory=dict[str, str])
    calls: dict[str, ToolCall] = field(default_factory=dict[str, ToolCall])
    finish_reason: str = ""
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    first_token_seconds: float | None = None

    @property
    def text(self) -> str:
        return "".join(self.texts.values())

    @property
    def thinking(self) -> str:
        return "".join(self.thoughts.values())

    @property
    def tool_calls(self) -> list[ToolCall]:
        return list(self.calls.values())

    def add(self, event: ModelEvent) -> None:
        match event:
            case TextDelta() | ThinkingDelta():
                items = self.texts if isinstance(event, TextDelta) else self.thoughts
                items[event.item] = items.get(event.item, "") + event.text
            case TextFinished() | ThinkingFinished():
                items = self.texts if isinstance(event, TextFinished) else self.thoughts
                items[event.item] = event.text
            case ToolCallDelta():
                so_far = self.calls.get(event.item, ToolCall(event.item, event.name, ""))
                self.calls[event.item] = ToolCall(event.item, so_far.name, so_far.arguments + event.arguments)
            case ItemWithdrawn():
                for items in (self.texts, self.thoughts, self.calls):
                    items.pop(event.item, None)
            case FirstToken():
                self.first_token_seconds = event.seconds
            case ModelFinished():
                self.finish_reason, self.usage, self.seconds = event.finish_reason, event.usage, event.seconds
            case _:
                pass


class Model(Protocol):
    """Something that answers."""

    @property
    def window(self) -> int:
        """The context window in tokens: prompt and answer together. Known once `connect` has returned; it may change
        when a refusal tells a smaller one, or when only endpoints with a smaller one are left."""
        ...

    async def connect(self) -> None:
        """Find out what answers, and with which window. Cheap once it has succeeded. :raises ModelError:"""
        ...

    def complete(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Stream one answer.

        Yields `ModelStarted`, then deltas and finished items, last `ModelFinished` with a finish reason. An attempt
        that fails is withdrawn item by item and may be followed by another. Closing the generator, or cancelling the
        task that reads it, closes the connection so that the server stops generating.

        :raises ModelError: when no attempt succeeded; every item of it has been withdrawn before.
        """
        ...

    async def count(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[TokenCount]:
        """What each message, and then each tool, adds to a prompt: one count for each, in their order.

        Never fails and never waits long: what cannot be counted is estimated.
        """
        ...


@dataclass(frozen=True, slots=True)
class Say:
    """One scripted answer: thinking, text and calls `(name, arguments)`, in this order; or a failure."""

    text: str = ""
    calls: Sequence[tuple[str, dict[str, Any] | str]] = ()
    thinking: str = ""
    finish_reason: str = ""
    error: ModelError | None = None
    usage: Usage = field(default_factory=Usage)


class ScriptedModel:
    """Answers from a script, one entry a request, and keeps the requests it saw."""

    def __init__(self, script: Iterable[Say], window: int = 32_768) -> None:
        self.script = list(script)
        self.window = window
        self.requests: list[ModelRequest] = []

    async def connect(self) -> None:
        return None

    async def count(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[TokenCount]:
        return [TokenCount(len(json.dumps(one)) // 3) for one in (*messages, *tools)]

    async def complete(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        self.requests.append(replace(request, messages=list(request.messages)))
        number = len(self.requests)
        if not self.script:
            raise AssertionError(f"the script has no answer to request {number}: {request.messages[-1]}")
        say, origin = self.script.pop(0), request.origin
        yield ModelStarted(
            **origin, request=f"r{number}", endpoint="script", model="script", attempt=1, prompt_tokens=0
        )
        if say.error is not None:
            raise say.error
        yield FirstToken(**origin, request=f"r{number}", seconds=0.0)
        if say.thinking:
            yield ThinkingDelta(**origin, item=f"think-{number}", text=say.thinking)
            yield ThinkingFinished(**origin, item=f"think-{number}", text=say.thinking)
        if say.text:
            yield TextDelta(**origin, item=f"text-{number}", text=say.text)
            yield TextFinished(**origin, item=f"text-{number}", text=say.text)
        for index, (name, arguments) in enumerate(say.calls):
            text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
            yield ToolCallDelta(**origin, item=f"call_{number}_{index}", name=name, arguments=text)
        reason = say.finish_reason or ("tool_calls" if say.calls else "stop")
        yield ModelFinished(**origin, request=f"r{number}", finish_reason=reason, usage=say.usage, seconds=0.0)
