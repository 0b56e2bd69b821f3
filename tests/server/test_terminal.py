"""The agent in a terminal: what a person reads of a run, and what their keys mean."""

from __future__ import annotations

import asyncio
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from agentic import events as e
from agentic.change import Change, Edit
from agentic.control.types import Problem
from agentic.ports.asker import YES_NO, Proposal, Question, Reply, Verdict
from agentic_server.terminal import TerminalView
from agentic_server.terminal_asker import CLOSED, NOBODY, NOBODY_TO_REVIEW, TerminalAsker
from agentic_server.terminal_order import OneAtATime
from agentic_server.terminal_words import PROBLEMS, metrics_line, progress_bar

MAIN = e.Origin(session_id="s", turn_id="t", agent="main")
SUB = e.Origin(session_id="s", turn_id="t", agent="tester")
HUNK = e.Hunk(id="h1", start_line=1, end_line=2, diff="")
DIFF = "--- a/lamp.py\n+++ b/lamp.py\n@@ -1 +1 @@\n-lit = False\n+lit = True\n"
METRICS = e.Metrics(
    seconds=3.21, tool_calls=2, prompt_tokens=1000, cached_tokens=870, hit_share=0.87, completion_tokens=45
)

RUN: list[e.Event] = [
    e.TurnStarted(**MAIN, text="Light the lamp.", mode="ask"),
    e.Classified(**MAIN, domain="coding", confidence=0.9, complexity=0.25, language="en", route="work"),
    e.PhaseStarted(**MAIN, phase="retrieval"),
    e.RetrievalProgress(**MAIN, done=1, total=2),
    e.RetrievalResult(**MAIN, paths=["lamp.py"], tokens=1200),
    e.PhaseFinished(**MAIN, phase="retrieval", seconds=0.1),
    e.PlanUpdated(
        **MAIN,
        steps=[
            e.PlanStep("Look", "completed"),
            e.PlanStep("Mend", "in_progress"),
            e.PlanStep("Test"),
            e.PlanStep("?", "failed"),
        ],
    ),
    e.ModelStarted(**MAIN, request="r1", endpoint="a", model="m", attempt=1, prompt_tokens=5),
    e.FirstToken(**MAIN, request="r1", seconds=0.1),
    e.TextDelta(**MAIN, item="x0", text="I thi"),
    e.ItemWithdrawn(**MAIN, item="x0"),
    e.Failover(**MAIN, request="r1", endpoint="a", to="b", code="stream_broken", reason="the stream broke", wait=2.0),
    e.ThinkingDelta(**MAIN, item="k1", text="It is\ndark."),
    e.ThinkingFinished(**MAIN, item="k1", text="It is\ndark."),
    e.TextDelta(**MAIN, item="x1", text="I look "),
    e.TextDelta(**MAIN, item="x1", text="at the lamp [bold]."),
    e.TextFinished(**MAIN, item="x1", text="I look at the lamp [bold]."),
    e.ToolCallDelta(**MAIN, item="c1", name="edit_file", arguments="{}"),
    e.ToolStarted(**MAIN, item="c1", tool="edit_file", tool_kind="edit", title="edit lamp.py", arguments="{}"),
    e.EditProposed(**MAIN, item="p1", call="c1", path="lamp.py", version="1", creates=False, diff=DIFF, hunks=[HUNK]),
    e.EditResolved(**MAIN, item="p1", outcome="applied", path="lamp.py", version="2", saved=False),
    e.ToolFinished(**MAIN, item="c1", status="completed", text="ok"),
    e.ToolStarted(**MAIN, item="c0", tool="update_plan", tool_kind="think", title="a plan", arguments="{}"),
    e.ToolFinished(**MAIN, item="c0", status="completed", text="ok"),
    e.ToolStarted(**MAIN, item="c2", tool="run_command", tool_kind="execute", title="run make", arguments="{}"),
    e.Asked(**MAIN, question="q1", call="c2", title="Run make?", detail="make\nin .", options=list(YES_NO)),
    e.Answered(**MAIN, question="q1", option="allow_once", by="user"),
    e.ToolOutput(**MAIN, item="c2", stream="stdout", text="one\ntw"),
    e.ToolOutput(**MAIN, item="c2", stream="stdout", text="o"),
    e.ToolFinished(**MAIN, item="c2", status="failed", text="exit code 2\nmore", code="timeout"),
    e.SubAgentStarted(**MAIN, name="tester", text="Test it.", priority=1),
    e.TextDelta(**SUB, item="y1", text="Tes"),
    e.TextFinished(**SUB, item="y1", text="Tested."),
    e.SubAgentFinished(**MAIN, name="tester", stop_reason="end_turn", summary="It works."),
    e.BudgetWarning(**MAIN, budget="tokens", used=80000, limit=100000),
    e.ErrorRaised(**MAIN, code="endpoint_unreachable", message="Nobody answers.", hint="Start the server."),
    e.TurnFinished(**MAIN, stop_reason="end_turn", summary="The lamp is lit.", metrics=METRICS, files=["lamp.py"]),
]

