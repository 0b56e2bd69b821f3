"""The grammar checker itself: what it lets through, and where it points when it does not."""

import pytest
from support.grammar import check

from agentic.events import (
    Answered,
    Asked,
    BudgetWarning,
    CouncilDecision,
    EditProposed,
    EditResolved,
    Event,
    Failover,
    FirstToken,
    ItemWithdrawn,
    IterationStarted,
    Metrics,
    ModelFinished,
    ModelStarted,
    Origin,
    Phase,
    PhaseFinished,
    PhaseStarted,
    RetrievalProgress,
    RetrievalResult,
    SharedUpdated,
    SubAgentFinished,
    SubAgentStarted,
    TextDelta,
    TextFinished,
    ThinkingDelta,
    ToolCallDelta,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnFinished,
    TurnStarted,
    Usage,
)
from agentic.task import StopReason

MAIN = Origin(session_id="s", turn_id="t", agent="main")
HELPER = Origin(session_id="s", turn_id="t", agent="helper")


def started(origin: Origin = MAIN) -> Event:
    return TurnStarted(**origin, text="do it", mode="ask")


def finished(origin: Origin = MAIN, reason: StopReason = "end_turn") -> Event:
    return TurnFinished(**origin, stop_reason=reason, summary="", metrics=Metrics())


def opened(phase: Phase) -> Event:
    return PhaseStarted(**MAIN, phase=phase)


def closed(phase: Phase) -> Event:
    return PhaseFinished(**MAIN, phase=phase, seconds=0.1)


def asks(request: str = "r1", attempt: int = 1) -> Event:
    return ModelStarted(**MAIN, request=request, endpoint="e", model="m", attempt=attempt, prompt_tokens=1)


def answered(request: str = "r1") -> Event:
    return ModelFinished(**MAIN, request=request, finish_reason="stop", usage=Usage(), seconds=0.1)


def text(item: str = "i1") -> Event:
    return TextDelta(**MAIN, item=item, text="x")


def whole(item: str = "i1") -> Event:
    return TextFinished(**MAIN, item=item, text="x")


def withdrawn(item: str = "i1") -> Event:
    return ItemWithdrawn(**MAIN, item=item)


def failover(request: str = "r1") -> Event:
    return Failover(**MAIN, request=request, endpoint="e", to="f", code="stream_broken", reason="cut")


def called(item: str = "c1") -> Event:
    return ToolCallDelta(**MAIN, item=item, name="edit_file", arguments="{}")


def runs(item: str = "c1") -> Event:
    return ToolStarted(**MAIN, item=item, tool="edit_file", tool_kind="edit", title="", arguments="{}")


def ran(item: str = "c1") -> Event:
    return ToolFinished(**MAIN, item=item, status="completed", text="ok")


def proposed(item: str = "e1", call: str = "c1") -> Event:
    return EditProposed(**MAIN, item=item, call=call, path="a", version="1", creates=False, diff="", hunks=[])


def resolved(item: str = "e1") -> Event:
    return EditResolved(**MAIN, item=item, outcome="applied", path="a")


def asked(question: str = "q1", call: str = "c1") -> Event:
    return Asked(**MAIN, question=question, call=call, title="", detail="", options=[])


def replied(question: str = "q1") -> Event:
    return Answered(**MAIN, question=question, option="", by="user")


def rounds(number: int) -> Event:
    return IterationStarted(**MAIN, number=number, limit=9)


def helps(name: str = "helper") -> Event:
    return SubAgentStarted(**MAIN, name=name, text="", priority=1)


def helped(name: str = "helper") -> Event:
    return SubAgentFinished(**MAIN, name=name, stop_reason="end_turn", summary="")


def warned() -> Event:
    return BudgetWarning(**MAIN, budget="iterations", used=8, limit=9)


def shared() -> Event:
    return SharedUpdated(**MAIN, items=[])


def decided() -> Event:
    return CouncilDecision(**MAIN, council="c", ranking=[], reason="")


FIRST = FirstToken(**MAIN, request="r1", seconds=0.1)
OUTPUT = ToolOutput(**MAIN, item="c1", stream="stdout", text="x")
PROGRESS = RetrievalProgress(**MAIN, done=1)
FOUND = RetrievalResult(**MAIN, paths=[], tokens=0)


