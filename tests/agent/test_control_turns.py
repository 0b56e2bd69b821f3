"""Models that go astray, through the whole graph: each turn ends by itself, within its limit, with a true last word."""

import pytest
from support.runs import Played, Stage, work

from agentic.events import BudgetWarning, IterationStarted, LoopDetected, RecoveryTried, ToolFinished
from agentic.ports.model import Say
from agentic.task import Limits

FILES = {"a.py": "x = 1\n", "b.py": "y = 1\n"}
READ = ("read_file", {"path": "a.py"})
OTHER = ("read_file", {"path": "b.py"})


async def play(*answers: Say, times: int = 80, **task) -> Played:
    """The first answer once, then the others over and over."""
    first, *rest = answers
    return await Stage(FILES).play("Set x to 2.", [first, *(rest or [first]) * times], **task)


def problems(played: Played) -> list[tuple[str, int]]:
    return [(event.problem, event.strength) for event in played.of(RecoveryTried)]


async def test_a_model_that_loops() -> None:
    played = await play(Say(work(), [READ]), Say("", [READ]))
    assert played.finished.stop_reason == "loop"
    assert played.finished.summary == "Stopped: the same call was repeated without any change."
    assert problems(played) == [("loop", 1), ("loop", 2)]
    assert [event.pattern for event in played.of(LoopDetected)] == ["read_file", "read_file"]


async def test_a_model_that_goes_to_and_fro() -> None:
    played = await play(Say(work(), [READ]), Say("", [OTHER]), Say("", [READ]))
    assert played.finished.stop_reason == "loop"
    assert len(played.of(IterationStarted)) <= 11


async def test_a_model_that_answers_nothing() -> None:
    played = await play(Say(work(), [READ]), Say(""))
    assert played.finished.stop_reason == "error"
    assert "empty answers" in played.finished.summary
    assert problems(played) == [("empty", 1), ("empty", 2)]


async def test_a_model_that_only_talks_about_tools() -> None:
    played = await play(Say(work("I look at it.")), Say("I will now call edit_file to set x to 2."))
    assert played.finished.stop_reason == "no_progress"
    assert "calls none" in played.finished.summary
    assert problems(played) == [("named", 1), ("named", 2), ("named", 3)]
    assert played.workspace.files == FILES


async def test_a_model_that_is_told_and_calls_is_no_worse_for_it() -> None:
    talk = Say(work("I will now call read_file to look at a.py."))
    played = await Stage(FILES).play("What is x?", [talk, Say("", [READ]), Say("x is 1.")])
    assert (played.finished.stop_reason, played.finished.summary) == ("end_turn", "x is 1.")
    assert problems(played) == [("named", 1)]


@pytest.mark.parametrize(
    ("name", "mode"), [("edit_file", "plan"), ("write_file", "plan"), ("run_command", "plan"), ("fly", "auto")]
)
async def test_a_model_that_calls_a_forbidden_tool_for_ever(name: str, mode) -> None:
    arguments = {"edit_file": {"path": "a.py", "old": "x", "new": "{n}"}, "write_file": {"path": "c", "text": "{n}"}}
    calls = [(name, arguments.get(name, {"command": f"make {n}"})) for n in range(9)]
    script = [Say(work(), calls[:1]), *(Say("", [call]) for call in calls[1:])]
    played = await Stage(FILES).play("Set x to 2.", script, mode=mode)
    assert played.finished.stop_reason == "no_progress"
    assert played.finished.summary.startswith("Stopped: ")
    assert len(played.of(IterationStarted)) <= 5
    assert all(event.status == "failed" for event in played.of(ToolFinished))
    assert played.workspace.files == FILES


async def test_a_model_that_never_stops() -> None:
    script = [Say(work(), [READ])] + [Say("", [("search_text", {"pattern": f"w{n}"})]) for n in range(99)]
    played = await Stage(FILES).play("Set x to 2.", script)
    assert played.finished.stop_reason == "max_iterations"
    assert played.finished.metrics.iterations == 50
    assert played.finished.summary == "Stopped: the limit of iterations is reached."
    assert [event.budget for event in played.of(BudgetWarning)] == ["iterations"]


async def test_a_model_that_calls_without_measure() -> None:
    searches = [[("search_text", {"pattern": f"w{n}.{m}"}) for m in range(10)] for n in range(4)]
    script = [Say(work(), searches[0]), *(Say("", calls) for calls in searches[1:])]
    played = await Stage(FILES).play("Set x to 2.", script, limits=Limits(tool_calls=25))
    assert played.finished.stop_reason == "max_budget"
    assert played.finished.summary == "Stopped: the limit of tool calls is reached."
    assert [(event.budget, event.used) for event in played.of(BudgetWarning)] == [("tool_calls", 20.0)]
    assert len(played.of(ToolFinished)) == 25
    told = [str(message["content"]) for message in played.last_messages if "are used up" in str(message["content"])]
    assert [text.partition(".")[0] for text in told[:1]] == ["[agentic] 20 of 25 tool calls are used up"]


async def test_a_summary_is_asked_for_once_and_taken() -> None:
    script = [Say(work(), [READ]), *[Say("", [READ])] * 4, Say("x could not be set: I went in circles.")]
    played = await Stage(FILES).play("Set x to 2.", script)
    assert played.finished.summary == "x could not be set: I went in circles."
    assert sum("Stop here" in str(message["content"]) for message in played.last_messages) == 1


async def test_who_is_asked_to_answer_answers() -> None:
    reads = [("search_text", {"pattern": f"w{n}"}) for n in range(60)]
    script = [Say(work(), reads[:10])] + [Say("", reads[at : at + 10]) for at in range(10, 60, 10)]
    played = await Stage(FILES).play("What is x?", [*script, Say("x is 1; nothing else was found.")])
    assert (played.finished.stop_reason, played.finished.summary) == ("end_turn", "x is 1; nothing else was found.")
    assert problems(played)[-1][0] == "research"