SHOWN = """\
› Light the lamp.
· coding, work (complexity 0.2, by model)
· offered: lamp.py (about 1,200 tokens)
Plan
  ✔ Look
  ▸ Mend
  ○ Test
  ✘ ?
I thi
(what stands above is withdrawn: its attempt failed)
! the stream broke; trying b in 2 s
∴ It is dark. (3 words of thought)
I look at the lamp [bold].
● edit lamp.py
  ± lamp.py (1 hunk, proposed)
    --- a/lamp.py
    +++ b/lamp.py
    @@ -1 +1 @@
    -lit = False
    +lit = True
  ✔ lamp.py: applied, not saved yet: it is open in the editor
  ✔ edit lamp.py
● run make
? Run make?
    make
    in .
  → Allow
  │ one
  │ two
  ✘ run make: exit code 2
tester │ ⇉ Test it.
tester │ Tested.
tester │ ⇇ has finished
tester │ It works.
! 80,000 of 100,000 tokens used
✘ Nobody answers. [endpoint_unreachable]
  Start the server.
The lamp is lit.
changed: lamp.py
✔ done · 3.2 s · 1,000 tokens in, 87% cached · 45 out · 2 tool calls
"""


def shown(*run: e.Event, thinking: bool = False, terminal: bool = False) -> str:
    file = io.StringIO()
    view = TerminalView(
        Console(file=file, force_terminal=terminal, width=60, color_system="standard" if terminal else "auto"), thinking
    )
    for event in run:
        view.render(event)
    view.close()
    return file.getvalue()


def test_a_run_on_a_pipe_is_plain_text() -> None:
    assert shown(*RUN) == SHOWN


def test_a_run_on_a_terminal_says_the_same_in_colour() -> None:
    coloured = shown(*RUN, terminal=True)
    assert "\x1b[32m    +lit = True\x1b[0m" in coloured
    assert "\x1b[31m    -lit = False\x1b[0m" in coloured
    assert "thinking…" in coloured, "a spinner tells what is being waited for"
    assert coloured.rindex("\x1b[?25h") > coloured.rindex("\x1b[?25l"), "the cursor is back"


def test_text_appears_as_it_comes() -> None:
    file = io.StringIO()
    view = TerminalView(Console(file=file))
    view.render(e.TextDelta(**MAIN, item="x", text="half a sen"))
    assert file.getvalue() == "half a sen"
    view.close()
    view.close()
    assert file.getvalue() == "half a sen\n"


def test_thoughts_are_folded_unless_they_are_wanted() -> None:
    text = "word " * 60
    run = e.ThinkingDelta(**MAIN, item="k", text=text), e.ThinkingFinished(**MAIN, item="k", text=text)
    assert shown(*run) == f"∴ {('word ' * 20).strip()}… (60 words of thought)\n"
    assert shown(*run, thinking=True) == f"{text}\n"


