"""What an answer's last words say of its end: a call that is announced and not made, or work that is over.

A wrong guess costs one more request. So what is told of the past, offered, asked, or said of the reader is no
announcement, and an answer that says it cannot go on is an end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentic.control.phrases import INTENT, NEXT_STEP, OVER, REPORT_OR_OFFER

_TAIL = 600
"""Characters at an answer's end that are looked at."""
_SENTENCE_END = re.compile(r"(?<=[.!?…:])\s+|(?<=[。！？：])\s*|\n+")
_FENCE = re.compile(r"^\s*(?:```|~~~).*$", re.MULTILINE)
_TO_BE_CONTINUED = re.compile(
    r"(?:(?:now|next|first|ok(?:ay)?),? )?(?:let me(?! know)|let['’]s|i['’]ll|i will)(?!\w).*(?::|：|…|\.\.\.)$",
    re.IGNORECASE,
)
_OBLIGED = re.compile(r"\b(?:i|we) have to\b", re.IGNORECASE)


def announces_call(text: str, tools: Sequence[str]) -> bool:
    """Whether an answer that called nothing ends by announcing a call: "I will now call read_file to …".

    Its last two sentences count; or its last one when it breaks off ("Let me look at the tests:"), or says what is done
    next as an agent does it: "I'll run the tests."
    """
    if says_over(text) or text.rstrip().endswith(("?", "？")):
        return False
    sentences = _last_sentences(text)
    if any(_names_one(sentence, tools) and _announces(sentence) for sentence in sentences):
        return True
    return bool(sentences) and (_TO_BE_CONTINUED.match(sentences[-1]) is not None or _is_next_step(sentences[-1]))


def says_over(text: str) -> bool:
    """Whether an answer ends by saying that all is done, or that it cannot go on."""
    return OVER.search(text[-_TAIL:]) is not None


def _last_sentences(text: str) -> list[str]:
    """The last two sentences. One of a single word, or a call in a code block, belongs to the one before it."""
    parts = [part.strip() for part in _SENTENCE_END.split(_FENCE.sub("", text[-2 * _TAIL :])[-_TAIL:]) if part.strip()]
    if len(parts) > 1 and re.fullmatch(r"`?\w+`?\.?|`?\w+\(.*\)`?", parts[-1]):
        parts[-2:] = [f"{parts[-2]} {parts[-1]}"]
    return parts[-2:]


def _announces(sentence: str) -> bool:
    sentence = _OBLIGED.sub("I must", sentence)
    return INTENT.search(sentence) is not None and REPORT_OR_OFFER.search(sentence) is None


def _is_next_step(sentence: str) -> bool:
    return NEXT_STEP.match(sentence) is not None and REPORT_OR_OFFER.search(sentence) is None


def _names_one(sentence: str, tools: Sequence[str]) -> bool:
    return any(_name(tool).search(sentence) for tool in tools)


def _name(tool: str) -> re.Pattern[str]:
    """A tool whose name is an everyday word must stand in backticks or before a parenthesis."""
    name = re.escape(tool)
    letters = "[A-Za-z0-9_]"
    whole = rf"(?<!{letters})(?<![./-]){name}(?!{letters}|[/-]|\.\w)"
    return re.compile(whole if "_" in tool else rf"`{name}`|(?<!{letters}){name}\(")
