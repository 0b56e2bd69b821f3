"""Text that repeats itself while it streams, so that the stream can be cut before it fills the answer's limit.

Three signs, each judged on some thousand characters, for a wrong cut costs an answer:
- the end of the text is one piece over and over, exactly;
- the same, but for the numbers in it: "Attempt 12 failed. Attempt 13 failed.";
- nearly every sentence has been there before, or is the last one with something added: text that grows in rounds.
Lists, tables and code blocks repeat themselves by their nature: there only the first sign counts, and late.
"""

from __future__ import annotations

import re

REPEATED_CHARS = 4_000
"""Characters of exact repetition, at least four times over."""
TIMES = 4
COUNTED_CHARS = 8_000
"""The same where only numbers differ."""
KNOWN_CHARS = 4_000
"""Characters of sentences that have been there before; each that is new takes off four times its length."""
STRUCTURED_CHARS = 20_000
"""Characters of exact repetition in lists, tables and code blocks."""

_CHUNK = 256
_PROBE = 50
_KEPT = 4 * REPEATED_CHARS
_MAX_SENTENCES = 2_000
_SHORT = 20
"""A sentence shorter than this says too little to be compared."""
_LONG = 4_000
"""A sentence that has not ended by then is taken as one."""

_LIST_OR_TABLE = re.compile(r"\s*(?:[-*+•]\s|\||\d+[.)]\s)")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_SENTENCE_END = re.compile(r"[.!?]+\s|[。！？\n]+")
_NUMBER = re.compile(r"\d+")


class StreamGuard:
    """Reads an answer's text, or its thinking, along; one for each. Nothing of it stands in the state."""

    def __init__(self) -> None:
        self._held = ""
        self._prose = _Tail(_KEPT)
        self._structured = _Tail(STRUCTURED_CHARS + _CHUNK)
        self._known = _KnownSentences()
        self._fence = ""
        """What opened the code block that the text is in."""
        self._line_is_prose: bool | None = None
        """Of the line that is being written; None at its beginning."""
        self._unchecked = 0

    def feed(self, text: str) -> str | None:
        """Take the next piece; a reason to cut the stream, or None."""
        self._held += text
        if len(self._held) < _CHUNK:
            return None
        self._take(self._held)
        return self._reason()

    def _take(self, text: str) -> None:
        """Part prose from the rest. A line of which only the beginning is there waits for more."""
        if self._line_is_prose is not False and not self._fence and text.isspace():
            self._prose.add(text)
            self._held = ""
            self._line_is_prose = None if "\n" in text else self._line_is_prose
            return
        *lines, last = text.split("\n")
        for line in lines:
            self._take_line(line, "\n")
            self._line_is_prose = None
        self._held = last if len(last) < 8 else ""
        if not self._held:
            self._take_line(last, "")

    def _take_line(self, line: str, end: str) -> None:
        if self._line_is_prose is None:
            self._line_is_prose = self._begins_prose(line)
        if self._line_is_prose:
            self._prose.add(line + end)
            self._known.add(line + end)
        else:
            self._structured.add(line + end)

    def _begins_prose(self, line: str) -> bool:
        fence = _FENCE.match(line)
        if self._fence:
            if fence and fence[1].startswith(self._fence) and line.strip() == fence[1]:
                self._fence = ""
            return False
        self._fence = fence[1] if fence else ""
        return not fence and _LIST_OR_TABLE.match(line) is None

    def _reason(self) -> str | None:
        if self._prose.repeats(REPEATED_CHARS) or self._structured.repeats(STRUCTURED_CHARS):
            return "the text repeats itself"
        if self._known.chars >= KNOWN_CHARS:
            return "the text says the same over and over"
        self._unchecked += _CHUNK
        if self._unchecked >= COUNTED_CHARS // 2:
            self._unchecked = 0
            return "the text repeats itself but for its numbers" if self._prose.counts() else None
        return None


class _Tail:
    """The end of a growing text."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._text = ""

    def add(self, text: str) -> None:
        self._text += text
        if len(self._text) > 2 * self._kept:
            self._text = self._text[-self._kept :]

    def repeats(self, chars: int) -> bool:
        """Whether the last `chars` characters, or more, are one piece at least four times over."""
        return len(self._text) >= chars and _period(self._text[-max(chars, self._kept) :], chars) > 0

    def counts(self) -> bool:
        """The same where numbers are not compared; what repeats must hold words, or it is a row of numbers."""
        if len(self._text) < COUNTED_CHARS:
            return False
        text = _NUMBER.sub("0", self._text[-COUNTED_CHARS:])
        period = _period(text, len(text) * 3 // 4)
        return period > 0 and sum(map(str.isalpha, text[-period:])) >= _SHORT // 2


class _KnownSentences:
    """How much of a text is sentences that it has had before."""

    def __init__(self) -> None:
        self.chars = 0
        self._times: dict[str, int] = {}
        self._begun = ""
        self._last = ""

    def add(self, text: str) -> None:
        *sentences, self._begun = _SENTENCE_END.split(self._begun + text)
        if len(self._begun) > _LONG:
            sentences.append(self._begun)
            self._begun = ""
        for sentence in sentences:
            self._add(sentence.strip())

    def _add(self, sentence: str) -> None:
        if len(sentence) < _SHORT:
            return
        times = self._times[sentence] = self._times.get(sentence, 0) + 1
        grown = len(self._last) >= _SHORT and sentence.startswith(self._last)
        known = times > 2 or grown
        self.chars = max(0, self.chars + (len(sentence) if known else -4 * len(sentence)))
        self._last = sentence
        if len(self._times) > _MAX_SENTENCES:
            self._times.clear()


def _period(text: str, chars: int) -> int:
    """The length of the piece of which the last `chars` characters consist, or 0.

    The last characters are looked for further ahead; where they are found, the distance is tried as the period.
    """
    probe, at = text[-_PROBE:], len(text) - _PROBE
    for _ in range(6):
        at = text.rfind(probe, 0, at + _PROBE - 1)
        if at < 0:
            return 0
        period = len(text) - _PROBE - at
        span = max(chars, TIMES * period)
        tail = text[-span:]
        if len(tail) == span and tail[period:] == tail[:-period]:
            return period
    return 0
