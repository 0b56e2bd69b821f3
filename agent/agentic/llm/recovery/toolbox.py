"""The tools of a request as recovery needs them: which names there are, and which types their arguments have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from agentic import json_text
from agentic.ports.model import ToolSpec

_NAME = re.compile(r"(?:functions?\.)?(?P<name>[\w.-]*?)(?::\d+)?")
_PREFIX = "functions."
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}

Tools = Iterable[str | ToolSpec] | Mapping[str, ToolSpec]
"""Registered names, or the specs of a request, or specs by their names."""


@dataclass(frozen=True, slots=True)
class RecoveredCall:
    """A call to a registered tool. `arguments` is the JSON text of an object."""

    name: str
    arguments: str


class Toolbox:
    """The registered tools, from their names or their specs."""

    def __init__(self, tools: Tools) -> None:
        self._schemas: dict[str, dict[str, Any]] = {}
        for tool in _specs(tools):
            function: dict[str, Any] = {"name": tool} if isinstance(tool, str) else tool["function"]
            self._schemas[function["name"]] = function.get("parameters") or {}

    def find(self, written: str) -> str | None:
        """The tool that a name means as models write it: `functions.f:0`, `f<|channel|>commentary`, `f</arg_value>`."""
        if written in self._schemas:
            return written
        match = _NAME.fullmatch(written.partition("<")[0].strip())
        name = match["name"] if match else ""
        return name if name in self._schemas else None

    def may_begin(self, beginning: str) -> bool:
        """Whether a tool's name could go on like this."""
        return _PREFIX.startswith(beginning) or any(
            name.startswith(beginning.removeprefix(_PREFIX)) for name in self._schemas
        )

    def is_schema_of(self, name: str, arguments: dict[str, Any]) -> bool:
        """Whether what stands where arguments should is the description of them."""
        known = self._schemas[name].get("properties", {})
        return "properties" in arguments and "properties" not in known

    def typed(self, name: str, key: str, text: str) -> Any:
        """A value that was written as bare text, by the type that the tool's schema gives it; else the text."""
        types = _types(self._schemas[name].get("properties", {}).get(key, {}))
        if not types or ("string" in types and text.strip() != "null"):
            return text
        try:
            value = json_text.loads(text.strip()) if text.strip() not in ("True", "False") else text.strip() == "True"
        except ValueError:
            return text
        return value if any(_is_a(value, kind) for kind in types) else text


def _specs(tools: Tools) -> Iterable[str | ToolSpec]:
    return cast("Mapping[str, ToolSpec]", tools).values() if isinstance(tools, Mapping) else tools


def call_of(name: str, arguments: Any) -> RecoveredCall:
    """The call with its arguments as JSON text."""
    return RecoveredCall(name, json_text.dumps(arguments))


def object_in(value: Any) -> dict[str, Any] | None:
    """The object that arguments are, also where it is JSON within a string."""
    if isinstance(value, str):
        try:
            value = json.loads(value, strict=False) if value.strip() else {}
        except (ValueError, RecursionError):
            return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _types(schema: dict[str, Any]) -> set[str]:
    """The JSON types that a schema allows; empty where it names none."""
    kind = schema.get("type")
    found = {kind} if isinstance(kind, str) else set[str](kind or ())
    for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        found |= _types(option)
    return found


def _is_a(value: Any, kind: str) -> bool:
    if isinstance(value, bool) and kind != "boolean":
        return False
    return isinstance(value, _PYTHON_TYPES.get(kind, ()))
