"""The mirror of a document against a naive one, and the ways to wait for a change."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsprotocol import types

from agentic.text import line_starts
from agentic_server.documents import Documents
from agentic_server.from_lsp import Encoding

URI = "file:///folder/a%2Bb.py"
texts = st.text(st.sampled_from("ab\r\n\f\v\x1c\x85\u2028é漢😀"), max_size=20)
changes = st.lists(
    st.one_of(st.tuples(st.none(), texts), st.tuples(st.tuples(*[st.integers(0, 8)] * 4), texts)), max_size=8
)
CODECS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}


def opened(text: str, encoding: Encoding = "utf-16") -> Documents:
    documents = Documents(None, [], encoding)
    documents.put_text_document(types.TextDocumentItem(URI, "python", 1, text))
    return documents


def change(text: str, place: tuple[int, int, int, int] | None = None) -> types.TextDocumentContentChangeEvent:
    if place is None:
        return types.TextDocumentContentChangeWholeDocument(text)
    start, end = types.Position(place[0], place[1]), types.Position(place[2], place[3])
    return types.TextDocumentContentChangePartial(types.Range(start, end), text)


def did_change(
    *content: types.TextDocumentContentChangeEvent, uri: str = URI, version: int = 2
) -> types.DidChangeTextDocumentParams:
    return types.DidChangeTextDocumentParams(types.VersionedTextDocumentIdentifier(version, uri), list(content))


class NaiveDocument:
    """Lines and their ends as a list; positions found by counting encoded units."""

    def __init__(self, text: str, encoding: Encoding) -> None:
        self.text = text
        self.codec, self.size = CODECS[encoding]

    def place(self, line: int, character: int) -> int:
        pieces = re.split("(\r\n|\r|\n)", self.text)
        if line > len(pieces) // 2:
            return len(self.text)
        content = pieces[2 * line]
        column = 0
        while column < len(content) and len(content[: column + 1].encode(self.codec)) // self.size <= character:
            column += 1
        return sum(map(len, pieces[: 2 * line])) + column

    def change(self, place: tuple[int, int, int, int] | None, text: str) -> None:
        if place is None:
            self.text = text
            return
        a, b = self.place(place[0], place[1]), self.place(place[2], place[3])
        self.text = self.text[: min(a, b)] + text + self.text[max(a, b) :]


@settings(max_examples=400)
@given(texts, changes, st.sampled_from(["utf-8", "utf-16", "utf-32"]))
def test_any_changes_leave_the_text_that_the_protocol_means(
    text: str, content: list[tuple[tuple[int, int, int, int] | None, str]], encoding: Encoding
) -> None:
    documents, naive = opened(text, encoding), NaiveDocument(text, encoding)
    documents.change_text_document(did_change(*(change(new, place) for place, new in content)))
    for place, new in content:
        naive.change(place, new)
    document = documents.get_text_document(URI)
    assert document.source == naive.text
    assert document.starts == line_starts(naive.text)
    assert "".join(document.lines) == naive.text


@pytest.mark.parametrize(
    ("before", "place", "after"),
    [
        ("a\fb\ncd", (1, 0, 1, 0), "a\fb\nXcd"),
        ("a\u2028b\nc", (1, 0, 1, 1), "a\u2028b\nX"),
        ("hello", (0, 9, 0, 9), "helloX"),
        ("a\nb", (0, 2, 0, 2), "aX\nb"),
        ("a\r\nb", (0, 2, 0, 2), "aX\r\nb"),
        ("a\n", (5, 3, 9, 9), "a\nX"),
        ("abc", (0, 2, 0, 1), "aXc"),
    ],
)
def test_places_that_stock_pygls_gets_wrong(before: str, place: tuple[int, int, int, int], after: str) -> None:
    documents = opened(before)
    documents.change_text_document(did_change(change("X", place)))
    assert documents.text_documents[URI].source == after


def test_a_document_is_found_however_its_uri_is_spelled() -> None:
    documents = opened("text")
    document = documents.text_documents[URI]
    assert documents.find("file:///folder/a+b.py") is document
    assert documents.at("/folder/a+b.py") is document
    assert documents.opened == [document]
    documents.change_text_document(did_change(change("new"), uri="file:///folder/a+b.py", version=7))
    assert (document.source, document.version, document.language_id) == ("new", 7, "python")
    documents.remove_text_document("file:///folder/a+b.py")
    assert documents.find(URI) is None
    assert URI not in documents.text_documents


def test_a_document_that_is_not_open_is_not_read_from_disk() -> None:
    documents = Documents(None, [])
    with pytest.raises(KeyError, match="not open"):
        documents.get_text_document(f"file://{__file__}")
    documents.change_text_document(did_change(change("x"), uri=f"file://{__file__}"))
    assert documents.find(f"file://{__file__}") is None


def test_opening_again_replaces_the_text() -> None:
    documents = opened("old")
    documents.put_text_document(types.TextDocumentItem("file:///folder/a+b.py", "text", 5, "new"))
    assert [(document.source, document.version) for document in documents.opened] == [("new", 5)]
    assert len(documents.text_documents) == 1


@pytest.mark.parametrize("event", ["open", "change", "close"])
async def test_whoever_waits_for_a_change_is_woken(event: str) -> None:
    documents = opened("text")
    waiting = asyncio.create_task(documents.wait_for_change("file:///folder/a+b.py", 30))
    await asyncio.sleep(0)
    if event == "open":
        documents.put_text_document(types.TextDocumentItem(URI, "python", 2, "again"))
    elif event == "change":
        documents.change_text_document(did_change(change("new")))
    else:
        documents.remove_text_document(URI)
    assert await waiting is True


async def test_no_change_and_changes_of_others_wake_nobody() -> None:
    documents = opened("text")
    waiting = asyncio.create_task(documents.wait_for_change("file:///other.py", 0.05))
    await asyncio.sleep(0)
    documents.change_text_document(did_change(change("new")))
    assert await waiting is False


async def test_a_watch_sees_each_change_once_and_in_order() -> None:
    documents = opened("text")
    with documents.watch(URI) as watch:
        documents.change_text_document(did_change(change("a"), change("b", (0, 1, 0, 1))))
        await watch.changed()
        documents.change_text_document(did_change(change("c")))
        documents.remove_text_document(URI)
        await watch.changed()
        assert watch.texts == ["ab", "c", None]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await watch.changed()
    documents.put_text_document(types.TextDocumentItem(URI, "python", 1, "after"))
    assert watch.texts == ["ab", "c", None]
