"""Places in documents, and what an editor's language servers say of them; part of `protocol`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Index = Annotated[int, Meta(ge=0)]


class _Wire(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    pass


class Position(_Wire, frozen=True):
    """A place in a document, from 0."""

    line: Index
    character: Index


class Range(_Wire, frozen=True):
    """From `start` up to, not including, `end`."""

    start: Position
    end: Position


class Diagnostic(_Wire, frozen=True, forbid_unknown_fields=False):
    """LSP's, as the language server sent it; what else it holds is not read."""

    range: Range
    message: str
    severity: Annotated[
        Literal[1, 2, 3, 4] | None, Meta(description="1: error, 2: warning, 3: information, 4: hint; not set: error.")
    ] = None
    source: str | None = None
    code: int | str | None = None


class DocumentDiagnostics(_Wire, frozen=True):
    """All that is known of one document; an empty list where it was examined and nothing is wrong."""

    uri: str
    diagnostics: list[Diagnostic]
    version: Annotated[
        int | None, Meta(description="The document's version that they were made for, where the client knows it.")
    ] = None


class DiagnosticsParams(_Wire, frozen=True):
    """Of which documents; none: of all that the client knows of."""

    uris: list[str] = []


class DiagnosticsResult(_Wire, frozen=True):
    """An item for each document that some language server has examined; the others are left out."""

    items: list[DocumentDiagnostics]
