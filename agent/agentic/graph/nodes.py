"""The nodes: what happens at each step. Each takes the small state and the live turn, and gives the new state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from langgraph.runtime import Runtime

from agentic.context.prompts import load, render
from agentic.control import state as control
from agentic.control.routes import ahead
from agentic.control.state import Finish, Recover, TurnState
from agentic.control.triage import Classification, guess, override
from agentic.errors import ModelError
from agentic.events import (
    BudgetWarning,
    Classified,
    IterationStarted,
    LoopDetected,
    PlanStep,
    PlanUpdated,
    RecoveryTried,
    Steered,
)
from agentic.graph.calls import kind_of, run_calls, spent
from agentic.graph.opening import open_task
from agentic.graph.streaming import REPEATING, TriageView, ask
from agentic.graph.turn import Turn, TurnEnded
from agentic.ports.model import Answer
from agentic.tools.registry import TOOLS

Work = Callable[[TurnState, Turn], Awaitable[TurnState]]


class Node(Protocol):
    """What LangGraph calls; it gives the runtime to the parameter of that name."""

    async def __call__(self, state: TurnState, *, runtime: Runtime[Turn]) -> TurnState: ...


_OWN = ("iterations", "seconds")
"""Budgets that each agent has for itself."""
SUMMARY_GRACE = 60.0
"""Seconds beyond the turn's time limit in which the summary may be written."""


def node(work: Work) -> Node:
    """A LangGraph node from a piece of work: ended by cancellation and the time limit."""

    async def run(state: TurnState, *, runtime: Runtime[Turn]) -> TurnState:
        turn = runtime.context
        try:
            async with turn.bounded():
                return await work(state, turn)
        except TurnEnded as ended:
            return {**state, "stop": ended.reason, "summarise": ended.reason == "max_time"}

    return run


async def triage(state: TurnState, turn: Turn) -> TurnState:
    """One request says what the task is, and already answers a greeting or calls the first tool."""
    await open_task(turn)
    if turn.task.deliberate:
        turn.history.add_user(load("contest_first" if turn.task.deliberate == "patch" else "council_first"))
    with turn.phase("triage"):
        view = TriageView(lambda found: _classified(turn, override(found, turn.task.overrides)))
        answer = await ask(turn, view)
        found = override(view.found or guess(turn.task.text, len(answer.calls)), turn.task.overrides)
        if view.found is None:
            turn.emit(_classified(turn, found))
    turn.classification = found
    state = _take(state, turn, answer, view.text)
    works = turn.pending or turn.task.deliberate or control.meant_to_call(state)
    route = "work" if works else found.route
    return {**state, "route": route, "domain": found.domain, "mode": turn.task.mode}


async def reply(state: TurnState, turn: Turn) -> TurnState:
    """The task needs no work: the answer stands already, or is asked for once. What is no answer, and what the user
    said meanwhile, goes on."""
    if not turn.summary:
        turn.history.add_user(load("answer"))
        with turn.phase("model"):
            answer, text = await _ask(turn)
        state = _take(state, turn, answer, text)
    decision = control.decide(state, turn.task.limits)
    if state["answered"] and isinstance(decision, Recover):
        return _recover(state, turn, decision)
    turn.listening = not state["stop"] and bool(turn.inbox or turn.pending)
    return {**state, "stop": state["stop"] or (None if turn.listening else "end_turn")}


async def plan(state: TurnState, turn: Turn) -> TurnState:
    """The first plan, from triage; the model changes it with a tool as it goes."""
    steps = turn.classification.plan if turn.classification else ()
    if steps:
        turn.plan[:] = [PlanStep(text) for text in steps]
        turn.emit(PlanUpdated(**turn.origin, steps=list(turn.plan)))
    stations = ahead(turn.task, turn.classification) if turn.classification else []
    decision = control.decide(state, turn.task.limits)
    if control.meant_to_call(state) and isinstance(decision, Recover):
        state = _recover(state, turn, decision)
    elif stations and turn.pending:
        if stations[0] == "deliberate":
            _hold_back(turn)
        with turn.phase("tools"):
            state = await run_calls(state, turn)
    elif not turn.pending and not stations:
        turn.history.add_user(load("begin"))
    turn.note = load(f"domain_{state['domain']}") if state["domain"] != "coding" and not stations else ""
    return {**state, "ahead": stations}


async def delegate(state: TurnState, turn: Turn) -> TurnState:
    """The task is large: the model is asked to part it, by the tool that it may call at any time."""
    turn.history.add_user(render("delegate", max=turn.task.team.subtasks))
    with turn.phase("delegation"):
        answer, text = await _ask(turn)
        state = _take(state, turn, answer, text)
        if turn.pending:
            state = await run_calls(state, turn)
        else:
            turn.history.add_user(load("begin"))
    return end_if_spent({**state, "ahead": state["ahead"][1:], "answered": False}, turn)


async def act(state: TurnState, turn: Turn) -> TurnState:
    """One iteration: an answer from the model, unless one waits, and the calls it makes."""
    state = {**state, "iteration": state["iteration"] + 1}
    turn.emit(IterationStarted(**turn.origin, number=state["iteration"], limit=turn.task.limits.iterations))
    turn.meter.add_iteration()
    if not turn.pending:
        state = _deliver(state, turn)
        if turn.note:
            turn.history.add_user(turn.note)
            turn.note = ""
        with turn.phase("model"):
            answer, text = await _ask(turn, temperature=state["temperature"], tools=state["tools"])
        state = _take(state, turn, answer, text)
    if turn.pending:
        with turn.phase("tools"):
            state = await run_calls(state, turn)
    return state


