"""Repeated calls: fingerprints, and cycles among them.

A fingerprint stands for a call together with its outcome: `name:mark`, the call's digest, a slash, the outcome's. A
cycle of length n is there while each call is like the one n calls before, so five counters see every cycle up to that
length, the identical call (n = 1) among them. Another outcome of the same call is another fingerprint: a test that
fails otherwise than before, or a build that has gone on, breaks the cycle.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, cast

from agentic.control.types import Trouble, TurnState
from agentic.events import ToolKind

WINDOW = 20
"""Fingerprints that are remembered."""

REPEATED = (3, 4, 5)
"""The same call with the same outcome in a row: told, told and blocked, the end."""
CYCLED = (3, 4, 5)
"""The same for a cycle of two to five calls that only read or edit."""
CYCLED_COMMANDS = (5, 6, 7)
"""The same for a cycle in which a command is: commands act on a world that we don't see."""
WAITED = (12, 15, 18)
"""The same where a call waits for something or asks how it stands: polling is honest work."""

_NAME = 40
_COMMAND = 300
"""Characters of a command in which it shows what it is for."""
_WAITS = re.compile(
    r"\b(?:sleep|wait|watch|until|poll\w*|health\w*|progress|ps|pgrep|jobs|queue|pods|tail|curl|ping)\b"
    r"|\b(?:kubectl|systemctl|gh run)\b"
    r"|(?<!git )\bstatus\b|\.(?:log|out)\b",
    re.IGNORECASE,
)
_VOLATILE = re.compile(r"\b\d+\.\d+ ?(?:s|ms|sec|secs|seconds)\b|\b0x[0-9a-fA-F]{6,}\b")
"""What differs between two runs of the same thing: durations as test runners print them, and addresses."""


def call_print(name: str, arguments: str, kind: ToolKind) -> str:
    """A call's fingerprint without its outcome; arguments in another order or spacing are the same."""
    value = _decoded(arguments)
    text = arguments if value is None else json.dumps(value, sort_keys=True, ensure_ascii=True)
    return f"{name[:_NAME]}:{_mark(name, value, arguments, kind)}{_digest(name, text)}"


def outcome_print(result: str) -> str:
    """A result's fingerprint."""
    return _digest(_VOLATILE.sub("#", result))


def last_outcome(recent: list[str], call: str) -> str:
    """The fingerprint of what this call gave when it was last made, or nothing."""
    return next((one.rpartition("/")[2] for one in reversed(recent) if one.startswith(f"{call}/")), "")


def periods_after(state: TurnState, fingerprint: str) -> list[int]:
    """The counters of cycles once this call is made."""
    recent = state["recent"]
    return [
        runs + 1 if len(recent) >= length and recent[-length] == fingerprint else 0
        for length, runs in enumerate(state["periods"], 1)
    ]


def cycle(state: TurnState) -> Trouble | None:
    """The cycle that the last calls form, the shortest if there are several."""
    for length, runs in enumerate(state["periods"], 1):
        count = runs // length + 1
        strength = sum(count >= limit for limit in limits_of(state["recent"][-length:]))
        if strength:
            names = [one.rpartition(":")[0] for one in state["recent"][-length:]]
            return Trouble("loop", count, strength, " → ".join(dict.fromkeys(names)))
    return None


def goes_on(state: TurnState, call: str) -> bool:
    """Whether the call would go on with a cycle that is too long already."""
    return any(
        runs // length + 1 >= limits_of(state["recent"][-length:])[0]
        and state["recent"][-length].startswith(f"{call}/")
        for length, runs in enumerate(state["periods"], 1)
        if runs
    )


def limits_of(calls: list[str]) -> tuple[int, int, int]:
    """How often calls with these fingerprints may come in a row: told, told again, the end."""
    marks = {one.rpartition(":")[2][:1] for one in calls}
    if "w" in marks:
        return WAITED
    if len(calls) == 1:
        return REPEATED
    return CYCLED_COMMANDS if "x" in marks else CYCLED


def is_waiting(fingerprint: str) -> bool:
    """Whether the call waits for something, or asks how it stands."""
    return fingerprint.rpartition(":")[2].startswith("w")


def _mark(name: str, value: Any, arguments: str, kind: ToolKind) -> str:
    if kind not in ("execute", "fetch", "other"):
        return "r"
    words = " ".join(map(str, cast("dict[str, Any]", value).values())) if isinstance(value, dict) else arguments
    waits = _WAITS.search(words[:_COMMAND]) or _WAITS.search(name.replace("_", " "))
    return "w" if waits else "x"


def _decoded(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return None


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:10]
