"""Positions against a reference that knows nothing of ours: the text encoded as the protocol says, counted in units."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.change import Edit, apply_edits
from agentic.text import line_starts
from agentic_server import from_lsp, to_lsp
from agentic_server.from_lsp import Encoding

ENCODINGS: list[Encoding] = ["utf-8", "utf-16", "utf-32"]
CODECS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}

texts = st.text(st.sampled_from("ab\r\n\f\v\x85\u2028\u2029é漢😀\u0301\x00"), max_size=24)
encodings = st.sampled_from(ENCODINGS)


def units(text: str, encoding: Encoding) -> int:
    codec, size = CODECS[encoding]
    return len(text.encode(codec)) // size


def reference_offset(text: str, line: int, character: int, encoding: Encoding) -> int:
    """Walks the text one character at a time, as a person would."""
    pieces = re.split("(\r\n|\r|\n)", text)
    if line > len(pieces) // 2:
        return len(text)
    before = sum(len(piece) for piece in pieces[: 2 * line])
    content = pieces[2 * line]
    fitting = [n for n in range(len(content) + 1) if units(content[:n], encoding) <= character]
    return before + max(fitting)


@settings(max_examples=300)
@given(texts, st.integers(0, 12), st.integers(0, 30), encodings)
def test_any_position_becomes_the_offset_that_the_protocol_means(
    text: str, line: int, character: int, encoding: Encoding
) -> None:
    offset = from_lsp.offset_at(text, line_starts(text), line, character, encoding)
    assert offset == reference_offset(text, line, character, encoding)
    assert text[offset - 1 : offset + 1] != "\r\n" or offset == 0


@settings(max_examples=300)
@given(texts, encodings, st.data())
def test_an_offset_survives_the_way_there_and_back(text: str, encoding: Encoding, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(text)))
    starts = line_starts(text)
    position = to_lsp.position_at(text, starts, offset, encoding)
    inside_crlf = offset > 0 and text[offset - 1 : offset + 1] == "\r\n"
    assert from_lsp.offset_at(text, starts, position.line, position.character, encoding) == offset - inside_crlf


@settings(max_examples=300)
@given(texts, encodings, st.data())
def test_text_edits_applied_by_a_client_give_the_text_we_meant(
    text: str, encoding: Encoding, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6, unique=True)))
    news = st.text(st.sampled_from("x\r\n😀"), max_size=3)
    edits = [Edit(start, end, data.draw(news)) for start, end in zip(cuts[::2], cuts[1::2], strict=False)]
    result = text
    for edit in reversed(to_lsp.text_edits(text, edits, encoding)):
        start = reference_offset(text, edit.range.start.line, edit.range.start.character, encoding)
        end = reference_offset(text, edit.range.end.line, edit.range.end.character, encoding)
        result = result[:start] + edit.new_text + result[end:]
    assert result == apply_edits(text, edits)


def test_edits_that_meet_between_the_two_characters_of_a_line_end_become_one() -> None:
    edits = to_lsp.text_edits("a\r\nb", [Edit(1, 2, "x"), Edit(2, 3, "y")], "utf-16")
    assert [edit.new_text for edit in edits] == ["xy"]


def test_a_position_inside_a_surrogate_pair_rounds_down() -> None:
    text = "a😀b"
    assert [from_lsp.offset_at(text, [0], 0, n, "utf-16") for n in range(6)] == [0, 1, 1, 2, 3, 3]


@settings(max_examples=200)
@given(st.binary(max_size=20).map(lambda name: b"/" + name.replace(b"\0", b"")))
def test_any_path_survives_the_way_to_a_uri_and_back(name: bytes) -> None:
    path = name.decode("utf-8", "surrogateescape")
    assert from_lsp.path_of(to_lsp.uri_of(path)) == path


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a%20b/c%2Bd.py", "/a b/c+d.py"),
        ("file:///a b/c+d.py", "/a b/c+d.py"),
        ("file://localhost/a", "/a"),
        ("FILE:///a", "/a"),
        ("file:///a#b?c", "/a#b?c"),
        ("file:///%E6%BC%A2", "/漢"),
        ("file:///漢", "/漢"),
    ],
)
def test_uris_as_clients_spell_them(uri: str, path: str) -> None:
    assert from_lsp.path_of(uri) == path


@pytest.mark.parametrize(
    "uri", ["untitled:Untitled-1", "http://x/a", "file://host/a", "", "/a", "file:a", "file:///%00"]
)
def test_what_is_not_a_local_file_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="not"):
        from_lsp.path_of(uri)


def test_a_relative_path_has_no_uri() -> None:
    with pytest.raises(ValueError, match="absolute"):
        to_lsp.uri_of("a/b")
