"""A conversation as a client reads it back: every message whole, and what of it fills the model's window now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from agentic.context.budget import budget_of
from agentic.context.fill import fill, shares
from agentic.context.history import COMPACTION, as_sent
from agentic.context.prompts import load
from agentic.llm.tokens import estimate_message, estimate_messages
from agentic.ports.model import Message, TokenCount
from agentic.ports.store import SessionInfo
from agentic_server.protocol import (
    TranscriptCall,
    TranscriptMessage,
    TranscriptResult,
    WindowFill,
    WindowItem,
    WindowShare,
)

if TYPE_CHECKING:
    from agentic.llm.pool import Pool


async def transcript_of(
    info: SessionInfo, messages: Sequence[tuple[str, Message]], model: Pool | None
) -> TranscriptResult:
    """The session's messages, the system message first; their `tokens` are estimates that err high. `model` counts
    what would be sent, where one is known."""
    system: Message = {"role": "system", "content": load("system")}
    said = [(turn, message) for turn, message in messages if message["role"] != COMPACTION]
    lines = [_line(turn, message) for turn, message in [("", system), *said]]
    sent = as_sent([system], [message for _, message in messages])
    return TranscriptResult(info.id, info.title, lines, await _window(sent, model))


async def _window(sent: Sequence[Message], model: Pool | None) -> WindowFill:
    from agentic.tools.registry import tool_specs

    tools = tool_specs()
    if model is not None:
        counts = await model.count(sent, tools)
    else:
        counts = [TokenCount(estimate_message(one)) for one in (*sent, *tools)]
    items = fill(sent, counts[: len(sent)], tools, counts[len(sent) :])
    window = model.window if model is not None and model.is_known else None
    return WindowFill(
        sum(item.tokens for item in items),
        [WindowItem(**asdict(item)) for item in items],
        [WindowShare(**asdict(share)) for share in shares(items)],
        window,
        budget_of(window) if window is not None else None,
    )


def _line(turn: str, message: Message) -> TranscriptMessage:
    calls = [
        TranscriptCall(call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in message.get("tool_calls", ())
    ]
    return TranscriptMessage(
        turn_id=turn,
        role=message["role"],
        content=message.get("content") or "",
        reasoning=message.get("reasoning", ""),
        tool_calls=calls,
        tool_call_id=message.get("tool_call_id", ""),
        tokens=estimate_messages([message], ()),
    )
