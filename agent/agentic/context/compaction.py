"""Old turns replaced by a summary: what is summed up, what stays, and how the conversation looks afterwards.

Everything before a cut goes but the system texts and the user's own words, which stay verbatim and in their order. The
summary stands right after the task, the files edited last come after what the user said, then the last exchanges.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import cast

from agentic.context.marks import is_files, is_note, is_summary, is_system, noted, own_words
from agentic.context.prompts import render
from agentic.context.trim import KEPT_EXCHANGES, last_exchange, units, without_old_contexts
from agentic.ports.model import Message

MAX_SUMMARY = 4096
"""Tokens of a summary at most; and no more than an eighth of the window."""

TAIL = 1 / 4
"""The part of the budget that the exchanges after the cut may take, but for the last one, which always stays."""
FILES_ROOM = 1 / 8
"""The part of the budget for the files that are offered again."""
MOST_FILES = 3

_WORTH = 2
"""As many times longer than the longest summary must be what it replaces."""
_SHORTEST = 40
"""Characters below which a text is no summary."""


def summary_limit(window: int) -> int:
    """The tokens that a summary may have in a window of so many."""
    return min(MAX_SUMMARY, window // 8)


def cut_of(messages: Sequence[Message], counts: Sequence[int], budget: int) -> int:
    """The place from which on messages stay as they are: the last exchange, and those before it that are small."""
    cut = last_exchange(messages)
    exchanges = [unit for unit in units(messages[:cut]) if messages[unit[0]]["role"] == "assistant"]
    for unit in reversed(exchanges[-KEPT_EXCHANGES + 1 :]):
        if sum(counts[unit[0] :]) > budget * TAIL:
            break
        cut = unit[0]
    return cut


def replaced(messages: Sequence[Message], cut: int) -> list[int]:
    """The places of what a summary stands for."""
    own = set(own_words(messages))
    return [place for place in range(cut) if place not in own and not is_system(messages[place])]


def is_worth_it(replaced: int, limit: int) -> bool:
    """Whether a summary of up to `limit` tokens pays in place of so many."""
    return replaced >= limit * _WORTH


def summary_request(tokens: int) -> Message:
    """What asks for the summary. The model is told of less than it may write, so that it comes to an end in time."""
    return {"role": "user", "content": render("compact", tokens=tokens * 3 // 4)}


def summary_message(text: str, gone: Sequence[Message]) -> Message | None:
    """The summary as the model reads it from now on; None where the text is none."""
    if len(text.strip()) < _SHORTEST:
        return None
    count = sum(noted(message) if is_note(message) else _messages_in(message) for message in gone)
    return {"role": "user", "content": render("summarised", count=count, summary=text.strip())}


def with_plan(summary: str, plan: Sequence[tuple[str, str]]) -> str:
    """The summary, and after it the plan's steps, each with its status: to tick one off, the model must give them all.
    A text that is no summary stays as it is."""
    if not plan or len(summary) < _SHORTEST:
        return summary
    steps = "\n".join(f"- {status}: {text}" for text, status in plan)
    return f"{summary}\n## Plan, as the user sees it now\n{steps}"


def files_message(files: Sequence[tuple[str, str]]) -> Message | None:
    """The files, each as path and numbered lines, offered again; None where there are none."""
    if not files:
        return None
    blocks = [f'\n<file path="{path}">\n{text}\n</file>' for path, text in files]
    return {"role": "user", "content": render("files_again", files="\n".join(blocks))}


def rebuilt(messages: Sequence[Message], cut: int, summary: Message, files: Message | None) -> list[Message]:
    """The conversation with the summary in place of what it stands for."""
    fresh = without_old_contexts(messages)
    own = [fresh[place] for place in own_words(messages) if place < cut]
    system = [message for message in messages[:cut] if is_system(message)]
    again = [files] if files is not None else []
    return [*system, *own[:1], summary, *own[1:], *again, *messages[cut:]]


def edited_paths(messages: Sequence[Message], tools: Collection[str]) -> list[str]:
    """The paths that calls of these tools name, the last one first."""
    calls = [call["function"] for message in messages for call in message.get("tool_calls") or ()]
    paths = [path_in(call["arguments"]) for call in reversed(calls) if call["name"] in tools]
    return list(dict.fromkeys(path for path in paths if path))


def path_in(arguments: str) -> str:
    """The path that a call's arguments name; empty where they name none."""
    try:
        read: object = json.loads(arguments)
    except (ValueError, RecursionError):
        return ""
    path = cast("dict[str, object]", read).get("path") if isinstance(read, dict) else None
    return path if isinstance(path, str) else ""


def _messages_in(message: Message) -> int:
    """How many messages of the conversation a message stands for: one, unless Agentic put it there."""
    if is_files(message):
        return 0
    return int(str(message["content"]).split()[3]) if is_summary(message) else 1
