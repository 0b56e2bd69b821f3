"""Calls out of JSON values, and arguments that are written as tagged texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

from agentic.llm.recovery.cursor import Cursor
from agentic.llm.recovery.toolbox import RecoveredCall, call_of, object_in

Calls = tuple[RecoveredCall, ...]

_ARGUMENTS = ("arguments", "parameters", "args", "input")
_CALL_KEYS = frozenset({"name", "id", "type", "index", "call_id", *_ARGUMENTS})
_OPENING = re.compile(r"[\[\s]*\{?\s*")
_EDGE_START = re.compile(r"\A\r?\n")
_EDGE_END = re.compile(r"\r?\n\Z")
_KEYS = ("name", "function", "id", "type", "arguments", "parameters", "index")


def json_calls(cursor: Cursor) -> Calls:
    """The calls of a JSON object or list of them. Its head tells early when it is something else."""
    start = cursor.at
    _check_head(cursor)
    cursor.at = start
    return calls_in(cursor, cursor.json())


def calls_in(cursor: Cursor, value: Any) -> Calls:
    """The calls in a decoded value; each of them must be one."""
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    return tuple(_call_in(cursor, item) for item in values) or cursor.wrong()


def arguments_call(cursor: Cursor, name: str) -> RecoveredCall:
    """The call of a tool whose arguments are the JSON object here."""
    arguments = object_in(cursor.json())
    return cursor.wrong() if arguments is None else call_of(name, arguments)


def _call_in(cursor: Cursor, value: Any) -> RecoveredCall:
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    inner = fields.get("function")
    if isinstance(inner, dict):
        fields = cast("dict[str, Any]", inner)
    elif isinstance(inner, str) and "name" not in fields:
        fields = {"name": inner, **{key: item for key, item in fields.items() if key != "function"}}
    written = fields.get("name")
    keys = [key for key in _ARGUMENTS if key in fields]
    if not isinstance(written, str) or len(keys) != 1 or not fields.keys() <= _CALL_KEYS:
        cursor.wrong()
    name, arguments = cursor.tools.find(written), object_in(fields[keys[0]])
    if name is None or arguments is None or cursor.tools.is_schema_of(name, arguments):
        cursor.wrong()
    return call_of(name, arguments)


def _check_head(cursor: Cursor) -> None:
    """The first key and, where it is the name, the name: more than that is not known of JSON that still comes in."""
    match = _OPENING.match(cursor.text, cursor.at)
    cursor.at = match.end() if match else cursor.at
    quote = cursor.take('"', "'")
    key = cursor.take(*_KEYS)
    cursor.take(quote)
    cursor.spaces()
    cursor.take(":")
    cursor.spaces()
    if key == "name":
        cursor.take(quote)
        cursor.name()
    elif key == "type":
        cursor.take(quote)
        cursor.take("function", "tool_call", "tool_use")


@dataclass(frozen=True, slots=True)
class Layout:
    """How arguments are tagged: `before` name `between` value `after`, until `outer`."""

    before: str
    between: str
    after: str
    outer: tuple[str, ...]
    opening: str = ""
    """The tag that opens the value, where it has one of its own."""


def tagged_arguments(cursor: Cursor, name: str, layout: Layout) -> RecoveredCall:
    """The call of a tool whose arguments stand in tags, up to and with the tag that closes them."""
    arguments: dict[str, Any] = {}
    while True:
        cursor.spaces()
        if cursor.maybe(*layout.outer):
            return call_of(name, arguments)
        cursor.take(layout.before)
        key = cursor.until(layout.between, limit=200).strip()
        key, _, attributes = key.partition('"')
        if layout.opening:
            cursor.spaces()
            cursor.take(layout.opening)
        value = _value(cursor, layout)
        arguments[key] = value if 'string="true"' in attributes else cursor.tools.typed(name, key, value)


def _value(cursor: Cursor, layout: Layout) -> str:
    """The text up to the closing tag behind which the next argument or the end comes: code may hold the tag itself."""
    start = cursor.at
    while True:
        cursor.until(layout.after)
        end = cursor.at - len(layout.after)
        cursor.spaces()
        if cursor.looks_at(layout.before) or any(map(cursor.looks_at, layout.outer)):
            return _without_edges(cursor.text[start:end])
        cursor.at = end + len(layout.after)
        _cut_in_tag(cursor, layout)


def _cut_in_tag(cursor: Cursor, layout: Layout) -> None:
    """What follows a closing tag may be a tag that has not all come yet."""
    if not cursor.final:
        rest = cursor.plain[cursor.at :].lstrip()
        if any(literal.startswith(rest) for literal in (layout.before, *layout.outer)):
            cursor.more()


def _without_edges(text: str) -> str:
    """Without the line end behind the opening tag and the one before the closing tag."""
    return _EDGE_END.sub("", _EDGE_START.sub("", text))
