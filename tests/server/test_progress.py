"""What an editor without a plugin of ours sees of a turn."""

from collections.abc import Mapping

import msgspec

from agentic.events import (
    Event,
    Failover,
    IterationStarted,
    Metrics,
    Origin,
    PhaseStarted,
    PlanStep,
    PlanUpdated,
    SubAgentFinished,
    SubAgentStarted,
    TextDelta,
    TextFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from agentic_server.progress import TEXT_LENGTH, Progress

ORIGIN = Origin(session_id="s", turn_id="t", agent="main")


def shown(*events: Event) -> list[Mapping[str, object]]:
    values: list[Mapping[str, object]] = []
    progress = Progress(lambda token, value: values.append(value), "token", "Agentic: work")
    for event in events:
        progress.show(event)
    return values


def test_every_report_carries_a_percentage_that_never_falls() -> None:
    values = shown(
        IterationStarted(**ORIGIN, number=1, limit=50),
        PhaseStarted(**ORIGIN, phase="model"),
        PlanUpdated(**ORIGIN, steps=[PlanStep("a", "completed"), PlanStep("b", "in_progress")]),
        PlanUpdated(**ORIGIN, steps=[PlanStep("a"), PlanStep("b", "in_progress")]),
        PhaseStarted(**ORIGIN, phase="model"),
    )
    assert values[0] == {
        "kind": "begin",
        "title": "Agentic: work",
        "cancellable": True,
        "percentage": 0,
        "message": "starting",
    }
    assert [value["percentage"] for value in values] == [0, 2, 50, 50, 50]
    assert [value["message"] for value in values[1:]] == ["waiting for the model", "b", "b", "waiting for the model"]


def test_the_end_of_a_text_is_shown_whatever_came_before() -> None:
    text = "one\n" + "word " * 40 + "last words"
    values = shown(
        TextDelta(**ORIGIN, item="i", text="one"),
        TextDelta(**ORIGIN, item="i", text=text[3:]),
        TextFinished(**ORIGIN, item="i", text=text),
    )
    message = str(values[-1]["message"])
    assert message.startswith("…")
    assert message.endswith("last words")
    assert len(message) == TEXT_LENGTH


def test_a_failover_says_where_it_goes_on_and_when() -> None:
    at_once = Failover(**ORIGIN, request="r", endpoint="http://a/v1", to="http://b/v1", code="c", reason="It broke.")
    values = shown(at_once, msgspec.structs.replace(at_once, wait=2.2))
    assert [value["message"] for value in values[1:]] == [
        "trying http://b/v1: It broke.",
        "trying http://b/v1 in 2 s: It broke.",
    ]


def test_it_tells_which_agents_work_and_what_each_does() -> None:
    web = Origin(session_id="s", turn_id="t", agent="web")
    names = ("api", "web", "the-store-of-all-things", "tests")
    began = [SubAgentStarted(**ORIGIN, name=name, text="Do it.", priority=1) for name in names]
    ended = [
        SubAgentFinished(**ORIGIN, name=name, stop_reason=reason, summary="")
        for name, reason in zip(names, ("end_turn", "max_time", "end_turn", "end_turn"), strict=True)
    ]
    edit = ToolStarted(**web, item="i", tool="edit_file", tool_kind="edit", title="Edit " + "a" * 90, arguments="")
    messages = [str(value["message"]) for value in shown(*began, edit, *ended)[1:]]
    assert messages[:3] == [
        "at work: api",
        "at work: api, web",
        "at work: api, web, the-store-of-all-things",
    ]
    assert messages[4].startswith("web: Edit aaaa")
    assert messages[4].endswith("… · with api, the-store-of-all-things, tests")
    assert messages[5:] == [
        "api has finished · at work: web, the-store-of-all-things, tests",
        "web ended: max_time · at work: the-store-of-all-things, tests",
        "the-store-of-all-things has finished · at work: tests",
        "tests has finished",
    ]
    assert max(map(len, messages)) <= TEXT_LENGTH


def test_of_other_agents_neither_texts_nor_the_end_is_the_turns() -> None:
    web = Origin(session_id="s", turn_id="t", agent="web")
    values = shown(
        TurnStarted(**web, text="Do it.", mode="ask"),
        IterationStarted(**web, number=9, limit=10),
        TextDelta(**web, item="i", text="I do."),
        TextFinished(**web, item="i", text="I do."),
        PlanUpdated(**web, steps=[PlanStep("a", "completed")]),
        TurnFinished(**web, stop_reason="end_turn", summary="", metrics=Metrics()),
    )
    assert [value["kind"] for value in values] == ["begin"]


def test_it_ends_once() -> None:
    finished = TurnFinished(**ORIGIN, stop_reason="cancelled", summary="", metrics=Metrics())
    values = shown(finished, finished)
    assert [value["kind"] for value in values] == ["begin", "end"]
    assert values[-1]["message"] == "cancelled"
