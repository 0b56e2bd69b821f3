"""A text with \\n for every line end and no byte order mark, and the way back to the text as it is."""

from __future__ import annotations

from dataclasses import dataclass

from agentic.change import Edit
from agentic.text import Eol, first_eol, line_of, line_starts, split_lines, strip_eol, with_eol

BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class View:
    """`text` is what the model sees and matches; offsets into it are turned back by `edit`."""

    text: str
    starts: list[int]
    original_starts: list[int]
    """Where each line begins in the original; parallel to `starts`."""
    ends: list[str]
    """Each line's own end; the last line may have none."""

    @classmethod
    def of(cls, original: str) -> View:
        skipped = len(BOM) if original.startswith(BOM) else 0
        body = original[skipped:]
        text = with_eol(body, "\n")
        ends = [line[len(strip_eol(line)) :] for line in split_lines(body)]
        return cls(text, line_starts(text), [skipped + start for start in line_starts(body)], ends)

    def edit(self, start: int, end: int, new: str) -> Edit:
        """The edit of the original that replaces `text[start:end]`; its new lines end as their neighbours do."""
        return Edit(self._original(start), self._original(end), with_eol(new, self._neighbour(start)))

    def line(self, offset: int) -> int:
        """The line, from 0, that holds `offset`."""
        return line_of(self.starts, offset)

    def _original(self, offset: int) -> int:
        line = self.line(offset)
        return self.original_starts[line] + offset - self.starts[line]

    def _neighbour(self, offset: int) -> Eol:
        line = self.line(offset)
        near = next((end for end in (*self.ends[line : line + 1], *self.ends[max(0, line - 1) : line]) if end), "\n")
        return first_eol(near)
