"""An OpenAI-compatible server that answers from a cassette, and refuses what is not asked as it was recorded."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
import time
from collections import deque
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from agentic_server.cassette import Exchange, Json, conversation_of, load, normalise, text_of
from agentic_server.plain_http import LoopbackServer, Request, answer_head, error_body, send_json

MAX_MODEL_LEN = 131_072
"""The context window that `/v1/models` reports, in tokens."""


def replay(cassette: str | Path, port: int = 0) -> int:
    """`agentic replay`: answer from a cassette until Ctrl-C. Gives the exit code."""
    try:
        asyncio.run(_serve(ReplayServer(Path(cassette), port=port)))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"agentic replay: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\n")
    return 0


async def _serve(server: ReplayServer) -> None:
    async with server:
        sys.stderr.write(f"Recorded answers at {server.url}, model {server.model}; end with Ctrl-C.\n")
        sys.stderr.flush()
        await asyncio.Event().wait()


class ReplayServer:
    """Answers `/health`, `/v1/models` and `/v1/chat/completions` while the `async with` block runs.

    The answers of a conversation come in the order in which they were recorded. A request whose last message is not
    the recorded one, after `normalise`, is answered with status 409 and the place where they part: the recording is
    stale, and nothing else should be pretended. An answer that was not heard to its end is kept for next time.

    `pause` is the time in seconds between two streamed words.

    :raises ValueError: from the constructor, when the cassette is none. :raises OSError: when it cannot be read.
    """

    def __init__(self, path: Path, pause: float = 0.01, port: int = 0) -> None:
        exchanges = load(path)
        if not exchanges:
            raise ValueError(f"{path.name} holds no exchange")
        self.model = str(exchanges[0].request.get("model", "recorded"))
        self.problems: list[str] = []
        """The messages of the 409s so far."""
        self._pause = pause
        self._waiting: dict[tuple[str, str], deque[Exchange]] = {}
        for exchange in exchanges:
            self._waiting.setdefault(conversation_of(exchange.request), deque()).append(exchange)
        self._numbers = itertools.count(1)
        self._server = LoopbackServer(self._handle, port)

    @property
    def url(self) -> str:
        """The base URL for an OpenAI client, with `/v1`."""
        return f"{self._server.url}/v1"

    @property
    def left(self) -> int:
        """How many recorded answers nobody has asked for yet."""
        return sum(len(queue) for queue in self._waiting.values())

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    async def _handle(self, request: Request, writer: asyncio.StreamWriter) -> None:
        match request.method, request.path.split("?")[0]:
            case "GET", "/health":
                await send_json(writer, HTTPStatus.OK, {})
            case "GET", "/v1/models":
                card = {"id": self.model, "object": "model", "owned_by": "recording", "max_model_len": MAX_MODEL_LEN}
                await send_json(writer, HTTPStatus.OK, {"object": "list", "data": [card]})
            case "POST", "/v1/chat/completions":
                await self._complete(request, writer)
            case _:
                body = error_body(HTTPStatus.NOT_FOUND, "NotFoundError", f"There is no {request.path} here.")
                await send_json(writer, HTTPStatus.NOT_FOUND, body)

    async def _complete(self, request: Request, writer: asyncio.StreamWriter) -> None:
        asked = _parse_request(request.body)
        if asked is None:
            body = error_body(HTTPStatus.BAD_REQUEST, "BadRequestError", "The body is no chat completion request.")
            await send_json(writer, HTTPStatus.BAD_REQUEST, body)
            return
        queue = self._waiting.get(conversation_of(asked), deque[Exchange]())
        problem = _difference(asked, queue[0].request) if queue else self._unknown(asked)
        if problem:
            self.problems.append(problem)
            await send_json(writer, HTTPStatus.CONFLICT, error_body(HTTPStatus.CONFLICT, "stale_recording", problem))
            return
        exchange = queue.popleft()
        try:
            await self._send(exchange, asked, writer)
        except (asyncio.CancelledError, ConnectionError):
            queue.appendleft(exchange)
            raise

    async def _send(self, exchange: Exchange, asked: Json, writer: asyncio.StreamWriter) -> None:
        answer = _Answer(exchange, f"replay-{next(self._numbers)}", self.model)
        if not asked.get("stream"):
            await send_json(writer, HTTPStatus.OK, answer.whole())
            return
        writer.write(answer_head(HTTPStatus.OK, "text/event-stream", "Transfer-Encoding: chunked"))
        for chunk in answer.chunks(with_usage=_wants_usage(asked)):
            await _send_event(writer, json.dumps(chunk, ensure_ascii=False))
            await asyncio.sleep(self._pause)
        await _send_event(writer, "[DONE]")
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    def _unknown(self, asked: Json) -> str:
        """Why there is no answer: the conversation is over, or none begins like it."""
        system, user = conversation_of(asked)
        if (system, user) in self._waiting:
            return f"The recorded conversation is over, but it goes on with {_shown(asked)}."
        same_user = [recorded for recorded in self._waiting if recorded[1] == user]
        if same_user:
            return f"No recorded conversation has this system text: {_parting(system, same_user[0][0])}"
        closest = max((recorded[1] for recorded in self._waiting), key=lambda text: _common_length(text, user))
        return f"No recorded conversation begins with this user message: {_parting(user, closest)}"


class _Answer:
    """A recorded answer in the two shapes in which a client may want it."""

    def __init__(self, exchange: Exchange, name: str, model: str) -> None:
        self._exchange = exchange
        self._response = exchange.response
        self._head = {"id": name, "created": int(time.time()), "model": model}
        self._calls = list(self._tool_calls(name))

    def whole(self) -> Json:
        message: Json = {"role": "assistant", "content": self._response.get("content")}
        if self._response.get("reasoning"):
            message["reasoning"] = self._response["reasoning"]
        if self._calls:
            message["tool_calls"] = self._calls
        choice = {"index": 0, "message": message, "finish_reason": self._finish_reason}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage()}

    def chunks(self, with_usage: bool) -> Iterator[Json]:
        """The stream's chunks, word by word; recorded ones as they are."""
        if self._response.get("chunks"):
            yield from self._response["chunks"]
            return
        yield self._chunk({"role": "assistant", "content": ""})
        for part in _words(self._response.get("reasoning") or ""):
            yield self._chunk({"reasoning": part})
        for part in _words(self._response.get("content") or ""):
            yield self._chunk({"content": part})
        for index, call in enumerate(self._calls):
            begin = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
            yield self._chunk({"tool_calls": [{"index": index, **begin}]})
            for part in _words(call["function"]["arguments"]):
                yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
        yield self._chunk({}, self._finish_reason)
        if with_usage:
            yield {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage()}

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}

    @property
    def _finish_reason(self) -> str:
        return str(self._response.get("finish_reason") or ("tool_calls" if self._calls else "stop"))

    def _tool_calls(self, name: str) -> Iterator[Json]:
        for index, call in enumerate(self._response.get("tool_calls") or []):
            arguments = call["arguments"]
            text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
            function = {"name": call["name"], "arguments": text}
            yield {"id": f"call_{name}_{index}", "type": "function", "function": function}

    def _usage(self) -> Json:
        """The recorded token counts, or an estimate of four bytes a token."""
        if self._response.get("usage"):
            return self._response["usage"]
        prompt = len(json.dumps(self._exchange.request)) // 4
        completion = len(json.dumps(self._response)) // 4
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def _send_event(writer: asyncio.StreamWriter, data: str) -> None:
    """One server-sent event as one HTTP chunk."""
    event = f"data: {data}\n\n".encode()
    writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
    await writer.drain()


