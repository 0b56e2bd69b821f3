"""How a proposed hunk looks in the editor: a diagnostic, a hover text and quick fixes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lsprotocol import types

from agentic.events import Hunk
from agentic.merge import Placed
from agentic.text import line_of
from agentic_server.editor_edits import document_edit
from agentic_server.editor_port import EditorClient, OpenDocument
from agentic_server.from_lsp import Encoding, line_end
from agentic_server.to_lsp import range_of

SOURCE = "agentic"
REVIEW_COMMAND = "agentic.review"


@dataclass(frozen=True, slots=True)
class Shown:
    """An undecided hunk in the text that the user sees."""

    hunk: Hunk
    placed: Placed
    title: str
    where: types.Range
    """The lines that it is about, whole."""

    @staticmethod
    def at(placed: Placed, hunk: Hunk, number: tuple[int, int], document: tuple[str, list[int], Encoding]) -> Shown:
        """`number` is which hunk of how many; `document` is its text, where its lines start, and its encoding."""
        text, starts, encoding = document
        first = line_of(starts, placed.start)
        last = max(first, line_of(starts, max(placed.start, placed.end - 1)))
        where = range_of(text, starts, starts[first], line_end(text, starts, last), encoding)
        return Shown(hunk, placed, f"change {number[0]} of {number[1]}" if number[1] > 1 else "change", where)

    def touches(self, where: types.Range) -> bool:
        """Whether they share a line."""
        return self.where.start.line <= where.end.line and where.start.line <= self.where.end.line


def diagnostic(shown: Shown) -> types.Diagnostic:
    """The hunk as a remark on its lines."""
    note = f"Proposed {shown.title}:"
    if shown.placed.state == "conflict":
        note = f"Proposed {shown.title}, which conflicts with what was typed here since, and cannot be accepted:"
    return types.Diagnostic(
        range=shown.where,
        message=f"{note}\n{shown.hunk.diff}",
        severity=types.DiagnosticSeverity.Information,
        source=SOURCE,
        code=shown.hunk.id,
    )


def hover(shown: Sequence[Shown]) -> types.Hover | None:
    """The diffs of these hunks, one below the other."""
    if not shown:
        return None
    parts = [f"**Agentic: proposed {one.title}**\n\n{_fenced(one.hunk.diff)}" for one in shown]
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, "\n\n".join(parts)))


def code_actions(
    editor: EditorClient,
    document: OpenDocument,
    item: str,
    hunks: tuple[Sequence[Shown], Sequence[Shown]],
    diagnostics: Sequence[types.Diagnostic],
) -> list[types.CodeAction]:
    """Quick fixes of one proposal; `hunks` are all its undecided ones and, of these, the ones in the asked range."""
    everything, here = hunks
    if not here:
        return []
    actions: list[types.CodeAction] = []
    for one in here:
        name = "this change" if len(here) == 1 else one.title
        if one.placed.state == "pending":
            actions.append(_accept(editor, document, item, f"accept {name}", [one], diagnostics))
        actions.append(_reject(item, f"reject {name}", [one], diagnostics))
    possible = [one for one in everything if one.placed.state == "pending"]
    if len(possible) > 1:
        title = f"accept all {len(possible)} changes"
        actions.append(_accept(editor, document, item, title, possible, diagnostics))
    if len(everything) > 1:
        actions.append(_reject(item, f"reject all {len(everything)} changes", everything, diagnostics))
    return actions


def _accept(
    editor: EditorClient,
    document: OpenDocument,
    item: str,
    title: str,
    hunks: Sequence[Shown],
    diagnostics: Sequence[types.Diagnostic],
) -> types.CodeAction:
    action = _action(item, title, "accept", hunks, diagnostics)
    action.edit = document_edit(editor, document, [one.placed.edit for one in hunks])
    action.is_preferred = len(hunks) == 1
    return action


def _reject(item: str, title: str, hunks: Sequence[Shown], diagnostics: Sequence[types.Diagnostic]) -> types.CodeAction:
    return _action(item, title, "reject", hunks, diagnostics)


def _action(
    item: str, title: str, verdict: str, hunks: Sequence[Shown], diagnostics: Sequence[types.Diagnostic]
) -> types.CodeAction:
    ids = {one.hunk.id for one in hunks}
    argument = {"itemId": item, "hunks": {one.hunk.id: verdict for one in hunks}, "appliedByClient": True}
    return types.CodeAction(
        title=f"Agentic: {title}",
        kind=types.CodeActionKind.QuickFix,
        diagnostics=[one for one in diagnostics if one.source == SOURCE and one.code in ids] or None,
        command=types.Command(title=f"Agentic: {title}", command=REVIEW_COMMAND, arguments=[argument]),
    )


def _fenced(diff: str) -> str:
    """A code block that the diff's own backticks cannot end."""
    longest = max((len(run) for run in re.findall(r"`+", diff)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}diff\n{diff.removesuffix(chr(10))}\n{fence}"
