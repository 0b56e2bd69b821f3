"""The words of a task that are worth searching for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.context.terms import (
    MAX_CHARS,
    MAX_NAMES,
    MAX_PATHS,
    MAX_PHRASES,
    MAX_WORDS,
    Spot,
    forms,
    split_name,
    stem,
    terms_of,
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("make parseHttpHeader faster", ["parseHttpHeader"]),
        ("make parse_http_header faster", ["parse_http_header"]),
        ("MAX_FILE_BYTES is too small", ["MAX_FILE_BYTES"]),
        ("call Roots.resolve with nothing", ["Roots", "resolve"]),
        ("std::sort is used wrongly", ["std", "sort"]),
        ("resolve() fails", ["resolve"]),
        ("`cached` is wrong", ["cached"]),
        ("what does --max-model-len mean", ["max_model_len"]),
        ("修复list_files的问题", ["list_files"]),
        ("`Gate`が遅い", ["Gate"]),
        ("Nothing here, e.g. no name. Not even one.And so on", []),
        ("use TCP/IP and/or UDP, i.e. both", []),
    ],
)
def test_names(text: str, names: list[str]) -> None:
    assert list(terms_of(text).names) == names


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("look at src/app/main.ts please", ["src/app/main.ts"]),
        (r"look at src\app\main.ts please", ["src/app/main.ts"]),
        ("settings.py and pyproject.toml.", ["settings.py", "pyproject.toml"]),
        ("in /home/me/x/lib.rs, or ./lib.rs", ["/home/me/x/lib.rs", "./lib.rs"]),
        ("Roots.resolve and and/or", []),
        ("the folder src/app/views", ["src/app/views"]),
    ],
)
def test_paths(text: str, paths: list[str]) -> None:
    assert list(terms_of(text).paths) == paths


def test_a_stack_trace_gives_its_places_the_deepest_first() -> None:
    text = (
        "It broke:\nTraceback (most recent call last):\n"
        '  File "/srv/app/main.py", line 3, in <module>\n    start()\n'
        '  File "/srv/app/core/engine.py", line 88, in start\n    turn.begin()\n'
        "ValueError: the engine is cold today\n"
    )
    terms = terms_of(text)
    assert terms.spots == (Spot("/srv/app/core/engine.py", 88), Spot("/srv/app/main.py", 3))
    assert terms.paths[:2] == ("/srv/app/core/engine.py", "/srv/app/main.py")
    assert terms.phrases == ("the engine is cold today",)
    assert {"engine", "cold"} <= set(terms.words)


@pytest.mark.parametrize(
    ("text", "spot"),
    [
        ("at Object.run (/srv/web/src/run.ts:10:5)", Spot("/srv/web/src/run.ts", 10)),
        ("src/lib.rs:42: expected `;`", Spot("src/lib.rs", 42)),
        ("Main.java:7", Spot("Main.java", 7)),
        ("see engine.c(12)", Spot("engine.c", 12)),
    ],
)
def test_places_of_other_languages(text: str, spot: Spot) -> None:
    assert terms_of(text).spots == (spot,)


@pytest.mark.parametrize(
    "text",
    [
        'it says "database is locked"',
        "it says `database is locked`",
        "Fehler „database is locked“",
        "« database is locked »",
    ],
)
def test_quoted_texts(text: str) -> None:
    assert terms_of(text).phrases == ("database is locked",)


def test_headers_are_searched_as_they_are() -> None:
    assert terms_of("honour Retry-After").phrases == ("Retry-After",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?!",
        "Hello, how are you?",
        "Danke!",
        "merci beaucoup",
        "gracias por todo",
        "Как это?",
        "what is this and why would it be so?",
    ],
)
def test_words_that_say_nothing_are_dropped(text: str) -> None:
    terms = terms_of(text)
    assert set(terms.words) <= {"beaucoup"}
    assert not terms.names


def test_words_of_prose_and_parts_of_names() -> None:
    assert terms_of("The circuit breaker opens").words == ("circuit", "breaker", "opens")
    assert terms_of("vLLM's tokens").words == ("llm", "vllm", "tokens")
    assert terms_of("очередь полна").words == ("очередь", "полна")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("readHTTPHeader", ["read", "http", "header"]),
        ("read_http-header2x", ["read", "http", "header", "x"]),
        ("MAX_BYTES", ["max", "bytes"]),
        ("utf16", ["utf", "16"]),
        ("größe_ändern", ["größe", "ändern"]),
    ],
)
def test_split_names(name: str, parts: list[str]) -> None:
    assert split_name(name) == parts


def test_forms_of_a_word_are_one() -> None:
    assert {stem(word) for word in ("cancel", "cancels", "cancelled", "cancelling")} == {stem("cancel")}
    assert stem("merging") == stem("merge") == stem("merged")
    assert stem("class") == stem("classes")
    assert stem("tokens") != stem("tests")


def test_forms_of_a_word_are_searched_for() -> None:
    assert "cancel" in forms("cancelled")
    assert "merge" in forms("merging")
    assert "process" in forms("processes")
    assert forms("breaker") == ["break", "breake"]
    assert forms("token") == ["tokens"]
    assert forms("file") == forms("очередь") == forms("cat") == []


PIECES = st.sampled_from(
    ["a.b", "/", "\\", "x/y.py", ":12", '"', "'", "`", "«", "Error: ", "\n", "File ", "日本", "--", "_a", "(", "é"]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=40).map("".join))
def test_any_text_gives_bounded_terms_without_repetition(text: str) -> None:
    terms = terms_of(text)
    for items, most in (
        (terms.names, MAX_NAMES), (terms.paths, MAX_PATHS), (terms.phrases, MAX_PHRASES), (terms.words, MAX_WORDS)
    ):  # fmt: skip
        assert len(items) <= most
        assert len(set(items)) == len(items)
    assert all(word == word.lower() and word for word in terms.words)
    assert all("\n" not in text for text in (*terms.paths, *terms.phrases, *terms.names))
    assert terms == terms_of(text)


@pytest.mark.parametrize(
    "piece", ["a/", "a.", "a-", "'x", "A-", "Error: ", '"', "x:1", "aA", "\\", "«", "日", "a_", ".", "-"]
)
def test_long_texts_of_one_kind_are_read_in_bounds(piece: str) -> None:
    """What a pattern could trip over."""
    terms = terms_of(piece * 100_000)
    assert len(terms.names) <= MAX_NAMES
    assert len(terms.words) <= MAX_WORDS


def test_of_a_long_text_both_ends_are_read() -> None:
    assert terms_of(f"firstName {'middleName ' * MAX_CHARS} lastName").names == ("firstName", "middleName", "lastName")
    assert terms_of(f"{'so ' * MAX_CHARS} middleName {'so ' * MAX_CHARS}").names == ()
