"""The doors: what the client may call, each bound to the daemon."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from agentic_server import commands, protocol
from agentic_server.daemon import Daemon
from agentic_server.errors import to_rpc
from agentic_server.from_lsp import path_of
from agentic_server.hardened import HardenedServer
from agentic_server.version import VERSION


def build(flags: Mapping[str, object]) -> HardenedServer:
    """The server with all its doors. `flags` are settings from the command line, by their dotted keys."""
    server = HardenedServer("agentic", VERSION)
    daemon = Daemon(server, flags)
    for name, handler in commands.HANDLERS.items():
        server.command(name)(_command(daemon, name, handler))
    _lifecycle_doors(server, daemon)
    _review_doors(server, daemon)
    return server


def _command(daemon: Daemon, name: str, handler: commands.Handler) -> Callable[..., Awaitable[Any]]:
    """A command's door: from JSON to typed params and back, failures to JSON-RPC errors."""

    async def run(*arguments: Any) -> Any:
        try:
            return msgspec.to_builtins(await handler(daemon, protocol.parse(name, arguments)))
        except Exception as error:
            raise _answer(error) from error

    return run


def _lifecycle_doors(server: HardenedServer, daemon: Daemon) -> None:
    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        daemon.remember_options(params.initialization_options)

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def configuration_changed(_params: types.DidChangeConfigurationParams) -> None:
        await daemon.configuration_changed()

    @server.feature(types.WINDOW_WORK_DONE_PROGRESS_CANCEL)
    def progress_cancelled(params: types.WorkDoneProgressCancelParams) -> None:
        daemon.cancel_progress(params.token)

    @server.feature(types.CANCEL_REQUEST)
    def request_cancelled(params: types.CancelParams) -> None:
        daemon.cancel_request(params.id)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: types.DidSaveTextDocumentParams) -> None:
        daemon.check_mirror(params.text_document.uri, params.text)

    @server.feature("agentic/attach")
    async def attach(params: Any) -> Any:
        try:
            found = protocol.parse_object("agentic/attach", protocol.AttachParams, params)
            return msgspec.to_builtins(await commands.attach(daemon, found))
        except Exception as error:
            raise _answer(error) from error


def _review_doors(server: HardenedServer, daemon: Daemon) -> None:
    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> types.Hover | None:
        reviews = daemon.reviews
        return reviews.hover(_path(params.text_document.uri), params.position) if reviews else None

    options = types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix])

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, options)
    def code_actions(params: types.CodeActionParams) -> list[types.CodeAction]:
        reviews = daemon.reviews
        path = _path(params.text_document.uri)
        return reviews.code_actions(path, params.range, params.context.diagnostics) if reviews else []


def _path(uri: str) -> str:
    """The real path of a document; empty for one that is no file."""
    try:
        return os.path.realpath(path_of(uri))
    except ValueError:
        return ""


def _answer(error: Exception) -> JsonRpcException:
    found = to_rpc(error)
    return JsonRpcException(found.message, found.code, found.data)