def in_phase(*events: Event) -> list[Event]:
    return [started(), opened("model"), *events, closed("model"), finished()]


def with_call(*events: Event) -> list[Event]:
    return in_phase(asks(), called(), answered(), runs(), *events, ran())


GOOD: dict[str, list[Event]] = {
    "nothing": [started(), finished()],
    "an answer": in_phase(asks(), FIRST, text(), text(), whole(), answered()),
    "no first token": in_phase(asks(), answered()),
    "a failed attempt": in_phase(
        asks(), text(), withdrawn(), failover(), asks("r2", 2), text("i2"), whole("i2"), answered("r2")
    ),
    "a failed answer": in_phase(asks(), text(), withdrawn(), failover(), asks("r2", 2), warned()),
    "text taken back for a call": in_phase(asks(), text(), called(), withdrawn(), answered(), runs(), ran()),
    "a call": with_call(OUTPUT, proposed(), resolved(), asked(), replied(), warned()),
    "two calls": in_phase(asks(), called(), called("c2"), answered(), runs(), ran(), runs("c2"), ran("c2")),
    "a call that never ran": in_phase(asks(), called(), answered()),
    "a call run in the next phase": [
        *in_phase(asks(), called(), answered())[:-1],
        opened("tools"),
        runs(),
        ran(),
        closed("tools"),
        finished(),
    ],
    "a call dropped": in_phase(asks(), called(), called("c2"), answered(), withdrawn("c1"), runs("c2"), ran("c2")),
    "a call dropped after its phase": [
        *in_phase(asks(), called(), answered())[:-1],
        withdrawn("c1"),
        finished(),
    ],
    "iterations after an interruption": [started(), rounds(4), rounds(5), finished()],
    "retrieval": in_phase(PROGRESS, PROGRESS, FOUND, FOUND),
    "iterations": [started(), rounds(1), rounds(2), warned(), finished()],
    "interrupted": [started(), opened("model"), asks(), text(), closed("model"), finished(reason="cancelled")],
    "sub-agents": [
        started(),
        helps(),
        helps("b"),
        started(HELPER),
        finished(HELPER),
        helped("b"),
        helped(),
        finished(),
    ],
    "a team in a call": with_call(
        helps(), started(HELPER), shared(), finished(HELPER), helped(), decided(), asked(), replied()
    ),
    "a team in a phase": in_phase(
        helps(), helps("b"), started(HELPER), finished(HELPER), helped("b"), helped(), decided()
    ),
    "a team between phases": [started(), decided(), shared(), rounds(1), finished()],
}

