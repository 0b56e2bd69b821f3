"""What is offered with a task: the right places, as the user sees them, within bounds, in time."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.memory_index import MemoryIndex

from agentic.context.evidence import Hit, text_hits
from agentic.context.rank import rank
from agentic.context.regions import MAX_LINES
from agentic.context.retrieval import FEW_FILES, Budget, Offered, find, offer
from agentic.context.terms import terms_of
from agentic.disk.workspace import DiskWorkspace
from agentic.errors import Refusal
from agentic.ports.code_index import Found, IndexState, NoIndex, Symbol
from agentic.ports.workspace import Match, MemoryWorkspace, Workspace
from agentic.safety.paths import Roots
from agentic.task import Task

GATE = '''"""Lets requests in fairly."""


class Gate:
    def slot(self, seconds):
        """A place in the queue of an endpoint; waits until one is free."""
        waiting = self.queue.append(seconds)
        return waiting

    def leave(self):
        self.queue.pop()
'''
BREAKER = '''def open_circuit(failures):
    """Keep requests away from an endpoint after failures in a row."""
    return failures >= 2
'''
FILES = {
    "src/gate.py": GATE,
    "src/breaker.py": BREAKER,
    "tests/test_gate.py": "from src.gate import Gate\n\n\ndef test_slot():\n    assert Gate().slot(1)  # the queue\n",
    "docs/gate.md": "# The gate\n\nIt has a queue: a request waits for a slot.\n",
    **{f"src/part{n}.py": f"def part{n}(value):\n    return value + {n}\n" for n in range(FEW_FILES)},
}


async def offered(
    text: str,
    files: dict[str, str] | None = None,
    *,
    budget: int = 1200,
    already: Sequence[str] = (),
    open_files: tuple[str, ...] = (),
    workspace: Workspace | None = None,
) -> Offered:
    files = FILES if files is None else files
    task = Task(text, "s-1", "t-1", open_files=open_files)
    workspace = workspace or MemoryWorkspace(files)
    return await offer(task, workspace, MemoryIndex(files), Budget(budget, seconds=60), already=already)


async def test_shows_the_function_with_its_place_and_lines() -> None:
    result = await offered("Gate.slot should wait in the queue no longer than its seconds")
    assert result.paths[0] == "src/gate.py"
    assert result.text.startswith("Places in the workspace that may matter (found by search; look before you build")
    assert "\n\nsrc/gate.py:5-8 Gate.slot\n5\t    def slot(self, seconds):\n6\t" in result.text
    assert "\n8\t        return waiting" in result.text
    assert 0 < result.tokens <= 1200
    assert result == await offered("Gate.slot should wait in the queue no longer than its seconds")


async def test_a_description_without_names_finds_its_place() -> None:
    result = await offered("Requests should be kept away from an endpoint after three failures in a row")
    assert result.paths[0] == "src/breaker.py"


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("queue", ["z.py", "docs/z.md", "tests/z.py", "dist/z.min.js"]),
        ("the tests of the queue", ["tests/z.py", "z.py", "docs/z.md", "dist/z.min.js"]),
        ("the README on the queue", ["docs/z.md", "z.py", "tests/z.py", "dist/z.min.js"]),
        ("dist/z.min.js", ["dist/z.min.js", "z.py", "docs/z.md", "tests/z.py"]),
    ],
)
def test_tests_documents_and_made_files_come_last_unless_they_are_asked_for(text: str, order: list[str]) -> None:
    hits = [Hit(path, 1, 5.0) for path in sorted(order)]
    assert [file.path for file in rank(terms_of(text), hits)] == order


async def test_the_active_file_comes_before_its_equals() -> None:
    files = {**FILES, "src/one.py": "def shared_total(): ...\n", "src/two.py": "def shared_total(): ...\n"}
    assert (await offered("rename shared_total", files)).paths[:2] == ("src/one.py", "src/two.py")
    turned = await offered("rename shared_total", files, open_files=("src/two.py",))
    assert turned.paths[:2] == ("src/two.py", "src/one.py")


@pytest.mark.parametrize(
    "text",
    [
        'File "/home/me/project/src/breaker.py", line 3, in open_circuit\nTypeError: no comparison',
        "src/breaker.py:3: error: no comparison",
        "please look at breaker.py line by line",
        "look at src/breaker.py",
    ],
)
async def test_what_the_task_names_comes_first(text: str) -> None:
    result = await offered(f"It fails in the gate's queue with a slot:\n{text}")
    assert result.paths[0] == "src/breaker.py"


async def test_a_quoted_text_finds_its_line() -> None:
    assert (await offered("Where does « waits until one is free » come from?")).paths == ("src/gate.py",)


async def test_unsaved_text_is_what_is_shown() -> None:
    """The index knows what was on disk; the user has typed above it and in it since."""
    workspace = MemoryWorkspace({**FILES, "src/gate.py": "# typed\n# above\n" + GATE.replace("return", "yield")})
    result = await offered("Gate.slot should wait in the queue", workspace=workspace)
    assert "\nsrc/gate.py:7-10 Gate.slot\n7\t    def slot(self, seconds):\n" in result.text
    assert "\n10\t        yield waiting" in result.text


async def test_what_is_gone_is_not_shown() -> None:
    workspace = MemoryWorkspace({path: text for path, text in FILES.items() if path != "src/gate.py"})
    assert "src/gate.py" not in (await offered("Gate.slot should wait in the queue", workspace=workspace)).paths


async def test_files_that_the_model_was_given_are_not_repeated() -> None:
    result = await offered("Gate.slot should wait in the queue", already=["src/gate.py"])
    assert "src/gate.py" not in result.text


@pytest.mark.parametrize("budget", [0, 50, 100, 200, 400, 1200])
async def test_the_budget_is_kept(budget: int) -> None:
    files = {**FILES, **{f"src/q{n}.py": GATE.replace("Gate", f"Gate{n}") for n in range(9)}}
    result = await offered("Gate.slot waits in the queue for a place", files, budget=budget)
    assert result.tokens <= budget
    assert len(result.text.encode()) <= 3 * result.tokens
    assert bool(result.text) == bool(result.paths) == (budget >= 50)


async def test_a_long_function_is_shown_in_part() -> None:
    body = "".join(f"    step{n}()\n" for n in range(200))
    files = {**FILES, "src/long.py": f"def long_work():\n{body}    settle_accounts()\n{body}"}
    result = await offered("settle_accounts is called too early", files)
    lines = result.text.partition("src/long.py:")[2].split("\n")[1:]
    assert lines[4] == "202\t    settle_accounts()"
    assert 0 < sum("\t" in line for line in lines) <= MAX_LINES


@pytest.mark.parametrize(
    "text", ["Hello!", "", "danke, das war's", "What is the capital of Australia?", "请解释一下什么是区块链。"]
)
async def test_nothing_is_offered_when_nothing_is_good(text: str) -> None:
    assert await offered(text) == Offered()


async def test_nothing_is_offered_where_the_list_of_files_says_it_all() -> None:
    files = dict(list(FILES.items())[:FEW_FILES])
    assert await offered("Gate.slot waits in the queue", files) == Offered()
    assert await offer(Task("Gate.slot", "s", "t"), MemoryWorkspace(FILES), NoIndex()) == Offered()


class Stuck(MemoryIndex):
    """Full text and outlines never answer."""

    async def text(self, words: Sequence[str], limit: int) -> list[Found]:
        await asyncio.Event().wait()
        raise AssertionError

    async def outline(self, path: str) -> list[Symbol]:
        await asyncio.Event().wait()
        raise AssertionError


class HalfStuck(MemoryIndex):
    async def text(self, words: Sequence[str], limit: int) -> list[Found]:
        await asyncio.Event().wait()
        raise AssertionError


async def test_what_has_come_in_time_is_used() -> None:
    task = Task("Gate.slot should wait", "s-1", "t-1")
    result = await offer(task, MemoryWorkspace(FILES), HalfStuck(FILES), Budget(seconds=0.5))
    assert result.paths[0] == "src/gate.py"
    assert await offer(task, MemoryWorkspace(FILES), Stuck(FILES), Budget(seconds=0.1)) == Offered()


async def test_cancelling_is_passed_on() -> None:
    work = asyncio.create_task(
        offer(Task("Gate.slot", "s", "t"), MemoryWorkspace(FILES), Stuck(FILES), Budget(seconds=60))
    )
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


class Broken(MemoryWorkspace):
    """Searching fails, one way or the other."""

    def __init__(self, failure: Refusal | OSError) -> None:
        super().__init__(FILES)
        self.failure = failure

    async def search(self, pattern: str, glob: str, limit: int) -> list[Match] | Refusal:
        if isinstance(self.failure, OSError):
            raise self.failure
        return self.failure


@pytest.mark.parametrize("failure", [OSError("no more processes"), Refusal("timeout", "Too long.", "Simpler.")])
async def test_a_source_that_fails_leaves_the_others(failure: Refusal | OSError) -> None:
    result = await offered("Gate.slot should wait in the queue", workspace=Broken(failure))
    assert result.paths[0] == "src/gate.py"


async def test_names_that_stand_everywhere_do_not_hide_the_rare_one(tmp_path: Path) -> None:
    """With the real search, which stops after some hundred lines, in the order of paths."""
    files = {f"a/f{n:03}.py": "import_state = 1\n" * 9 for n in range(90)}
    files["z/last.py"] = "x = 1\nrare_thing = import_state\n"
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    workspace = DiskWorkspace(Roots([tmp_path]))
    task = Task("import_state and rare_thing differ", "s-1", "t-1")
    index = MemoryIndex({})
    index.state = IndexState(len(files), len(files), True)
    result = await offer(task, workspace, index, Budget(seconds=60))
    await workspace.close()
    assert result.paths == ("z/last.py",)
    assert "\n2\trare_thing = import_state" in result.text


async def test_finds_whatever_is_best_for_a_query() -> None:
    assert await find("elephant", MemoryWorkspace(FILES), MemoryIndex(FILES), 10, 60) == []
    regions = await find("queue", MemoryWorkspace(FILES), MemoryIndex(FILES), 10, 60)
    assert regions[0].path == "src/gate.py"
    regions = await find("queue of an endpoint", MemoryWorkspace(FILES), MemoryIndex(FILES), 10, 60)
    assert regions[0].place == "src/gate.py:5-8 Gate.slot"
    assert len(await find("queue of an endpoint", MemoryWorkspace(FILES), MemoryIndex(FILES), 1, 60)) == 1


async def test_one_word_alone_does_not_make_a_place_good() -> None:
    """`gate` is the file's very name; `breaker`, too, but here both words stand together."""
    assert await offered("Who invented the gate?") == Offered()
    assert (await offered("the breaker opens its circuit too early")).paths[0] == "src/breaker.py"


@pytest.mark.parametrize("text", ["문자열을 계산기로 나누기", "空文字列を計算機で割る", "把计算器的除法改好"])
def test_scripts_without_spaces_are_found_in_comments(text: str) -> None:
    comments = "# 계산기: 문자열 나누기\n# 計算機は空文字列を割る\n# 计算器的除法\n"
    hits = text_hits(terms_of(text).words, [Found("calc.py", 1, 4, 1.0, f"{comments}def divide(): ...\n")])
    assert [hit.path for hit in hits] == ["calc.py"]
    assert not text_hits(terms_of(text).words, [Found("calc.py", 1, 1, 1.0, "def divide(): ...\n")])
