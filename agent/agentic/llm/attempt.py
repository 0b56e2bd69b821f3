"""One attempt at one endpoint: a request goes out, an answer comes back or it does not. Nothing is repeated here.

The client's own retries and timeouts are off: a cut stream ends silently in it, and its timeouts are reset by every
byte. An attempt counts only when a finish reason has come.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

from openai import APIConnectionError, AsyncStream

from agentic.errors import ModelError, StreamBroken
from agentic.events import FirstToken, ModelEvent, ModelFinished
from agentic.llm.answers import AnswerReader
from agentic.llm.client import open_client
from agentic.llm.clock import Clock
from agentic.llm.counting import TokenCounter
from agentic.llm.dialect import Dialect, encode, for_server, learn
from agentic.llm.endpoint import Deadlines, Endpoint, EndpointInfo
from agentic.llm.failures import CLIENT_FAILURES, is_unanswered, model_error, refusal_told, window_told
from agentic.llm.gauges import Gauges, read_gauges
from agentic.llm.wire import Chunk, read_chunk
from agentic.ports.model import ModelRequest


class EndpointClient:
    """What is known of an endpoint that answers, and one client whose connections are kept alive between requests.

    `window` is in tokens, corrected from a refusal's own words; `dialect` is corrected by refusals too. Call `aclose`
    at the end.
    """

    def __init__(self, endpoint: Endpoint, info: EndpointInfo, deadlines: Deadlines) -> None:
        self.url = endpoint.base_url
        self.info: EndpointInfo = info
        self.window = info.window
        self.dialect = for_server(info, endpoint)
        self.reasoning_splits = False
        self._has_kept = False
        """Whether a connection was kept after an answer. A server may close it just as it is used again (llama-server
        does); the request is then sent once more over a new one."""
        """Whether it is known to send reasoning and text apart."""
        self._endpoint = endpoint
        self._client = open_client(self.url, endpoint.key, deadlines.connect)
        self.counter = TokenCounter(self._client, info)

    async def aclose(self) -> None:
        """Close the connections. Requests that still run are broken off."""
        await self._client.close()

    async def read_gauges(self) -> Gauges | None:
        """The server's own figures; None where it does not offer them."""
        return await read_gauges(self._client, self.url)

    def renew(self, info: EndpointInfo) -> None:
        """Take up what the endpoint says about itself after it was out: it may have been started with other flags. A
        corrected window stays where it says the same."""
        if info.window != self.info.window:
            self.window = info.window
        if info != self.info:
            self.counter = TokenCounter(self._client, info)
        self.info = info
        self.dialect = for_server(info, self._endpoint)

    @property
    def least_room(self) -> int:
        """What is left to an answer, in tokens, however long the prompt seems."""
        return self.window // 8

    def answer_limit(self, request: ModelRequest, prompt: int = 0) -> int:
        """How many tokens the answer may have: not more than the window leaves beside a prompt of about this many
        tokens, but `least_room` where as many are asked for."""
        room = max(self.window - prompt, self.least_room)
        return min(request.max_tokens or self.window // 4, room)

    def encode(self, request: ModelRequest, prompt: int = 0) -> bytes:
        """The request's body in this endpoint's dialect, for a prompt of about this many tokens."""
        limit = self.answer_limit(request, prompt)
        return encode(replace(request, max_tokens=limit), self.info.model, self.dialect, limit)

    def correct_window(self, failure: ModelError) -> bool:
        """Take up the window that a refusal names. Whether it is another one."""
        before, self.window = self.window, window_told(failure) or self.window
        return self.window != before

    def learn(self, failure: ModelError, sent_in: Dialect) -> bool:
        """Whether a request that was refused in the dialect `sent_in` may be sent again in the one that is now used."""
        if sent_in != self.dialect:
            return True
        told = refusal_told(failure)
        learned = learn(self.dialect, *told) if told is not None else None
        self.dialect = learned or self.dialect
        return learned is not None

    async def attempt(
        self, request_id: str, body: bytes, answer: AnswerReader, clock: Clock
    ) -> AsyncGenerator[ModelEvent]:
        """One attempt up to `ModelFinished`. :raises ModelError: it failed; its items are not yet withdrawn."""
        clock.start_attempt(self.url)
        stream = await self._open(body, clock)
        silent = True
        try:
            while (chunk := await self._next(stream, answer, clock)) is not None:
                events = answer.read(chunk)
                if answer.grew and silent:
                    silent = False
                    yield FirstToken(**answer.origin, request=request_id, seconds=clock.first())
                for event in events:
                    yield event
                if answer.finish_reason:
                    clock.finish()
                elif answer.grew:
                    clock.progress()
        finally:
            await stream.close()
        if not answer.finish_reason:
            raise _cut_off(stream, self.url)
        for event in answer.finish():
            yield event
        self._has_kept = True
        self.reasoning_splits = self.reasoning_splits or answer.splits
        yield ModelFinished(
            **answer.origin,
            request=request_id,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            seconds=clock.elapsed(),
        )

    async def _open(self, body: bytes, clock: Clock) -> AsyncStream[object]:
        try:
            async with clock.limit():
                try:
                    return await self._post(body)
                except APIConnectionError as error:
                    if not self._has_kept or not is_unanswered(error):
                        raise
                    return await self._post(body)
        except (TimeoutError, *CLIENT_FAILURES) as error:
            raise self._failure(error, clock) from error

    async def _post(self, body: bytes) -> AsyncStream[object]:
        return await self._client.post(
            "/chat/completions",
            cast_to=object,
            content=body,
            options={"headers": {"Content-Type": "application/json"}},
            stream=True,
            stream_cls=AsyncStream[object],
        )

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
        return model_error(error, self.url, self.info.models)


def _cut_off(stream: AsyncStream[object], url: str) -> StreamBroken:
    kind = str(stream.response.headers.get("content-type", ""))
    if "event-stream" in kind:
        return StreamBroken(f"The answer of {url} ended without a finish reason.", "Look into the server's log.")
    return StreamBroken(
        f"{url} answered with {kind or 'nothing that has a type'} instead of an event stream.",
        "Point --base-url at an OpenAI-compatible server; its address usually ends in /v1.",
    )
