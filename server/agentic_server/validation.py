"""From loose JSON values to typed ones, with errors that name the key and what it takes."""

from __future__ import annotations

import re
from typing import Any, TypeVar, cast

import msgspec

T = TypeVar("T")
Json = dict[str, Any]


class Invalid(Exception):
    """A value does not fit. `key` is a path like `endpoints[0].url` (empty: the whole value), `problem` the rest of a
    sentence about it, `hint` a sentence on what it takes; `unknown` tells that the key itself is none of ours."""

    def __init__(self, key: str, problem: str, hint: str, unknown: bool = False) -> None:
        super().__init__(f"{key or 'the value'} {problem}")
        self.key = key
        self.problem = problem
        self.hint = hint
        self.unknown = unknown


def convert(value: object, target: type[T], strict: bool = True) -> T:
    """The value as `target`; without `strict`, texts such as `"5"` become the numbers they spell.

    :raises Invalid: naming the first key that does not fit.
    """
    try:
        return msgspec.convert(value, target, strict=strict)
    except msgspec.ValidationError as error:
        raise _invalid(error, target) from None


def value_at(value: object, key: str) -> object:
    """What stands at a key such as `endpoints[0].url`; None where nothing does."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", key):
        if name:
            value = cast(Json, value).get(name) if isinstance(value, dict) else None
        else:
            items = cast("list[object]", value) if isinstance(value, list) else []
            value = items[int(index)] if int(index) < len(items) else None
    return value


def resolve(schema: Json, definitions: Json) -> Json:
    """The schema with its `$ref` followed; its own description and default stay."""
    if "$ref" not in schema:
        return schema
    return definitions[schema["$ref"].rpartition("/")[2]] | {k: v for k, v in schema.items() if k != "$ref"}


def type_name(schema: Json, definitions: Json) -> str:
    """The type that a schema describes, in words: `integer ≥ 1`, ``one of `ask`, `auto` ``, `array of object`."""
    schema = resolve(schema, definitions)
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(type_name(part, definitions) for part in schema["anyOf"] if part.get("type") != "null")
    name = str(schema.get("type", "any"))
    if name == "array":
        return f"array of {type_name(schema.get('items', {}), definitions)}"
    bounds = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
    limits = " and ".join(f"{sign} {schema[bound]:g}" for bound, sign in bounds if bound in schema)
    return f"{name} {limits}".strip()


def _invalid(error: msgspec.ValidationError, target: type) -> Invalid:
    problem, _, path = str(error).partition(" - at `$")
    key = path.rstrip("`").lstrip(".")
    named = re.fullmatch(r"Object (missing required|contains unknown) field `(.*)`", problem)
    root = msgspec.json.schema(target)
    if named is None:
        return Invalid(key, _plain(problem), _allowed(root, key))
    full = f"{key}.{named[2]}".lstrip(".")
    if named[1] == "missing required":
        return Invalid(full, "is missing", _allowed(root, full))
    known = _schema_at(root, key).get("properties", {})
    return Invalid(full, "is not known", f"The keys here are {', '.join(known)}." if known else "", unknown=True)


def _plain(problem: str) -> str:
    if problem.startswith("Invalid enum"):
        return "is none of its values"
    if " matching regex " in problem:
        return "does not have the right form"
    return f"does not fit: {problem[:1].lower()}{problem[1:]}"


def _allowed(root: Json, key: str) -> str:
    found = _schema_at(root, key)
    words = str(found.get("description", "")).rstrip(".")
    return f"It takes {type_name(found, root.get('$defs', {}))}{f' ({words})' if words else ''}." if found else ""


def _schema_at(root: Json, key: str) -> Json:
    definitions = root.get("$defs", {})
    schema = resolve(root, definitions)
    for name, _ in re.findall(r"([^.\[\]]+)|(\[[^\]]*\])", key):
        schema = _object_or_array(schema, definitions)
        if name:
            schema = schema.get("properties", {}).get(name, {})
        else:
            schema = cast(Json, schema.get("items") or schema.get("additionalProperties") or {})
        schema = resolve(schema, definitions)
    return schema


def _object_or_array(schema: Json, definitions: Json) -> Json:
    """The part of a union that has something inside."""
    parts = [resolve(part, definitions) for part in schema.get("anyOf", [])]
    return next((part for part in parts if part.get("type") in ("object", "array")), schema)
