"""What events say in words and figures, for a person at a terminal. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agentic.events import BudgetWarning, Compacted, CouncilDecision, Metrics, SubAgentStarted

PROBLEMS = {
    "empty": "the answer is empty",
    "unread": "a tool call in the answer could not be read",
    "named": "a tool call was announced and not made",
    "repeating": "the text repeats itself",
    "too_long": "the answer is too long",
    "refused": "the calls are refused",
    "loop": "the calls go in circles",
    "output": "different calls give the same result",
    "failing": "the calls fail",
    "talk": "the same is said again",
    "farewell": "all is said to be done, and yet it goes on",
    "stale": "the calls bring nothing new",
    "research": "much is read and nothing done",
}
"""What is wrong with a run, by the name of the problem."""

_COMPACTED = {
    "outputs": "old tool outputs were shortened",
    "summary": "old turns were summed up",
    "dropped": "the oldest turns were dropped",
}
_ROLES = {"member": "joins the council", "candidate": "does the whole task", "resolver": "resolves what two did apart"}
_THOUGHT_PREVIEW = 100
_EXIT_CODE = re.compile(r"\[(exit code (?!0\])-?\d+)\]\Z")
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


def metrics_line(metrics: Metrics) -> str:
    """The figures of a turn on one line; what was not measured is left out."""
    share = "" if metrics.hit_share is None else f", {metrics.hit_share:.0%} cached"
    reasoning = f", {metrics.reasoning_tokens:,} of it reasoning" if metrics.reasoning_tokens else ""
    told = metrics.prompt_tokens or metrics.completion_tokens or not metrics.model_calls
    parts = [
        f"{metrics.seconds:.1f} s",
        f"{metrics.prompt_tokens:,} tokens in{share}" if told else "tokens not told by the server",
        f"{metrics.completion_tokens:,} out{reasoning}" if told else "",
        "" if metrics.first_token_seconds is None else f"first token after {metrics.first_token_seconds:.2f} s",
        "" if metrics.tokens_per_second is None else f"{metrics.tokens_per_second:.0f} tokens/s",
        counted(metrics.tool_calls, "tool call"),
        "" if metrics.cost is None else f"cost {metrics.cost:.4f}",
    ]
    return " · ".join(part for part in parts if part)


def progress_bar(done: int, total: int | None, width: int = 20) -> str:
    """How far it is: a bar where the end is known, else a count."""
    if not total:
        return f"{done:,}"
    filled = min(width, done * width // total)
    return f"{'━' * filled}{'─' * (width - filled)} {done:,} of {total:,}"


def thought(text: str) -> str:
    """The beginning of what was thought, on one line."""
    line = " ".join(text.split())
    shown = line if len(line) <= _THOUGHT_PREVIEW else f"{line[:_THOUGHT_PREVIEW].rstrip()}…"
    return f"∴ {shown} ({len(text.split())} words of thought)"


def failed_exit(result: str) -> str:
    """`exit code 2` where a command's result ends with another code than 0; else empty."""
    found = _EXIT_CODE.search(result)
    return found[1] if found else ""


def compacted(event: Compacted) -> str:
    """What was done to make room."""
    return f"the window was full: {_COMPACTED[event.by]} ({event.before:,} → {event.after:,} tokens)"


def nearly_used(event: BudgetWarning) -> str:
    """How much of a budget is used."""
    return f"{event.used:,.6g} of {event.limit:,.6g} {event.budget.replace('_', ' ')} used"


def begins(event: SubAgentStarted) -> str:
    """What another agent is there for."""
    after = f" (after {', '.join(event.depends_on)})" if event.depends_on else ""
    return f"⇉ {_ROLES.get(event.role, event.text)}{after}"


def decided(event: CouncilDecision) -> str:
    """The ranking with its scores, and how it came about."""
    return f"◆ decided: {ranked(event.ranking, event.scores) or 'nothing'}. {event.reason}".rstrip()


def ranked(names: Sequence[str], scores: Mapping[str, float]) -> str:
    """The names, best first, with the scores that they got."""
    return " > ".join(f"{name} ({scores[name]:.2f})" if name in scores else name for name in names)


def counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def harmless(text: str) -> str:
    """The text without escape sequences and control characters, all but tabs and line ends."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
