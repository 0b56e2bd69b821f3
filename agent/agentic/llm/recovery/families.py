"""Which form a call may have where: the openings, and where on a line each of them counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from agentic.llm.recovery import bare, tags, tokens
from agentic.llm.recovery.cursor import Cursor, Cut, Wrong
from agentic.llm.recovery.lines import Lines
from agentic.llm.recovery.values import Calls

_LINE_END = re.compile(r"[ \t]*(?:[\r\n<\[]|(?P<open>\Z))")


@dataclass(frozen=True, slots=True)
class Family:
    """A form: how it begins, who reads it, and where it counts."""

    openings: tuple[str, ...]
    read: Callable[[Cursor], Calls]
    place: Callable[[Lines], bool]


_SPELLED = ("commentary to=", "analysis to=", "assistant", "to=functions.")

FAMILIES = (
    Family(("<tool_call>",), tags.tool_call, lambda lines: lines.follows_sentence),
    Family(("<function=",), tags.function, lambda lines: lines.follows_sentence),
    Family(("<seed:tool_call>",), tags.seed, lambda lines: lines.follows_sentence),
    Family(("<minimax:tool_call>",), tags.minimax, lambda lines: lines.follows_sentence),
    Family(("<function_calls>",), tags.invocations, lambda lines: lines.follows_sentence),
    Family(("<invoke ",), tags.invoke, lambda lines: lines.follows_sentence),
    Family(("<tools>", "<tool_calls>", "<TOOLCALL>"), tags.json_list, lambda lines: lines.follows_sentence),
    Family(("<|DSML|", "<||DSML||"), tags.dsml, lambda lines: lines.may_hold_token),
    Family(("<|end|>", "<|start|>", "<|channel|>"), tokens.harmony, lambda lines: lines.may_hold_token),
    Family(("<|tool_call",), tokens.sections, lambda lines: lines.may_hold_token),
    Family(("<|tool_call",), tokens.tool_call_token, lambda lines: lines.may_hold_token),
    Family(("<|python_start|>", "<|tool_call_start|>"), tokens.python_tokens, lambda lines: lines.may_hold_token),
    Family(("<|python_tag|>",), tokens.python_tag, lambda lines: lines.may_hold_token),
    Family(("[TOOL_CALLS]",), tokens.mistral, lambda lines: lines.may_hold_token),
    Family(("{", "["), bare.bare, lambda lines: lines.stands_alone),
    Family(_SPELLED, tokens.spelled_harmony, lambda lines: lines.stands_alone),
)

_PATIENCE = 3_000_000
"""Characters that are read in vain at an answer's end, before the rest of it is taken for text."""

CANDIDATE = re.compile(r"<(?=[|｜‖/tTsfmi]|\Z)|[\[{]|^ {0,3}(?=[act])", re.MULTILINE)
"""Ends before or behind the first character of what could be a form: a letter counts at a line's start only."""


def read_calls(cursor: Cursor, lines: Lines) -> Calls:
    """The calls that begin at the cursor, which then stands behind them. :raises Wrong: :raises Cut:"""
    start, cut = cursor.at, False
    if cursor.unfinished or (cursor.final and cursor.vain > _PATIENCE):
        raise Wrong
    for family in FAMILIES:
        if not _may_begin(cursor, family.openings) or not family.place(lines):
            continue
        cursor.named = False
        try:
            calls = family.read(cursor)
            _check_behind(cursor)
            return calls
        except Cut:
            cut = True
        except Wrong:
            cursor.vain += cursor.at - start
        cursor.at = start
    raise Cut if cut else Wrong


def _check_behind(cursor: Cursor) -> None:
    """A sentence that goes on behind the call is about it."""
    match = _LINE_END.match(cursor.text, cursor.at)
    if match is None:
        cursor.wrong()
    if match["open"] is not None and not cursor.final:
        raise Cut


def _may_begin(cursor: Cursor, openings: tuple[str, ...]) -> bool:
    rest = cursor.plain[cursor.at : cursor.at + 20]
    return any(rest.startswith(opening) or opening.startswith(rest) for opening in openings)
