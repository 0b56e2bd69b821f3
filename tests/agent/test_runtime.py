"""Whole turns, from a task and a script of answers to the transcript of events and the tree of files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from itertools import pairwise

import pytest
from support.runs import Stage, reply, work

from agentic.change import Snapshot
from agentic.context.history import INTERRUPTED
from agentic.context.prompts import load
from agentic.control.loops import REPEATED
from agentic.errors import ContextOverflow, EndpointUnreachable, Refusal, StoreError, StreamBroken
from agentic.events import (
    Answered,
    BudgetWarning,
    Classified,
    Compacted,
    EditResolved,
    ErrorRaised,
    Event,
    IterationStarted,
    LoopDetected,
    ModelEvent,
    ModelFinished,
    PhaseFinished,
    PlanUpdated,
    RecoveryTried,
    Steered,
    TextDelta,
    TextFinished,
    ThinkingFinished,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    Usage,
)
from agentic.ports.asker import ScriptedAsker
from agentic.ports.model import ModelRequest, Say, ScriptedModel
from agentic.ports.store import MemoryStore
from agentic.ports.workspace import MemoryWorkspace
from agentic.runtime import Ports, Run, run, run_to_end
from agentic.task import Limits, Overrides, Prices, Task
from agentic.tools.registry import tool_specs

READ = ("read_file", {"path": "a.py"})
EDIT = ("edit_file", {"path": "a.py", "old": "x = 1", "new": "x = 2"})
FILES = {"a.py": "x = 1\ny = 1\n"}


@pytest.mark.parametrize(("task", "answer"), [("hi", "Hello!"), ("안녕하세요", "안녕하세요! 무엇을 도와드릴까요?")])
async def test_a_greeting_is_one_model_call_without_plan_and_tools(task: str, answer: str) -> None:
    played = await Stage().play(task, [Say(reply(answer))])
    assert played.kinds == [
        "turnStarted",
        "phaseStarted",
        "phaseFinished",
        "phaseStarted",
        "modelStarted",
        "firstToken",
        "classified",
        "textFinished",
        "modelFinished",
        "phaseFinished",
        "turnFinished",
    ]
    assert played.finished.summary == answer
    assert played.finished.metrics.model_calls == 1
    assert "".join(event.text for event in played.of(TextDelta)) == answer


async def test_a_task_is_planned_worked_on_and_finished() -> None:
    script = [Say(work("I look.", plan=["look", "fix"]), [READ]), Say("", [EDIT]), Say("Set x to 2 in a.py.")]
    played = await Stage(FILES, ["accept"]).play("Set x to 2", script)
    assert played.workspace.files == {"a.py": "x = 2\ny = 1\n"}
    assert [step.text for step in played.of(PlanUpdated)[0].steps] == ["look", "fix"]
    assert [event.tool for event in played.of(ToolStarted)] == ["read_file", "edit_file"]
    assert [event.outcome for event in played.of(EditResolved)] == ["applied"]
    assert (played.finished.stop_reason, played.finished.files) == ("end_turn", ["a.py"])
    assert (played.finished.metrics.iterations, played.finished.metrics.tool_calls) == (3, 2)


async def test_the_last_answer_ticks_off_the_step_that_it_ends() -> None:
    steps = [{"text": "look", "status": "completed"}, {"text": "tell", "status": "in_progress"}, {"text": "rest"}]
    played = await Stage(FILES).play("Look", [Say(work(), [("update_plan", {"steps": steps})]), Say("x is 1.")])
    assert [step.status for step in played.of(PlanUpdated)[-1].steps] == ["completed", "completed", "pending"]


async def test_the_prompt_only_grows_at_its_end() -> None:
    stage = Stage(FILES, ["accept"])
    first = await stage.play("Set x to 2", [Say(work(), [READ]), Say("", [EDIT]), Say("Done.")])
    second = await stage.play("And now?", [Say(reply("Nothing."))])
    requests = [*first.model.requests, *second.model.requests]
    for earlier, later in pairwise(requests):
        before = json.dumps(list(earlier.messages))[:-1]
        assert json.dumps(list(later.messages)).startswith(before)
        assert later.tools is earlier.tools
    assert requests[0].messages[0] == {"role": "system", "content": load("system")}


def test_system_text_and_tools_fit_their_budget() -> None:
    spent = len(load("system").encode()) + len(json.dumps(tool_specs(), separators=(",", ":")).encode())
    assert spent / 4 <= 2_500


async def test_work_without_a_call_in_the_first_answer_is_told_to_begin() -> None:
    played = await Stage(FILES).play("Explain a.py", [Say(work("I will.")), Say("It sets x.")])
    assert played.model.requests[1].messages[-1] == {"role": "user", "content": load("begin")}
    assert played.finished.summary == "It sets x."


async def test_a_model_that_writes_no_classification_still_works() -> None:
    played = await Stage(FILES).play("Look at a.py", [Say("Looking.", [READ]), Say("It sets x.")])
    assert played.of(Classified)[0].by == "heuristic"
    assert played.of(TextFinished)[0].text == "Looking."
    assert played.finished.stop_reason == "end_turn"


async def test_a_reply_without_text_is_asked_for_once() -> None:
    played = await Stage().play("hi", [Say(reply("")), Say("Hello!")])
    assert played.model.requests[1].messages[-1]["content"] == load("answer")
    assert played.finished.summary == "Hello!"


async def test_the_user_overrides_triage() -> None:
    overrides = Overrides(domain="research", complexity=0.6, route="work")
    played = await Stage(FILES).play("hi", [Say(reply("Hello!")), Say("Done.")], overrides=overrides)
    classified = played.of(Classified)[0]
    assert (classified.domain, classified.complexity, classified.route, classified.by) == (
        "research",
        0.6,
        "work",
        "user",
    )
    assert (
        "set by the user: domain research, complexity 0.6, route work"
        in played.model.requests[0].messages[1]["content"]
    )
    assert played.finished.summary == "Done."


async def test_garbage_unknown_tools_and_arguments_that_are_no_json_go_back_to_the_model() -> None:
    calls = [("no_such_tool", {}), ("read_file", "{broken"), ("read_file", {"nonsense": 1}), ("read_file", "[1]")]
    played = await Stage(FILES).play("Look", [Say(work(), calls), Say("I give up.")])
    finished = played.of(ToolFinished)
    assert [event.code for event in finished] == ["unknown_tool", *["bad_arguments"] * 3]
    results = [message["content"] for message in played.last_messages if message["role"] == "tool"]
    assert "read_file" in results[0]
    sent = next(message for message in played.last_messages if message.get("tool_calls"))
    assert all(isinstance(json.loads(call["function"]["arguments"]), dict) for call in sent["tool_calls"])
    assert played.workspace.files == FILES


async def test_what_the_model_said_is_logged_whole() -> None:
    stage = Stage(FILES)
    await stage.play("Look", [Say(work("I look."), [("read_file", "{broken")], thinking="hm"), Say("Done.")])
    messages = [message for _, message in await stage.store.messages("s")]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[1]["content"] == work("I look.")
    assert messages[1]["reasoning"] == "hm"
    assert messages[1]["tool_calls"][0]["function"]["arguments"] == "{broken"


async def test_the_same_call_for_ever_is_warned_of_and_then_ended_with_a_summary() -> None:
    script = [Say(work(), [READ]), *[Say("", [READ])] * (REPEATED[-1] - 1), Say("I was going round in circles.")]
    played = await Stage(FILES).play("Look", script)
    assert played.finished.stop_reason == "loop"
    assert played.finished.summary == "I was going round in circles."
    assert [event.count for event in played.of(LoopDetected)] == [3, 4]
    assert [event.strength for event in played.of(RecoveryTried)] == [1, 2]


async def test_the_iteration_limit_ends_with_one_summary() -> None:
    script = [Say(work(), [("read_file", {"path": f"{n}"})]) for n in range(5)] + [Say("Five looked at.", [READ])]
    played = await Stage().play("Look", script, limits=Limits(iterations=5))
    assert (played.finished.stop_reason, played.finished.summary) == ("max_iterations", "Five looked at.")
    assert played.finished.metrics.iterations == 5
    assert [event.used for event in played.of(BudgetWarning)] == [4.0]
    assert played.model.requests[-1].messages[-1]["content"].startswith("[agentic] Stop here")
    assert len(played.of(ToolStarted)) == 5


async def test_fifty_iterations_fit_into_the_recursion_limit() -> None:
    script = [Say(work(), [("read_file", {"path": f"{n}"})]) for n in range(50)] + [Say("Fifty.")]
    played = await Stage().play("Look", script)
    assert len(played.of(IterationStarted)) == 50
    assert (played.finished.stop_reason, played.finished.summary) == ("max_iterations", "Fifty.")


async def test_the_time_limit_ends_with_a_summary() -> None:
    stage = Stage(FILES, commands={})
    limits = Limits(seconds=0.2)
    asked = asyncio.Event()
    stage.answers = ["accept"]

    class Sleepy:
        async def ask(self, question):
            asked.set()
            await asyncio.Event().wait()

        review = ask

    from agentic.ports.model import ScriptedModel
    from agentic.runtime import Ports, run

    model = ScriptedModel([Say(work(), [EDIT]), Say("Nobody answered.")])
    events = [
        event
        async for event in run(Task("x", "s", "t", limits=limits), Ports(model, stage.workspace, Sleepy(), stage.store))
    ]
    assert asked.is_set()
    finished = events[-1]
    assert isinstance(finished, TurnFinished)
    assert (finished.stop_reason, finished.summary) == ("max_time", "Nobody answered.")
    assert stage.workspace.files == FILES


async def test_empty_answers_are_asked_again_and_end_honestly() -> None:
    played = await Stage(FILES).play("Look at a.py", [Say(work(), [READ]), Say(""), Say(""), Say("")])
    assert [event.problem for event in played.of(RecoveryTried)] == ["empty", "empty"]
    assert played.finished.stop_reason == "error"


async def test_a_call_that_nobody_could_read_is_asked_for_again() -> None:
    unread = '<tool_call>\n{"name": "open_file", "arguments": {"path": "a.py"}}\n</tool_call>'
    played = await Stage(FILES).play("Look at a.py", [Say(unread), Say(unread), Say(calls=[READ]), Say("Seen.")])
    tried = played.of(RecoveryTried)
    assert [event.problem for event in tried] == ["unread", "unread"]
    assert "read_file, list_files" in tried[0].text
    assert played.finished.stop_reason == "end_turn"


async def test_calls_that_nobody_can_read_end_the_turn_as_an_error() -> None:
    unread = "I look.\n<tool_call>\n<function=read_file>\n<parameter=path>\na.py"
    played = await Stage(FILES).play("Look at a.py", [Say(work(), [READ]), Say(unread), Say(unread), Say(unread)])
    assert played.finished.stop_reason == "error"
    assert "could not be read" in played.finished.summary


async def test_an_unreachable_model_changes_nothing_and_says_what_to_do() -> None:
    failure = EndpointUnreachable("Nothing answers at http://x.", "Start it.")
    played = await Stage(FILES).play("Look", [Say(error=failure)])
    assert played.of(ErrorRaised)[0].code == "endpoint_unreachable"
    assert played.finished.stop_reason == "error"
    assert played.finished.summary == "Nothing answers at http://x. Start it."
    assert played.workspace.files == FILES


async def test_a_failure_in_the_middle_keeps_what_was_done() -> None:
    script = [Say(work(), [READ]), Say("", [EDIT]), Say(error=StreamBroken("Cut."))]
    played = await Stage(FILES, ["accept"]).play("Set x", script)
    assert played.finished.stop_reason == "error"
    assert played.finished.files == ["a.py"]


async def test_a_rejected_edit_changes_nothing_and_the_model_is_told() -> None:
    played = await Stage(FILES, ["reject"]).play("Set x", [Say(work(), [READ, EDIT]), Say("As you wish.")])
    assert played.workspace.files == FILES
    assert [event.outcome for event in played.of(EditResolved)] == ["rejected"]
    assert "rejected" in played.last_messages[-1]["content"]


async def test_plan_mode_changes_nothing() -> None:
    calls = [EDIT, ("run_command", {"command": "make test"})]
    played = await Stage(FILES).play("Set x", [Say(work(), calls), Say("A plan.")], mode="plan")
    assert [event.status for event in played.of(ToolFinished)] == ["failed", "failed"]
    assert played.workspace.files == FILES
    assert not played.asker.questions
    assert not played.asker.proposals


async def test_accept_edits_asks_for_commands_only() -> None:
    stage = Stage(FILES, ["allow_once"], {"make test": (0, "ok\n")})
    script = [Say(work(), [EDIT, ("run_command", {"command": "make test"})]), Say("Done.")]
    played = await stage.play("Set x", script, mode="accept-edits")
    assert played.workspace.files["a.py"].startswith("x = 2")
    assert not played.asker.proposals
    assert [event.option for event in played.of(Answered)] == ["allow_once"]


async def test_an_answer_that_was_cut_at_its_token_limit_runs_no_call() -> None:
    script = [Say(work(), [EDIT], finish_reason="length"), Say("Shorter.")]
    played = await Stage(FILES).play("Set x", script)
    assert not played.of(ToolStarted)
    assert played.workspace.files == FILES
    assert "token limit" in played.model.requests[1].messages[-2]["content"]


async def test_a_full_window_is_made_room_in_and_the_turn_goes_on() -> None:
    stage = Stage({"a.py": "some words\n" * 800}, window=8_192)
    reads = [Say("", [("read_file", {"path": "a.py", "offset": first, "limit": 150})]) for first in range(1, 160, 20)]
    played = await stage.play("Look", [Say(work(), [READ]), *reads, Say("Done.")])
    assert played.finished.stop_reason == "end_turn"
    compacted = played.of(Compacted)
    assert 1 <= len(compacted) < len(reads)
    assert all(one.after < one.before for one in compacted)
    last = played.model.requests[-1]
    assert sum(count.tokens for count in await played.model.count(last.messages, last.tools)) < 8_192 * 3 // 4
    assert last.messages[0]["role"] == "system"
    assert "Look" in last.messages[1]["content"]
    logged = [message for _, message in await played.store.messages("s")]
    assert sum(message["role"] == "tool" for message in logged) == len(played.of(ToolFinished)) >= len(reads)


async def test_a_prompt_that_the_server_finds_too_long_is_shortened_and_sent_once_more() -> None:
    overflow = ContextOverflow("The prompt does not fit.")
    stage = Stage({"a.py": "some words\n" * 700})
    played = await stage.play("Look", [Say(work(), [READ]), Say(error=overflow), Say("Done.")])
    assert played.finished.summary == "Done."
    assert len(played.of(Compacted)) == 1
    twice = await stage.play("Look", [Say(work(), [READ]), Say(error=overflow), Say(error=overflow)])
    assert twice.of(ErrorRaised)[0].code == "context_overflow"


async def test_a_window_that_is_too_small_for_the_task_ends_the_turn_by_name() -> None:
    played = await Stage(FILES, window=2_048).play("Look", [Say("unused")])
    assert played.of(ErrorRaised)[0].code == "context_exhausted"
    assert played.finished.stop_reason == "context_exhausted"
    assert played.model.requests == []


async def test_steering_reaches_the_model_before_its_next_answer() -> None:
    def during(run, event) -> None:
        if isinstance(event, ToolStarted):
            run.steer("Be quick.")

    played = await Stage(FILES).play("Look", [Say(work(), [READ]), Say("Done.")], during=during)
    assert played.of(Steered)[0].text == "Be quick."
    assert played.last_messages[-1] == {"role": "user", "content": "Be quick."}


async def test_steering_while_the_last_answer_comes_goes_on() -> None:
    said = []

    def during(run, event) -> None:
        if isinstance(event, TextFinished) and event.text == "Done." and not said:
            said.append(run.steer("One more thing."))

    played = await Stage(FILES).play("Look", [Say(work(), [READ]), Say("Done."), Say("That too.")], during=during)
    assert played.finished.summary == "That too."


async def test_steering_after_the_last_decision_is_refused() -> None:
    heard: list[bool] = []

    def during(run: Run, event: Event) -> None:
        if isinstance(event, PhaseFinished) and event.phase == "reflection":
            heard.append(run.steer("And now?"))

    played = await Stage(FILES).play("Look", [Say(work(), [READ]), Say("Done."), Say("Done again.")], during=during)
    assert heard == [True, False]
    assert played.finished.summary == "Done."


async def test_an_interrupted_call_gets_a_result_before_the_next_turn() -> None:
    stage = Stage(FILES)
    await stage.store.open_session("s", "x", [])
    call = {"id": "c1", "type": "function", "function": {"name": "run_command", "arguments": "{}"}}
    stage.store.add_message("s", "t0", {"role": "user", "content": "Run it"})
    stage.store.add_message("s", "t0", {"role": "assistant", "content": "", "tool_calls": [call]})
    played = await stage.play("And?", [Say(reply("It was interrupted."))])
    roles = [message["role"] for message in played.model.requests[0].messages]
    assert roles == ["system", "user", "assistant", "tool", "user"]
    assert played.model.requests[0].messages[3] == {"role": "tool", "tool_call_id": "c1", "content": INTERRUPTED}


async def test_resume_goes_on_from_the_position_without_triage() -> None:
    stage = Stage(FILES, ["accept"])
    with pytest.raises(KeyboardInterrupt):
        await stage.play("Set x", [Say(work(), [READ]), Say("", [EDIT]), Say("Never said.")], during=_stop_at_the_edit)
    played = await stage.play("Set x", [Say("x is 2 now.")], again=True)
    assert not played.of(Classified)
    assert [event.number for event in played.of(IterationStarted)] == [2]
    assert played.model.requests[0].messages[-1]["content"] == load("continue")
    assert played.workspace.files["a.py"].startswith("x = 2")
    assert played.finished.stop_reason == "end_turn"


def _stop_at_the_edit(_run, event) -> None:
    if isinstance(event, EditResolved):
        raise KeyboardInterrupt


async def test_the_cost_is_told_where_prices_are_set() -> None:
    usage = Usage(prompt=1_000, cached=600, completion=200)
    unpriced = await Stage().play("hi", [Say(reply("Hello!"), usage=usage)])
    assert unpriced.finished.metrics.cost is None
    for cached, cost in ((None, 0.0012), (0.5, 0.0009)):
        prices = Prices(prompt=1.0, completion=1.0, cached=cached)
        priced = await Stage().play("hi", [Say(reply("Hello!"), usage=usage)], prices=prices)
        assert priced.finished.metrics.cost == pytest.approx(cost)
        assert priced.finished.metrics.cached_tokens == 600


async def test_run_to_end_gives_the_result_alone() -> None:
    stage = Stage()
    ports = Ports(ScriptedModel([Say(reply("Hello!"))]), stage.workspace, ScriptedAsker(), stage.store)
    assert (await run_to_end(Task("hi", "s", "t"), ports)).summary == "Hello!"


async def test_two_texts_in_the_first_answer_are_two_items() -> None:
    class TwoTexts(ScriptedModel):
        async def complete(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
            async for event in super().complete(request):
                yield event
                if isinstance(event, TextFinished):
                    yield TextDelta(**request.origin, item="second", text="And more.")
                    yield TextFinished(**request.origin, item="second", text="And more.")

    stage = Stage()
    ports = Ports(TwoTexts([Say(reply("Hello!"))]), stage.workspace, ScriptedAsker(), stage.store)
    events = [event async for event in run(Task("hi", "s", "t"), ports)]
    assert [event.text for event in events if isinstance(event, TextFinished)] == ["Hello!", "And more."]


async def test_a_call_that_the_time_limit_cut_off_has_its_result_before_the_summary_is_asked_for() -> None:
    stage = Stage(FILES)

    class Stuck(MemoryWorkspace):
        async def read(self, path: str) -> Snapshot | Refusal:
            if path == "a.py":
                await asyncio.Event().wait()
            return await super().read(path)

    stage.workspace = Stuck(FILES)
    played = await stage.play("Look", [Say(work(), [READ, READ]), Say("Too slow.")], limits=Limits(seconds=0.3))
    assert played.finished.stop_reason == "max_time"
    results = [message["tool_call_id"] for message in played.last_messages if message["role"] == "tool"]
    assert results == ["call_1_0", "call_1_1"]
    logged = [message["content"] for _, message in await stage.store.messages("s") if message["role"] == "tool"]
    assert logged[0] == INTERRUPTED


async def test_half_a_character_from_the_model_ends_no_turn() -> None:
    played = await Stage(FILES).play(
        "Look", [Say(work("x\ud83d"), [("read_file", {"path": "a\ud83d"})]), Say("y\ude00")]
    )
    assert played.finished.stop_reason == "end_turn"
    bodies = [event.body for event in await played.store.events("s")]
    assert any(b'"text":"y?"' in body for body in bodies)


async def test_a_log_that_fails_in_the_middle_ends_the_turn_by_its_name() -> None:
    class FullDisk(MemoryStore):
        async def save_position(self, session: str, name: str, data: bytes) -> None:
            if len(await self.messages(session)) > 2:
                raise StoreError("The disk is full.", "Make room.")
            await super().save_position(session, name, data)

    stage = Stage(FILES)
    stage.store = FullDisk()
    played = await stage.play("Look", [Say(work(), [READ]), Say("", [READ]), Say("", [READ]), Say("Done.")])
    assert played.finished.stop_reason == "error"
    assert [event.code for event in played.of(ErrorRaised)] == ["store_failed"]


async def test_no_text_or_thought_begins_with_empty_lines() -> None:
    script = [Say(work(), [READ]), Say("\n\nDone.\n", thinking="\nI am done."), Say("\n")]
    played = await Stage(FILES).play("Look", script[:2])
    assert played.finished.summary == "Done."
    assert [event.text for event in played.of(TextFinished)][-1] == "Done.\n"
    assert played.of(ThinkingFinished)[-1].text == "I am done."
    assert "".join(event.text for event in played.of(TextDelta)).endswith("Done.\n")
    empty = await Stage(FILES).play("Look", [script[0], script[2], Say("Done.")])
    assert empty.finished.summary == "Done."
    assert [event.problem for event in empty.of(RecoveryTried)] == ["empty"]


async def test_an_answer_that_goes_round_in_circles_is_cut_and_asked_for_anew() -> None:
    endless = "I will look at the file again. " * 2_000
    played = await Stage(FILES).play("Look", [Say(work()), Say(endless), Say("Found it.")])
    assert played.finished.summary == "Found it."
    assert played.of(LoopDetected)
    assert any(event.finish_reason == "repeating" for event in played.of(ModelFinished))
    assert max(len(message.get("content") or "") for message in played.last_messages) < 20_000


async def test_a_call_that_only_repeats_itself_is_not_run_again() -> None:
    again = Say(calls=[("read_file", {"path": "a.py"})])
    played = await Stage(FILES).play("Look", [Say(work(), again.calls), *[again] * 3, Say("I see.")])
    assert "repeated" in [event.code for event in played.of(ToolFinished)]
    assert played.finished.stop_reason == "end_turn"


async def test_calls_beyond_the_budget_are_not_run_and_the_turn_ends_with_a_summary() -> None:
    reads = [("read_file", {"path": "a.py", "offset": n}) for n in range(1, 6)]
    played = await Stage(FILES).play("Look", [Say(work(), reads), Say("Read three.")], limits=Limits(tool_calls=3))
    assert len(played.of(ToolFinished)) == 3
    assert played.finished.stop_reason == "max_budget"
    assert played.finished.summary == "Read three."
    assert "tool_calls" in [event.budget for event in played.of(BudgetWarning)]


async def test_a_budget_of_tokens_ends_the_turn() -> None:
    usage = Usage(prompt=600, completion=10)
    reads = [Say(calls=[("read_file", {"path": "a.py", "offset": n})], usage=usage) for n in range(1, 9)]
    played = await Stage(FILES).play("Look", [Say(work()), *reads, Say("So far.")], limits=Limits(tokens=2_000))
    assert played.finished.stop_reason == "max_budget"
    assert played.finished.metrics.prompt_tokens <= 3_000


async def test_rules_that_a_compaction_took_away_are_said_again() -> None:
    files = {"sub/AGENTS.md": "Use tabs in here.", "sub/a.py": "x = 1\n", "a.py": "some words\n" * 800}
    stage = Stage(files, window=8_192)
    look = ("read_file", {"path": "sub/a.py"})
    reads = [Say("", [("read_file", {"path": "a.py", "offset": first, "limit": 150})]) for first in range(1, 200, 20)]
    played = await stage.play("Look", [Say(work(), [look]), *reads, Say("", [look]), Say("Done.")])
    assert played.of(Compacted)
    results = [event.text for event in played.of(ToolFinished)]
    assert "Use tabs in here." in results[0]
    assert "Use tabs in here." in results[-1]


@pytest.mark.parametrize(("domain", "told"), [("research", "path:line"), ("data", "sample"), ("coding", "")])
async def test_the_domain_of_a_task_decides_what_is_said_at_the_prompts_tail(domain: str, told: str) -> None:
    first = Say(work(domain=domain), [READ])
    played = await Stage(FILES).play("Look", [first, Say("Found.")])
    last = played.last_messages[-1]
    assert (last["role"], told in last["content"]) == ("user" if told else "tool", True)
