"""Calls without any tag, which must be alone on the last lines of the answer: JSON and Python."""

from __future__ import annotations

import ast
import warnings

from agentic import json_text
from agentic.llm.recovery.cursor import Cursor
from agentic.llm.recovery.toolbox import RecoveredCall, call_of
from agentic.llm.recovery.values import Calls, json_calls


def bare(cursor: Cursor) -> Calls:
    """`{"name": …, "parameters": …}`, a list of it, several one after another, or `[f(a=1), g()]`."""
    calls = _json_objects(cursor) if _begins_json(cursor) else python_list(cursor)
    cursor.end_of_answer()
    return calls


def python_call(cursor: Cursor) -> RecoveredCall:
    """`f(a=1)` or `f.call(a=1)` with literal arguments that are named."""
    cursor.maybe("functions.")
    name = cursor.name(dotted=False)
    cursor.maybe(".call")
    cursor.take("(")
    cursor.at -= 1
    node = _parsed(cursor, "_" + cursor.block())
    if not isinstance(node, ast.Call) or node.args or any(keyword.arg is None for keyword in node.keywords):
        cursor.wrong()
    try:
        return call_of(name, {keyword.arg: json_text.literal(ast.unparse(keyword.value)) for keyword in node.keywords})
    except (ValueError, RecursionError):
        cursor.wrong()


def _begins_json(cursor: Cursor) -> bool:
    """Whether the bracket here is that of an object or of a list of objects."""
    start = cursor.at
    cursor.maybe("[")
    cursor.spaces()
    found = cursor.looks_at("{")
    cursor.at = start
    return found


def _json_objects(cursor: Cursor) -> Calls:
    calls = json_calls(cursor)
    cursor.spaces()
    while not cursor.at_end and cursor.maybe(";", ",", "{"):
        if cursor.text[cursor.at - 1] == "{":
            cursor.at -= 1
        cursor.spaces()
        calls += json_calls(cursor)
        cursor.spaces()
    return calls


def python_list(cursor: Cursor) -> Calls:
    cursor.take("[")
    calls: Calls = ()
    while True:
        cursor.spaces()
        calls += (python_call(cursor),)
        cursor.spaces()
        if cursor.take(",", "]") == "]":
            return calls


def _parsed(cursor: Cursor, text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        cursor.wrong()
