"""Conversations with the scripted model through our own layer."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from real.scenarios import THINK, spoken

from agentic.context.prompts import load
from agentic.events import Event, ModelEvent, ModelStarted, Origin
from agentic.llm.endpoint import Deadlines, Endpoint
from agentic.llm.pool import Pool
from agentic.ports.model import Answer, Message, ModelRequest
from agentic.tools.registry import tool_specs

FILE = "1\tdef add(a, b):\n2\t    return a - b\n"
"""What stands for the result of a call."""


def pool(*urls: str, deadlines: Deadlines | None = None, **options: Any) -> Pool:
    """Our model port over these servers, at temperature 0."""
    return Pool([Endpoint(url) for url in urls], deadlines, temperature=0.0, **options)


def play(scenario: str) -> list[Message]:
    """A conversation that asks for a scenario, under our own system prompt."""
    return [
        {"role": "system", "content": load("system")},
        {"role": "user", "content": f"Please play scenario {scenario}"},
    ]


def request(
    messages: Sequence[Message], session: str = "s", tools: Sequence[Any] | None = None, max_tokens: int | None = None
) -> ModelRequest:
    origin = Origin(session_id=session, turn_id="t", agent="main")
    offered = tool_specs() if tools is None else tools
    return ModelRequest(origin, list(messages), offered, max_tokens=max_tokens)


async def ask(model: Pool, wanted: ModelRequest) -> tuple[Answer, list[Event]]:
    """One answer and the events that told it."""
    answer, events = Answer(), list[Event]()
    async with aclosing(model.complete(wanted)) as stream:
        async for event in stream:
            answer.add(event)
            events.append(event)
    return answer, events


def said(answer: Answer) -> Message:
    """The answer as it stands in the history."""
    message: Message = {"role": "assistant", "content": answer.text}
    if answer.thinking:
        message["reasoning"] = answer.thinking
    if answer.calls:
        message["tool_calls"] = [
            {"id": call.server_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in answer.tool_calls
        ]
    return message


def results(answer: Answer, text: str = FILE) -> list[Message]:
    """The results of an answer's calls."""
    return [{"role": "tool", "tool_call_id": call.server_id, "content": text} for call in answer.tool_calls]


def calls_of(answer: Answer) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in answer.tool_calls]


_CALL = re.compile(r"<tool_call>\n(.*?)\n</tool_call>", re.DOTALL)


def expected(answer: str) -> tuple[str, str, list[tuple[str, Any]]]:
    """The thought, the text and the calls of an answer of the table."""
    thought = answer.partition(THINK[1])[0].removeprefix(THINK[0]) if answer.startswith(THINK[0]) else ""
    calls = [json.loads(body) for body in _CALL.findall(answer)]
    return thought, _CALL.sub("", spoken(answer)).strip(), [(call["name"], call["arguments"]) for call in calls]


async def answered_by(url: str, model: Pool, max_tokens: int) -> AsyncGenerator[ModelEvent]:
    """A long answer without tools that begins at this server: each session has its home at one of them."""
    for number in range(100):
        stream = model.complete(request(play("loop"), f"session {number}", tools=[], max_tokens=max_tokens))
        started = await anext(stream)
        if isinstance(started, ModelStarted) and started.endpoint == url:
            return stream
        await stream.aclose()
    raise AssertionError(f"no session began at {url}")


async def until(met: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for what a server says of itself."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(met):
            await asyncio.sleep(0.02)
