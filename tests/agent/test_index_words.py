"""Words, excerpts and the database, over many texts."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.indexing import write

from agentic.context.index.builder import Builder
from agentic.context.index.excerpt import MAX_LINES, best_lines
from agentic.context.index.places import Places
from agentic.context.index.queries import Queries
from agentic.context.index.schema import open_for_writing
from agentic.context.index.words import MAX_WORD, query_words, words_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("getUserName", "getusername get user name"),
        ("HTTPServer2", "httpserver2 http server"),
        ("read_config_file", "read_config_file read config file"),
        ("_private", "_private private"),
        ("MAX_SIZE", "max_size max size"),
        ("a-b.cd", "cd"),
        ("café", "café"),
        ("계산기를", "계산기를 계산 산기 기를"),
        ("漢", "漢"),
        ("123456789 x 42", "42"),
        ("y" * (MAX_WORD + 1), ""),
        ("", ""),
    ],
)
def test_the_words_of_a_text(text: str, expected: str) -> None:
    assert words_of(text) == set(expected.split())


def test_a_question_asks_for_the_whole_first() -> None:
    assert query_words(["getUserName(), read"]) == {"getusername": ("get", "user", "name"), "read": ()}


def test_the_excerpt_is_where_most_words_stand_together() -> None:
    lines = ["alpha", *["-"] * 20, "beta alpha", "-", "gamma", *["-"] * 20, "gamma"]
    found = best_lines(lines, {"alpha": 1.0, "beta": 1.0, "gamma": 1.0})
    assert found is not None
    assert found[:2] == (21, 23)
    assert best_lines(lines, {"delta": 1.0}) is None


@given(st.lists(st.text("ab c\n", max_size=8), max_size=40))
def test_an_excerpt_begins_and_ends_with_a_hit(lines: list[str]) -> None:
    found = best_lines(lines, {"ab": 1.0, "ca": 2.0})
    hits = [index for index, line in enumerate(lines) if words_of(line) & {"ab", "ca"}]
    assert (found is None) == (not hits)
    if found is not None:
        first, last, score = found
        assert {first, last} <= set(hits)
        assert first <= last < first + MAX_LINES
        assert score > 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=200) | st.text("aB_1 \n\r계", max_size=400), min_size=1, max_size=6))
def test_every_word_of_a_file_is_found_in_it(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder: Path = tmp_path_factory.mktemp("words")
    root, database = folder / "project", folder / "own" / "a.db"
    write(root, {f"file{index}.txt": text.encode(errors="replace") for index, text in enumerate(texts)})
    connection = open_for_writing(database)
    Builder(connection, Places([("", root)], database.parent), database.with_suffix(".reading"), lambda *_: None).scan()
    queries = Queries(database, [("", root)])
    try:
        for index, text in enumerate(texts):
            if "\0" in text:
                continue
            runs = re.findall(r"\w+", text.encode(errors="replace").decode(errors="replace"))
            for word in [run for run in runs if words_of(run)][:5]:
                assert f"file{index}.txt" in {one.path for one in queries.text([word], 50)}, word
    finally:
        queries.close()
        connection.close()
