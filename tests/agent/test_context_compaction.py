"""Old turns summed up by the model: what comes of it, what is not taken, and how often it may happen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.grammar import check
from support.prompts import Conversations
from support.runs import reply, work

from agentic.context.budget import budget_of
from agentic.context.compaction import files_message
from agentic.context.history import COMPACTION, History
from agentic.context.marks import is_files, is_note, is_stub, is_summary
from agentic.context.prompts import load
from agentic.context.trim import goal_of
from agentic.errors import ContextExhausted, StreamBroken
from agentic.events import (
    Compacted,
    ErrorRaised,
    Event,
    ModelFinished,
    PhaseFinished,
    PhaseStarted,
    TextDelta,
    TurnFinished,
)
from agentic.graph.window import PromptWindow
from agentic.ports.asker import ScriptedAsker
from agentic.ports.model import Answer, Message, ModelRequest, Say, ScriptedModel, TokenCount, ToolCall, ToolSpec
from agentic.ports.store import MemoryStore
from agentic.ports.workspace import MemoryWorkspace
from agentic.runtime import Ports, Run, run
from agentic.task import Limits, Task
from agentic.tools.registry import tool_specs

FACTS = "## Goal\nTell what the files hold.\n## Facts\n0.py sets x (0.py:1).\n## Next\nRead the files that are left."
PAGE = "some words here\n" * 60


class Summing(ScriptedModel):
    """Answers requests for a summary from a script of their own: one entry each, the last one again and again."""

    def __init__(self, script: Iterable[Say], window: int, summaries: Sequence[Say] = (Say(FACTS),)) -> None:
        super().__init__(script, window)
        self.summaries = list(summaries)
        self.asked: list[ModelRequest] = []
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens while a summary is written."""

    async def complete(self, request: ModelRequest) -> AsyncGenerator[Any]:
        if "Write the summary" in request.messages[-1]["content"]:
            self.asked.append(request)
            self.meanwhile()
            self.script.insert(0, self.summaries[0] if len(self.summaries) == 1 else self.summaries.pop(0))
        async for event in super().complete(request):
            yield event

    async def tokens(self, request: ModelRequest) -> int:
        return sum(count.tokens for count in await self.count(request.messages, request.tools))

    async def count(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[TokenCount]:
        """About what a real tokenizer counts."""
        return [TokenCount(len(json.dumps(one, ensure_ascii=False)) // 4 + 8) for one in (*messages, *tools)]

    @property
    def answered(self) -> list[ModelRequest]:
        """The requests that were not for a summary."""
        return [request for request in self.requests if "Write the summary" not in request.messages[-1]["content"]]


@dataclass
class World:
    """One session: turns are played in it one after the other."""

    files: dict[str, str]

    def __post_init__(self) -> None:
        self.workspace = MemoryWorkspace(self.files)
        self.store = MemoryStore()
        self.prompts = Conversations()
        self.turns = 0

    def begin(self, text: str, model: ScriptedModel, **limits: Any) -> Run:
        self.turns += 1
        limits = {"iterations": 200, "recursion": 1000} | limits
        task = Task(text, "s", f"t{self.turns}", "auto", Limits(**limits))
        return run(task, Ports(model, self.workspace, ScriptedAsker(), self.store))

    async def play(self, text: str, model: ScriptedModel, **limits: Any) -> list[Event]:
        events: list[Event] = []
        async for event in self.begin(text, model, **limits):
            events.append(event)
            self.store.append(event)
        check(events)
        self.prompts.add_run(model.requests, events)
        return events

    async def logged(self) -> list[Message]:
        return [message for _, message in await self.store.messages("s")]


def compactions(events: Sequence[Event]) -> list[Compacted]:
    return [event for event in events if isinstance(event, Compacted)]


def talkative(number: int, words: int = 160) -> list[Say]:
    """Answers of which the most is said, not read: shrinking outputs frees little."""
    texts = [" ".join(f"w{place}x{n}" for place in range(words)) for n in range(number)]
    texts[0] = work(texts[0])
    return [Say(text, [("read_file", {"path": f"{n}.py"})]) for n, text in enumerate(texts)]


def small(number: int) -> World:
    return World({f"{n}.py": f"x{n} = {n}\n" for n in range(number)})


def done(events: Sequence[Event]) -> str:
    last = events[-1]
    assert isinstance(last, TurnFinished)
    return last.stop_reason


async def test_outputs_are_shrunk_where_that_is_enough_and_nobody_is_asked() -> None:
    world = World({f"{n}.py": f"# {n}\n{PAGE}" for n in range(40)})
    model = Summing([*talkative(40, words=1), Say("Done.")], 16_384)
    events = await world.play("Look", model)
    assert {one.by for one in compactions(events)} == {"outputs"}
    assert model.asked == []


async def test_old_turns_become_a_summary_that_the_model_writes() -> None:
    world = small(40)
    model = Summing([*talkative(40), Say("Done.")], 16_384)
    events = await world.play("Tell what they hold", model)
    assert done(events) == "end_turn"
    [first, *_] = compactions(events)
    assert {one.by for one in compactions(events)} == {"summary"}
    assert first.after <= budget_of(16_384) * 3 / 4 < first.before
    system, task, summary, *rest = model.answered[-1].messages
    assert (system["role"], task["content"].split("\n")[0]) == ("system", "Tell what they hold")
    assert is_summary(summary)
    assert summary["content"].endswith(FACTS)
    assert "not the user's words" in summary["content"]
    assert [message["role"] for message in rest[:2]] == ["assistant", "tool"]


async def test_the_summary_is_asked_of_the_conversation_as_the_server_knows_it() -> None:
    world = small(40)
    model = Summing([*talkative(40), Say("Done.")], 16_384)
    await world.play("Tell", model)
    request = model.asked[0]
    before = model.requests[model.requests.index(request) - 1]
    assert list(request.messages[:-1]) == list(before.messages[: len(request.messages) - 1])
    assert request.tools == before.tools
    assert request.max_tokens == 2048
    assert "At most 1536 tokens" in request.messages[-1]["content"]


async def test_the_counts_of_the_event_are_those_of_the_prompts() -> None:
    world = small(40)
    model = Summing([*talkative(40), Say("Done.")], 16_384)
    events = await world.play("Tell", model)
    [compacted, *_] = compactions(events)
    after = model.requests[model.requests.index(model.asked[0]) + 1]
    assert compacted.after == await model.tokens(after)
    previous = model.requests[model.requests.index(model.asked[0]) - 1]
    assert compacted.before > await model.tokens(previous)
    assert not compacted.exact


async def test_a_summary_is_a_phase_of_its_own_and_its_text_is_said_to_nobody() -> None:
    world = small(40)
    events = await world.play("Tell", Summing([*talkative(40), Say("Done.")], 16_384))
    begins = next(at for at, e in enumerate(events) if isinstance(e, PhaseStarted) and e.phase == "compaction")
    ends = next(at for at, e in enumerate(events) if isinstance(e, PhaseFinished) and e.phase == "compaction")
    inside = events[begins + 1 : ends]
    assert isinstance(inside[-1], ModelFinished)
    assert not any(FACTS[:8] in event.text for event in events if isinstance(event, TextDelta))


async def test_what_the_user_said_stays_word_for_word_and_in_order() -> None:
    world = small(60)
    said = [f"Do part {n}: \n\n<context>\nnot closed" for n in range(4)]
    asked = 0
    for text in said:
        model = Summing([*talkative(14), Say("Done.")], 16_384)
        await world.play(text, model)
        asked += len(model.asked)
    assert asked
    users = [message["content"] for message in model.answered[-1].messages if message["role"] == "user"]
    own = [text for text in users if not text.startswith("[agentic]")]
    assert [text.rpartition("\n\n<context>\nmode:")[0] or text for text in own] == said
    assert "files at the top" not in own[0]
    assert "files at the top" in own[-1]


async def test_files_edited_last_are_offered_again_as_they_are_now() -> None:
    world = small(40)
    edit = Say("I change it.", [("edit_file", {"path": "3.py", "old": "x3 = 3", "new": "x3 = 33"})])
    script = talkative(40)
    model = Summing([*script[:4], edit, *script[4:], Say("Done.")], 16_384)
    await world.play("Change one", model)
    place = model.requests.index(model.asked[0]) + 1
    [offered] = [message for message in model.requests[place].messages if is_files(message)]
    assert '<file path="3.py">\n1\tx3 = 33\n</file>' in offered["content"]


async def test_a_file_that_was_offered_again_counts_as_read() -> None:
    """The user changed it meanwhile; what was offered is their text."""
    world = small(40)
    script = talkative(40)
    edit = Say("I change it.", [("edit_file", {"path": "3.py", "old": "x3 = 3", "new": "x3 = 33"})])
    write = Say("I write it.", [("write_file", {"path": "3.py", "content": "x3 = 4\n"})])
    model = Summing([*script[:4], edit, *script[4:], write, Say("Done.")], 16_384)

    def type_on() -> None:
        world.workspace.files["3.py"] = "x3 = 5\n"
        world.workspace.versions["3.py"] += 1

    model.meanwhile = type_on
    await world.play("Change one", model)
    [_] = model.asked
    assert world.workspace.files["3.py"] == "x3 = 4\n"


async def test_the_plan_stands_after_the_summary_as_it_is_now() -> None:
    world = small(40)
    script = talkative(40)
    script[0] = replace(script[0], text=work(script[0].text.partition("\n")[2], plan=["Read all", "Tell"]))
    steps = [{"text": "Read all", "status": "in_progress"}, {"text": "Tell them", "status": "pending"}]
    script.insert(3, Say("I plan anew.", [("update_plan", {"steps": steps})]))
    model = Summing([*script, Say("Done.")], 16_384)
    await world.play("Tell", model)
    [summary] = [message["content"] for message in model.answered[-1].messages if is_summary(message)]
    assert summary.endswith("## Plan, as the user sees it now\n- in_progress: Read all\n- pending: Tell them")


async def test_a_file_that_is_gone_or_too_large_is_not_offered() -> None:
    world = World({"big.py": "line of text\n" * 2000, **{f"{n}.py": "x\n" for n in range(40)}})
    script = talkative(40)
    edit = ("edit_file", {"path": "big.py", "old": "nowhere", "new": "x"})
    model = Summing([*script[:4], Say("", [edit]), *script[4:], Say("Done.")], 16_384)
    await world.play("Change one", model)
    assert model.asked
    assert not any(is_files(message) for message in model.answered[-1].messages)


async def test_later_turns_send_the_same_bytes_and_the_log_keeps_everything() -> None:
    world = small(40)
    model = Summing([*talkative(30), Say("Done.")], 16_384)
    await world.play("Tell", model)
    assert model.asked
    later = History(world.store, "s", "t2", load("system"))
    await later.load()
    assert list(later.for_server)[: len(model.answered[-1].messages)] == list(model.answered[-1].messages)
    logged = await world.logged()
    assert sum(message["role"] == "tool" for message in logged) == 30
    assert sum(message["role"] == COMPACTION for message in logged) == len(model.asked)


async def test_a_second_summary_takes_the_place_of_the_first() -> None:
    world = small(90)
    later = Say(FACTS.replace("0.py", "many files"))
    model = Summing([*talkative(80), Say("Done.")], 16_384, [Say(FACTS), later])
    await world.play("Tell", model)
    assert len(model.asked) >= 2
    assert is_summary(model.asked[1].messages[2])
    summaries = [message["content"] for message in model.answered[-1].messages if is_summary(message)]
    assert len(summaries) == 1
    assert "many files sets x" in summaries[0]
    counts = [int(text.split()[3]) for text in summaries]
    assert counts[0] > len(model.asked[0].messages)


USELESS = {
    "empty": Say("  \n"),
    "a word": Say("OK."),
    "cut off": Say(FACTS, finish_reason="length"),
    "a call instead": Say("", [("read_file", {"path": "0.py"})]),
    "a failure": Say(error=StreamBroken("It broke.")),
    "longer than what it replaces": Say("word " * 40_000),
}


@pytest.mark.parametrize("useless", USELESS.values(), ids=USELESS.keys())
async def test_a_summary_of_no_use_is_not_taken_and_old_exchanges_are_dropped(useless: Say) -> None:
    world = small(60)
    model = Summing([*talkative(60), Say("Done.")], 16_384, [useless])
    events = await world.play("Tell", model)
    assert done(events) == "end_turn"
    assert {one.by for one in compactions(events)} == {"dropped"}
    assert len(model.asked) == 1, "a model that cannot is not asked again"
    last = model.answered[-1].messages
    assert sum(map(is_note, last)) == 1
    assert not any(map(is_summary, last))
    assert not [event for event in events if isinstance(event, ErrorRaised)]


async def test_cancelled_in_the_middle_of_a_compaction_the_conversation_is_as_it_was() -> None:
    class Hanging(Summing):
        async def complete(self, request: ModelRequest) -> AsyncGenerator[Any]:
            async for event in super().complete(request):
                yield event
                if self.asked and isinstance(event, TextDelta):
                    await asyncio.Event().wait()

    world = small(40)
    running = world.begin("Tell", Hanging([*talkative(40), Say("Done.")], 16_384))
    events: list[Event] = []
    async for event in running:
        events.append(event)
        world.store.append(event)
        if isinstance(event, PhaseStarted) and event.phase == "compaction":
            running.cancel()
    check(events)
    assert done(events) == "cancelled"
    assert not compactions(events)
    assert not [message for message in await world.logged() if message["role"] == COMPACTION]
    later = Summing([Say(reply("Here."))], 65_536)
    await world.play("Go on", later)
    assert not any(is_stub(message) or is_summary(message) for message in later.requests[0].messages)


async def test_a_conversation_too_long_for_its_own_summary_is_trimmed_first() -> None:
    """The window has become smaller since: another model serves the session."""
    world = small(60)
    await world.play("Tell", Summing([*talkative(60), Say("Done.")], 65_536))
    model = Summing([Say(reply("Go."))], 16_384)
    events = await world.play("And now", model)
    assert [one.by for one in compactions(events)] == ["summary"]
    [asked] = model.asked
    assert await model.tokens(asked) + (asked.max_tokens or 0) <= 16_384
    assert is_note(asked.messages[2])


# The small windows: nothing overflows, and nothing loops.


class Reader(Summing):
    """Reads each file page by page, as the results tell it."""

    def __init__(self, window: int, summary: Say) -> None:
        super().__init__([], window, [summary])
        self.read = [0] * 5

    async def complete(self, request: ModelRequest) -> AsyncGenerator[Any]:
        if "Write the summary" not in request.messages[-1]["content"]:
            self.script = [self.next(request.messages)]
        async for event in super().complete(request):
            yield event

    def next(self, messages: Sequence[Message]) -> Say:
        text = str(messages[-1]["content"])
        if messages[-1]["role"] == "tool":
            shown = [int(line.split("\t")[0]) for line in text.splitlines() if line.split("\t")[0].isdigit()]
            self.read[self.file] = max(shown)
        unread = [file for file in range(5) if self.read[file] < 200]
        if not unread:
            return Say("All read.")
        self.file = unread[0]
        call = ("read_file", {"path": f"{self.file}.py", "offset": self.read[self.file] + 1})
        return Say(work() if not any(self.read) else "", [call])


@pytest.mark.parametrize("summary", [Say(FACTS), Say("")], ids=["summing", "dropping"])
async def test_five_files_of_two_hundred_lines_in_a_window_of_4096(summary: Say) -> None:
    lines = "".join(f"    value_{n} = compute(value_{n - 1})\n" for n in range(200))
    world = World({f"{n}.py": lines for n in range(5)})

    model = Reader(4096, summary)
    events = await world.play("Read the five files", model)
    assert (done(events), model.read) == ("end_turn", [200] * 5)
    for request in model.answered:
        assert await model.tokens(request) <= 3072
        assert (request.max_tokens or 0) >= 1024


async def test_compactions_without_progress_end_the_turn_by_name_and_at_most_one_is_made() -> None:
    """The task fills the window but for a little: each answer needs room that there hardly is."""
    budget, ends, fruitless = budget_of(16_384), set[str](), list[int]()
    for left in range(60, 700, 40):
        world, model = small(40), Summing([*talkative(40, words=12), Say("Done.")], 16_384)
        head = await model.count([{"role": "system", "content": load("system")}], tool_specs())
        events = await world.play("word" * (budget - sum(count.tokens for count in head) - left), model)
        ends.add(done(events))
        task = await model.count(model.answered[0].messages[1:2]) if model.answered else []
        goal = goal_of(budget, sum(count.tokens for count in (*head, *task)))
        fruitless.append(sum(one.after > goal for one in compactions(events)))
        if done(events) == "context_exhausted":
            [error] = [event for event in events if isinstance(event, ErrorRaised)]
            assert error.code == "context_exhausted"
            assert "larger window" in error.hint
        assert model.asked == [], "no summary makes room for itself here"
    assert ends == {"context_exhausted", "end_turn"}
    assert max(fruitless) == 1, fruitless


words = st.integers(0, 4000).flatmap(
    lambda length: st.sampled_from(["word ", "가나다 ", "x", "{}\n"]).map(lambda w: (w * length)[:length])
)


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, str]]:
    kinds = st.sampled_from(["user", "answer", "nudge", "exchange", "exchange", "exchange"])
    return [(draw(kinds), draw(words)) for _ in range(draw(st.integers(1, 14)))]


class Window(PromptWindow):
    """A window over a conversation in memory, whose help writes what it is given."""

    def __init__(self, tokens: int, summary: str) -> None:
        self.model = ScriptedModel([], tokens)
        self.store = MemoryStore()
        self.history = History(self.store, "s", "t", "rule " * 20)
        self.text = summary
        super().__init__(self.model, self.history)

    async def summary(self, messages: Sequence[Message], tokens: int) -> str:
        counts = await self.model.count(messages, tool_specs())
        assert sum(count.tokens for count in counts) + tokens <= self.model.window
        return self.text

    async def files(self, paths: Sequence[str], tokens: int, count: Any) -> Message | None:
        message = files_message([("a.py", "1\tx")])
        return message if message is not None and count(message) <= tokens else None


@settings(max_examples=60, deadline=None)
@given(steps(), st.sampled_from([4096, 8192, 16_384]), st.sampled_from(["", FACTS, "word " * 900]))
def test_the_prompt_is_within_its_budget_at_all_times_or_the_turn_ends(
    said: list[tuple[str, str]], tokens: int, summary: str
) -> None:
    asyncio.run(_fits_at_all_times(said, tokens, summary))


async def _fits_at_all_times(said: list[tuple[str, str]], tokens: int, summary: str) -> None:
    window = Window(tokens, summary)
    await window.store.open_session("s", "title", [])
    window.history.add_user("the task\n\n<context>\nmode: ask\n</context>")
    for number, (kind, text) in enumerate(said):
        add(window.history, number, kind, text)
        before = list(window.history.for_server)
        try:
            done = await window.fit(16_384, window)
        except ContextExhausted:
            assert list(window.history.for_server) == before
            return
        now = (await window.count()).tokens
        assert now <= budget_of(tokens)
        assert await window.room(16_384) >= 1024
        if done is not None:
            assert (done.after, done.before > budget_of(tokens)) == (now, True)
            assert own(window.history.for_server)[0] == "the task"
        window.told(Answer().usage, 0)


def add(history: History, number: int, kind: str, text: str) -> None:
    match kind:
        case "user":
            history.add_user(text)
        case "nudge":
            history.add_user(f"[agentic] {text}")
        case "answer":
            history.add_answer(Answer(texts={"i": text}))
        case _:
            history.add_answer(Answer(calls={"i": ToolCall(f"c{number}", "read_file", '{"path": "a.py"}')}))
            history.add_result(f"c{number}", text)


def own(messages: Sequence[Message]) -> list[str]:
    """The user's words, without the context of tasks."""
    texts = [str(message["content"]) for message in messages if message["role"] == "user"]
    return [text.partition("\n\n<context>")[0] for text in texts if not text.startswith("[agentic]")]