def test_a_summary_that_was_already_read_is_not_repeated() -> None:
    end = e.TurnFinished(**MAIN, stop_reason="max_time", summary="Done.", metrics=e.Metrics())
    said = e.TextFinished(**MAIN, item="x", text="Done.")
    assert shown(said, end) == "Done.\n✘ ended: max_time · 0.0 s · 0 tokens in · 0 out · 0 tool calls\n"


def of(name: str) -> e.Origin:
    return e.Origin(session_id="s", turn_id="t", agent=name)


def begun(name: str, text: str = "Do it.", **fields: Any) -> e.SubAgentStarted:
    return e.SubAgentStarted(**MAIN, name=name, text=text, priority=1, **fields)


def ran(agent: e.Origin, item: str, title: str = "Run make") -> e.ToolStarted:
    return e.ToolStarted(**agent, item=item, tool="run_command", tool_kind="execute", title=title, arguments="{}")


def test_what_a_sub_agent_does_in_its_copy_is_told_under_its_name_and_once() -> None:
    run: list[e.Event] = [
        begun("tester", "Test it.", depends_on=["api"]),
        e.ToolStarted(**SUB, item="c", tool="edit_file", tool_kind="edit", title="Edit a.py", arguments="{}"),
        e.EditProposed(**SUB, item="p", call="c", path="a.py", version="1", creates=False, diff=DIFF, hunks=[HUNK]),
        e.EditResolved(**SUB, item="p", outcome="applied", path="a.py"),
        e.ToolFinished(**SUB, item="c", status="completed", text="ok"),
        e.TextFinished(**SUB, item="y", text="Tested.\nFact: it works"),
        e.SubAgentFinished(
            **MAIN, name="tester", stop_reason="end_turn", summary="Tested.\nFact: it works", files=["a.py"]
        ),
    ]
    assert shown(*run) == (
        "tester │ ⇉ Test it. (after api)\n"
        "tester │ ● Edit a.py\n"
        "tester │ Tested.\n"
        "tester │ Fact: it works\n"
        "tester │ ⇇ has finished · a.py\n"
    )
    assert "tester │     +lit = True\n" in shown(*run, thinking=True), "the diff is there for those who want all"


def test_what_two_print_at_once_comes_in_whole_lines() -> None:
    one, two = of("api"), of("web")
    run: list[e.Event] = [
        begun("api"),
        begun("web"),
        ran(one, "c1"),
        ran(two, "c2"),
        e.ToolOutput(**one, item="c1", stream="stdout", text="one\ntw"),
        e.ToolOutput(**two, item="c2", stream="stdout", text="eins\nzw"),
        e.ToolOutput(**one, item="c1", stream="stdout", text="o\nthr"),
        e.ToolFinished(**two, item="c2", status="completed", text="eins\nzw\n[exit code 2]"),
        e.ToolFinished(**one, item="c1", status="completed", text="one\ntwo\nthr\n[exit code 0]"),
    ]
    assert shown(*run).split("\n")[4:] == [
        "api    │   one",
        "web    │   eins",
        "api    │   two",
        "web    │   zw",
        "web    │   ! Run make: exit code 2",
        "api    │   thr",
        "api    │   ✔ Run make",
        "",
    ]


def test_on_a_terminal_every_piece_of_a_long_line_stands_beside_the_name() -> None:
    words = " ".join(["many"] * 40)
    coloured = shown(begun("tester"), e.TextFinished(**SUB, item="y", text=f"  {words}"), terminal=True)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", coloured).strip("\n").split("\n")[1:]
    assert len(lines) > 3
    assert all(line.startswith("tester │ many") and len(line) <= 60 for line in lines)


