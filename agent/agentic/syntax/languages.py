"""The languages that are understood: by which file names they are known, and their grammars, each loaded late."""

from __future__ import annotations

import importlib
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language, Query

MARKDOWN = "markdown"
"""Read by a scanner of its own, for it has no grammar here."""

_SUFFIXES = {
    "bash": "sh bash zsh ksh bats",
    "c": "c h",
    "cpp": "cc cpp cxx c++ hh hpp hxx h++ ino cu cuh",
    "csharp": "cs csx",
    "css": "css",
    "go": "go",
    "html": "html htm xhtml",
    "java": "java",
    "javascript": "js jsx mjs cjs",
    "json": "json jsonl geojson webmanifest",
    "lua": "lua",
    MARKDOWN: "md markdown mdx",
    "php": "php php5 php7 phtml",
    "python": "py pyi pyw",
    "ruby": "rb rake gemspec",
    "rust": "rs",
    "toml": "toml",
    "tsx": "tsx",
    "typescript": "ts mts cts",
}
_NAMES = {
    **dict.fromkeys(("rakefile", "gemfile", "vagrantfile", "podfile"), "ruby"),
    **dict.fromkeys((".bashrc", ".bash_profile", ".profile", ".zshrc"), "bash"),
    **dict.fromkeys(("cargo.lock", "poetry.lock", "uv.lock"), "toml"),
}
_MODULES = {"csharp": "c_sharp", "tsx": "typescript"}
_FUNCTIONS = {"typescript": "language_typescript", "tsx": "language_tsx", "php": "language_php"}
_QUERIES = {"tsx": "typescript"}
_LANGUAGES = {suffix: language for language, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_DATA = frozenset({"json", "toml", "html", "css", MARKDOWN})

UNREAD = "unread"
_UNREAD = (
    *("comment", "html_comment", "line_comment", "block_comment", "js_comment", "string_content", "string_fragment"),
    *("string_literal_content", "interpreted_string_literal_content", "multiline_string_fragment", "heredoc_content"),
    *("raw_string_literal", "raw_string_content", "verbatim_string_literal", "nowdoc_string", "raw_string"),
)
"""Nodes in which words are no names. What is interpolated into a string lies outside them."""


def language_of(path: str) -> str:
    """The language of a file, by its name; empty when it is none of these."""
    name = PurePosixPath(path).name.lower()
    return _NAMES.get(name) or _LANGUAGES.get(name.rpartition(".")[2] if "." in name else "", "")


def has_references(language: str) -> bool:
    """Whether the language's files use names that other files define."""
    return bool(language) and language not in _DATA


@cache
def grammar(language: str) -> Language | None:
    """The grammar, or None where the language has none or its wheel is not installed."""
    if language not in _SUFFIXES or language == MARKDOWN:
        return None
    from tree_sitter import Language

    try:
        module = importlib.import_module(f"tree_sitter_{_MODULES.get(language, language)}")
    except ImportError:
        return None
    pointer: object = getattr(module, _FUNCTIONS.get(language, "language"))()
    return Language(pointer)


@cache
def query(language: str) -> Query:
    """The query for what a file defines, `queries/<language>.scm`, and for comments and strings, as `unread`.

    A pattern captures a definition as its kind, its name as `name`, and, where the syntax does not nest it, the name
    of its container as `in`. `scope` is a container that is itself no definition.
    """
    from tree_sitter import Query

    file = resources.files("agentic.syntax") / "queries" / f"{_QUERIES.get(language, language)}.scm"
    known = _kinds(language, named=True) if has_references(language) else set[str]()
    patterns = [file.read_text("utf-8"), *(f"({kind}) @{UNREAD}\n" for kind in _UNREAD if kind in known)]
    return Query(_loaded(language), "".join(patterns))


@cache
def keywords(language: str) -> frozenset[str]:
    """The words that are no names."""
    return frozenset(kind for kind in _kinds(language, named=False) if kind.isidentifier())


def _kinds(language: str, *, named: bool) -> set[str]:
    loaded = _loaded(language)
    numbers = (number for number in range(loaded.node_kind_count) if loaded.node_kind_is_named(number) is named)
    return {kind for kind in map(loaded.node_kind_for_id, numbers) if kind}


def _loaded(language: str) -> Language:
    loaded = grammar(language)
    assert loaded is not None
    return loaded