async def reflect(state: TurnState, turn: Turn) -> TurnState:
    """Is it done, stuck, or at a limit? A pure decision; here it only becomes words."""
    limits = turn.task.limits
    with turn.phase("reflection"):
        decision = control.decide(state, limits, spent(turn))
        if turn.inbox and isinstance(decision, Finish) and decision.reason == "end_turn":
            return {**state, "answered": False}
        if not (isinstance(decision, Finish) and decision.reason == "end_turn"):
            state = _warn(state, turn)
        if isinstance(decision, Finish):
            turn.listening = False
            turn.summary = decision.fallback or turn.summary
            return control.after_directive(state, decision)
        if isinstance(decision, Recover):
            state = _recover(state, turn, decision)
    return state


async def finish(state: TurnState, *, runtime: Runtime[Turn]) -> TurnState:
    """The end: where a limit cut the work short, the model is asked once to sum it up."""
    turn = runtime.context
    if state["stop"] == "end_turn":
        _tick_off(turn)
    if not state["summarise"] or turn.cancelled:
        return state
    reason = control.why_ended(state)
    turn.drop_pending(f"Not run: {reason}.")
    turn.history.add_user(render("summary", reason=reason))
    try:
        async with turn.bounded(SUMMARY_GRACE):
            with turn.phase("model"):
                answer, text = await _ask(turn)
        turn.summary = text.strip()
        turn.pending = answer.tool_calls
    except (TurnEnded, ModelError):
        turn.summary = ""
    turn.drop_pending("Not run: the turn is over.")
    turn.summary = turn.summary or f"Stopped: {reason}."
    return state


_LOOKING = {"read", "search", "fetch", "think"}


def _hold_back(turn: Turn) -> None:
    """Calls that may change something are not run before it is settled how the task is done, or by which patch."""
    turn.pending.sort(key=lambda call: kind_of(call.name) not in _LOOKING)
    looking = sum(kind_of(call.name) in _LOOKING for call in turn.pending)
    turn.drop_pending("Not run: first other agents deliberate on this task. You are told what came of it.", looking)


def end_if_spent(state: TurnState, turn: Turn) -> TurnState:
    """The state after others have worked, ended where they have used up a budget."""
    state = _warn(state, turn)
    over = control.exhausted(state, turn.task.limits, spent(turn))
    return control.after_directive(state, over) if over is not None and not state["stop"] else state


def _classified(turn: Turn, found: Classification) -> Classified:
    return Classified(
        **turn.origin,
        domain=found.domain,
        confidence=found.confidence,
        complexity=found.complexity,
        language=found.language,
        route=found.route,
        by=found.by,
    )


async def _ask(turn: Turn, *, temperature: float | None = None, tools: bool = True) -> tuple[Answer, str]:
    """An answer, and its text. The system text asks for a classification at the beginning of a turn; many models go on
    to write one, and other agents do it too: nobody needs to see that."""
    view = TriageView()
    answer = await ask(turn, view, temperature=temperature, tools=tools)
    return answer, view.text


def _take(state: TurnState, turn: Turn, answer: Answer, text: str) -> TurnState:
    """The state after an answer; its calls wait in the turn, unless the answer was cut off at its token limit."""
    turn.pending = answer.tool_calls
    turn.summary = text.strip() or turn.summary
    if answer.finish_reason == "length" and answer.calls:
        turn.drop_pending("Not run: the answer was cut off at its token limit. Send a shorter one, in several steps.")
        return control.after_too_long(state)
    if answer.finish_reason == REPEATING:
        return control.after_cut(state)
    if answer.finish_reason == "content_filter":
        turn.drop_pending("Not run: the answer was filtered.")
        return {**state, "stop": "refusal"}
    if answer.finish_reason == "length" and text:
        return {**state, "stop": "max_tokens"}
    return control.after_answer(state, text=text, calls=len(answer.calls), thinking=answer.thinking, tools=list(TOOLS))


def _tick_off(turn: Turn) -> None:
    """A last answer calls no tool, so the step that it ends is completed here."""
    if any(step.status == "in_progress" for step in turn.plan):
        turn.plan[:] = [
            PlanStep(step.text, "completed" if step.status == "in_progress" else step.status) for step in turn.plan
        ]
        turn.emit(PlanUpdated(**turn.origin, steps=list(turn.plan)))


def _deliver(state: TurnState, turn: Turn) -> TurnState:
    """Give the model what the user has said meanwhile."""
    if not turn.inbox:
        return state
    while turn.inbox:
        text = turn.inbox.pop(0)
        turn.history.add_user(text)
        turn.emit(Steered(**turn.origin, text=text))
    return control.after_steering(state)


def _warn(state: TurnState, turn: Turn) -> TurnState:
    """Tell the model of budgets that are nearly used up, each once; and the user, of what all agents share once."""
    state, near = control.warnings(state, turn.task.limits, spent(turn))
    for one in near:
        meter = turn.meter if one.budget in _OWN else turn.meter.whole
        if meter.warns_first(one.budget):
            turn.emit(BudgetWarning(**turn.origin, budget=one.budget, used=one.used, limit=one.limit))
        turn.history.add_user(render("budget", used=f"{one.used:g}", limit=f"{one.limit:g}", budget=one.name))
    return state


def _recover(state: TurnState, turn: Turn, decision: Recover) -> TurnState:
    text = render(decision.prompt, count=decision.count, pattern=decision.pattern, tools=", ".join(TOOLS))
    if decision.is_loop:
        pattern = decision.pattern or decision.problem
        turn.emit(LoopDetected(**turn.origin, pattern=pattern, count=decision.count))
    turn.emit(RecoveryTried(**turn.origin, problem=decision.problem, strength=decision.strength, text=text))
    turn.history.add_user(text)
    return control.after_directive(state, decision)
