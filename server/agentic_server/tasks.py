"""From a command's params to a task: URIs become workspace paths, a selection becomes text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lsprotocol import types

from agentic.errors import AgenticError, Refusal
from agentic.events import MAIN, TurnStarted, decode
from agentic.ports.store import LoggedEvent
from agentic.safety.paths import Roots
from agentic.task import Mode, Overrides, Task, narrower, new_id
from agentic_server.diagnostics_wire import Position
from agentic_server.documents import Document, Documents
from agentic_server.errors import InvalidParams
from agentic_server.from_lsp import path_of
from agentic_server.protocol import RunTaskParams, Selection
from agentic_server.settings import Settings

MAX_OPEN_FILES = 20
MAX_SELECTION = 20_000
"""Characters of a selection that are given to the model; the file holds the rest."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What a turn began with."""

    text: str
    mode: Mode


def last_begun(events: Sequence[LoggedEvent]) -> Begun:
    """What the session's last turn was asked for, and within which bounds. :raises AgenticError: it has none."""
    for logged in reversed(events):
        if b'"turnStarted"' not in logged.body:
            continue
        event = decode(logged.body)
        if isinstance(event, TurnStarted) and event.agent == MAIN:
            return Begun(event.text, event.mode)
    raise AgenticError("The session has no turn that could be resumed.", "Start one with agentic.runTask.")


class View(Protocol):
    """What the user has before their eyes."""

    @property
    def roots(self) -> Roots: ...

    @property
    def documents(self) -> Documents: ...


def task_of(params: RunTaskParams, session: str, settings: Settings, view: View) -> Task:
    """The task that a client asked for, never in a wider mode than the user's setting. :raises InvalidParams:"""
    task = settings.task(params.task, session, new_id("t"))
    given = task.overrides
    return replace(
        task,
        mode=narrower(params.mode, settings.mode),
        overrides=Overrides(params.domain, _or(params.complexity, given.complexity), params.route or given.route),
        open_files=_open_files(params, view),
        selection=_selection(params.selection, view) if params.selection else "",
        deliberate=params.deliberate or task.deliberate,
    )


def _or(first: float | None, second: float | None) -> float | None:
    return second if first is None else first


def _open_files(params: RunTaskParams, view: View) -> tuple[str, ...]:
    """Workspace paths of what is open, the active document first; what lies outside the workspace is left out."""
    given = params.open_files
    uris = given if given is not None else [document.uri for document in view.documents.opened]
    first = params.uri or (params.selection.uri if params.selection else None)
    ordered = [first, *(uri for uri in uris if uri != first)] if first else uris
    paths = (_relative(uri, view) for uri in ordered[:MAX_OPEN_FILES])
    return tuple(path for path in paths if path)


def _relative(uri: str, view: View) -> str:
    try:
        resolved = view.roots.resolve(path_of(uri))
    except ValueError:
        return ""
    return "" if isinstance(resolved, Refusal) else resolved.relative


def _selection(selection: Selection, view: View) -> str:
    document = view.documents.find(selection.uri)
    if document is None:
        raise InvalidParams(
            "agentic.runTask: `selection.uri` is not an open document.", "Open it first, or leave the selection out."
        )
    start, end = selection.range.start, selection.range.end
    text = document.source[_offset(document, start) : _offset(document, end)]
    place = f"{_relative(selection.uri, view)}:{start.line + 1}-{end.line + 1}"
    return f"{place}\n{text[:MAX_SELECTION]}" if text else ""


def _offset(document: Document, position: Position) -> int:
    return document.offset_of(types.Position(position.line, position.character))
