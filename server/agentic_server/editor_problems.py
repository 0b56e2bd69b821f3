"""Problems as the editor's own language servers tell them; parsers tell of the files that those do not know."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import islice

import msgspec

from agentic.change import Snapshot
from agentic.disk.problems import Read, check_files
from agentic.errors import Refusal
from agentic.ports.problems import Problem, Problems, Severity
from agentic.safety.paths import Roots
from agentic.text import line_starts
from agentic_server.diagnostics_wire import Diagnostic, DiagnosticsResult, DocumentDiagnostics
from agentic_server.editor_port import EditorClient, EditorError
from agentic_server.from_lsp import Encoding, path_of, place_of
from agentic_server.review_actions import SOURCE
from agentic_server.to_lsp import uri_of

log = logging.getLogger(__name__)

BY = "the editor"
STALE = ", before the last change"
MAX_OF_ONE = 500
"""Diagnostics of one document that are read."""
MAX_DOCUMENTS = 1000

_SEVERITIES: dict[int, Severity] = {1: "error", 2: "warning", 3: "information", 4: "hint"}


async def problems_in(
    editor: EditorClient, roots: Roots, read: Read, paths: Sequence[str], changed: Sequence[str]
) -> Problems | Refusal:
    """The problems of these files; without any, of all that are open, that the editor knows of, or that were changed.

    Refuses: as `read` does for a path that is named.
    """
    wanted: dict[str, str] = {}
    for path in paths:
        resolved = roots.resolve(path)
        if isinstance(resolved, Refusal):
            return resolved
        wanted[str(resolved.absolute)] = resolved.relative
    told = await _told(editor, roots, read, wanted) if editor.profile.diagnostics else Problems()
    others = wanted.values() if paths else [*_open(editor, roots), *changed]
    rest = [path for path in dict.fromkeys(others) if path not in told.checked]
    by_parsers = await check_files(read, rest, wanted=bool(paths))
    return by_parsers if isinstance(by_parsers, Refusal) else told + by_parsers


async def _told(editor: EditorClient, roots: Roots, read: Read, wanted: Mapping[str, str]) -> Problems:
    """What the editor says; nothing where it does not answer, or not so that it can be understood."""
    try:
        answer = await editor.read_diagnostics([_uri(editor, path) for path in wanted])
        items = msgspec.convert(answer, DiagnosticsResult).items
    except (EditorError, msgspec.ValidationError) as error:
        log.warning("the editor told no diagnostics: %s", error)
        return Problems()
    told = Problems()
    for item in islice(items, MAX_DOCUMENTS):
        found = _resolved(item.uri, roots)
        if found is None or (wanted and found[0] not in wanted):
            continue
        place, relative = found[0], wanted.get(*found)
        snapshot = await read(relative)
        if isinstance(snapshot, Snapshot) and snapshot.exists:
            told += _of_one(item, snapshot, editor, place)
    return told


def _of_one(item: DocumentDiagnostics, snapshot: Snapshot, editor: EditorClient, place: str) -> Problems:
    """One document's problems, without those that are proposals of ours."""
    document = editor.document(place)
    stale = document is not None and item.version is not None and item.version < document.version
    starts, note = line_starts(snapshot.text), STALE if stale else ""
    found = [
        _problem(diagnostic, snapshot, starts, editor.profile.encoding, note)
        for diagnostic in sorted(item.diagnostics, key=lambda one: one.severity or 1)[:MAX_OF_ONE]
        if diagnostic.source != SOURCE
    ]
    return Problems(tuple(found), {snapshot.path: BY + note})


def _problem(said: Diagnostic, snapshot: Snapshot, starts: Sequence[int], encoding: Encoding, note: str) -> Problem:
    start = said.range.start
    line, column = place_of(snapshot.text, starts, start.line, start.character, encoding)
    code = "" if said.code is None else f" {said.code}"
    source = f"{said.source or ''}{code}".strip()
    return Problem(
        snapshot.path,
        line,
        said.message,
        _SEVERITIES[said.severity or 1],
        f"{source or BY}{note}",
        column,
    )


def _open(editor: EditorClient, roots: Roots) -> list[str]:
    """The workspace paths of the open documents."""
    found = [roots.resolve(document.path) for document in editor.documents()]
    return [place.relative for place in found if not isinstance(place, Refusal)]


def _uri(editor: EditorClient, path: str) -> str:
    """The document's URI as the client spells it."""
    document = editor.document(path)
    return uri_of(path) if document is None else document.uri


def _resolved(uri: str, roots: Roots) -> tuple[str, str] | None:
    """The real place and the workspace path of a URI; None outside the workspace."""
    try:
        resolved = roots.resolve(path_of(uri))
    except ValueError:
        return None
    return None if isinstance(resolved, Refusal) else (str(resolved.absolute), resolved.relative)
