"""What the client on the other side really does: what it announces, corrected by what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from lsprotocol import types

from agentic_server.from_lsp import Encoding


@dataclass(frozen=True, slots=True)
class ClientProfile:
    """One client, for the length of its session."""

    name: str = ""
    """As it calls itself; empty for a client that does not."""
    version: str = ""
    encoding: Encoding = "utf-16"
    """What its positions count in truth."""
    document_changes: bool = False
    """Whether a WorkspaceEdit may carry `documentChanges`, with versions; else only `changes`."""
    apply_edit: bool = False
    """Whether it answers workspace/applyEdit. Its answer is not the truth: the mirror of the document is."""
    apply_edit_only_after_action: bool = False
    """It drops edits that do not follow an action of the user at once."""
    resource_operations: frozenset[str] = frozenset()
    """What a WorkspaceEdit may do to files: create, rename, delete. Empty where it announces but does not do them."""
    saves_closed_files: bool = False
    """It saves files that an edit touched and that no window shows; others leave them in hidden, unsaved buffers."""
    work_done_progress: bool = False
    """Whether it takes progress that the server begins."""
    show_message_request: bool = True
    """Whether a question with buttons gets an answer. No capability tells: the protocol asks it of every client."""
    show_document: bool = False
    """Whether window/showDocument works and is answered."""
    code_actions: bool = False
    """Whether it takes code actions that carry edits."""
    events: bool = False
    """It asked for `agentic/event` notifications."""
    asks: bool = False
    """It answers `agentic/ask` requests."""
    diagnostics: bool = False
    """It answers `agentic/diagnostics` requests."""
    counts_code_points: bool = False
    """Its positions count code points, whatever was agreed on."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What a client does other than it announces."""

    why: str
    show_document: bool = False
    show_message_request: bool = True
    resource_operations: bool = True
    apply_edit_only_after_action: bool = False
    counts_code_points_unless_negotiated: bool = False


_KNOWN: dict[str, _Known] = {
    "visual studio code": _Known("answers showDocument", show_document=True),
    "neovim": _Known("answers showDocument where it announces it", show_document=True),
    "helix": _Known("answers showDocument", show_document=True),
    "sublime text lsp": _Known("answers showDocument", show_document=True),
    "eglot": _Known("claims to have applied file operations that it ignored", resource_operations=False),
    "emacs": _Known(
        "lsp-mode 8 answers showDocument with null and counts code points; later ones negotiate utf-32",
        counts_code_points_unless_negotiated=True,
    ),
    "kate": _Known(
        "never answers showDocument; takes edits within 2 s of a user's action",
        resource_operations=False,
        apply_edit_only_after_action=True,
    ),
}
"""By the beginning of the name in lower case. A client that is not here is believed, but for showDocument."""

_UNKNOWN = _Known("not seen yet")
_NAMELESS = _Known("Kate gives no name and no applyEdit", apply_edit_only_after_action=True)


def profile_of(params: types.InitializeParams) -> ClientProfile:
    """The profile of the client that sent these."""
    info, capabilities = params.client_info, params.capabilities
    name = info.name if info else ""
    workspace = capabilities.workspace or types.WorkspaceClientCapabilities()
    window = capabilities.window or types.WindowClientCapabilities()
    edit = workspace.workspace_edit or types.WorkspaceEditClientCapabilities()
    known = _known(name, bool(workspace.apply_edit))
    announced_show = bool(window.show_document and window.show_document.support)
    counts_code_points = known.counts_code_points_unless_negotiated and not _offered(capabilities)
    ours = _ours(capabilities)
    return ClientProfile(
        name=name,
        version=(info.version or "") if info else "",
        encoding="utf-32" if counts_code_points else negotiated(capabilities),
        document_changes=bool(edit.document_changes),
        apply_edit=bool(workspace.apply_edit),
        apply_edit_only_after_action=known.apply_edit_only_after_action,
        resource_operations=frozenset(_values(edit.resource_operations if known.resource_operations else None)),
        saves_closed_files=ours.get("savesClosedFiles") is True,
        work_done_progress=bool(window.work_done_progress),
        show_message_request=known.show_message_request,
        show_document=announced_show and known.show_document,
        code_actions=_takes_code_actions(capabilities),
        events=ours.get("events") is True,
        asks=ours.get("ask") is True,
        diagnostics=ours.get("diagnostics") is True,
        counts_code_points=counts_code_points,
    )


def negotiated(capabilities: types.ClientCapabilities) -> Encoding:
    """The position encoding that the server announces: the first that the client offers and we know, else utf-16."""
    for offered in _offered(capabilities):
        if offered in ("utf-8", "utf-16", "utf-32"):
            return offered
    return "utf-16"


def _offered(capabilities: types.ClientCapabilities) -> list[str]:
    general = capabilities.general
    return _values(general.position_encodings if general else None)


def _values(kinds: Sequence[str] | None) -> list[str]:
    """The words themselves: an enumeration's member hashes by its name, not by its value."""
    return [kind.value if isinstance(kind, Enum) else kind for kind in kinds or ()]


def _known(name: str, announces_apply_edit: bool) -> _Known:
    if not name and not announces_apply_edit:
        return _NAMELESS
    return next((known for prefix, known in _KNOWN.items() if name.lower().startswith(prefix)), _UNKNOWN)


def _takes_code_actions(capabilities: types.ClientCapabilities) -> bool:
    document = capabilities.text_document
    return bool(document and document.code_action and document.code_action.code_action_literal_support)


def _ours(capabilities: types.ClientCapabilities) -> dict[str, Any]:
    """`capabilities.experimental.agentic`; `true` opts into events and questions."""
    experimental: object = capabilities.experimental
    value = cast("dict[str, object]", experimental).get("agentic") if isinstance(experimental, dict) else None
    if value is True:
        return {"events": True, "ask": True}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
