"""The agent in a terminal: its events as text, as they come.

On a pipe nothing but plain text is written, and what the model or a command says never steers the terminal.
"""

from __future__ import annotations

import re
import sys
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
from agentic_server.terminal_words import PROBLEMS, counted, harmless, metrics_line, progress_bar, ranked

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

_STEP_MARKS = {"pending": "○", "in_progress": "▸", "completed": "✔", "failed": "✘"}
_STEP_STYLES = {"pending": "", "in_progress": "bold", "completed": "green", "failed": "red"}
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}
_THOUGHT_PREVIEW = 100
_EXIT_CODE = re.compile(r"\[(exit code (?!0\])-?\d+)\]\Z")


class TerminalView:
    """Prints events as they come, each once; nothing that was printed is changed later.

    Text of the main agent and output of its commands appear word by word, those of sub-agents in whole pieces under
    their names. What a sub-agent edits changes only its copy, so that the diff is shown once the work is joined; what
    a council says is shown as proposals, critiques and revisions. Thoughts are folded into one line unless `thinking`;
    tools that only think (such as the plan's) are not shown beside what they change. On a terminal a spinner tells what
    is being waited for.
    """

    def __init__(self, console: Console | None = None, thinking: bool = False) -> None:
        self._console = console or terminal_console()
        self._thinking = thinking
        self._status: Status | None = None
        self._in_line = False
        self._shown: set[str] = set()
        self._titles: dict[str, str] = {}
        self._loud: set[str] = set()
        self._output: dict[str, str] = {}
        self._members: set[str] = set()
        self._last_text: dict[str, str] = {}
        self._last_error = ""
        self._asking: set[str] = set()
        self._labels: dict[tuple[str, str], str] = {}

    @singledispatchmethod
    def render(self, event: Event) -> None:
        """Show one event. Kinds that a person need not see show nothing."""

    def show_line(self, text: str, style: str = "") -> None:
        """A line of its own, as it is."""
        self._end_line()
        self._console.print(harmless(text), style=style, markup=False, highlight=False, soft_wrap=True)

    def show_diff(self, diff: str) -> None:
        """A unified diff, indented, its lines in the usual colours."""
        for line in map(strip_eol, split_lines(diff)):
            heading = line.startswith(("--- ", "+++ "))
            self.show_line(f"    {visible(line)}", "bold" if heading else _DIFF_STYLES.get(line[:1], ""))

    def close(self) -> None:
        """End a line that is still open and stop the spinner. Idempotent."""
        self._end_line()

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
        words = "✔ done" if good else f"✘ ended: {event.stop_reason}"
        self.show_line(f"{words} · {metrics_line(event.metrics)}", "green" if good else "yellow")

    @render.register
    def _(self, event: Classified) -> None:
        self._note(event, f"{event.domain}, {event.route} (complexity {event.complexity:.1f}, by {event.by})")

    @render.register
    def _(self, event: PlanUpdated) -> None:
        self.show_line(f"{_name(event)}Plan", "bold")
        for step in event.steps:
            self.show_line(f"  {_STEP_MARKS[step.status]} {step.text}", _STEP_STYLES[step.status])

    @render.register
    def _(self, event: RetrievalProgress) -> None:
        self._wait(f"searching the workspace {progress_bar(event.done, event.total)}")

    @render.register
    def _(self, event: RetrievalResult) -> None:
        if event.paths:
            self._note(event, f"context: {', '.join(event.paths)} (about {event.tokens:,} tokens)")

    @render.register
    def _(self, event: Compacted) -> None:
        self._note(event, f"older turns were made shorter: {event.before:,} → {event.after:,} tokens")

    @render.register
    def _(self, event: ModelStarted) -> None:
        self._wait(f"waiting for {event.model}")

    @render.register
    def _(self, event: FirstToken) -> None:
        self._stop_waiting()

    @render.register
    def _(self, event: TextDelta) -> None:
        if event.agent == MAIN:
            self._shown.add(event.item)
            self._write(event.text)

    @render.register
    def _(self, event: TextFinished) -> None:
        if event.item not in self._shown and event.agent not in self._members:
            self.show_line(f"{_name(event)}{event.text}")
        self._end_line()
        self._last_text[event.agent] = event.text.strip()

    @render.register
    def _(self, event: ThinkingDelta) -> None:
        if self._thinking and event.agent == MAIN:
            self._shown.add(event.item)
            self._write(event.text, "dim italic")
        else:
            self._wait("thinking")

    @render.register
    def _(self, event: ThinkingFinished) -> None:
        if event.item not in self._shown:
            first = " ".join(event.text.split())
            shown = first if len(first) <= _THOUGHT_PREVIEW else f"{first[:_THOUGHT_PREVIEW].rstrip()}…"
            self.show_line(f"{_name(event)}∴ {shown} ({len(event.text.split())} words of thought)", "dim italic")
        self._end_line()

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
        self.show_line(f"! {event.reason.rstrip('.')}; trying {where}{after}", "yellow")

    @render.register
    def _(self, event: ModelNotice) -> None:
        self.show_line(f"! {event.message}", "yellow")
        if event.hint:
            self.show_line(f"  {event.hint}")

    @render.register
    def _(self, event: ToolStarted) -> None:
        self._titles[event.item] = event.title
        if event.tool_kind == "think":
            return
        self._loud.add(event.item)
        self.show_line(f"{_name(event)}● {event.title}", "bold blue")
        self._wait(event.title)

    @render.register
    def _(self, event: ToolOutput) -> None:
        if event.agent != MAIN:
            self._output[event.item] = self._output.get(event.item, "") + event.text
            return
        for line in split_lines(event.text):
            self._write(line if self._in_line else f"  │ {line}", "dim")

    @render.register
    def _(self, event: ToolFinished) -> None:
        for line in split_lines(self._output.pop(event.item, "")):
            self.show_line(f"{_name(event)}  │ {strip_eol(line)}", "dim")
        title = self._titles.pop(event.item, "")
        code = _EXIT_CODE.search(event.text)
        if event.status == "completed" and code:
            self.show_line(f"{_name(event)}  ! {title}: {code[1]}", "yellow")
        elif event.status == "completed" and event.item in self._loud:
            self.show_line(f"{_name(event)}  ✔ {title}", "green")
        elif event.status == "failed":
            reason = event.text.strip().split("\n")[0]
            self.show_line(f"{_name(event)}  ✘ {title}: {reason}", "red")

    @render.register
    def _(self, event: EditProposed) -> None:
        what = "a new file" if event.creates else counted(len(event.hunks), "hunk")
        if event.agent != MAIN:
            self.show_line(f"{_name(event)}  ± {visible(event.path)} ({what}, in its copy)", "bold")
            return
        self._asking.add(event.item)
        self.show_line(f"  ± {visible(event.path)} ({what}, proposed)", "bold")
        self.show_diff(event.diff)

    @render.register
    def _(self, event: EditResolved) -> None:
        self._asking.discard(event.item)
        if event.outcome == "applied" and event.agent != MAIN:
            return
        if event.outcome == "applied":
            where = "saved" if event.saved else "not saved yet: it is open in the editor"
            self.show_line(f"  ✔ {event.path}: applied, {where}", "green")
        else:
            reason = f": {event.reason}" if event.reason else ""
            self.show_line(f"{_name(event)}  ✘ {event.path}: {event.outcome}{reason}", "yellow")

    @render.register
    def _(self, event: Asked) -> None:
        self.show_line(f"{_name(event)}? {event.title}", "bold yellow")
        self._asking.add(event.question)
        self._labels |= {(event.question, option.id): option.label for option in event.options}
        for line in split_lines(visible(event.detail)):
            self.show_line(f"    {strip_eol(line)}")

    @render.register
    def _(self, event: Answered) -> None:
        self._asking.discard(event.question)
        chosen = self._labels.get((event.question, event.option), event.option)
        answer = event.text or chosen or "no answer, which means no"
        self.show_line(f"  → {answer}{'' if event.by == 'user' else f' ({event.by})'}", "yellow")

    @render.register
    def _(self, event: SubAgentStarted) -> None:
        if event.role == "member":
            self._members.add(event.name)
        self.show_line(f"⇉ {event.name} begins: {event.text}", "magenta")

    @render.register
    def _(self, event: SubAgentFinished) -> None:
        how = "is done" if event.stop_reason == "end_turn" else f"ended: {event.stop_reason}"
        known = event.name in self._members or event.summary.strip() in ("", self._last_text.get(event.name))
        self.show_line(f"⇇ {event.name} {how}{'' if known else f' · {event.summary}'}", "magenta")

    @render.register
    def _(self, event: CouncilProposal) -> None:
        self.show_line(f"◇ {event.role} proposes: {event.text}", "magenta")

    @render.register
    def _(self, event: CouncilCritique) -> None:
        self.show_line(f"◇ {event.role} on {event.about}: {event.text}", "magenta")

    @render.register
    def _(self, event: CouncilRevision) -> None:
        self.show_line(f"◇ {event.role} revises: {event.text}", "magenta")

    @render.register
    def _(self, event: CouncilDecision) -> None:
        self.show_line(f"◆ decided: {ranked(event.ranking, event.scores)}. {event.reason}", "magenta")
        for dissent in event.dissent:
            self.show_line(f"  dissent: {dissent}", "magenta")

    @render.register
    def _(self, event: BudgetWarning) -> None:
        self.show_line(f"! {event.budget}: {event.used:,.6g} of {event.limit:,.6g} used", "yellow")

    @render.register
    def _(self, event: LoopDetected) -> None:
        self.show_line(f"! the model repeats itself ({event.pattern}, {event.count} times)", "yellow")

    @render.register
    def _(self, event: RecoveryTried) -> None:
        problem = PROBLEMS.get(event.problem, event.problem)
        self._note(event, f"{problem}: the model gets another chance")

    @render.register
    def _(self, event: Steered) -> None:
        self.show_line(f"› {event.text}", "bold")

    @render.register
    def _(self, event: ErrorRaised) -> None:
        self._last_error = f"{event.message} {event.hint}".strip()
        self.show_line(f"{_name(event)}✘ {event.message} [{event.code}]", "red")
        if event.hint:
            self.show_line(f"  {event.hint}")

    def _note(self, event: Event, text: str) -> None:
        self.show_line(f"{_name(event)}· {text}", "dim")

    def _write(self, text: str, style: str = "") -> None:
        """Text that goes on where the last ended."""
        self._stop_waiting()
        self._console.print(harmless(text), style=style, end="", markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()
        if text:
            self._in_line = not text.endswith("\n")

    def _end_line(self) -> None:
        self._stop_waiting()
        if self._in_line:
            self._console.print()
            self._in_line = False

    def _wait(self, what: str) -> None:
        """Tell, on a terminal, what is being waited for, until something is printed."""
        if not self._console.is_terminal or self._in_line or self._asking:
            return
        from rich.text import Text

        if self._status is None:
            self._status = self._console.status("")
            self._status.start()
        self._status.update(Text(harmless(f"{what}…"), style="dim"))

    def _stop_waiting(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def terminal_console() -> Console:
    """A console on standard output that writes a question mark for what the output's encoding lacks."""
    from rich.console import Console

    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return Console(highlight=False)


def _name(event: Event) -> str:
    """The name of a sub-agent before what it does; nothing for the main agent."""
    return "" if event.agent == MAIN else f"[{event.agent}] "
