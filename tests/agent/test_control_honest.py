"""Honest runs, long and repetitive as they are, raise no alarm: nothing is told, blocked or ended."""

import itertools
import json
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.replay import Call, Said, command, edit, read, replay, search

from agentic.control.state import fresh

FAILING = (
    "============ FAILURES ============\n"
    + "    def test_total():\n>       assert total([1, 2]) == 3\nE       assert 4 == 3\n" * 4
    + "1 failed, 41 passed in 0.31s"
)
TRACE = "Traceback (most recent call last):\n" + "  File 'reproduce.py', line 12, in <module>\n" * 9 + "ValueError: 4"
STATUS = "On branch main\nChanges not staged for commit:\n\tmodified:   a.py\n" * 4
PHASES = 19


class Work:
    """Makes phases of honest work; what a person would vary is varied, the rest comes again to the letter."""

    def __init__(self, seed: int = 0) -> None:
        self._numbers = itertools.count()
        self._pick = random.Random(seed)

    def run(self, phases: list[tuple[int, int]]) -> Iterator[Said | Call]:
        """Phases by number, each of a length; between two of them something new is looked at, as in life."""
        for kind, length in phases:
            yield self.look()
            yield from self.phase(kind, length)

    def new(self) -> int:
        return next(self._numbers)

    def look(self) -> Call:
        n = self.new()
        return command(f"grep -rn name_{n} src | head", f"src/m{n}.py:{n}: name_{n} = 1")

    def heredoc(self) -> Call:
        n = self.new()
        return command(f"cat > reproduce.py <<'EOF'\nprint({n})\nEOF")

    def phase(self, kind: int, length: int) -> Iterator[Said | Call]:
        makers = (
            *(
                self.explore,
                self.edit_and_test,
                self.sed_and_test,
                self.same_failure_from_attempts,
                self.read_in_pieces,
            ),
            *(self.git_round, self.commit, self.misses, self.poll_unchanged, self.poll_progress, self.script_again),
            *(self.twice, self.edit_one_file, self.view_again, self.fails_then_works, self.submit, self.plan_and_act),
            *(self.parallel_reads, self.silent_commands),
        )
        assert len(makers) == PHASES
        return makers[kind](length)

    def explore(self, length: int) -> Iterator[Call]:
        yield command("ls -la", "total 48\n-rw-r--r-- a.py")
        for n in (self.new() for _ in range(length)):
            yield command(f"cd /repo && cat src/m{n}.py", f"import os\n\nvalue = {n}\n" * 20)

    def edit_and_test(self, length: int) -> Iterator[Call]:
        """The same test fails in the same way after each of many different edits."""
        for n in (self.new() for _ in range(length)):
            yield edit("a.py", f"x = {n}", f"x = {n + 1}")
            yield command("python -m pytest tests/test_a.py -q", FAILING, 1)

    def sed_and_test(self, length: int) -> Iterator[Call]:
        for n in (self.new() for _ in range(length)):
            yield command(f"sed -i 's/{n}/{n + 1}/' a.py")
            yield command("python -m pytest tests/test_a.py -q", FAILING, 1)

    def same_failure_from_attempts(self, length: int) -> Iterator[Call]:
        """Each attempt is one command that changes something and tests it: other calls, the same long output."""
        for n in (self.new() for _ in range(min(length, 9))):
            yield command(f"sed -i 's/{n}/{n + 1}/' a.py && python -m pytest -q", FAILING, 1)

    def read_in_pieces(self, length: int) -> Iterator[Call]:
        n = self.new()
        for start in range(1, 100 * length, 100):
            yield command(f"sed -n '{start},{start + 99}p' big_{n}.py", f"line {start}\n" * 30)
            yield read(f"big_{n}.py", f"{start}\tline {start}\n" * 30, offset=start)

    def git_round(self, length: int) -> Iterator[Call]:
        for _ in range(min(length, 3)):
            yield command("git status", STATUS)
            yield command("git diff", STATUS * 3)

    def commit(self, length: int) -> Iterator[Call]:
        n = self.new()
        yield command(f"git add m{n}.py")
        yield command("git add -A")
        yield command(f"git commit -qm 'Step {n}'")

    def misses(self, length: int) -> Iterator[Call]:
        for n in (self.new() for _ in range(length)):
            yield command(f"grep -rn missing_{n} .", "", 1)
        for n in (self.new() for _ in range(length)):
            yield search(f"missing_{n}")

    def poll_unchanged(self, length: int) -> Iterator[Call]:
        for _ in range(min(length, 9)):
            yield command("sleep 30; tail -n 3 build.log", "[ 40%] Building CXX object")

    def poll_progress(self, length: int) -> Iterator[Call]:
        for percent in range(length):
            yield command("sleep 10")
            yield command("make status", f"[{percent // 3:3}%] building")

    def script_again(self, length: int) -> Iterator[Call]:
        for _ in range(length):
            yield self.heredoc()
            yield command("python reproduce.py", TRACE, 1)

    def twice(self, length: int) -> Iterator[Call]:
        yield command("python -m pytest -q", FAILING, 1)
        yield command("python -m pytest -q", FAILING, 1)

    def edit_one_file(self, length: int) -> Iterator[Call]:
        for n in (self.new() for _ in range(length)):
            yield edit("a.py", f"a{n}", f"b{n}", "Edited a.py.")

    def view_again(self, length: int) -> Iterator[Call]:
        for n in (self.new() for _ in range(length)):
            yield command(f"sed -i 's/q/{n}/' a.py")
            yield command("cat a.py", "import os\n" * 40)

    def fails_then_works(self, length: int) -> Iterator[Call]:
        for n in (self.new() for _ in range(min(length, 4))):
            yield edit("a.py", f"{n}", "y", "not_found: the text is not in a.py. Read it again.", "not_found")
            yield read("a.py", "1\tx = 1")
        yield edit("a.py", f"x{self.new()}", "y")

    def submit(self, length: int) -> Iterator[Call]:
        yield command("echo COMPLETE_TASK && git add -A && git diff --cached", "diff --git a/a.py b/a.py\n" * 9)
        yield command("echo COMPLETE_TASK && git add -A && git diff --cached", "diff --git a/a.py b/a.py\n" * 9)

    def plan_and_act(self, length: int) -> Iterator[Said]:
        for n in (self.new() for _ in range(length)):
            tick = Call("update_plan", json.dumps({"done": n}), "The plan is updated.", "think")
            yield Said((tick, command(f"python step_{n}.py", f"step {n}")), "Now the next step of the plan.")

    def parallel_reads(self, length: int) -> Iterator[Said]:
        for _ in range(min(length, 4)):
            yield Said(tuple(read(f"src/{self.new()}.py") for _ in range(5)), "Let me look at these files.")

    def silent_commands(self, length: int) -> Iterator[Call]:
        for n in (self.new() for _ in range(length)):
            yield command(f"mkdir -p build/{n} && touch build/{n}/x")


