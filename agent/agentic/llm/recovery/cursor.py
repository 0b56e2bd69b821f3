"""A place in text that is still coming in, and what may stand there.

Each reading method moves on, or raises `Wrong`: this is no call, whatever follows; or `Cut`: more text is needed to
tell. At the answer's end nothing follows, and what would be `Cut` is `Wrong`.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from agentic import json_text
from agentic.llm.recovery.toolbox import Toolbox

_SPACES = re.compile(r"\s*")
_NAME = re.compile(r"[\w.-]+(?::\d*)?")
_PLAIN = str.maketrans("｜‖▁", "||_")
_GOES_ON = re.compile(r"[ \t]*(?P<open>\Z)|[ \t]+[^\s<\[{]|[\"'”’)\]}`.,;:!?]")
_WORD = re.compile(r"\w+")
_ENDS = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|eot|>", "<|eom|>", "<|end|>", "<|call|>", "<|return|>"),
    *("<|end_of_text|>", "<|endoftext|>", "<|end_of_sentence|>", "</s>", "</tool_call>"),
)
"""What may stand behind a call, and says nothing."""


class Cut(Exception):
    """The text ends before it can be told."""


class Wrong(Exception):
    """This is no call."""


class Cursor:
    """Reads `text` from `at`. Special tokens may be written with ASCII bars or with DeepSeek's wide or double ones."""

    __slots__ = ("at", "final", "named", "no_end", "plain", "text", "tools", "unfinished", "vain")

    def __init__(self, text: str, at: int, tools: Toolbox, *, final: bool) -> None:
        self.text = text
        self.at = at
        self.tools = tools
        self.final = final
        self.no_end = 0
        """Up to here no token ends the answer: something follows."""
        self.vain = 0
        """Characters that were read in vain."""
        self.named = False
        """A registered tool's name was read where a call may begin."""
        self.unfinished = False
        """The answer ends within a call: what is in there is what the call is about."""
        self.plain = text.translate(_PLAIN) if "｜" in text or "‖" in text else text

    @property
    def at_end(self) -> bool:
        return self.at >= len(self.text)

    def looks_at(self, literal: str) -> bool:
        return self.plain.startswith(literal, self.at)

    def take(self, *literals: str) -> str:
        """One of the literals; where one begins like another, the longer one is named first."""
        found = self.maybe(*literals)
        return found or self.wrong()

    def maybe(self, *literals: str) -> str:
        """One of the literals, or nothing."""
        for literal in literals:
            if self.looks_at(literal):
                self.at += len(literal)
                return literal
        if not self.final:
            rest = self.plain[self.at : self.at + 40]
            if any(literal.startswith(rest) for literal in literals):
                raise Cut
        return ""

    def close(self, *literals: str) -> None:
        """A closing tag after spaces, or the answer's end in its place."""
        self.spaces()
        if not (self.final and self.at_end):
            self.take(*literals)

    def spaces(self) -> None:
        match = _SPACES.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def name(self, *, dotted: bool = True) -> str:
        """A registered tool's name, with what some models write around it where `dotted`."""
        match = (_NAME if dotted else _WORD).match(self.text, self.at)
        written = match.group() if match else ""
        at_end = self.at + len(written) == len(self.text)
        if at_end and not self.final and self.tools.may_begin(written.partition(":")[0]):
            raise Cut
        self.at += len(written)
        found = self.tools.find(written) or self.wrong()
        self.named = True
        return found

    def until(self, literal: str, limit: int = 0) -> str:
        """The text before the literal, which is taken too; not more than `limit` characters where that is set."""
        end = self.plain.find(literal, self.at)
        if limit and (end if end >= 0 else len(self.text)) - self.at > limit:
            self.wrong()
        if end < 0:
            self.more()
        found = self.text[self.at : end]
        self.at = end + len(literal)
        return found

    def block(self) -> str:
        """What the bracket here holds, with its brackets."""
        end = json_text.block_end(self.text, self.at)
        if end is None:
            self.more()
        found = self.text[self.at : end]
        self.at = end
        return found

    def json(self) -> Any:
        """The JSON object or list here."""
        if not self.looks_at("{") and not self.looks_at("["):
            self.more() if self.at_end else self.wrong()
        try:
            return json_text.loads(self.block())
        except ValueError:
            self.wrong()

    def not_in_sentence(self) -> None:
        """What follows does not go on with a sentence: a line's end, or a beginning right here."""
        match = _GOES_ON.match(self.text, self.at)
        if match is not None and match["open"] is None:
            self.wrong()
        if match is not None and not self.final:
            raise Cut

    def ends(self) -> None:
        """Spaces and tokens that end a message."""
        while True:
            self.spaces()
            if self.at_end or not self.maybe(*_ENDS):
                return

    def end_of_answer(self) -> None:
        """Tokens that end a message, and the end of the answer behind them."""
        if self.at < self.no_end:
            self.wrong()
        self.ends()
        if not self.at_end:
            self.no_end = self.at
            self.wrong()
        if not self.final:
            raise Cut

    def more(self) -> NoReturn:
        """The text should go on here."""
        self.vain += len(self.text) - self.at
        self.unfinished = self.unfinished or (self.final and self.named)
        raise Wrong if self.final else Cut

    def wrong(self) -> NoReturn:
        raise Wrong
