"""Searching for code by words and names."""

from dataclasses import replace

import pytest
from support.memory_index import MemoryIndex
from toolbench import Bench

from agentic.ports.code_index import NoIndex
from agentic.tools.registry import TOOLS

FILES = {
    "src/gate.py": (
        "class Gate:\n    def slot(self, seconds):\n        '''A place in the queue of an endpoint.'''\n\n"
        "        return self.queue.append(seconds)\n"
    ),
    "src/other.py": "def endpoint():\n    return 'an endpoint'\n",
    **{f"src/part{n:02}.py": f"def work_on_part(value):\n    return value + {n}\n" for n in range(30)},
}


def bench(index: MemoryIndex | NoIndex | None = None) -> Bench:
    made = Bench(FILES)
    made.context = replace(made.context, index=index or MemoryIndex(FILES))
    return made


async def test_gives_places_with_their_symbol_and_some_lines() -> None:
    result = await bench().call("search_code", {"query": "queue of an endpoint"})
    assert result.code == ""
    assert result.text.startswith(
        "src/gate.py:2-5 Gate.slot\n2\t    def slot(self, seconds):\n"
        "3\t        '''A place in the queue of an endpoint.'''\n"
    )
    assert result.text.endswith(
        "\n[Ranked by words and names, the best first. Read on with read_file and the line as offset.]"
    )


async def test_a_name_is_enough() -> None:
    assert (await bench().call("search_code", {"query": "Gate.slot"})).text.startswith("src/gate.py:")
    assert (await bench().call("search_code", {"query": "endpoint"})).text.startswith(
        "src/other.py:1-2 endpoint\n1\tdef"
    )


@pytest.mark.parametrize(("limit", "places"), [({}, 10), ({"limit": 3}, 3), ({"limit": "500"}, 20), ({"limit": -1}, 1)])
async def test_the_number_of_places_is_bounded(limit: dict[str, object], places: int) -> None:
    result = await bench().call("search_code", {"query": "work_on_part", **limit})
    assert result.text.count(" work_on_part\n1\tdef work_on_part(value):") == places


async def test_tells_how_far_the_index_is() -> None:
    half = MemoryIndex({"src/other.py": FILES["src/other.py"]}, complete=False, total=32)
    result = await bench(half).call("search_code", {"query": "Gate.slot"})
    assert result.text.endswith("[The index is still being built: 1 of 32 files so far, so more may be found later.]")
    begun = MemoryIndex({}, complete=False)
    begun.state = replace(begun.state, total=None)
    result = await bench(begun).call("search_code", {"query": "elephant"})
    assert result.text == (
        "Nothing found for elephant. Try other words, or search_text for an exact text, or find_files for a name.\n"
        "[The index is still being built: 0 files so far, so more may be found later.]"
    )


async def test_names_are_found_in_the_files_themselves_while_nothing_is_indexed() -> None:
    result = await bench(MemoryIndex({}, complete=False)).call(
        "search_code", {"query": "work_on_part in FILES of `Gate`"}
    )
    assert "src/gate.py:1-5\n1\tclass Gate:" in result.text


@pytest.mark.parametrize("query", ["", "  ", "?!", "((("])
async def test_a_query_without_words_is_refused(query: str) -> None:
    result = await bench().call("search_code", {"query": query})
    assert result.code == "bad_arguments"
    assert "search_text" in result.text


async def test_stop_words_alone_are_searched_as_they_are() -> None:
    result = await bench().call("search_code", {"query": "what is it"})
    assert result.code == ""
    assert result.text.startswith("Nothing found for what is it.")


async def test_no_line_is_endless() -> None:
    files = {**FILES, "src/long.py": f"def elephant():\n    return '{'x' * 9000}'\n"}
    made = Bench(files)
    made.context = replace(made.context, index=MemoryIndex(files))
    assert len((await made.call("search_code", {"query": "elephant"})).text) < 600


def test_the_description_says_when_to_use_which() -> None:
    assert "search_text" in TOOLS["search_code"].description
    assert TOOLS["search_code"].title(TOOLS["search_code"].arguments(query="a b")) == "Search the code for a b"
