"""What a message is, who wrote it, and what is left of it: told by the marks that Agentic puts into what it writes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from agentic.ports.model import Message

What = Literal[
    "system",
    "tools",
    "task",
    "context",
    "mentions",
    "rules",
    "retrieval",
    "files",
    "notice",
    "summary",
    "note",
    "answer",
    "reasoning",
    "call",
    "result",
]
"""system and tools: the head that all sessions share. task: the user's own words. context, mentions, rules and
retrieval: what came with them. files: those offered again after a compaction. notice: what Agentic said to the model.
summary and note: what stands for messages that are not sent any more. The rest is the model's, and its tools'."""

State = Literal["whole", "cut", "stub"]
"""cut: texts have lost their middle. stub: one line stands for what a tool gave."""

MARK = "[agentic]"
"""Every message of role user that is not the user's begins with it, but for the task itself."""

MIDDLE = "\n[agentic: the middle was left out; ask for less at once]\n"
"""Stands where a text has lost its middle."""
STUB = f"{MARK} Left out to save room: "
"""How the one line begins that stands for a tool's output."""
SUMMARY = f"{MARK} Summary of "
FILES = f"{MARK} Files edited last"

_SYSTEM = ("system", "developer")
_NOTE = re.compile(r"\[agentic\] (\d+) earlier messages? of this conversation")
_CONTEXT = "\n\n<context>\n"


def is_system(message: Message) -> bool:
    return message["role"] in _SYSTEM


def is_note(message: Message) -> bool:
    """Whether it stands for messages that were dropped."""
    return message["role"] == "user" and _NOTE.match(text_of(message)) is not None


def noted(note: Message) -> int:
    """How many messages the note stands for."""
    found = _NOTE.match(text_of(note))
    return int(found.group(1)) if found else 0


def is_summary(message: Message) -> bool:
    """Whether it stands for messages that the model has summed up."""
    return message["role"] == "user" and text_of(message).startswith(SUMMARY)


def is_files(message: Message) -> bool:
    """Whether it offers files again."""
    return message["role"] == "user" and text_of(message).startswith(FILES)


def is_stub(message: Message) -> bool:
    return message["role"] == "tool" and text_of(message).startswith(STUB)


def text_of(message: Message) -> str:
    """The content, if it is text."""
    content = message.get("content")
    return content if isinstance(content, str) else ""


def own_words(messages: Sequence[Message]) -> list[int]:
    """The places of what the user said. The first message of role user always is: it is the task."""
    users = [place for place, message in enumerate(messages) if message["role"] == "user"]
    return [place for place in users if place == users[0] or not text_of(messages[place]).startswith(MARK)]


def parts(message: Message) -> tuple[str, str]:
    """A task's text as the user wrote it, and the context that was put after it; empty where there is none."""
    text = text_of(message)
    if message["role"] != "user" or not text.endswith("</context>"):
        return text, ""
    words, mark, context = text.rpartition(_CONTEXT)
    return (words, mark + context) if mark else (text, "")


def without_context(message: Message) -> Message:
    """The task without what the user had before their eyes then; the same object where it has none."""
    words, context = parts(message)
    return {**message, "content": words} if context else message
