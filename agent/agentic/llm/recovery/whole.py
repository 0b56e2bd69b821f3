"""Recovery from a whole answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agentic.llm.recovery.gate import Piece, TextGate
from agentic.llm.recovery.toolbox import Tools
from agentic.llm.recovery.values import Calls


@dataclass(frozen=True, slots=True)
class Recovered:
    """An answer's parts: `calls` in the order in which they stood, `text` and `thinking` without their markup."""

    text: str
    thinking: str
    calls: Calls


def recover(text: str, tools: Tools) -> Recovered:
    """Part an answer's text. With the tools' specs, arguments that are written as bare text get the right types."""
    gate = TextGate(tools)
    first = gate.feed(text)
    last, calls = gate.finish(recover=True)
    return Recovered(*join([*first, *last]), calls)


def join(pieces: Iterable[Piece]) -> tuple[str, str]:
    """The text and the thinking that the gate's pieces come to."""
    said, thoughts = "", ""
    for kind, piece in pieces:
        if kind == "text":
            said += piece
        elif kind == "thinking":
            thoughts += piece
        else:
            said, thoughts = "", thoughts + said + piece
    return said, thoughts
