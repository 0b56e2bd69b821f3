"""The map of the repository: what is used most comes first, near what is in focus, within the budget."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.memory_index import MemoryIndex

from agentic.context.repo_map import MAX_FILES, MAX_NODES, Edge, RepoMap, page_rank, repo_map
from agentic.context.retrieval import Budget, offer
from agentic.ports.code_index import NoIndex
from agentic.ports.workspace import MemoryWorkspace
from agentic.task import Task

FILES = {
    "core.py": "class Engine:\n    def start(self): ...\n    def _hidden(self): ...\n\nLIMIT = 3\n",
    "a.py": "from core import Engine\n\n\ndef make_a():\n    return Engine()\n",
    "b.py": "from core import Engine\n\n\ndef make_b():\n    return Engine().start()\n",
    "main.py": "from a import make_a\n\n\ndef main():\n    make_a()\n",
    **{f"part{n}.py": f"def part{n}(): ...\n" for n in range(9)},
}


async def test_what_is_used_most_comes_first_with_what_it_defines() -> None:
    made = await repo_map(MemoryIndex(FILES))
    first, second, *_ = made.text.split("\n")[1:]
    assert first == "core.py: Engine, Engine.start"
    assert second == "a.py: make_a"
    assert made.paths[:2] == ("core.py", "a.py")
    assert set(made.paths) == {"core.py", "a.py", "b.py", "main.py"}
    assert len(made.text.encode()) / 3 <= made.tokens <= 1000


async def test_focus_draws_the_map_near() -> None:
    edges = [("left.py", "one.py", 1), ("right.py", "two.py", 1), ("right.py", "three.py", 1)]
    assert page_rank(edges, ["left.py"])["one.py"] > 0
    assert page_rank(edges, ["left.py"])["two.py"] == 0
    assert page_rank(edges, ["right.py"])["two.py"] > page_rank(edges, ["right.py"])["one.py"]
    assert page_rank(edges, ["elsewhere.py"]) == page_rank(edges)


def test_ranks_of_a_small_graph_are_those_of_the_paper() -> None:
    """a and b use c, c uses a: solved by hand for the damping of 0.85."""
    ranks = page_rank([("a", "c", 1), ("b", "c", 1), ("c", "a", 1)])
    b = 0.15 / 3
    c = (b + 0.85 * b + 0.85 * b) / (1 - 0.85**2)
    assert ranks["b"] == pytest.approx(b, abs=1e-3)
    assert ranks["c"] == pytest.approx(c, abs=2e-2)
    assert ranks["c"] > ranks["a"] > ranks["b"]


NAMES = st.sampled_from("abcdefgh")


@given(st.lists(st.tuples(NAMES, NAMES, st.integers(0, 9)), max_size=40), st.sets(NAMES))
def test_ranks_are_shares_whatever_the_graph(edges: list[Edge], focus: set[str]) -> None:
    ranks = page_rank(edges, focus)
    assert all(rank >= 0 for rank in ranks.values())
    assert sum(ranks.values()) == pytest.approx(1.0 if ranks else 0.0)
    assert ranks == page_rank(edges, focus)


@pytest.mark.parametrize("budget", [0, 20, 40, 60, 1000])
async def test_the_budget_is_kept(budget: int) -> None:
    made = await repo_map(MemoryIndex(FILES), budget)
    assert made.tokens <= budget
    assert bool(made.text) == bool(made.paths)


async def test_where_nothing_is_known_there_is_no_map() -> None:
    assert await repo_map(NoIndex()) == RepoMap()


def test_a_large_repository_is_bounded() -> None:
    """Thousands of files, of which those with the most references are ranked."""
    chance = random.Random(1)
    edges = [(f"f{chance.randrange(9000)}", f"f{chance.randrange(9000)}", 1) for _ in range(20_000)]
    edges += [(f"f{n}", "hub", 5) for n in range(500)]
    ranks = page_rank(edges)
    assert len(ranks) == MAX_NODES
    assert max(ranks, key=ranks.__getitem__) == "hub"


async def test_the_map_of_2000_files_costs_about_1000_tokens() -> None:
    files = {f"pkg{n % 40}/m{n}.py": module(n) for n in range(2000)}
    made = await repo_map(MemoryIndex(files))
    assert 800 <= made.tokens <= 1000
    assert len(made.paths) <= MAX_FILES
    assert made == await repo_map(MemoryIndex(files))


def module(number: int) -> str:
    """A module that uses the ten hubs and one neighbour."""
    used = f"function_{number % 10}() + function_{(number * 7) % 2000}()"
    return f"class Type{number}:\n    def method(self): ...\n\n\ndef function_{number}():\n    return {used}\n"


async def test_an_offer_has_a_map_only_where_it_is_asked_for() -> None:
    task, workspace, index = Task("Engine.start is slow", "s-1", "t-1"), MemoryWorkspace(FILES), MemoryIndex(FILES)
    plain = await offer(task, workspace, index, Budget(seconds=60))
    mapped = await offer(task, workspace, index, Budget(seconds=60, map_tokens=1000))
    assert "Map of the workspace" not in plain.text
    assert mapped.text.startswith("Map of the workspace")
    assert mapped.text.endswith(plain.text)
    assert mapped.paths == plain.paths
    assert mapped.tokens > plain.tokens
    hello = Task("Hello!", "s-1", "t-1")
    assert (await offer(hello, workspace, index, Budget(seconds=60, map_tokens=1000))).text == ""
