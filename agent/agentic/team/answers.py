"""What members of a council wrote, read leniently: critiques by heading, scores as JSON, steps as a numbered list."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from agentic import json_text

MAX_SCORE = 10.0
MAX_STEPS = 12
MAX_BLOCKS = 200
"""Brackets in a text that are looked at as the beginning of its JSON."""
MAX_DEPTH = 3
MAX_HEADING = 80
"""Characters of a line that can be a heading."""

_DECORATION = re.compile(r"^[\s#>*_`\"'-]+|[\s#*_`\"':.-]+$")
_NUMBERED = re.compile(r"(\s*)(?:\*\*)?(\d{1,2})[.)](?:\*\*)?\s+(\S.*)")
_BULLET = re.compile(r"\s*[-*+•]\s")
_OUT_OF_TEN = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*(?:/\s*10)?\s*")
_NAME_KEYS = ("name", "role", "proposal", "member", "candidate", "about")
_REASON_KEYS = ("reason", "because", "why", "comment")


@dataclass(frozen=True, slots=True)
class Score:
    """What one member thinks of a proposal; `value` from 0 to 10."""

    value: float
    reason: str = ""


def critiques(text: str, names: Sequence[str]) -> dict[str, str]:
    """The parts of a text that begin with a heading line of one of these names; nothing of the text is left out.

    A text without any such heading is one part about all of them, under their names joined by commas.
    """
    parts: dict[str, list[str]] = {}
    preface: list[str] = []
    part = preface
    for line in text.split("\n"):
        name = _heading(line, names)
        if name:
            part = parts.setdefault(name, [])
        else:
            part.append(line)
    found = {name: "\n".join(lines).strip() for name, lines in parts.items()}
    found = {name: body for name, body in found.items() if body}
    before = "\n".join(preface).strip()
    if not found:
        return {", ".join(names): text.strip()}
    first = next(iter(found))
    return {**found, first: f"{before}\n\n{found[first]}" if before else found[first]}


def scores(text: str, names: Sequence[str]) -> dict[str, Score]:
    """The scores for these names in the text's JSON, the last of several for one. What cannot be read is absent."""
    found: dict[str, Score] = {}
    behind = 0
    for match in itertools.islice(re.finditer(r"[{\[]", text), MAX_BLOCKS):
        end = json_text.block_end(text, match.start())
        if match.start() < behind or end is None:
            continue
        try:
            read = _scores_in(json_text.loads(text[match.start() : end]), names)
        except ValueError:
            continue
        found |= read
        behind = end if read else behind
    return found


def steps(text: str) -> list[str]:
    """The last numbered list of the text, one line a step; empty when there is none of two steps or more."""
    lists: list[list[str]] = []
    depth = last = 0
    for line in text.split("\n"):
        match = _NUMBERED.match(line)
        if match and lists and len(match[1]) > depth:
            continue
        if match and lists and int(match[2]) > last:
            lists[-1].append(match[3])
        elif match:
            depth = len(match[1])
            lists.append([match[3]])
        elif lists and line.startswith("  ") and not _BULLET.match(line):
            lists[-1][-1] += f" {line.strip()}"
        last = int(match[2]) if match else last
    found = [_plain(step) for step in lists[-1]] if lists else []
    return found[:MAX_STEPS] if len(found) > 1 else []


def _heading(line: str, names: Iterable[str]) -> str:
    """The name that the line is a heading for: `name`, `**name:**`, `## About name`; empty where it is none."""
    if len(line) > MAX_HEADING:
        return ""
    word = _bare(line)
    named = [name for name in names if _bare(name) == word]
    if not named and line.lstrip().startswith(("#", "**")):
        named = [name for name in names if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", line, re.IGNORECASE)]
    return named[0] if len(named) == 1 else ""


def _bare(text: str) -> str:
    return _DECORATION.sub("", text).strip().lower()


def _scores_in(value: Any, names: Sequence[str], depth: int = 0) -> dict[str, Score]:
    """The scores in a decoded value: a list of objects with names, or an object by name, maybe some levels deeper."""
    if isinstance(value, list):
        entries = [cast("Mapping[str, Any]", one) for one in cast("list[Any]", value) if isinstance(one, dict)]
        return _read(((_first(entry, _NAME_KEYS), entry) for entry in entries), names)
    if not isinstance(value, dict) or depth == MAX_DEPTH:
        return {}
    fields = cast("dict[str, Any]", value)
    if found := _read(fields.items(), names):
        return found
    if _first(fields, _NAME_KEYS):
        return _read([(_first(fields, _NAME_KEYS), fields)], names)
    for one in fields.values():
        if found := _scores_in(one, names, depth + 1):
            return found
    return {}


def _read(entries: Iterable[tuple[Any, Any]], names: Sequence[str]) -> dict[str, Score]:
    found: dict[str, Score] = {}
    for said, entry in entries:
        name = next((name for name in names if _bare(name) == _bare(str(said))), "")
        score = _score(entry)
        if name and score is not None:
            found[name] = score
    return found


def _score(entry: Any) -> Score | None:
    if not isinstance(entry, dict):
        value = _number(entry)
        return Score(value) if value is not None else None
    fields = cast("dict[str, Any]", entry)
    value = _number(fields.get("score"))
    return Score(value, str(_first(fields, _REASON_KEYS)).strip()) if value is not None else None


def _number(value: Any) -> float | None:
    """From 0 to 10, or nothing: a value beyond is of another scale, and nobody knows which."""
    if isinstance(value, str):
        match = _OUT_OF_TEN.fullmatch(value)
        value = float(match[1].replace(",", ".")) if match else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if 0 <= value <= MAX_SCORE else None


def _first(fields: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((fields[key] for key in keys if fields.get(key)), "")


def _plain(step: str) -> str:
    return re.sub(r"\*\*(.+?)\*\*", r"\1", step).strip()
