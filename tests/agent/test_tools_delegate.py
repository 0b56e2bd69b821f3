"""Delegation through the door: confirmed, worked on, joined, judged as one change, and told to the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from support.grammar import check
from toolbench import Bench

from agentic.change import ABSENT, Change, minimal_edits
from agentic.events import (
    AnsweredBy,
    Metrics,
    ModelFinished,
    ModelStarted,
    PhaseFinished,
    PhaseStarted,
    Shared,
    SharedUpdated,
    SubAgentFinished,
    SubAgentStarted,
    ToolCallDelta,
    TurnFinished,
    TurnStarted,
    Usage,
)
from agentic.ports.asker import Question, Reply, ScriptedAsker
from agentic.ports.team import Conflict, Delegated, Report, ScriptedTeam, Subtask
from agentic.task import Mode
from agentic.tools.registry import tool_specs

TWO = {
    "subtasks": [
        {"name": "Tests", "text": "Write tests.py.", "depends_on": ["API"]},
        {"name": "API", "text": "Write api.py."},
    ]
}
REPORTS = (
    Report("api", "end_turn", "Wrote it.\nFact: port 80", ("api.py",)),
    Report("tests", "max_time", "Half of it."),
)
FILES = {"old.py": "one\ntwo\nthree\n", "other.py": "x\n"}


def change(before: str, after: str, path: str = "old.py") -> Change:
    return Change(path, "1", before, minimal_edits(before, after))


CHANGES = (
    Change("api.py", ABSENT, "", minimal_edits("", "app = 1\n")),
    change(FILES["old.py"], "one\nTWO\nthree\n"),
)
DONE = Delegated(REPORTS, CHANGES)


class TeamBench(Bench):
    """A bench with a team."""

    def __init__(self, *script: Delegated, answers: Sequence[Any] = (), mode: Mode = "ask", **more: Any) -> None:
        super().__init__(FILES, answers, mode, **more)
        self.team = ScriptedTeam(script)
        self.context = replace(self.context, team=self.team)

    async def delegate(self, arguments: Any = TWO) -> Any:
        return await self.call("delegate", arguments)


async def test_all_of_it_is_one_question_and_one_change_for_each_file() -> None:
    bench = TeamBench(DONE, answers=["allow_once", "allow_once"])
    result = await bench.delegate()
    assert result.code == ""
    assert bench.workspace.files == {"api.py": "app = 1\n", "old.py": "one\nTWO\nthree\n", "other.py": "x\n"}
    assert bench.team.calls == [
        ("call-1", [Subtask("api", "Write api.py."), Subtask("tests", "Write tests.py.", ["api"])])
    ]
    assert bench.kinds == [
        "toolStarted",
        "asked",
        "answered",
        "asked",
        "answered",
        "editProposed",
        "editResolved",
        "editProposed",
        "editResolved",
        "toolFinished",
    ]
    begin, end = (event for event in bench.transcript if event["kind"] == "asked")
    assert begin["title"] == "Work on 2 parts at once?"
    assert begin["detail"] == "1. api: Write api.py.\n2. tests (after api): Write tests.py."
    assert end["title"] == "Apply the joined work: 2 files, +2 −1?"
    assert end["detail"].startswith("api.py (new) +1 −0\nold.py +1 −1\n\n--- a/api.py\n")
    assert "-two\n+TWO\n" in end["detail"]
    assert [option["id"] for option in end["options"]] == ["allow_once", "each", "reject_once"]
    assert end["binding"] == begin["binding"] == "B"


async def test_what_the_model_reads() -> None:
    conflict = Conflict("old.py", 2, "api", "tests", "--- a/old.py\n+++ b/old.py\n@@ -2 +2 @@\n-TWO\n+zwei\n")
    bench = TeamBench(Delegated(REPORTS, CHANGES, [conflict]), mode="auto")
    result = await bench.delegate()
    assert result.text.split("\n") == [
        "1 of 2 sub-agents finished their part.",
        "",
        "- api (finished): Wrote it.",
        "Fact: port 80",
        "- tests (NOT finished: its time was up): Half of it.",
        "",
        "Created: api.py.",
        "Changed: old.py.",
        "",
        "Left out, because two had changed the same lines. In the file now: lines with -. Left out: lines with +.",
        "old.py, line 2: api's was kept, tests's left out.",
        "--- a/old.py",
        "+++ b/old.py",
        "@@ -2 +2 @@",
        "-TWO",
        "+zwei",
        "",
        "The files now hold the joined work; you have not read it yet. Check the whole: read where the parts meet, run"
        " the tests or the program. Mend what is missing, left out or broken yourself, then tell the user.",
    ]


@pytest.mark.parametrize("mode", ["accept-edits", "auto"])
async def test_wider_modes_ask_nobody(mode: Mode) -> None:
    bench = TeamBench(DONE, mode=mode)
    assert (await bench.delegate()).code == ""
    assert bench.kinds == ["toolStarted", *["editProposed", "editResolved"] * 2, "toolFinished"]
    assert bench.workspace.files["api.py"] == "app = 1\n"


async def test_in_plan_mode_nothing_is_delegated() -> None:
    bench = TeamBench(mode="plan")
    assert (await bench.delegate()).code == "plan_mode"
    assert bench.team.calls == []


async def test_a_sub_agent_does_its_part_itself() -> None:
    result = await Bench(FILES).call("delegate", TWO)
    assert result.code == "denied"
    assert result.text == "You are a sub-agent. Do your part yourself, with the other tools."


@pytest.mark.parametrize(
    ("subtasks", "said"),
    [
        ([{"name": "all", "text": "everything"}], "Do it yourself"),
        ([{"name": f"p{n}", "text": "x"} for n in range(40)], "40 subtasks are too many"),
        (
            [{"name": "a", "text": "x", "depends_on": ["b"]}, {"name": "b", "text": "x", "depends_on": ["a"]}],
            "a → b → a",
        ),
        ("write api.py and web.js", "do not fit"),
        ([{"name": "a"}, {"name": "b"}], "do not fit"),
    ],
)
async def test_what_cannot_be_worked_on_is_said_before_anybody_is_asked(subtasks: Any, said: str) -> None:
    bench = TeamBench()
    result = await bench.delegate({"subtasks": subtasks})
    assert result.code == "bad_arguments"
    assert said in result.text
    assert bench.kinds == ["toolStarted", "toolFinished"]


async def test_a_no_at_the_beginning_leaves_it_to_the_model() -> None:
    bench = TeamBench(answers=["reject_once"])
    result = await bench.delegate()
    assert result.code == "rejected"
    assert result.text.endswith("Do the work yourself, without sub-agents.")
    assert bench.team.calls == []


async def test_a_no_at_the_end_changes_nothing() -> None:
    bench = TeamBench(DONE, answers=["allow_once", "reject_once"])
    result = await bench.delegate()
    assert result.code == "rejected"
    assert "Not applied: api.py, old.py. The user rejected the changes. Nothing was changed." in result.text
    assert "No file was changed." in result.text
    assert bench.workspace.files == FILES
    assert "editProposed" not in bench.kinds


async def test_file_by_file_each_is_judged_by_itself() -> None:
    bench = TeamBench(DONE, answers=["allow_once", "each", "accept", "reject"])
    result = await bench.delegate()
    assert result.code == ""
    assert bench.workspace.files == {**FILES, "api.py": "app = 1\n"}
    assert "Created: api.py." in result.text
    assert "Not applied: old.py. The user rejected this edit" in result.text


async def test_one_file_is_judged_hunk_by_hunk_at_once() -> None:
    bench = TeamBench(Delegated(REPORTS, CHANGES[1:]), answers=["allow_once", "accept"])
    assert (await bench.delegate()).code == ""
    assert bench.kinds.count("asked") == 1
    assert bench.workspace.files["old.py"] == "one\nTWO\nthree\n"


async def test_an_empty_file_is_judged_and_created_too() -> None:
    empty = Change("api/__init__.py", ABSENT, "", ())
    bench = TeamBench(Delegated(REPORTS, [empty]), answers=["allow_once", "accept"])
    assert (await bench.delegate()).code == ""
    assert bench.workspace.files["api/__init__.py"] == ""


class Unclear(ScriptedAsker):
    """Says yes to the beginning; nobody answers the question at the end, for the reason given."""

    def __init__(self, by: AnsweredBy, *answers: str) -> None:
        super().__init__(answers)
        self.by: AnsweredBy = by

    async def ask(self, question: Question) -> Reply:
        self.questions.append(question)
        return Reply("allow_once") if len(self.questions) == 1 else Reply("", self.by, "It is too long.")


async def test_what_an_editor_cannot_show_at_once_is_put_file_by_file() -> None:
    bench = TeamBench(DONE, asker=Unclear("client_error", "reject", "accept"))
    result = await bench.delegate()
    assert bench.workspace.files["old.py"] == "one\nTWO\nthree\n"
    assert "api.py" not in bench.workspace.files
    assert result.code == ""


@pytest.mark.parametrize("by", ["timeout", "policy", "cancelled", "user"])
async def test_anything_but_a_clear_yes_is_a_no(by: AnsweredBy) -> None:
    bench = TeamBench(DONE, asker=Unclear(by))
    assert (await bench.delegate()).code == "rejected"
    assert bench.workspace.files == FILES


class Late(ScriptedAsker):
    """Answers when the approval has been used by somebody else."""

    def __init__(self, use: Callable[[Question], Any]) -> None:
        super().__init__()
        self.use = use

    async def ask(self, question: Question) -> Reply:
        self.questions.append(question)
        if len(self.questions) > 1:
            await self.use(question)
        return Reply("allow_once")


async def test_an_approval_is_used_once() -> None:
    bench = TeamBench(DONE, asker=Late(lambda question: bench.store.use(question.id, question.binding)))
    assert (await bench.delegate()).code == "denied"
    assert bench.workspace.files == FILES


async def test_a_file_that_has_moved_on_leaves_the_others() -> None:
    bench = TeamBench(DONE, mode="auto")
    bench.workspace.files["old.py"] = "one\n222\nthree\n"
    result = await bench.delegate()
    assert result.code == ""
    assert "Created: api.py." in result.text
    assert "Not applied: old.py. The text around line 2 was changed meanwhile" in result.text
    assert [event["outcome"] for event in bench.transcript if event["kind"] == "editResolved"] == [
        "applied",
        "conflict",
    ]


async def test_the_model_has_to_read_what_others_wrote() -> None:
    bench = TeamBench(DONE, mode="auto")
    await bench.call("read_file", {"path": "old.py"})
    await bench.delegate()
    for path in ("old.py", "api.py"):
        assert (await bench.call("write_file", {"path": path, "content": "x\n"})).code == "stale"


async def test_what_was_not_applied_is_known_as_before() -> None:
    bench = TeamBench(DONE, answers=["allow_once", "reject_once", "accept"])
    await bench.call("read_file", {"path": "old.py"})
    await bench.delegate()
    assert (await bench.call("write_file", {"path": "old.py", "content": "x\n"})).code == ""


async def test_who_only_talked_is_told_to_have_changed_nothing() -> None:
    reports = [Report("api", "end_turn", "Save this as api.py: ..."), Report("tests", "end_turn", "Done.", ("old.py",))]
    result = await TeamBench(Delegated(reports, CHANGES), mode="auto").delegate()
    assert "- api (finished; it changed no file): Save this" in result.text
    assert "- tests (finished): Done." in result.text


async def test_where_nobody_succeeded_the_call_failed() -> None:
    reports = [Report("api", "error", ""), Report("tests", "loop", "Stopped.")]
    result = await TeamBench(Delegated(reports, ()), mode="auto").delegate()
    assert result.code == "subtasks_failed"
    assert "0 of 2 sub-agents finished their part." in result.text
    assert "- api (NOT finished: it failed): no word" in result.text
    assert "The sub-agents changed no files." in result.text


async def test_looking_around_is_a_success_without_changes() -> None:
    result = await TeamBench(Delegated(REPORTS, ()), mode="auto").delegate()
    assert result.code == ""


async def test_a_report_is_kept_within_bounds() -> None:
    reports = [Report(f"p{number}", "end_turn", "x" * 100_000) for number in range(5)]
    conflicts = [Conflict("a.py", 1, "a", "b", "-x\n" * 10_000)] * 20
    result = await TeamBench(Delegated(reports, CHANGES, conflicts), mode="auto").delegate()
    assert len(result.text) < 16_000
    assert result.text.endswith("then tell the user.")


class Working(ScriptedTeam):
    """A team whose sub-agent is heard of, and which may be cut short."""

    def __init__(self, bench: Bench, *script: Delegated) -> None:
        super().__init__(script)
        self.bench = bench
        self.began = asyncio.Event()

    async def delegate(self, call: str, subtasks: Sequence[Subtask]) -> Delegated:
        emit, main = self.bench.context.emit, self.bench.context.origin
        own = {**main, "agent": "api"}
        emit(SubAgentStarted(**main, name="api", text="Write api.py.", priority=1))
        emit(TurnStarted(**own, text="Write api.py.", mode="ask"))
        self.began.set()
        try:
            if not self.script:
                await asyncio.Event().wait()
        finally:
            emit(TurnFinished(**own, stop_reason="end_turn", summary="", metrics=Metrics()))
            emit(SubAgentFinished(**main, name="api", stop_reason="end_turn", summary="Wrote it."))
        emit(SharedUpdated(**main, items=[Shared("fact", "port 80", "api")]))
        return await super().delegate(call, subtasks)


def check_call(bench: Bench) -> None:
    """Hold the call's events, in a turn of their own, to the grammar."""
    main = bench.context.origin
    check(
        [
            TurnStarted(**main, text="do it", mode="ask"),
            PhaseStarted(**main, phase="delegation"),
            ModelStarted(**main, request="r", endpoint="e", model="m", attempt=1, prompt_tokens=1),
            ToolCallDelta(**main, item="call-1", name="delegate", arguments="{}"),
            ModelFinished(**main, request="r", finish_reason="tool_calls", usage=Usage(), seconds=0.0),
            *bench.events,
            PhaseFinished(**main, phase="delegation", seconds=0.0),
            TurnFinished(**main, stop_reason="end_turn", summary="", metrics=Metrics()),
        ]
    )


async def test_the_events_of_sub_agents_stand_inside_the_call() -> None:
    bench = TeamBench(answers=["allow_once", "allow_once"])
    bench.context = replace(bench.context, team=Working(bench, DONE))
    await bench.delegate()
    assert [kind for kind in bench.kinds if kind.startswith(("sub", "shared"))] == [
        "subAgentStarted",
        "subAgentFinished",
        "sharedUpdated",
    ]
    check_call(bench)


async def test_a_cancelled_delegation_changes_nothing_and_is_closed() -> None:
    bench = TeamBench(mode="auto")
    team = Working(bench)
    bench.context = replace(bench.context, team=team)
    call = asyncio.create_task(bench.delegate())
    await asyncio.wait_for(team.began.wait(), 30)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert bench.workspace.files == FILES
    assert bench.transcript[-1]["code"] == "cancelled"
    check_call(bench)


def test_delegate_is_the_last_tool_and_says_what_a_subtask_is() -> None:
    function = tool_specs()[-1]["function"]
    assert function["name"] == "delegate"
    items = function["parameters"]["properties"]["subtasks"]["items"]
    assert sorted(items["properties"]) == ["depends_on", "name", "priority", "text"]
    assert items["required"] == ["name", "text"]
