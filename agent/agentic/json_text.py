"""JSON as models write it: read where there is one way to read it, never completed where it is cut off."""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import Any

_FENCE = re.compile(r"\s*```[\w-]*\s*\n(.*)\n\s*```\s*", re.DOTALL)
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"' + r"|'[^'\\]*(?:\\.[^'\\]*)*'"
_STRING_OR_COMMA = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|,(?=\s*[}\]])', re.DOTALL)
_STRING_OR_WORD = re.compile(rf"{_STRING}|\b(?:true|false|null)\b", re.DOTALL)
_STRING_OR_BRACKET = re.compile(rf"{_STRING}|[\[\](){{}}\"']", re.DOTALL)
_PYTHON_ONLY = re.compile(r"'|\b(?:True|False|None)\b")
_PYTHON_WORDS = {"true": "True", "false": "False", "null": "None"}


def loads(text: str, *, fenced: bool = False) -> Any:
    """The value of JSON text, of which also is taken: trailing commas, raw line ends in strings, Python's literals.

    With `fenced` a code fence around it is taken off. :raises ValueError: `json.JSONDecodeError` where it has a place.
    """
    match = _FENCE.fullmatch(text) if fenced else None
    body = match.group(1) if match else text
    mended = _STRING_OR_COMMA.sub(lambda found: found.group() if found.group() != "," else "", body)
    try:
        return _strict(mended)
    except ValueError:
        if not _PYTHON_ONLY.search(body):
            raise
        try:
            return _python(body)
        except ValueError:
            pass
        raise


def dumps(value: Any) -> str:
    """The value as JSON text, as readable as half characters allow."""
    text = json.dumps(value, ensure_ascii=False)
    return text if _is_encodable(text) else json.dumps(value)


def block_end(text: str, start: int) -> int | None:
    """Where the bracket that opens at `start` has been closed; None where the text ends before."""
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text, start):
        found = match.group()
        if found in "[({":
            depth += 1
        elif found in "])}":
            depth -= 1
            if depth <= 0:
                return match.end()
        elif len(found) == 1:
            return None
    return None


def literal(text: str) -> Any:
    """The value of a Python literal, also with JSON's words, as JSON has it. :raises ValueError: it is none."""
    python = _STRING_OR_WORD.sub(lambda found: _PYTHON_WORDS.get(found.group(), found.group()), text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return json.loads(json.dumps(ast.literal_eval(python.strip())))
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"no literal: {error}") from error


def _strict(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _python(text: str) -> Any:
    if not text.lstrip().startswith(("{", "[")):
        raise ValueError("no object and no list")
    return literal(text)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