def test_what_a_council_says_is_told_once_and_long_texts_are_folded() -> None:
    text = "".join(f"{number}. step\n" for number in range(1, 21))
    run: list[e.Event] = [
        begun("tester", "You look for faults.", role="member"),
        e.TextFinished(**SUB, item="y", text=text),
        e.CouncilProposal(**MAIN, council="c", role="tester", text=text),
        e.CouncilCritique(**MAIN, council="c", role="tester", about="data", text="Slow."),
        e.TextFinished(**SUB, item="y", text='{"tester": {"score": 8}}'),
        e.CouncilDecision(
            **MAIN, council="c", ranking=["tester", "mute"], reason="So.", dissent=["No."], scores={"tester": 0.8}
        ),
        e.SubAgentFinished(**MAIN, name="tester", stop_reason="end_turn", summary='{"tester": {"score": 8}}'),
    ]
    steps = [f"tester │ {number}. step\n" for number in range(1, 21)]
    head, rest = (
        ["tester │ ⇉ joins the council\n", "tester │ ◇ proposes\n"],
        [
            "tester │ ◇ on data's proposal\n",
            "tester │ Slow.\n",
            "◆ decided: tester (0.80) > mute. So.\n",
            "  dissent: No.\n",
        ],
    )
    folded = "tester │ … 8 more lines; the log has all\n"
    assert shown(*run) == "".join([*head, *steps[:12], folded, *rest])
    assert shown(*run, thinking=True) == "".join([*head, *steps, *rest])


def test_a_member_that_drops_out_is_told() -> None:
    why = "It answered nothing, twice."
    gone = e.SubAgentFinished(**MAIN, name="tester", stop_reason="error", summary=why)
    assert shown(begun("tester", role="member"), e.ErrorRaised(**SUB, code="empty", message=why), gone).split("\n")[
        1:
    ] == [
        f"tester │ ✘ {why} [empty]",
        "tester │ ⇇ ended: error",
        "",
    ]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (e.BudgetWarning(**SUB, budget="tool_calls", used=241, limit=300), "! 241 of 300 tool calls used"),
        (e.LoopDetected(**SUB, pattern="read_file a", count=3), "! the model repeats itself (read_file a, 3 times)"),
        (
            e.Compacted(**SUB, before=9000, after=5000, by="summary"),
            "· the window was full: old turns were summed up (9,000 → 5,000 tokens)",
        ),
        (e.RetrievalResult(**SUB, paths=["a.py", "b.py"], tokens=900), "· offered: a.py, b.py (about 900 tokens)"),
        (e.ErrorRaised(**SUB, code="timeout", message="No answer."), "✘ No answer. [timeout]"),
    ],
)
def test_what_befalls_a_sub_agent_is_one_line_under_its_name(event: e.Event, line: str) -> None:
    assert shown(event) == f"tester │ {line}\n"


def test_a_diff_that_was_allowed_as_a_part_of_the_whole_is_not_shown_again() -> None:
    detail = f"lamp.py +1 −1\n\n{DIFF}"
    asked = e.Asked(**MAIN, question="q", call="c", title="Apply all?", detail=detail, options=list(YES_NO))
    edit = e.EditProposed(**MAIN, item="p", call="c", path="lamp.py", version="1", creates=False, diff=DIFF, hunks=[])
    yes, no = (e.Answered(**MAIN, question="q", option=option, by="user") for option in ("allow_once", "each"))
    assert shown(asked, yes, edit).count("+lit = True") == 1
    assert shown(asked, no, edit).count("+lit = True") == 2


def test_while_a_question_stands_nothing_is_shown_but_its_answer() -> None:
    seen: list[e.Event] = []
    order = OneAtATime(seen.append)
    questions = [
        e.Asked(**of(name), question=name, call="c", title="?", detail="", options=[]) for name in ("api", "web")
    ]
    answers = [e.Answered(**of(name), question=name, option="", by="user") for name in ("api", "web")]
    talk = [e.TextFinished(**SUB, item=str(number), text="") for number in range(3)]
    for event in (talk[0], questions[0], talk[1], questions[1], talk[2]):
        order.push(event)
    assert seen == [talk[0], questions[0]]
    order.push(answers[0])
    assert seen[2:] == [answers[0], talk[1], questions[1]]
    order.push(answers[1])
    assert seen[5:] == [answers[1], talk[2]]


