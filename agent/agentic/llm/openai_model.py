"""The model port over one OpenAI-compatible endpoint.

The client's own retries and timeouts are off: a cut stream ends silently in it, and its timeouts are reset by every
byte. An attempt counts only when a finish reason has come; what a failed attempt has shown is withdrawn.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from itertools import count
from typing import Any

import msgspec
from openai import AsyncStream

from agentic.errors import ModelError, StreamBroken
from agentic.events import Failover, FirstToken, ModelEvent, ModelFinished, ModelStarted
from agentic.llm.answers import AnswerReader
from agentic.llm.client import open_client
from agentic.llm.clock import Clock
from agentic.llm.endpoint import Deadlines, Endpoint, EndpointInfo
from agentic.llm.failures import CLIENT_FAILURES, model_error, wait_told, window_told
from agentic.llm.wire import Chunk, read_chunk
from agentic.ports.model import Message, ModelRequest
from agentic.task import new_id

BACKOFF = (0.5, 1.0, 2.0, 4.0)
"""Seconds between one attempt and the next; the last holds for all that follow."""

LONGEST_WAIT = 30.0
"""A server that asks for more patience than this, in seconds, is not asked again."""


class OpenAIModel:
    """Answers from one endpoint, over one client whose connection is kept alive between requests.

    `reserve` is the part of the window, in tokens, that is kept for the answer: the `max_tokens` of requests that set
    none. 0 means a quarter of the window. Call `aclose` at the end.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        info: EndpointInfo,
        deadlines: Deadlines | None = None,
        *,
        attempts: int = 3,
        reserve: int = 0,
        backoff: Sequence[float] = BACKOFF,
    ) -> None:
        self.window = info.window
        self._info = info
        self._url = endpoint.base_url
        self._deadlines = deadlines or Deadlines()
        self._attempts = attempts
        self._reserve = reserve
        self._backoff = backoff
        self._shown: set[str] = set()
        """The items of the calls that were begun, also in answers that failed."""
        self._client = open_client(self._url, endpoint.key, self._deadlines.connect)

    async def aclose(self) -> None:
        """Close the connections. Requests that still run are broken off."""
        await self._client.close()

    async def complete(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """See `agentic.ports.model.Model.complete`."""
        name, origin = new_id("request"), request.origin
        clock = Clock(self._url, self._deadlines)
        body = self._encode(request)
        self._shown.update(_call_ids(request.messages))
        for attempt in count(1):
            yield ModelStarted(
                **origin,
                request=name,
                endpoint=self._url,
                model=self._info.model,
                attempt=attempt,
                prompt_tokens=len(body) // 3,
            )
            answer = AnswerReader(origin, self._shown)
            try:
                async with aclosing(self._attempt(name, body, answer, clock)) as events:
                    async for event in events:
                        yield event
                return
            except ModelError as error:
                failure = error
            for event in answer.withdraw():
                yield event
            wait = self._wait_after(failure, attempt)
            if wait is None or wait > clock.left():
                raise failure
            yield Failover(
                **origin,
                request=name,
                endpoint=self._url,
                to=self._url,
                code=failure.code,
                reason=str(failure),
                wait=wait,
            )
            await asyncio.sleep(wait)

    async def _attempt(self, name: str, body: bytes, answer: AnswerReader, clock: Clock) -> AsyncGenerator[ModelEvent]:
        """One attempt up to `ModelFinished`. :raises ModelError: it failed; its items are not yet withdrawn."""
        clock.start_attempt()
        stream = await self._open(body, clock)
        silent = True
        try:
            while (chunk := await self._next(stream, answer, clock)) is not None:
                events = answer.read(chunk)
                if events and silent:
                    silent = False
                    yield FirstToken(**answer.origin, request=name, seconds=clock.elapsed())
                for event in events:
                    yield event
                if answer.finish_reason:
                    clock.finish()
                elif events:
                    clock.progress()
        finally:
            await stream.close()
        if not answer.finish_reason:
            raise _cut_off(stream, self._url)
        for event in answer.finish():
            yield event
        yield ModelFinished(
            **answer.origin,
            request=name,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            seconds=clock.elapsed(),
        )

    async def _open(self, body: bytes, clock: Clock) -> AsyncStream[object]:
        try:
            async with clock.limit():
                return await self._client.post(
                    "/chat/completions",
                    cast_to=object,
                    content=body,
                    options={"headers": {"Content-Type": "application/json"}},
                    stream=True,
                    stream_cls=AsyncStream[object],
                )
        except (TimeoutError, *CLIENT_FAILURES) as error:
            raise self._failure(error, clock) from error

    async def _next(self, stream: AsyncStream[object], answer: AnswerReader, clock: Clock) -> Chunk | None:
        """The next chunk, or None at the end. What comes after a finish reason cannot spoil the answer."""
        try:
            async with clock.limit():
                return read_chunk(await anext(stream))
        except StopAsyncIteration:
            return None
        except StreamBroken:
            if answer.finish_reason:
                return None
            raise
        except (TimeoutError, *CLIENT_FAILURES) as error:
            if answer.finish_reason:
                return None
            raise self._failure(error, clock) from error

    def _failure(self, error: Exception, clock: Clock) -> ModelError:
        if isinstance(error, TimeoutError):
            return clock.exceeded()
        failure = model_error(error, self._url, self._info.models)
        self.window = window_told(failure) or self.window
        return failure

    def _wait_after(self, failure: ModelError, attempt: int) -> float | None:
        """Seconds until the next attempt; None when there shall be none."""
        wait = max(self._backoff[min(attempt, len(self._backoff)) - 1], wait_told(failure))
        return wait if failure.retryable and attempt < self._attempts and wait <= LONGEST_WAIT else None

    def _encode(self, request: ModelRequest) -> bytes:
        """The request's body. Messages and tools keep their key order: the server's cache lives from their bytes."""
        body: dict[str, Any] = {
            "model": self._info.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": request.max_tokens or self._reserve or self.window // 4,
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.tools:
            body["tools"] = request.tools
        body["messages"] = request.messages
        try:
            return msgspec.json.encode(body)
        except UnicodeEncodeError:
            return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _call_ids(messages: Sequence[Message]) -> Iterator[str]:
    return (call["id"] for message in messages for call in message.get("tool_calls") or ())


def _cut_off(stream: AsyncStream[object], url: str) -> StreamBroken:
    kind = str(stream.response.headers.get("content-type", ""))
    if "event-stream" in kind:
        return StreamBroken(f"The answer of {url} ended without a finish reason.", "Look into the server's log.")
    return StreamBroken(
        f"{url} answered with {kind or 'nothing that has a type'} instead of an event stream.",
        "Point --base-url at an OpenAI-compatible server; its address usually ends in /v1.",
    )
