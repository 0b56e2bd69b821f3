"""Cassettes: conversations with a model, recorded as JSON lines so that they can be answered again without one.

A line is `{"request": {…}, "response": {…}}`. The request is the body of a chat completion as it was sent. The response
is `{"content", "reasoning", "tool_calls": [{"name", "arguments"}]}`, all optional; arguments are JSON text as the model
wrote it, or an object. It may also hold `finish_reason` (else it follows from the calls), `usage` (as the server sent
it) and `chunks`, a list of whole stream chunks that are then streamed instead of ones made from the rest.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

Json = dict[str, Any]

_TEMP_FOLDERS = ("/private/tmp", "/tmp", "/var/tmp", r"(?:/private)?/var/folders/[^/\s]+/[^/\s]+/T")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer."""

    request: Json
    response: Json

    def to_line(self) -> str:
        """The exchange as a line of a cassette, its end included."""
        return json.dumps({"request": self.request, "response": self.response}, ensure_ascii=False) + "\n"


def load(path: Path) -> list[Exchange]:
    """The exchanges of a cassette, in order.

    :raises ValueError: naming the line that is no exchange.
    :raises OSError: where the file cannot be read.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    return [_parse(line, f"{path.name}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def append(path: Path, exchange: Exchange) -> None:
    """Add an exchange at the end of a cassette."""
    with path.open("a", encoding="utf-8") as file:
        file.write(exchange.to_line())


def text_of(message: Json) -> str:
    """A message's text; the texts of a content in parts, joined."""
    content = message.get("content")
    if isinstance(content, list):
        parts = cast("list[Json]", content)
        return "".join(str(part.get("text", "")) for part in parts)
    return str(content or "")


def conversation_of(request: Json) -> tuple[str, str]:
    """What tells one conversation from another: the first line of the system text, and what the user says before the
    first answer. Members of a council are asked the same first, and are told apart by what follows it."""
    messages: list[Json] = request.get("messages") or []
    opening = list(takewhile(lambda message: message.get("role") != "assistant", messages))
    system = next((text_of(m) for m in opening if m.get("role") in ("system", "developer")), "")
    user = "\n".join(text_of(m) for m in opening if m.get("role") == "user")
    return normalise(system).split("\n", 1)[0], normalise(user)


def normalise(text: str) -> str:
    """The text without what differs from run to run and from machine to machine.

    Folders under the system's temporary folder, durations, dates, ids, hashes, addresses, local ports, colour codes,
    the marks that newer Pythons draw under a traceback's line, and white space at the ends of lines.
    """
    for pattern, replacement in _volatile():
        text = pattern.sub(replacement, text)
    return text.strip()


def _volatile() -> Iterator[tuple[re.Pattern[str], str]]:
    here = tempfile.gettempdir()
    folders = "|".join((re.escape(os.path.realpath(here)), re.escape(here), *_TEMP_FOLDERS))
    yield re.compile(rf"(?:file://)?(?:{folders})/[^\s/\\\"'`<>:,)]+"), "<temporary>"
    yield from _FIXED


_FIXED = [
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"\x1b\[[0-9;]*[A-Za-z]", ""),
        (r"^[ \t]*[~^]+[ \t]*\n", ""),
        (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?", "<date>"),
        (r"\b\d+(?:\.\d+)?(?:e-\d+)? ?(?:ms|s|secs?|seconds?|min|minutes?)\b", "<duration>"),
        (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "<id>"),
        (r"\b[a-z]+-[0-9a-f]{12}-[0-9a-f]{6}\b", "<id>"),
        (r"\b(?:call|chatcmpl|toolu)[_-][0-9A-Za-z_-]+", "<id>"),
        (r"\b0x[0-9a-f]+\b", "<address>"),
        (r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,64}\b", "<hash>"),
        (r"\b(127\.0\.0\.1|localhost):\d+", r"\1:<port>"),
        (r"[ \t\r]+$", ""),
    )
]


def _parse(line: str, where: str) -> Exchange:
    try:
        record: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: no JSON ({error})") from error
    match record:
        case {"request": {"messages": [_, *_]}, "response": dict()}:
            return Exchange(record["request"], record["response"])
        case _:
            raise ValueError(f'{where}: an exchange is {{"request": {{"messages": […]}}, "response": {{…}}}}')
