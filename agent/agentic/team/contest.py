"""A contest: several agents do the same task, each on its own view of the workspace; the best patch wins.

Nothing is applied here: the winner's changes are given back, and all views are closed, with the copies on disk that
their commands had.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from agentic.change import Change, Snapshot, unified_diff
from agentic.context.prompts import load, render
from agentic.errors import Refusal
from agentic.events import CouncilDecision, CouncilProposal, Event, Origin
from agentic.ports.workspace import Command, Exit, Output, Workspace
from agentic.task import CouncilRules, TeamRules, new_id
from agentic.team.agent import Assignment, Outcome, RunAgent
from agentic.team.overlay import Overlay
from agentic.team.ranking import Trial, rank_patches
from agentic.team.summaries import read_tests, usual_check

MAX_CANDIDATES = 8
MAX_PRINTED = 200_000
"""Characters of a check's output that are looked at; its end."""
KILLED = -9
"""Stands for the exit code of a check that took too long."""
FIRST_TEMPERATURE = 0.2
TEMPERATURE_STEP = 0.2
HIGHEST_TEMPERATURE = 1.0


@dataclass(frozen=True, slots=True)
class Arena:
    """What a contest needs of the world. `origin` is that of the agent that calls it."""

    workspace: Workspace
    run_agent: RunAgent
    allowed: Callable[[str], Awaitable[bool]]
    """Whether this command may be run in copies of the workspace: the policy's word, or the user's."""
    origin: Origin
    emit: Callable[[Event], None]
    team: TeamRules
    """How many agents work at once, and what each may use."""
    name_agent: Callable[[str], str] = str
    """The name of an agent, made unlike those of all others of the turn."""
    command_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Contest:
    """What came of a contest. `winner` is empty, and there are no changes, when nobody changed anything."""

    winner: str
    changes: tuple[Change, ...]
    """The winner's, against the workspace as it was."""
    removed: tuple[Snapshot, ...]
    """The files that the winner's commands removed."""
    ranking: tuple[str, ...]
    """All candidates, best first."""
    scores: Mapping[str, float]
    """From 0 to 1."""
    reason: str
    """How it was decided, for a person."""
    summary: str
    """The winner's last word."""
    check: str
    """The command that was run on each patch; empty: none."""


@dataclass(frozen=True, slots=True)
class _Patch:
    """What one candidate made, taken before any check could add to it."""

    outcome: Outcome
    overlay: Overlay
    changes: tuple[Change, ...]
    removed: tuple[Snapshot, ...]

    @property
    def key(self) -> tuple[tuple[str, str | None], ...]:
        """Equal for equal patches: each file and its text; None where it is gone."""
        changed = {change.path: change.after for change in self.changes}
        return tuple(sorted({**changed, **{gone.path: None for gone in self.removed}}.items()))

    @property
    def diff(self) -> str:
        texts = [(change.path, change.before, change.after) for change in self.changes]
        texts += [(gone.path, gone.text, "") for gone in self.removed]
        return "".join(unified_diff(*text) for text in sorted(texts))


async def contest(task_text: str, rules: CouncilRules, arena: Arena) -> Contest:
    """Have candidates do the task side by side, check each patch, and give back the best.

    Emits each patch whole and the decision, as the agent that calls it. Never raises but for cancellation.
    """
    council = new_id("council")
    async with _views(arena.workspace, min(max(1, rules.candidates), MAX_CANDIDATES)) as views:
        patches = await _work(task_text, views, arena)
        for patch in patches:
            text = f"{patch.outcome.summary}\n\n{patch.diff}".strip()
            arena.emit(CouncilProposal(**arena.origin, council=council, role=patch.outcome.name, text=text))
        check, why_not = await _choose_check(rules, patches, arena)
        trials = [await _try(same, check, arena) for same in _joined(patches)]
    decided = _decide(rank_patches(trials), {patch.outcome.name: patch for patch in patches}, check, why_not)
    arena.emit(
        CouncilDecision(
            **arena.origin,
            council=council,
            ranking=list(decided.ranking),
            reason=decided.reason,
            scores=dict(decided.scores),
        )
    )
    return decided


@asynccontextmanager
async def _views(workspace: Workspace, count: int) -> AsyncGenerator[list[Overlay]]:
    """A view of the workspace for each candidate; nothing is left of them."""
    views = [Overlay(workspace) for _ in range(count)]
    try:
        yield views
    finally:
        async with asyncio.TaskGroup() as group:
            for view in views:
                group.create_task(view.aclose())


async def _work(task_text: str, views: Sequence[Overlay], arena: Arena) -> list[_Patch]:
    """Run the candidates, as many at once as is allowed."""
    emphases = load("candidate_emphasis").split("\n")
    places = asyncio.Semaphore(max(1, arena.team.agents))

    async def run(index: int, view: Overlay) -> _Patch:
        emphasis = emphases[index % len(emphases)]
        assignment = Assignment(
            name=arena.name_agent(f"candidate-{index + 1}"),
            text=render("candidate", task=task_text, emphasis=emphasis),
            workspace=view,
            title=emphasis,
            role="candidate",
            iterations=arena.team.iterations,
            seconds=arena.team.seconds,
            temperature=round(min(FIRST_TEMPERATURE + index * TEMPERATURE_STEP, HIGHEST_TEMPERATURE), 2),
        )
        async with places:
            outcome = await arena.run_agent(assignment)
        return _Patch(outcome, view, tuple(view.changes()), tuple(view.removed))

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(run(index, view)) for index, view in enumerate(views)]
    return [task.result() for task in running]


