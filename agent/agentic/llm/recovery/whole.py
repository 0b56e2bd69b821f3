"""Recovery from a whole answer."""

from __future__ import annotations

from dataclasses import dataclass

from agentic.llm.recovery.gate import TextGate
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
    pieces = [*first, *last]
    return Recovered(
        text="".join(text for kind, text in pieces if kind == "text"),
        thinking="".join(text for kind, text in pieces if kind == "thinking"),
        calls=calls,
    )
