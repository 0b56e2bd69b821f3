"""Arguments as the wild sends them, put right where there is one way to read them.

What is cut off is never completed: half an edit is no edit.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, cast

from agentic import json_text
from agentic.errors import Refusal

_ALIASES: dict[str, tuple[str, ...]] = {
    "paths": ("path", "file_path", "files", "file"),
    "path": ("file_path", "filePath", "filename", "file", "dir", "directory"),
    "old": ("old_string", "oldString", "old_str", "old_text", "oldText", "search"),
    "new": ("new_string", "newString", "new_str", "new_text", "newText", "replace"),
    "replace_all": ("replaceAll", "allow_multiple"),
    "content": ("text", "contents"),
    "command": ("cmd",),
    "seconds": ("timeout",),
    "pattern": ("query", "regex"),
    "glob": ("include",),
    "steps": ("plan",),
    "text": ("step", "content", "description", "task", "prompt", "goal"),
    "name": ("id", "title"),
    "depends_on": ("dependsOn", "dependencies"),
}
_WRAPPERS = ("arguments", "input", "args", "parameters")
_NESTED: dict[str, frozenset[str]] = {
    "edits": frozenset({"old", "new", "replace_all"}),
    "steps": frozenset({"text", "status"}),
    "subtasks": frozenset({"name", "text", "depends_on", "priority"}),
}
_PLAIN: dict[str, tuple[str, ...]] = {"steps": ("text",), "subtasks": ("text", "name")}
"""What a plain text stands for where an object is taken."""


def repair(text: str, fields: Collection[str]) -> dict[str, Any] | Refusal:
    """The arguments as an object with the tool's own names, or bad_arguments with the place that is wrong.

    Mends: no text for no arguments, a code fence, what `json_text.loads` mends, JSON within a JSON string, one wrapper
    around the arguments, other names for the same thing, one path where a list of them is taken.
    """
    value = _parse(text)
    if isinstance(value, Refusal):
        return value
    value = _unwrap(value, fields)
    if not isinstance(value, dict):
        kind = type(value).__name__
        return Refusal("bad_arguments", f"The arguments are a JSON {kind}.", "Send one JSON object.")
    return _rename(cast("dict[str, Any]", value), fields)


def _parse(text: str) -> Any:
    if not text.strip():
        return {}
    try:
        return json_text.loads(text, fenced=True)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        near = error.doc[max(0, error.pos - 20) : error.pos + 20]
        ends = error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated string")
        cut = " The text ends there: it was cut off." if ends else ""
        problem = f"The arguments are not JSON: {error.msg.removesuffix(' at')} at {where}, near {near!r}.{cut}"
    except ValueError as error:
        problem = f"The arguments are not JSON: {error}."
    return Refusal("bad_arguments", problem, "Nothing was done. Send the whole call again as one JSON object.")


def _unwrap(value: Any, fields: Collection[str]) -> Any:
    """The object within JSON strings and within a single wrapper that is no argument itself."""
    for _ in range(3):
        inner: Any = None
        if isinstance(value, str):
            inner = _decoded(value)
        elif isinstance(value, dict):
            inner = _wrapped(cast("dict[str, Any]", value), fields)
        if not isinstance(inner, dict | str):
            break
        value = cast("dict[str, Any] | str", inner)
    return cast("Any", value)


def _wrapped(values: dict[str, Any], fields: Collection[str]) -> Any:
    name = next(iter(values), "")
    return values[name] if len(values) == 1 and name in _WRAPPERS and name not in fields else None


def _decoded(text: str) -> Any:
    """The JSON within the text; None where there is none."""
    try:
        return json_text.loads(text)
    except ValueError:
        return None


def _rename(values: dict[str, Any], fields: Collection[str]) -> dict[str, Any]:
    renamed = dict(values)
    for field in fields:
        for alias in _ALIASES.get(field, ()):
            if field not in renamed and alias in renamed and alias not in fields:
                renamed[field] = renamed.pop(alias)
    if "paths" in fields and isinstance(renamed.get("paths"), str):
        renamed["paths"] = [renamed["paths"]]
    for name, inner in _NESTED.items():
        if name in fields and name in renamed:
            renamed[name] = _rename_items(renamed[name], inner, _PLAIN.get(name, ()))
    return renamed


def _rename_items(value: Any, fields: Collection[str], plain: Collection[str]) -> Any:
    """A list of objects, also where it came as JSON text, as its only item, or as texts that stand for objects."""
    decoded = _decoded(value) if isinstance(value, str) else value
    items: Any = [decoded] if isinstance(decoded, dict) else decoded
    if not isinstance(items, list):
        return value
    return [_item(item, fields, plain) for item in cast("list[Any]", items)]


def _item(item: Any, fields: Collection[str], plain: Collection[str]) -> Any:
    if isinstance(item, str) and plain:
        return dict.fromkeys(plain, item)
    return _rename(cast("dict[str, Any]", item), fields) if isinstance(item, dict) else item
