"""Triage: the line of JSON with which a turn's first answer begins, or a heuristic where the model writes none."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from agentic.task import Domain, Overrides, Route

MAX_LINE = 4_000
"""A beginning longer than this without a classification has none, however its pieces come."""

_FENCE = re.compile(r"\s*`{3}(?:json)?\s*")
_LINE_END = re.compile(r"[ \t]*[\r\n]*")
_FENCE_END = re.compile(r"\s*`{3}[ \t]*[\r\n]*")


@dataclass(frozen=True, slots=True)
class Classification:
    """What a task is. `plan` holds the first plan's steps."""

    route: Route
    domain: Domain = "coding"
    confidence: float = 0.5
    complexity: float = 0.3
    language: str = "und"
    plan: tuple[str, ...] = ()
    by: Literal["model", "heuristic", "user"] = "model"


class Splitter:
    """Parts the classification from the text that follows it, while the answer streams in.

    `feed` takes a piece of text and returns what of it a person should see. `found` is set once the JSON is complete.
    """

    def __init__(self) -> None:
        self.found: Classification | None = None
        self._buffer = ""
        self._settled = False
        self._after_line = False
        self._end = _LINE_END

    def feed(self, text: str) -> str:
        self._buffer += text
        if self._settled:
            return self._pass_on()
        start = _json_start(self._buffer)
        if start is None:
            return ""
        if start >= 0 and "}" in text and self._parses(start):
            return self._settle()
        return self._settle() if start < 0 or len(self._buffer) > MAX_LINE else ""

    def finish(self) -> str:
        """What is still held back when the answer ends."""
        if self._after_line:
            return self._end.sub("", self._buffer, count=1)
        return self._settle()

    def _parses(self, start: int) -> bool:
        """Whether the JSON is complete; if it is a classification, it is `found`."""
        try:
            value, end = json.JSONDecoder().raw_decode(self._buffer, start)
            self.found = parse(value)
        except (ValueError, RecursionError):
            return False
        if self.found is not None:
            self._end = _FENCE_END if "`" in self._buffer[:start] else _LINE_END
            self._buffer = self._buffer[end:]
            self._after_line = True
        return True

    def _settle(self) -> str:
        self._settled = True
        return self._pass_on()

    def _pass_on(self) -> str:
        """The buffer; right after the classification without the line ends and the fence that part it from the text."""
        if self._after_line:
            rest = self._end.sub("", self._buffer, count=1)
            if not rest or (self._end is _FENCE_END and not rest.strip().strip("`")):
                return ""
            self._after_line, self._buffer = False, rest
        text, self._buffer = self._buffer, ""
        return text


def parse(value: Any) -> Classification | None:
    """The classification in a decoded JSON value; None where it is none. Odd fields fall back to their defaults."""
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if fields.get("route") not in get_args(Route):
        return None
    plan = fields.get("plan")
    steps = cast("list[Any]", plan) if isinstance(plan, list) else []
    return Classification(
        route=fields["route"],
        domain=fields["domain"] if fields.get("domain") in get_args(Domain) else "coding",
        confidence=_unit(fields.get("confidence"), 0.5),
        complexity=_unit(fields.get("complexity"), 0.3),
        language=str(fields.get("language") or "und")[:12],
        plan=tuple(str(step) for step in steps[:12] if str(step).strip()),
    )


def guess(task: str, calls: int) -> Classification:
    """Without the model's word: work, unless the task is a few words with no file, path or call in sight."""
    words = task.split()
    small = len(words) <= 4 and not calls and not re.search(r"[\w-]+\.\w+|/|`|\(", task)
    route: Route = "reply" if small else "work"
    return Classification(route, confidence=0.2, language=_script(task), by="heuristic")


def override(found: Classification, overrides: Overrides) -> Classification:
    """The user's word over triage's."""
    given: dict[str, Any] = {
        name: value for name in ("domain", "complexity", "route") if (value := getattr(overrides, name)) is not None
    }
    return replace(found, **given, by="user") if given else found


def _json_start(buffer: str) -> int | None:
    """Where the JSON begins: None while that is open, -1 when the text begins otherwise."""
    if "```json".startswith(buffer.strip()):
        return None
    match = _FENCE.match(buffer)
    at = match.end() if match else len(buffer) - len(buffer.lstrip())
    return at if buffer[at : at + 1] == "{" else -1


def _unit(value: Any, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    if isinstance(value, float) and math.isnan(value):
        return default
    return float(min(1, max(0, value)))


_SCRIPTS = (("ko", r"[가-힣]"), ("ja", r"[ぁ-ヿ]"), ("zh", r"[一-鿿]"), ("ru", r"[а-яА-Я]"), ("ar", r"[؀-ۿ]"))


def _script(text: str) -> str:
    return next((language for language, letters in _SCRIPTS if re.search(letters, text)), "und")