def test_an_answer_that_came_before_its_question_could_be_shown_closes_it() -> None:
    seen: list[e.Event] = []
    order = OneAtATime(seen.append)
    asked, proposed = ASKED, PROPOSED
    answered = e.Answered(**MAIN, question="q", option="", by="cancelled")
    resolved = e.EditResolved(**MAIN, item="p", outcome="rejected", path="lamp.py")
    for event in (proposed, asked, answered, resolved):
        order.push(event)
    assert seen == [proposed, resolved, asked, answered]
    order.push(asked)
    order.push(proposed)
    order.flush()
    assert seen[4:] == [asked, proposed]


@pytest.mark.parametrize("problem", get_args(Problem))
def test_every_problem_has_words(problem: str) -> None:
    assert problem in PROBLEMS


def test_an_error_is_told_once() -> None:
    error = e.ErrorRaised(**MAIN, code="endpoint_unreachable", message="Nobody answers.", hint="Start the server.")
    end = e.TurnFinished(**MAIN, stop_reason="error", summary="Nobody answers. Start the server.", metrics=e.Metrics())
    assert shown(error, end).count("Nobody answers.") == 1


def test_a_second_attempt_at_the_same_endpoint_is_told_as_such() -> None:
    again = e.Failover(**MAIN, request="r", endpoint="a", to="a", code="stream_broken", reason="The stream broke.")
    assert shown(again) == "! The stream broke; trying again\n"


@settings(max_examples=60)
@given(st.text(alphabet=st.sampled_from("ab[/]\x1b\x07\x08\x9b\r\n\t;31m0\\")))
def test_nothing_that_is_shown_steers_the_terminal(text: str) -> None:
    run: list[e.Event] = [
        e.TextDelta(**MAIN, item="x", text=text),
        e.ToolOutput(**MAIN, item="c", stream="stdout", text=text),
        e.ErrorRaised(**MAIN, code="internal", message=text, hint=text),
        e.EditProposed(**MAIN, item="p", call="c", path=text, version="1", creates=True, diff=text, hunks=[]),
    ]
    plain = shown(*run)
    assert not [character for character in plain if ord(character) < 32 and character not in "\n\t"]
    assert "\x9b" not in plain


@pytest.mark.parametrize("kind", e.EVENT_TYPES)
def test_every_kind_of_event_can_be_shown(kind: type[Any]) -> None:
    TerminalView(Console(file=io.StringIO())).render(sample(kind))


def test_figures_that_were_not_measured_are_left_out() -> None:
    full = e.Metrics(first_token_seconds=0.5, tokens_per_second=41.7, cost=0.25, tool_calls=1)
    assert metrics_line(full) == (
        "0.0 s · 0 tokens in · 0 out · first token after 0.50 s · 42 tokens/s · 1 tool call · cost 0.2500"
    )


def test_tokens_that_the_server_does_not_tell_are_not_given_as_none() -> None:
    silent = e.Metrics(model_calls=2, seconds=1.3)
    assert metrics_line(silent) == "1.3 s · tokens not told by the server · 0 tool calls"


def test_a_command_that_failed_is_not_ticked_off() -> None:
    def ended(text: str) -> str:
        started = e.ToolStarted(
            **MAIN, item="c", tool="run_command", title="Run make", tool_kind="execute", arguments="{}"
        )
        return shown(started, e.ToolFinished(**MAIN, item="c", status="completed", text=text))

    assert "! Run make: exit code 2" in ended("No rule.\n[exit code 2]")
    assert "✔ Run make" in ended("Built.\n[exit code 0]")


def test_progress_is_a_bar_where_the_end_is_known() -> None:
    assert progress_bar(1, 4, width=8) == "━━────── 1 of 4"
    assert progress_bar(1200, None) == "1,200"
    assert progress_bar(9, 4, width=2) == "━━ 9 of 4"