def _words(text: str) -> list[str]:
    """The text in word-sized pieces that join back to it."""
    return re.findall(r"\s*\S+|\s+\Z", text)


def _wants_usage(asked: Json) -> bool:
    options = asked.get("stream_options")
    return isinstance(options, dict) and bool(cast("Json", options).get("include_usage"))


def _parse_request(body: bytes) -> Json | None:
    try:
        asked: Any = json.loads(body)
    except ValueError:
        return None
    match asked:
        case {"messages": [*_, {"role": str()}]}:
            return cast("Json", asked)
        case _:
            return None


def _difference(asked: Json, recorded: Json) -> str:
    """What is wrong with a request that should repeat a recorded one; empty when nothing is."""
    ours, theirs = asked["messages"][-1], recorded["messages"][-1]
    if ours["role"] != theirs["role"]:
        return f"The last message is {_shown(asked)}, but the recorded one is of the {theirs['role']}."
    mine, other = normalise(text_of(ours)), normalise(text_of(theirs))
    if mine != other:
        return f"The last message (of the {ours['role']}) is not the recorded one: {_parting(mine, other)}"
    return ""


def _shown(asked: Json) -> str:
    last = asked["messages"][-1]
    return f"a message of the {last['role']}, {normalise(text_of(last))[:80]!r}"


def _parting(ours: str, recorded: str) -> str:
    """Where two texts part, with a few words around it."""
    at = _common_length(ours, recorded)
    start = max(0, at - 30)
    return f"at character {at} it has {ours[start : at + 60]!r}, recorded is {recorded[start : at + 60]!r}."


def _common_length(a: str, b: str) -> int:
    pairs = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))
