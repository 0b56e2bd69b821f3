"""The limit of an answer, held also where the server does not keep to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from agentic.events import (
    ModelEvent,
    ModelFinished,
    ModelStarted,
    TextDelta,
    TextFinished,
    ThinkingDelta,
    ThinkingFinished,
    ToolCallDelta,
    Usage,
)
from agentic.ports.model import Answer, Model, ModelRequest

MOST_CHARS = 20
"""Characters of one token: more than any text has on average."""
FEWEST_TOKENS = 1_024
"""A lower limit is held as this one: an answer so small does no harm."""


async def within_limit(model: Model, request: ModelRequest, answer: Answer) -> AsyncGenerator[ModelEvent]:
    """The events of an answer; cut off where they hold more than its limit of tokens can.

    What comes then is what comes of a server that keeps to the limit: texts are finished as they stand, calls stay
    open, and the finish reason is `length`. `answer` is what the reader has added the events up to.
    """
    limit = _Limit(request, answer)
    async with aclosing(model.complete(request)) as stream:
        async for event in stream:
            yield limit.take(event)
            if limit.is_passed:
                break
    for event in limit.closing():
        yield event


class _Limit:
    def __init__(self, request: ModelRequest, answer: Answer) -> None:
        self._request = request
        self._answer = answer
        self._chars = max(request.max_tokens or 0, FEWEST_TOKENS) * MOST_CHARS
        self._left = self._chars
        self._attempt = ""
        self._finished: set[str] = set()

    @property
    def is_passed(self) -> bool:
        return self._left < 0

    def take(self, event: ModelEvent) -> ModelEvent:
        """Count the event; what of it is within the limit."""
        match event:
            case ModelStarted():
                self._attempt, self._left = event.request, self._chars
            case TextDelta() | ThinkingDelta():
                left, self._left = self._left, self._left - len(event.text)
                return msgspec.structs.replace(event, text=event.text[:left]) if self.is_passed else event
            case ToolCallDelta():
                self._left -= len(event.arguments)
            case TextFinished() | ThinkingFinished():
                self._finished.add(event.item)
            case _:
                pass
        return event

    def closing(self) -> list[ModelEvent]:
        """What ends an answer that has passed its limit."""
        if not self.is_passed:
            return []
        origin = self._request.origin
        texts = [(item, text) for item, text in self._answer.texts.items() if item not in self._finished]
        thoughts = [(item, text) for item, text in self._answer.thoughts.items() if item not in self._finished]
        return [
            *(ThinkingFinished(**origin, item=item, text=text) for item, text in thoughts),
            *(TextFinished(**origin, item=item, text=text) for item, text in texts),
            ModelFinished(
                **origin, request=self._attempt, finish_reason="length", usage=Usage(), seconds=self._answer.seconds
            ),
        ]