async def _choose_check(rules: CouncilRules, patches: Sequence[_Patch], arena: Arena) -> tuple[str, str]:
    """The command to run on each patch; or nothing, and why."""
    if not any(patch.key for patch in patches):
        return "", ""
    check = rules.check.strip() or usual_check([[ran.command for ran in patch.outcome.commands] for patch in patches])
    if not check:
        return "", "no candidate ran a command that could check the others"
    if not await arena.allowed(check):
        return "", f"`{check}` was not allowed"
    return check, ""


def _joined(patches: Sequence[_Patch]) -> list[list[_Patch]]:
    """Equal patches together; whoever came to an end of its own first."""
    groups: dict[tuple[tuple[str, str | None], ...], list[_Patch]] = {}
    for patch in sorted(patches, key=lambda patch: patch.outcome.stop_reason != "end_turn"):
        groups.setdefault(patch.key, []).append(patch)
    return list(groups.values())


async def _try(same: Sequence[_Patch], check: str, arena: Arena) -> Trial:
    """Check a patch. One after another, as checks may need the same port or database."""
    patch = same[0]
    names, finished = tuple(one.outcome.name for one in same), patch.outcome.stop_reason == "end_turn"
    if not patch.key:
        return Trial(names, 0, 0, finished)
    problems = await _count_problems(patch)
    exit_code, printed = (
        await _run(patch.overlay, Command(check, seconds=arena.command_seconds)) if check else (None, "")
    )
    lines = sum(
        line.startswith(("+", "-")) and not line.startswith(("+++ ", "--- ")) for line in patch.diff.split("\n")
    )
    return Trial(names, len(patch.key), lines, finished, exit_code, read_tests(printed), problems)


async def _count_problems(patch: _Patch) -> int | None:
    """The errors in the changed files; None where nobody can tell."""
    found = await patch.overlay.problems([change.path for change in patch.changes])
    if isinstance(found, Refusal) or not found.checked:
        return None
    return sum(problem.severity == "error" for problem in found.found)


async def _run(overlay: Overlay, command: Command) -> tuple[int | None, str]:
    """The exit code of a command, and the end of what it printed; no code where it could not be run."""
    printed = ""
    async with aclosing(overlay.run(command)) as outputs:
        async for output in outputs:
            match output:
                case Output():
                    printed = (printed + output.text)[-MAX_PRINTED:]
                case Exit():
                    return (KILLED if output.timed_out else output.code), printed
                case Refusal():
                    return None, printed
    return None, printed


def _decide(ranked: Sequence[Trial], patches: Mapping[str, _Patch], check: str, why_not: str) -> Contest:
    names = tuple(name for trial in ranked for name in trial.names)
    scores = {name: trial.score for trial in ranked for name in trial.names}
    best = ranked[0]
    if not best.files:
        reason = " ".join(["No candidate changed anything.", *_stopped(patches.values())])
        return Contest("", (), (), names, scores, reason, "", check)
    patch = patches[best.name]
    reason = " ".join([_how(best, ranked, check, why_not), *_stopped(patches.values())])
    return Contest(best.name, patch.changes, patch.removed, names, scores, reason, patch.outcome.summary, check)


def _how(best: Trial, ranked: Sequence[Trial], check: str, why_not: str) -> str:
    """Why the winner won, in one or two sentences."""
    patched = [trial for trial in ranked if trial.files]
    same = f" {', '.join(best.names)} made the same change." if len(best.names) > 1 else ""
    if len(patched) == 1:
        same += " There is no other patch." if len(best.names) == 1 else ""
    if not check:
        return f"{best.name} is best by problems and size; no check was run: {why_not}.{same}"
    if best.exit_code is None:
        return f"{best.name} is best by problems and size; `{check}` could not be run.{same}"
    passed = sum(trial.exit_code == 0 for trial in patched)
    if best.exit_code == 0:
        also = f"as do {passed - 1} of {len(patched) - 1} other patches" if passed > 1 else "which no other patch does"
        others = f", {also}" if len(patched) > 1 else ""
        passing = f" ({best.tests.passed} tests)" if best.tests else ""
        return f"{best.name} passes `{check}`{passing}{others}.{same}"
    tests = f" ({best.tests.failed + best.tests.errors} of {best.tests.total} tests fail)" if best.tests else ""
    return f"No patch passes `{check}`; {best.name} comes closest{tests}.{same}"


def _stopped(patches: Iterable[_Patch]) -> list[str]:
    """Who did not come to an end of its own."""
    return [
        f"{one.outcome.name} was stopped: {one.outcome.stop_reason}."
        for one in patches
        if one.outcome.stop_reason != "end_turn"
    ]
