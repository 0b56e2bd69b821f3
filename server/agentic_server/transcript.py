"""A conversation as a client reads it back: every message whole, with what it takes of the model's window."""

from __future__ import annotations

from collections.abc import Sequence

from agentic.context.history import COMPACTION
from agentic.context.prompts import load
from agentic.llm.tokens import estimate_messages
from agentic.ports.model import Message
from agentic.ports.store import SessionInfo
from agentic_server.protocol import TranscriptCall, TranscriptMessage, TranscriptResult


def transcript_of(info: SessionInfo, messages: Sequence[tuple[str, Message]]) -> TranscriptResult:
    """The session's messages, the system message first. `tokens` are estimates that err high."""
    system: Message = {"role": "system", "content": load("system")}
    said = [(turn, message) for turn, message in messages if message["role"] != COMPACTION]
    return TranscriptResult(info.id, info.title, [_line(turn, message) for turn, message in [("", system), *said]])


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
