"""Room made in a full window: the request for a summary, and the files edited last read anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

from agentic.context.compaction import MOST_FILES, files_message, summary_request, with_plan
from agentic.errors import ModelError, Refusal
from agentic.events import (
    Compacted,
    ItemWithdrawn,
    TextDelta,
    TextFinished,
    ThinkingDelta,
    ThinkingFinished,
    ToolCallDelta,
)
from agentic.graph.turn import Turn
from agentic.ports.limit import within_limit
from agentic.ports.model import Answer, Message, ModelRequest
from agentic.text import split_lines
from agentic.tools.lines import numbered
from agentic.tools.registry import tool_specs

SUMMARY_SECONDS = 180.0
"""In which a summary must be written; without one, old exchanges are dropped."""

_UNSEEN = (TextDelta, TextFinished, ThinkingDelta, ThinkingFinished, ToolCallDelta, ItemWithdrawn)
"""The items of a summary's request are nothing that was said to a person."""


async def make_room(turn: Turn, *, refused: bool = False) -> None:
    """Shorten a conversation that leaves too little of the window for an answer. :raises ContextExhausted:"""
    helper = _Help(turn)
    compacted = await turn.window.fit(turn.task.limits.answer_tokens, helper, refused=refused)
    if compacted is not None:
        turn.seen.update(helper.shown if compacted.by == "summary" else {})
        turn.renew_rules()
        turn.emit(
            Compacted(
                **turn.origin,
                before=compacted.before,
                after=compacted.after,
                exact=compacted.exact,
                by=compacted.by,
            )
        )


class _Help:
    """What the window needs of the turn for a summary. See `agentic.graph.window.Help`."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self.shown: dict[str, str] = {}
        """Path to version: the files that are offered again."""

    async def summary(self, messages: Sequence[Message], tokens: int) -> str:
        prompt = [*messages, summary_request(tokens)]
        request = ModelRequest(self._turn.origin, prompt, tool_specs(), max_tokens=tokens)
        answer = Answer()
        with self._turn.phase("compaction"):
            try:
                async with asyncio.timeout(SUMMARY_SECONDS):
                    await self._stream(request, answer)
            except (ModelError, TimeoutError):
                return ""
        self._turn.meter.count(answer)
        text = answer.text.strip() if answer.finish_reason == "stop" else ""
        return with_plan(text, [(step.text, step.status) for step in self._turn.plan])

    async def files(self, paths: Sequence[str], tokens: int, count: Callable[[Message], int]) -> Message | None:
        found: list[tuple[str, str]] = []
        for path in paths:
            snapshot = await self._turn.ports.workspace.read(path)
            if isinstance(snapshot, Refusal) or not snapshot.exists:
                continue
            more = [*found, (snapshot.path, numbered(split_lines(snapshot.text.removeprefix("\ufeff")), 1))]
            message = files_message(more)
            if message is not None and count(message) <= tokens:
                found = more
                self.shown[snapshot.path] = snapshot.version
            if len(found) == MOST_FILES:
                break
        return files_message(found)

    async def _stream(self, request: ModelRequest, answer: Answer) -> None:
        async with aclosing(within_limit(self._turn.ports.model, request, answer)) as stream:
            async for event in stream:
                answer.add(event)
                if not isinstance(event, _UNSEEN):
                    self._turn.emit(event)