QUESTION = Question("q", "s", "t", "c", "Run make?", "make")
CHANGE = Change("lamp.py", "1", "a\nb\nc\n", (Edit(0, 1, "A"), Edit(2, 3, "B"), Edit(4, 5, "C")))
HUNKS = tuple(e.Hunk(id=f"h{i}", start_line=i, end_line=i + 1, diff="") for i in (1, 2, 3))
PROPOSAL = Proposal("p", "s", "t", "c", CHANGE, HUNKS, "")
ASKED = e.Asked(**MAIN, question="q", call="c", title="Run make?", detail="make", options=[])
PROPOSED = e.EditProposed(
    **MAIN, item="p", call="c", path="lamp.py", version="1", creates=False, diff="", hunks=list(HUNKS)
)


@dataclass
class Person:
    """Someone at a pseudo terminal, who types only after the prompt that they answer."""

    descriptor: int
    stdin: IO[str]
    stdout: IO[str]

    async def types(self, prompt: str, keys: str) -> str:
        """Wait for the prompt, type, and give what was to be read by then."""
        seen = ""
        while not seen.endswith(prompt):
            seen += (await asyncio.to_thread(os.read, self.descriptor, 4096)).decode()
        os.write(self.descriptor, keys.encode())
        return seen


@pytest.fixture
def person() -> Iterator[Person]:
    outer, inner = os.openpty()
    with open(inner, encoding="utf-8", closefd=False) as stdin, open(inner, "w", encoding="utf-8") as stdout:
        yield Person(outer, stdin, stdout)
    os.close(outer)


def asker_of(person: Person, *seen: e.Event) -> TerminalAsker:
    """One who asks this person, who has seen these events."""
    asker = TerminalAsker(person.stdin, person.stdout)
    for event in seen:
        asker.shown(event)
    return asker


async def ask(person: Person, question: Question, *answers: tuple[str, str]) -> Reply:
    asking = asyncio.create_task(asker_of(person, ASKED).ask(question))
    for prompt, keys in answers:
        await person.types(prompt, keys)
    return await asking


async def review(person: Person, *answers: tuple[str, str]) -> Verdict:
    reviewing = asyncio.create_task(asker_of(person, PROPOSED).review(PROPOSAL))
    for prompt, keys in answers:
        await person.types(prompt, keys)
    return await reviewing


YES_OR_NO = "Run make? [y] Allow, [n] Reject: "


@pytest.mark.parametrize(("keys", "allowed"), [("y\n", True), ("Y\n", True), ("n\n", False)])
async def test_a_key_is_an_answer(person: Person, keys: str, allowed: bool) -> None:
    reply = await ask(person, QUESTION, (YES_OR_NO, keys))
    assert (reply.allowed, reply.by) == (allowed, "user")


async def test_what_is_no_answer_is_asked_again(person: Person) -> None:
    reply = await ask(person, QUESTION, (YES_OR_NO, "\n"), (YES_OR_NO, "perhaps\n"), (YES_OR_NO, "n\n"))
    assert reply.option == "reject_once"


async def test_the_end_of_input_is_a_no(person: Person) -> None:
    assert await ask(person, QUESTION, (YES_OR_NO, "\x04")) == Reply("", by="cancelled", text=CLOSED)


async def test_keys_typed_before_the_question_do_not_answer_it(person: Person) -> None:
    os.write(person.descriptor, b"y\n")
    reply = await ask(person, QUESTION, (YES_OR_NO, "n\n"))
    assert reply.option == "reject_once"


async def test_options_are_numbered_and_free_text_is_welcome_where_it_is(person: Person) -> None:
    options = (e.Option("red", "Red"), e.Option("blue", "Blue"))
    plain = Question("q", "s", "t", "c", "Which?", "", options)
    free = Question("q", "s", "t", "c", "Which?", "", options, free_text=True)
    prompt = "Which? [1] Red, [2] Blue: "
    assert await ask(person, plain, (prompt, "2\n")) == Reply("blue")
    assert await ask(person, free, (prompt, "green, please\n")) == Reply("", text="green, please")


