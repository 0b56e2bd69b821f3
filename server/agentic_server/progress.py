"""A turn as work-done progress: what an editor without a plugin of ours sees of a run, and by which it cancels it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from agentic.events import (
    MAIN,
    BudgetWarning,
    Compacted,
    CouncilDecision,
    CouncilProposal,
    EditProposed,
    EditResolved,
    ErrorRaised,
    Event,
    Failover,
    IterationStarted,
    LoopDetected,
    ModelNotice,
    PhaseStarted,
    PlanUpdated,
    RetrievalResult,
    SubAgentFinished,
    SubAgentStarted,
    TextDelta,
    TextFinished,
    ToolStarted,
    TurnFinished,
)

TEXT_INTERVAL = 0.25
"""Seconds between two reports of streamed text."""
TEXT_LENGTH = 80
MAX_TAIL = 48
"""Of a report, for the names of the others."""


Send = Callable[[str | int, Mapping[str, object]], None]
"""Sends a value to a token."""


class Progress:
    """Reports to one work-done token. Every report carries a percentage: some clients drop those that do not."""

    def __init__(self, send: Send, token: str | int, title: str) -> None:
        self._token = token
        self._send_value = send
        self._text = ""
        self._item = ""
        self._last_text = 0.0
        self._percentage = 0
        self._ended = False
        self._at_work: list[str] = []
        """The other agents that work now."""
        self._send({"kind": "begin", "title": title, "cancellable": True, "percentage": 0, "message": "starting"})

    def show(self, event: Event) -> None:
        """Report the event, where it is one to report."""
        if event.agent != MAIN:
            self._show_other(event)
            return
        if isinstance(event, SubAgentStarted | SubAgentFinished):
            self._show_team(event)
            return
        if isinstance(event, TextDelta):
            self._show_text(event)
            return
        if isinstance(event, TextFinished):
            self._report_text(event.text)
            return
        if isinstance(event, TurnFinished):
            self.end(f"{event.stop_reason}: {event.summary}".strip(": "))
            return
        self._percentage = max(self._percentage, _percentage(event))
        if message := _message(event):
            self._report(message)

    def end(self, message: str) -> None:
        """End the progress, once."""
        if not self._ended:
            self._ended = True
            self._send({"kind": "end", "message": _line(message)})

    def _show_other(self, event: Event) -> None:
        """Of other agents only what they do, and who else works: their texts would come all at once."""
        message = _message(event)
        if not message or isinstance(event, PhaseStarted | PlanUpdated | EditProposed | EditResolved):
            return
        others = [name for name in self._at_work if name != event.agent]
        tail = " " + _line(f"· with {', '.join(others)}", MAX_TAIL) if others else ""
        self._report(_line(f"{event.agent}: {message}", TEXT_LENGTH - len(tail)) + tail)

    def _show_team(self, event: SubAgentStarted | SubAgentFinished) -> None:
        if isinstance(event, SubAgentStarted):
            self._at_work.append(event.name)
            self._report(_line(f"at work: {', '.join(self._at_work)}"))
            return
        self._at_work = [name for name in self._at_work if name != event.name]
        left = f" · at work: {', '.join(self._at_work)}" if self._at_work else ""
        how = "has finished" if event.stop_reason == "end_turn" else f"ended: {event.stop_reason}"
        self._report(_line(f"{event.name} {how}{left}"))

    def _show_text(self, delta: TextDelta) -> None:
        self._text = (self._text + delta.text)[-400:] if delta.item == self._item else delta.text
        self._item = delta.item
        if time.monotonic() - self._last_text >= TEXT_INTERVAL:
            self._last_text = time.monotonic()
            self._report_text(self._text)

    def _report_text(self, text: str) -> None:
        self._report(_line(text.rstrip().rsplit("\n", 1)[-1], keep_end=True))

    def _report(self, message: str) -> None:
        self._send({"kind": "report", "message": message, "percentage": self._percentage})

    def _send(self, value: Mapping[str, object]) -> None:
        self._send_value(self._token, value)


def _message(event: Event) -> str:
    match event:
        case PhaseStarted(phase="triage" | "model" | "delegation"):
            return "waiting for the model"
        case ToolStarted():
            return _line(event.title)
        case EditProposed():
            return f"proposes a change to {event.path}"
        case EditResolved():
            return f"{event.path}: {event.outcome}"
        case PlanUpdated():
            return _line(next((step.text for step in event.steps if step.status == "in_progress"), ""))
        case Failover():
            after = f" in {event.wait:.0f} s" if event.wait >= 1 else ""
            return _line(f"trying {event.to}{after}: {event.reason}")
        case ErrorRaised() | ModelNotice():
            return _line(event.message)
        case _:
            return _rarer_message(event)


def _rarer_message(event: Event) -> str:
    match event:
        case CouncilProposal():
            return _line(f"{event.role} proposes: {event.text}")
        case CouncilDecision():
            return _line(f"the council decided: {', '.join(event.ranking)}")
        case RetrievalResult(paths=[_, *_]):
            return _line(f"looks at {', '.join(event.paths)}")
        case Compacted():
            return "makes the conversation shorter"
        case LoopDetected():
            return _line(f"the model repeats itself: {event.pattern}")
        case BudgetWarning():
            return f"{event.used:,.6g} of {event.limit:,.6g} {event.budget.replace('_', ' ')} used"
        case _:
            return ""


def _percentage(event: Event) -> int:
    match event:
        case PlanUpdated() if event.steps:
            return 100 * sum(step.status == "completed" for step in event.steps) // len(event.steps)
        case IterationStarted():
            return min(95, 100 * event.number // event.limit)
        case _:
            return 0


def _line(text: str, limit: int = TEXT_LENGTH, *, keep_end: bool = False) -> str:
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    return "…" + line[1 - limit :] if keep_end else line[: limit - 1] + "…"
