"""The agent in a terminal: its events as text, as they come."""

from __future__ import annotations

from functools import singledispatchmethod
from typing import TYPE_CHECKING

from agentic.events import (
    MAIN,
    Answered,
    Asked,
    BudgetWarning,
    Classified,
    Compacted,
    CouncilCritique,
    CouncilDecision,
    CouncilProposal,
    CouncilRevision,
    EditProposed,
    EditResolved,
    ErrorRaised,
    Event,
    Failover,
    FirstToken,
    ItemWithdrawn,
    LoopDetected,
    ModelNotice,
    ModelStarted,
    PlanUpdated,
    RecoveryTried,
    RetrievalProgress,
    RetrievalResult,
    Steered,
    SubAgentFinished,
    SubAgentStarted,
    TextDelta,
    TextFinished,
    ThinkingDelta,
    ThinkingFinished,
    ToolCallDelta,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from agentic.safety.approvals import visible
from agentic.text import split_lines, strip_eol
from agentic_server import terminal_words as words
from agentic_server.terminal_screen import Screen, diff_style

if TYPE_CHECKING:
    from rich.console import Console

_STEP_MARKS = {"pending": "○", "in_progress": "▸", "completed": "✔", "failed": "✘"}
_STEP_STYLES = {"pending": "", "in_progress": "bold", "completed": "green", "failed": "red"}
_BEGINNING = 3
"""Lines of a subtask that are shown as its agent begins."""


class TerminalView:
    """Prints events as they come, each once; nothing that was printed is changed later.

    Text of the main agent appears word by word, that of others in whole lines under their names. Thoughts are folded
    into one line unless `thinking`, and long texts of others to their first lines; tools that only think (such as the
    plan's) are not shown beside what they change. On a terminal a spinner tells what is being waited for.
    """

    def __init__(self, console: Console | None = None, thinking: bool = False) -> None:
        self._screen = Screen(console, thinking)
        self._shown: set[str] = set()
        self._titles: dict[str, str] = {}
        self._loud: set[str] = set()
        self._printed: dict[tuple[str, str], str] = {}
        """By agent and call: the end of what a command printed, which is no whole line yet."""
        self._last_text: dict[str, str] = {}
        self._last_error = ""
        self._asking: set[str] = set()
        self._labels: dict[tuple[str, str], str] = {}
        self._details: dict[str, str] = {}
        self._approved = ""
        """What the user has read and allowed."""
        self._at_work: dict[str, SubAgentStarted] = {}
        self._members: set[str] = set()

    @singledispatchmethod
    def render(self, event: Event) -> None:
        """Show one event. Kinds that a person need not see show nothing."""

    def show_line(self, text: str, style: str = "") -> None:
        """A line of its own, as it is."""
        self._screen.line(text, style)

    def show_diff(self, diff: str) -> None:
        """A unified diff, indented, its lines in the usual colours."""
        self._screen.diff(diff)

    def close(self) -> None:
        """End a line that is still open and stop the spinner. Idempotent."""
        self._screen.end_line()

    @render.register
    def _(self, event: TurnStarted) -> None:
        if event.agent == MAIN:
            self.show_line(f"› {event.text}", "bold")

    @render.register
    def _(self, event: TurnFinished) -> None:
        if event.agent != MAIN:
            return
        if event.summary.strip() not in ("", self._last_text.get(MAIN), self._last_error):
            self.show_line(event.summary)
        if event.files:
            self.show_line(f"changed: {', '.join(event.files)}")
        good = event.stop_reason == "end_turn"
        said = "✔ done" if good else f"✘ ended: {event.stop_reason}"
        self.show_line(f"{said} · {words.metrics_line(event.metrics)}", "green" if good else "yellow")

    @render.register
    def _(self, event: Classified) -> None:
        self._note(event, f"{event.domain}, {event.route} (complexity {event.complexity:.1f}, by {event.by})")

    @render.register
    def _(self, event: PlanUpdated) -> None:
        if event.agent != MAIN:
            return
        self.show_line("Plan", "bold")
        for step in event.steps:
            self.show_line(f"  {_STEP_MARKS[step.status]} {step.text}", _STEP_STYLES[step.status])

    @render.register
    def _(self, event: RetrievalProgress) -> None:
        self._wait(f"searching the workspace {words.progress_bar(event.done, event.total)}")

    @render.register
    def _(self, event: RetrievalResult) -> None:
        if event.paths:
            self._note(event, f"offered: {', '.join(event.paths)} (about {event.tokens:,} tokens)")

    @render.register
    def _(self, event: Compacted) -> None:
        self._note(event, words.compacted(event))

    @render.register
    def _(self, event: ModelStarted) -> None:
        self._wait(f"waiting for {event.model}")

    @render.register
    def _(self, event: FirstToken) -> None:
        if event.agent == MAIN:
            self._screen.stop_waiting()

    @render.register
    def _(self, event: TextDelta) -> None:
        if event.agent == MAIN:
            self._shown.add(event.item)
            self._screen.write(event.text)

    @render.register
    def _(self, event: TextFinished) -> None:
        if event.agent in self._members:
            return
        if event.agent != MAIN:
            self._screen.folded(event.text, agent=event.agent)
        elif event.item not in self._shown:
            self.show_line(event.text)
        else:
            self._screen.end_line()
        self._last_text[event.agent] = event.text.strip()

    @render.register
    def _(self, event: ThinkingDelta) -> None:
        if self._screen.thinking and event.agent == MAIN:
            self._shown.add(event.item)
            self._screen.write(event.text, "dim italic")
        else:
            self._wait("thinking")

    @render.register
    def _(self, event: ThinkingFinished) -> None:
        if event.item in self._shown:
            self._screen.end_line()
        elif self._screen.thinking:
            self._screen.folded(event.text, "dim italic", event.agent)
        else:
            self._screen.line(words.thought(event.text), "dim italic", event.agent)

    @render.register
    def _(self, event: ToolCallDelta) -> None:
        self._wait(f"the model writes a call of {event.name}" if event.name else "the model writes a tool call")

    @render.register
    def _(self, event: ItemWithdrawn) -> None:
        if event.item in self._shown:
            self.show_line("(what stands above is withdrawn: its attempt failed)", "yellow")

    @render.register
    def _(self, event: Failover) -> None:
        after = f" in {event.wait:.0f} s" if event.wait >= 1 else ""
        where = "again" if event.to == event.endpoint else event.to
        self._warn(event, f"{event.reason.rstrip('.')}; trying {where}{after}")

    @render.register
    def _(self, event: ModelNotice) -> None:
        self._warn(event, event.message)
        if event.hint:
            self._screen.line(f"  {event.hint}", agent=event.agent)

    @render.register
    def _(self, event: ToolStarted) -> None:
        self._titles[event.item] = event.title
        if event.tool_kind == "think":
            return
        if event.agent == MAIN or event.tool_kind == "execute":
            self._loud.add(event.item)
        self._screen.line(f"● {event.title}", "bold blue", event.agent)
        self._wait(event.title)

    @render.register
    def _(self, event: ToolOutput) -> None:
        if event.agent == MAIN:
            for line in split_lines(event.text):
                self._screen.write(line if self._screen.in_line else f"  │ {line}", "dim")
            return
        printed = self._printed.pop((event.agent, event.item), "") + event.text
        *whole, last = printed.split("\n")
        for line in whole:
            self._screen.line(f"  {line}", "dim", event.agent)
        if last:
            self._printed[event.agent, event.item] = last

    @render.register
    def _(self, event: ToolFinished) -> None:
        title = self._titles.pop(event.item, "")
        if rest := self._printed.pop((event.agent, event.item), ""):
            self._screen.line(f"  {rest}", "dim", event.agent)
        code = words.failed_exit(event.text)
        if event.status == "completed" and code:
            self._screen.line(f"  ! {title}: {code}", "yellow", event.agent)
        elif event.status == "completed" and event.item in self._loud:
            self._screen.line(f"  ✔ {title}", "green", event.agent)
        elif event.status == "failed":
            reason = event.text.strip().split("\n")[0]
            self._screen.line(f"  ✘ {title}: {reason}", "red", event.agent)

    @render.register
    def _(self, event: EditProposed) -> None:
        if event.agent != MAIN and not self._screen.thinking:
            return
        if event.agent == MAIN:
            self._asking.add(event.item)
        what = "a new file" if event.creates else words.counted(len(event.hunks), "hunk")
        self._screen.line(f"  ± {visible(event.path)} ({what}, proposed)", "bold", event.agent)
        if event.diff and visible(event.diff) not in self._approved:
            self._screen.diff(event.diff, event.agent)

    @render.register
    def _(self, event: EditResolved) -> None:
        self._asking.discard(event.item)
        if event.outcome != "applied":
            reason = f": {event.reason}" if event.reason else ""
            self._screen.line(f"  ✘ {event.path}: {event.outcome}{reason}", "yellow", event.agent)
        elif event.agent == MAIN:
            where = "saved" if event.saved else "not saved yet: it is open in the editor"
            self.show_line(f"  ✔ {event.path}: applied, {where}", "green")

    @render.register
    def _(self, event: Asked) -> None:
        self._screen.line(f"? {event.title}", "bold yellow", event.agent)
        self._asking.add(event.question)
        self._details[event.question] = event.detail
        self._labels |= {(event.question, option.id): option.label for option in event.options}
        holds_diff = "\n+++ " in event.detail
        for line in map(strip_eol, split_lines(visible(event.detail))):
            self._screen.line(f"    {line}", diff_style(line) if holds_diff else "", event.agent)

    @render.register
    def _(self, event: Answered) -> None:
        self._asking.discard(event.question)
        detail = self._details.pop(event.question, "")
        if event.option == "allow_once":
            self._approved = detail
        chosen = self._labels.get((event.question, event.option), event.option)
        answer = event.text or chosen or "no answer, which means no"
        by = "" if event.by == "user" else f" ({event.by})"
        self._screen.line(f"  → {answer}{by}", "yellow", event.agent)

    @render.register
    def _(self, event: SubAgentStarted) -> None:
        self._at_work[event.name] = event
        self._screen.make_room(self._at_work)
        if event.role == "member":
            self._members.add(event.name)
        self._screen.folded(words.begins(event), "magenta", event.name, _BEGINNING)

    @render.register
    def _(self, event: SubAgentFinished) -> None:
        good = event.stop_reason == "end_turn"
        ended = " · ".join(["⇇ has finished" if good else f"⇇ ended: {event.stop_reason}", *event.files])
        known = event.name in self._members or event.summary.strip() in ("", self._last_text.get(event.name))
        text = ended if known else f"{ended}\n{event.summary}"
        self._at_work.pop(event.name, None)
        if not (good and event.name in self._members):
            self._screen.folded(text, "magenta" if good else "yellow", event.name)

    @render.register
    def _(self, event: CouncilProposal) -> None:
        self._council(event.role, "proposes", event.text)

    @render.register
    def _(self, event: CouncilCritique) -> None:
        self._council(event.role, f"on {event.about}'s proposal", event.text)

    @render.register
    def _(self, event: CouncilRevision) -> None:
        self._council(event.role, "revises", event.text)

    @render.register
    def _(self, event: CouncilDecision) -> None:
        self.show_line(words.decided(event), "bold magenta")
        for dissent in event.dissent:
            self.show_line(f"  dissent: {dissent}", "magenta")

    @render.register
    def _(self, event: BudgetWarning) -> None:
        self._warn(event, words.nearly_used(event))

    @render.register
    def _(self, event: LoopDetected) -> None:
        self._warn(event, f"the model repeats itself ({event.pattern}, {event.count} times)")

    @render.register
    def _(self, event: RecoveryTried) -> None:
        self._note(event, f"{words.PROBLEMS.get(event.problem, event.problem)}: the model gets another chance")

    @render.register
    def _(self, event: Steered) -> None:
        self.show_line(f"› {event.text}", "bold")

    @render.register
    def _(self, event: ErrorRaised) -> None:
        if event.agent == MAIN:
            self._last_error = f"{event.message} {event.hint}".strip()
        self._screen.line(f"✘ {event.message} [{event.code}]", "red", event.agent)
        if event.hint:
            self._screen.line(f"  {event.hint}", agent=event.agent)

    def _council(self, role: str, does: str, text: str) -> None:
        """What a member says, apart from what is done."""
        self._screen.line(f"◇ {does}", "bold magenta", role)
        self._screen.folded(text, agent=role)

    def _note(self, event: Event, text: str) -> None:
        self._screen.line(f"· {text}", "dim", event.agent)

    def _warn(self, event: Event, text: str) -> None:
        self._screen.line(f"! {text}", "yellow", event.agent)

    def _wait(self, what: str) -> None:
        """What the spinner tells: while others work, who they are."""
        if not self._asking:
            self._screen.wait(f"at work: {', '.join(self._at_work)}" if self._at_work else what)