async def test_hunks_are_settled_one_by_one(person: Person) -> None:
    prompts = [f"lamp.py:{n}, hunk {n} of 3: [a]ccept, [r]eject, all, none: " for n in (1, 2, 3)]
    mixed = await review(person, *zip(prompts, ("a\n", "r\n", "a\n"), strict=True))
    assert mixed == Verdict({"h1": "accept", "h2": "reject", "h3": "accept"})


@pytest.mark.parametrize(
    ("rest", "verdict"),
    [
        ("all\n", Verdict({"h1": "reject", "h2": "accept", "h3": "accept"})),
        ("none\n", Verdict({"h1": "reject", "h2": "reject", "h3": "reject"})),
        ("\x04", Verdict({"h1": "reject"}, by="cancelled", reason=CLOSED)),
    ],
)
async def test_the_rest_can_be_settled_at_once(person: Person, rest: str, verdict: Verdict) -> None:
    first, second = (f"hunk {n} of 3: [a]ccept, [r]eject, all, none: " for n in (1, 2))
    assert await review(person, (first, "r\n"), (second, rest)) == verdict


async def test_a_question_can_be_withdrawn_and_the_next_one_asked(person: Person) -> None:
    asker = asker_of(person, ASKED)
    first = asyncio.create_task(asker.ask(QUESTION))
    await person.types(YES_OR_NO, "")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(asker.ask(QUESTION))
    await person.types(YES_OR_NO, "y\n")
    assert (await second).allowed


async def test_a_prompt_waits_until_what_it_is_about_has_been_shown(person: Person) -> None:
    asker = asker_of(person)
    answering = asyncio.gather(asker.review(PROPOSAL), asker.ask(QUESTION))
    for event, prompt in ((PROPOSED, "hunk 1 of 3: [a]ccept, [r]eject, all, none: "), (ASKED, YES_OR_NO)):
        await asyncio.sleep(0)
        person.stdout.write("Look!")
        person.stdout.flush()
        assert prompt not in await person.types("Look!", "")
        asker.shown(event)
        await person.types(prompt, "\x04")
    await answering


async def test_on_a_pipe_nobody_is_asked() -> None:
    asker = TerminalAsker(io.StringIO("y\n"), io.StringIO())
    reply = await asker.ask(QUESTION)
    assert (reply.allowed, reply.by, reply.text) == (False, "policy", NOBODY)
    assert await asker.review(PROPOSAL) == Verdict({}, by="policy", reason=NOBODY_TO_REVIEW)


async def test_with_yes_everything_is_allowed_by_policy() -> None:
    asker = TerminalAsker(io.StringIO(), io.StringIO(), yes=True)
    reply = await asker.ask(QUESTION)
    verdict = await asker.review(PROPOSAL)
    assert (reply.allowed, reply.by) == (True, "policy")
    assert (set(verdict.hunks.values()), len(verdict.hunks), verdict.by) == ({"accept"}, 3, "policy")
    assert not (await asker.ask(Question("q", "s", "t", "c", "Which?", "", (e.Option("red", "Red"),)))).allowed


def sample(kind: type[Any]) -> Any:
    """An event of this kind with some value for each field."""
    import msgspec

    values: dict[str, Any] = {
        "str": "x", "int": 1, "float": 1.0, "bool": True, "Metrics": METRICS, "Usage": e.Usage(),
        "Mode": "ask", "Domain": "coding", "Route": "work", "StopReason": "end_turn", "Phase": "model",
        "ToolKind": "read", "Outcome": "rejected", "AnsweredBy": "user", "int | None": None,
    }  # fmt: skip
    required = [field for field in msgspec.structs.fields(kind) if field.required]
    chosen = {field.name: values.get(kind_name(field.type), "x") for field in required}
    return kind(**chosen | {name: [] for name in chosen if name in ("steps", "paths", "options", "hunks", "ranking")})


def kind_name(type_: Any) -> str:
    return getattr(type_, "__name__", str(type_))
