"""Where in Markdown a text stands that comes in pieces: what is on its line, and whether that is code."""

from __future__ import annotations

import re

_INDENTATION = 3
"""Spaces before a line's text at most; more make it a code block."""
_AFTER_SENTENCE = re.compile(r"(?:[.!?。！？…}]|</\w+>|\|>)[ \t]*\Z")
_GLUED = re.compile(r"[^\s\"'“‘`(\[{«]\Z")
_OPEN = tuple("[{(,")
_RUN = re.compile(r"(?<!`)`")
_FENCE = re.compile(r"\s*(?:[-*+>]\s+|\d+[.)]\s+)?(`{3,}(?=[^`]*$)|~{3,})")
_KEPT = 100
"""Characters of a long line that are kept at either end."""


class Lines:
    """The current line, the fence around it, and whether a code span or a quotation is open on it."""

    __slots__ = ("_above", "_fence", "_line", "_quote", "_span")

    def __init__(self) -> None:
        self._line = ""
        self._above = ""
        self._fence = ""
        self._span = False
        self._quote = False

    def add(self, text: str) -> None:
        """The text goes on with this."""
        if "\n" not in text:
            self._grow(text)
            return
        first, *rest = text.split("\n")
        self._grow(first)
        for line in rest:
            self._end_line()
            self._grow(line)

    @property
    def in_code(self) -> bool:
        return bool(self._fence) or self._span

    @property
    def opens_fence(self) -> bool:
        """The start of the first line in a fence."""
        return bool(self._fence) and self.starts_line and self._above.startswith(self._fence)

    @property
    def starts_line(self) -> bool:
        """Nothing but an indentation that is no code block stands before."""
        return len(self._line) <= _INDENTATION and not self._line.strip(" ")

    @property
    def follows_sentence(self) -> bool:
        """A line's start, or what comes behind a sentence, a tag or the line of JSON of an answer's beginning."""
        return self.starts_line or _AFTER_SENTENCE.search(self._line) is not None

    @property
    def ends_thought(self) -> bool:
        """A line's start, or the end of a sentence that is in no quotation."""
        return self.follows_sentence and not self._quote

    @property
    def may_hold_token(self) -> bool:
        """Special tokens follow words without a space; after one, somebody writes about them."""
        return self.follows_sentence or _GLUED.search(self._line) is not None

    @property
    def stands_alone(self) -> bool:
        """A line's start, and what is above does not go on here."""
        return self.starts_line and not self._above.endswith(_OPEN)

    def _grow(self, part: str) -> None:
        if "`" in part:
            before = self._line[-1:]
            runs = len(_RUN.findall(before + part, len(before)))
            self._span ^= runs % 2 == 1
        self._quote ^= part.count('"') % 2 == 1
        line = self._line + part
        self._line = line if len(line) <= 4 * _KEPT else line[:_KEPT] + line[-_KEPT:]

    def _end_line(self) -> None:
        bare = self._line.strip()
        if self._fence:
            if bare.startswith(self._fence) and not bare.strip(self._fence[0]):
                self._fence = ""
        elif match := _FENCE.match(self._line):
            self._fence = match.group(1)
        self._above = bare or self._above
        self._line = ""
        self._span = self._quote = False