BAD: dict[str, tuple[list[Event], str]] = {
    "no start": ([finished()], "event 0: found turnFinished of main, expected turnStarted"),
    "no end": ([started()], "event 0: found turnStarted of main, expected the turnFinished of main as the last"),
    "after the end": ([started(), finished(), finished()], "event 2: .* expected nothing after turnFinished"),
    "an open phase": ([started(), opened("model"), finished()], "event 2: .* phaseFinished of model"),
    "nested phases": (in_phase(opened("tools"), closed("tools")), "event 2: found phaseStarted"),
    "crossed phases": ([started(), opened("model"), closed("tools"), finished()], "event 2: .* phaseFinished of model"),
    "an answer outside": ([started(), asks(), finished()], "event 1: found modelStarted"),
    "a delta outside": (in_phase(text()), "event 2: found textDelta of main, expected modelStarted"),
    "two first tokens": (in_phase(asks(), FIRST, FIRST, answered()), "event 4: found firstToken"),
    "a late first token": (in_phase(asks(), text(), FIRST, answered()), "event 4: found firstToken"),
    "another request": (in_phase(asks(), answered("r9")), "event 3: .* modelFinished of r1, not r9"),
    "not finished": (in_phase(asks(), text(), answered()), r"event 4: .* \['i1'\] to be finished"),
    "finished twice": (in_phase(asks(), text(), whole(), whole(), answered()), "event 5: .* item i1"),
    "finished unbegun": (in_phase(asks(), whole(), answered()), "event 3: .* a delta of the item i1"),
    "finished as another": (
        in_phase(asks(), ThinkingDelta(**MAIN, item="i1", text="x"), whole(), answered()),
        "event 4: .* a delta of the item i1",
    ),
    "more after finished": (in_phase(asks(), text(), whole(), text(), answered()), "event 5: .* nothing more"),
    "withdrawn twice": (in_phase(asks(), text(), withdrawn(), withdrawn(), failover()), "event 5: .* once"),
    "withdrawn unknown": (in_phase(asks(), withdrawn("i9"), failover()), "event 3: .* withdrawal of an item"),
    "not withdrawn": (in_phase(asks(), text(), failover(), asks("r2"), answered("r2")), "event 5: .* withdrawn"),
    "reused id": (
        in_phase(asks(), text(), withdrawn(), failover(), asks("r2"), text(), whole(), answered("r2")),
        "event 7: .* nothing more of the item i1",
    ),
    "an unasked call": (in_phase(runs(), ran()), "event 2: .* a call that the model made"),
    "a call run twice": (
        in_phase(asks(), called(), answered(), runs(), ran(), runs(), ran()),
        "event 7: .* not run yet",
    ),
    "a withdrawn call run": (
        in_phase(asks(), called(), withdrawn("c1"), failover(), asks("r2"), answered("r2"), runs(), ran()),
        "event 8: .* a call that the model made",
    ),
    "an open call": (
        in_phase(asks(), called(), answered(), runs()),
        "event 6: found phaseFinished .* toolFinished of c1",
    ),
    "another's end": (in_phase(asks(), called(), answered(), runs(), ran("c2")), "event 6: .* toolFinished of c1"),
    "an open edit": (with_call(proposed()), "event 7: found toolFinished of main, expected editResolved"),
    "another's edit": (with_call(proposed(call="c7"), resolved()), "event 6: .* an edit of c1, not c7"),
    "another edit's end": (with_call(proposed(), resolved("e2")), "event 7: .* editResolved of e1"),
    "an open question": (with_call(asked()), "event 7: found toolFinished of main, expected answered"),
    "another's answer": (with_call(asked(), replied("q2")), "event 7: .* the answer to q1"),
    "an answer to nothing": (with_call(replied()), "event 6: found answered"),
    "endless retrieval": (in_phase(PROGRESS), "event 3: found phaseFinished of main, expected retrievalResult"),
    "a skipped iteration": ([started(), rounds(1), rounds(3), finished()], "event 2: .* iteration 2"),
    "an iteration again": ([started(), rounds(2), rounds(2), finished()], "event 2: .* iteration 3"),
    "a text dropped late": (
        [*in_phase(asks(), text(), whole(), answered())[:-1], withdrawn(), finished()],
        "event 7: .* a call that has not run, not i1",
    ),
    "a call dropped after it ran": (
        in_phase(asks(), called(), answered(), runs(), ran(), withdrawn("c1")),
        "event 7: .* a call that has not run, not c1",
    ),
    "a dropped call run": (
        in_phase(asks(), called(), answered(), withdrawn("c1"), runs(), ran()),
        "event 6: .* a call that the model made",
    ),
    "an open sub-agent": ([started(), helps(), finished()], r"event 2: .* subAgentFinished of \['helper'\]"),
    "a sub-agent that outlives its call": (
        [*with_call(helps(), started(HELPER), finished(HELPER))[:-1], helped(), finished()],
        r"event 9: .* subAgentFinished of \['helper'\] before the end of the call",
    ),
    "a council in an answer": (in_phase(asks(), decided(), answered()), "event 4: found modelFinished"),
    "an unannounced sub-agent": ([started(), started(HELPER), finished(HELPER), finished()], "event 1: .* before it"),
    "a late sub-agent": (
        [started(), helps(), started(HELPER), helped(), finished(HELPER), finished()],
        "event 4: .* nothing of helper after",
    ),
    "an unfinished sub-agent": ([started(), helps(), started(HELPER), helped(), finished()], "found the end"),
}


@pytest.mark.parametrize("events", GOOD.values(), ids=GOOD.keys())
def test_lets_through(events: list[Event]) -> None:
    check(events)


@pytest.mark.parametrize(("events", "complaint"), BAD.values(), ids=BAD.keys())
def test_complains(events: list[Event], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check(events)


def test_checks_every_turn_of_a_log() -> None:
    second = Origin(session_id="s", turn_id="t2", agent="main")
    check([started(), finished(), started(second), finished(second)])
    with pytest.raises(AssertionError, match="event 2"):
        check([started(), finished(), started(second)])
