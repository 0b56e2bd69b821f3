"""The gate between what a model streams and what is shown: calls and thoughts that arrive as text are parted from it.

What could begin a call is held back until it is certain that it begins none, so that nothing has to be taken back. Only
a thought that began in the prompt is known at its end: templates of DeepSeek, QwQ, GLM and MiniMax open it themselves.
From the first whole call on everything is held until the answer's end, where it is known whether calls may be
recovered. How the text is sliced never changes what comes out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Literal

from agentic.llm.recovery.cursor import Cursor, Cut, Wrong
from agentic.llm.recovery.families import CANDIDATE, read_calls
from agentic.llm.recovery.lines import Lines
from agentic.llm.recovery.messages import Closers, Header, read_header
from agentic.llm.recovery.toolbox import Toolbox, Tools
from agentic.llm.recovery.values import Calls

Kind = Literal["text", "thinking", "unopened"]
Piece = tuple[Kind, str]
"""`unopened`: the text so far belongs to a thought whose opening tag stood in the prompt, and this is its rest."""

_END_OF_THOUGHT = "</think>"
_MARKS = ("<", "[", "{")
_MARK = re.compile(r"[<\[{]")
_LOOK_AT_ONCE = 256
"""Held text that is longer is looked at again only when it has grown by an eighth."""


class TextGate:
    """Takes an answer's content and gives the pieces that may be shown. `tools`: the registered names, or the specs.

    `asked`: the model was asked to write its calls as text, so that prose around them means nothing, nor does a code
    block that begins with one.
    """

    def __init__(self, tools: Toolbox | Tools = (), *, asked: bool = False) -> None:
        self._asked = asked
        self._tools = tools if isinstance(tools, Toolbox) else Toolbox(tools)
        self._held: list[str] = []
        self._size = 0
        self._due = 0
        self._sealed = False
        self._thought: Closers | None = None
        self._fresh = True
        self._harmony = False
        self._lines = Lines()
        self._said: list[str] = []
        """The text that was shown."""
        self._opened = False
        """A thought or a header of harmony was read: the answer began as one."""

    def feed(self, text: str) -> list[Piece]:
        """What may be shown now that this has come."""
        if not self._size and self._thought is None and not self._is_odd(text):
            return [self._shown(text)] if text else []
        self._held.append(text)
        self._size += len(text)
        return [] if self._sealed or self._size < self._due else self._look()

    def finish(self, recover: bool) -> tuple[list[Piece], Calls]:
        """What is left at the answer's end. Without recovery, or where it fails, that is text, byte for byte."""
        pieces = [] if self._sealed else self._look()
        held, lead = "".join(self._held), "".join(self._said)
        self._held, self._size, self._sealed = [], 0, False
        if not held:
            return pieces, ()
        kind = "thinking" if self._thought else "text"
        parts = _Parts()
        decided = recover or held.strip() == _END_OF_THOUGHT
        if decided:
            self._run(Cursor(held, 0, self._tools, final=True), parts)
        if decided and parts.is_answer_of_calls(lead, asked=self._asked):
            return [*pieces, *parts.pieces], parts.calls
        return [*pieces, (kind, held)], ()

    def _is_odd(self, text: str) -> bool:
        """Whether there is anything in the text to look at; most often there is not."""
        if _MARK.search(text):
            return True
        return ("\n" in text or self._lines.starts_line) and CANDIDATE.search(text) is not None

    def _look(self) -> list[Piece]:
        """Move on in the held text as far as it is decided."""
        cursor = Cursor("".join(self._held), 0, self._tools, final=False)
        parts = _Parts()
        self._run(cursor, parts)
        rest = cursor.text[cursor.at :]
        self._held, self._size = [rest], len(rest)
        self._due = self._size + self._size // 8 if self._size > _LOOK_AT_ONCE else 0
        return parts.pieces

    def _run(self, cursor: Cursor, parts: _Parts) -> None:
        """Read up to the end, or to where it must be waited."""
        moved = True
        while moved and not cursor.at_end:
            moved = self._read_text(cursor, parts) if self._thought is None else self._read_thought(cursor, parts)

    def _read_text(self, cursor: Cursor, parts: _Parts) -> bool:
        """Text up to the next mark or call, and that; False where it must be waited."""
        match = CANDIDATE.search(cursor.text, cursor.at)
        place = (match.start() if match[0] in _MARKS else match.end()) if match else len(cursor.text)
        self._show(cursor, place, parts)
        if match is None:
            return False
        try:
            found = self._read_mark(cursor)
        except Cut:
            cursor.at = place
            return False
        except Wrong:
            cursor.at = place
            self._show(cursor, place + 1, parts)
            return True
        if isinstance(found, Header):
            if found.unopened:
                parts.end_thought(cursor.text[:place])
                self._said.clear()
            self._enter(found)
        elif not cursor.final:
            cursor.at, self._sealed = place, True
            return False
        else:
            cursor.ends()
            parts.add_calls(found)
            self._lines = self._lines if self._lines.in_code else Lines()
        return True

    def _read_mark(self, cursor: Cursor) -> Header | Calls:
        lines, start = self._lines, cursor.at
        if cursor.at_end or (lines.in_code and not (self._asked and lines.opens_fence)):
            raise Wrong
        if lines.in_code:
            return read_calls(cursor, lines)
        if lines.ends_thought and cursor.maybe(_END_OF_THOUGHT):
            return self._end_unopened(cursor)
        try:
            return read_header(cursor, fresh=self._fresh, harmony=self._harmony, token=lines.may_hold_token)
        except Wrong:
            cursor.at = start
            return read_calls(cursor, lines)

    def _end_unopened(self, cursor: Cursor) -> Header:
        """Behind `</think>`: it ends what began in the prompt, unless the answer has or names an opening tag."""
        if not self._lines.starts_line:
            cursor.not_in_sentence()
        if self._opened or "<think" in "".join(self._said):
            self._opened = True
            cursor.wrong()
        return Header(fresh=True, unopened=True)

    def _enter(self, header: Header) -> None:
        self._opened = True
        self._thought = header.thought
        self._fresh = header.fresh
        self._harmony = self._harmony or header.harmony
        self._lines = Lines()

    def _read_thought(self, cursor: Cursor, parts: _Parts) -> bool:
        """The thought up to what ends it; False where that may have begun, or has not come."""
        thought, text = self._thought or Closers(()), cursor.text
        marks = (*thought.inside, *thought.outside)
        found = [(at, mark) for mark in marks if (at := text.find(mark, cursor.at)) >= 0]
        if not found:
            end = len(text) if cursor.final else _before_beginning(text, cursor.at, marks)
            parts.add("thinking", text[cursor.at : end])
            cursor.at = end
            return False
        at, mark = min(found)
        parts.add("thinking", text[cursor.at : at])
        cursor.at = at + len(mark) if mark in thought.inside else at
        self._enter(Header(fresh=True))
        return True

    def _show(self, cursor: Cursor, end: int, parts: _Parts) -> None:
        if end > cursor.at:
            parts.add(*self._shown(cursor.text[cursor.at : end]))
            cursor.at = end

    def _shown(self, text: str) -> Piece:
        """The text as a piece, and what it means for what follows."""
        self._lines.add(text)
        if self._fresh and not text.isspace():
            self._fresh = False
        self._said.append(text)
        return "text", text


