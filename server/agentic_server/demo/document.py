"""A document as an editor holds it: text that may not be saved, with a version that grows with every change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class StaleEdit(Exception):
    """The edits were made against another version than the document has now."""


@dataclass(slots=True)
class Document:
    """An open document. Positions are LSP's: lines from 0, characters in UTF-16 code units."""

    path: Path
    text: str
    version: int = 1
    language: str = "python"

    @classmethod
    def open(cls, path: Path) -> Document:
        return cls(path, path.read_bytes().decode("utf-8"))

    @property
    def uri(self) -> str:
        return self.path.as_uri()

    def save(self) -> None:
        """Write the text to its file, line ends as they are."""
        self.path.write_bytes(self.text.encode("utf-8"))

    def apply(self, edits: list[Json], version: int | None) -> None:
        """Apply LSP text edits, all of them or none.

        `version` is the one that the edits were made against; None for any.

        :raises StaleEdit: when the document has another version, and then changes nothing.
        """
        if version is not None and version != self.version:
            raise StaleEdit(f"The edit is for version {version} of {self.path.name}, which has version {self.version}.")
        spans = [
            (self.offset(edit["range"]["start"]), self.offset(edit["range"]["end"]), str(edit["newText"]))
            for edit in edits
        ]
        for start, end, new in sorted(spans, key=lambda span: span[:2], reverse=True):
            self.text = self.text[:start] + new + self.text[end:]
        self.version += 1

    def offset(self, position: Json) -> int:
        """The index into `text`; a position past the end of its line means the line's end."""
        lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", self.text)
        line = int(position["line"])
        if line >= len(lines):
            return len(self.text)
        content = lines[line].rstrip("\r\n")
        return sum(map(len, lines[:line])) + _index(content, int(position["character"]))

    def position(self, offset: int) -> Json:
        """The LSP position of an index into `text`."""
        lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", self.text[:offset])
        return {"line": len(lines) - 1, "character": len(lines[-1].encode("utf-16-le")) // 2}


def _index(line: str, units: int) -> int:
    """How many characters the first UTF-16 code units of a line are."""
    return len(line.encode("utf-16-le")[: units * 2].decode("utf-16-le", "ignore"))