@pytest.mark.parametrize("kind", range(PHASES))
def test_each_kind_of_honest_work_goes_on_undisturbed(kind: int) -> None:
    run = replay([*Work().run([(kind, 12)] * 4), Said(text="All tests pass now.")])
    assert run.alarms == []
    assert run.end is not None
    assert run.end.reason == "end_turn"


@settings(max_examples=150, deadline=None)
@given(
    phases=st.lists(st.tuples(st.integers(0, PHASES - 1), st.integers(1, 12)), min_size=1, max_size=16),
    seed=st.integers(0, 99),
)
def test_honest_work_in_any_order_goes_on_undisturbed(phases: list[tuple[int, int]], seed: int) -> None:
    run = replay([*Work(seed).run(phases), Said(text="Done: the total is right now.")])
    assert run.alarms == []


@pytest.mark.parametrize("seed", range(30))
def test_runs_of_commands_with_many_repeats_go_on_undisturbed(seed: int) -> None:
    """As recorded runs of agents are: about eighty commands, some come again often, none thrice in a row."""
    pick, work = random.Random(seed), Work(seed)
    usual = [
        command("python -m pytest -q", FAILING, 1),
        command("python reproduce.py", TRACE, 1),
        command("git status", STATUS),
        command("git diff", STATUS * 2),
        command("ls", "a.py  tests"),
        command("cat a.py", "import os\n" * 40),
        command("git add -A"),
    ]
    steps: list[Call] = []
    for _ in range(80):
        fresh_one = pick.choice([work.look, work.heredoc])
        steps += [pick.choice(usual)] if pick.random() < 0.4 else [fresh_one()]
    steps = [one for at, one in enumerate(steps) if steps[max(0, at - 2) : at] != [one, one]]
    assert replay(steps).alarms == []


def test_a_long_research_reads_on() -> None:
    answers = [Said(tuple(read(f"{n}.{m}") for m in range(3))) for n in range(18)]
    assert replay([*answers, Said(text="What I found: …")], fresh("ask", "research")).alarms == []
    assert replay([*answers, Said(text="The plan: …")], fresh("plan", "coding")).alarms == []


def test_a_rejected_edit_now_and_then_is_no_alarm() -> None:
    def rounds() -> Iterator[Call]:
        for n in range(4):
            yield edit("a.py", f"{n}", "x", "rejected: the user said: smaller, please", "rejected")
            yield read("a.py", f"1\tx = {n}")
            yield edit("a.py", f"{n}", "y")
            yield command("pytest -q", f"{n} passed")

    assert replay(rounds()).alarms == []