class _Parts:
    """Pieces and calls in the order in which they stand in the text."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.calls: Calls = ()
        self._after_first = 0
        self._after_last = 0

    def add(self, kind: Kind, text: str) -> None:
        if len(self.pieces) > self._after_last and self.pieces[-1][0] == kind:
            self.pieces[-1] = kind, self.pieces[-1][1] + text
        elif text:
            self.pieces.append((kind, text))

    def add_calls(self, calls: Calls) -> None:
        self._after_first = self._after_first if self.calls else len(self.pieces)
        self._after_last = len(self.pieces)
        self.calls += calls

    def end_thought(self, rest: str) -> None:
        """All so far was a thought, calls included; `rest` is what of it was held back."""
        self.pieces, self.calls = [("unopened", rest)], ()
        self._after_first = self._after_last = 0

    def is_answer_of_calls(self, lead: str, *, asked: bool) -> bool:
        """Whether the calls, if there are any, are meant: they end the answer or begin it, and are in no thought.

        `lead` is the text before. Calls with prose before and behind are what the prose is about, unless such calls
        were asked for.
        """
        if not self.calls:
            return True
        if _END_OF_THOUGHT in _text_of(self.pieces[self._after_first :]):
            return False
        before = lead + _text_of(self.pieces[: self._after_first])
        return asked or not _text_of(self.pieces[self._after_last :]).strip() or not _is_prose(before)


def _text_of(pieces: Sequence[Piece]) -> str:
    return "".join(text for kind, text in pieces if kind == "text")


def _is_prose(text: str) -> bool:
    """Whether a person should read it; the line of JSON with which an answer may begin is for the machine."""
    bare = text.strip()
    try:
        return bool(bare) and not isinstance(json.loads(bare), dict)
    except (ValueError, RecursionError):
        return True


def _before_beginning(text: str, start: int, marks: Sequence[str]) -> int:
    """Where a mark may have begun at the text's end; the end where none has."""
    longest = max(map(len, marks))
    for at in range(max(start, len(text) - longest + 1), len(text)):
        if any(mark.startswith(text[at:]) for mark in marks):
            return at
    return len(text)
