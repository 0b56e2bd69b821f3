"""What fills the window, item by item: each message's parts, what they are, and how many tokens each of them takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from agentic.context.compaction import path_in
from agentic.context.marks import (
    MIDDLE,
    State,
    What,
    is_files,
    is_note,
    is_stub,
    is_summary,
    is_system,
    own_words,
    parts,
    text_of,
)
from agentic.ports.model import Message, TokenCount, ToolSpec

SECTIONS: tuple[tuple[What, re.Pattern[str]], ...] = (
    ("mentions", re.compile(r"^the user points at:$", re.MULTILINE)),
    ("rules", re.compile(r"^Rules of this workspace's authors", re.MULTILINE)),
    ("retrieval", re.compile(r"^(Places in the workspace that may matter|Map of the workspace)", re.MULTILINE)),
)


@dataclass(frozen=True, slots=True)
class FillItem:
    """A part of what is sent. `name`: the tool, and the path that its call names, where it is one of a call."""

    role: Literal["system", "user", "assistant", "tool"]
    what: What
    tokens: int
    by: Literal["server", "tokenizer", "estimate"] = "estimate"
    state: State = "whole"
    name: str = ""
    message: int | None = None
    """The place of its message among those that are sent; None for the tools."""


@dataclass(frozen=True, slots=True)
class Share:
    """All items of one class."""

    what: What
    tokens: int
    share: float
    """Of all tokens, from 0 to 1."""


def fill(
    messages: Sequence[Message],
    counts: Sequence[TokenCount],
    tools: Sequence[ToolSpec] = (),
    tool_counts: Sequence[TokenCount] = (),
) -> list[FillItem]:
    """The items in the order of the prompt, the tools first. Those of a message are its count in sum."""
    names = {call["id"]: _call_name(call["function"]) for one in messages for call in one.get("tool_calls") or ()}
    own = set(own_words(messages))
    items = [
        FillItem("system", "tools", count.tokens, count.by, name=tool["function"]["name"])
        for tool, count in zip(tools, tool_counts, strict=True)
    ]
    for place, (message, count) in enumerate(zip(messages, counts, strict=True)):
        pieces = _pieces(message, names, is_own=place in own)
        for piece, tokens in zip(pieces, _parted(count.tokens, [len(piece.text) for piece in pieces]), strict=True):
            state: State = "stub" if is_stub(message) else "cut" if _is_cut(piece.text) else "whole"
            items.append(FillItem(message["role"], piece.what, tokens, count.by, state, piece.name, place))
    return items


def shares(items: Iterable[FillItem]) -> list[Share]:
    """What each class takes of all, the largest first."""
    sums: dict[What, int] = {}
    for item in items:
        sums[item.what] = sums.get(item.what, 0) + item.tokens
    total = sum(sums.values()) or 1
    ordered = sorted(sums.items(), key=lambda pair: -pair[1])
    return [Share(what, tokens, round(tokens / total, 4)) for what, tokens in ordered]


@dataclass(frozen=True, slots=True)
class _Piece:
    what: What
    text: str
    name: str = ""


def _pieces(message: Message, names: dict[str, str], *, is_own: bool) -> list[_Piece]:
    text = text_of(message)
    if is_system(message):
        return [_Piece("system", text)]
    if message["role"] == "tool":
        return [_Piece("result", text, names.get(message.get("tool_call_id", ""), ""))]
    if message["role"] == "assistant":
        return _answer(message, text)
    if not is_own:
        return [_Piece(_ours(message), text)]
    words, context = parts(message)
    return [_Piece("task", words), *(_sections(context) if context else ())]


def _answer(message: Message, text: str) -> list[_Piece]:
    thinking = message.get("reasoning") or ""
    calls = [
        _Piece("call", call["function"]["name"] + call["function"]["arguments"], _call_name(call["function"]))
        for call in message.get("tool_calls") or ()
    ]
    found = [_Piece("reasoning", thinking)] if thinking else []
    found += [_Piece("answer", text)] if text or not (thinking or calls) else []
    return [*found, *calls]


def _ours(message: Message) -> What:
    if is_summary(message):
        return "summary"
    if is_note(message):
        return "note"
    return "files" if is_files(message) else "notice"


def _sections(context: str) -> list[_Piece]:
    """The context block, parted where its known sections begin."""
    found: list[tuple[int, What]] = [
        (match.start(), what) for what, begin in SECTIONS if (match := begin.search(context))
    ]
    marks: list[tuple[int, What]] = [(0, "context")]
    marks += sorted(found)
    ends = [start for start, _ in marks[1:]] + [len(context)]
    return [_Piece(what, context[start:end]) for (start, what), end in zip(marks, ends, strict=True)]


def _parted(tokens: int, sizes: Sequence[int]) -> list[int]:
    """The tokens, shared out by size; in sum as many as before."""
    total, given, seen, shared = sum(sizes), 0, 0, list[int]()
    for number, size in enumerate(sizes, 1):
        seen += size
        upto = tokens if number == len(sizes) else tokens * seen // (total or 1)
        shared.append(upto - given)
        given = upto
    return shared


def _call_name(function: Message) -> str:
    path = path_in(function["arguments"])
    return f"{function['name']} {path}" if path else str(function["name"])


def _is_cut(text: str) -> bool:
    return MIDDLE in text or MIDDLE.replace("\n", "\\n") in text
