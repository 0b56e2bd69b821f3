"""Marks of thoughts and messages that leak into the text: think tags, harmony's headers, tokens that end a message."""

from __future__ import annotations

from dataclasses import dataclass

from agentic.llm.recovery.cursor import Cursor

_THOUGHTS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
}
_HARMONY_ENDS = ("<|end|>", "<|return|>", "<|call|>")
_HARMONY_STARTS = ("<|start|>", "<|channel|>")


@dataclass(frozen=True, slots=True)
class Closers:
    """What ends a thought: marks that belong to it, and marks that begin what follows."""

    inside: tuple[str, ...]
    outside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """A mark that is no text. `thought`: how a thought ends that begins here. `fresh`: a message may begin now.

    `unopened`: a thought ends here whose opening is not in the answer.
    """

    thought: Closers | None = None
    fresh: bool = False
    harmony: bool = False
    unopened: bool = False


def read_header(cursor: Cursor, *, fresh: bool, harmony: bool, token: bool) -> Header:
    """The mark at the cursor, which then stands behind it. :raises Wrong: :raises Cut:

    `fresh`: no text has been in this message. `harmony`: a header of harmony was. `token`: a special token may be here.
    """
    if fresh and (opening := cursor.maybe(*_THOUGHTS)):
        return Header(Closers((_THOUGHTS[opening],)))
    if harmony and cursor.maybe(*_HARMONY_ENDS):
        return Header(fresh=True, harmony=True)
    if (fresh or harmony) and any(map(cursor.looks_at, _HARMONY_STARTS)):
        return _harmony(cursor)
    if fresh or harmony:
        cursor.maybe(*_HARMONY_STARTS)
    if not token or not cursor.looks_at("<|"):
        cursor.wrong()
    cursor.end_of_answer()
    return Header()


def _harmony(cursor: Cursor) -> Header:
    """`<|start|>assistant<|channel|>analysis<|message|>`; a header with a recipient is a call's."""
    if cursor.maybe("<|start|>"):
        cursor.take("assistant")
        if cursor.maybe("<|message|>"):
            return Header(harmony=True)
    cursor.take("<|channel|>")
    channel = cursor.take("analysis", "final", "commentary")
    cursor.spaces()
    if cursor.maybe("<|constrain|>"):
        cursor.until("<|message|>", limit=20)
    else:
        cursor.take("<|message|>")
    thought = Closers(_HARMONY_ENDS, _HARMONY_STARTS) if channel == "analysis" else None
    return Header(thought, harmony=True)
