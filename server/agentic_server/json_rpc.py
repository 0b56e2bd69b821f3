"""The words of JSON-RPC: ids, error codes, and how messages that are not the protocol's are decoded."""

from __future__ import annotations

import json
import re
from typing import Any, TypeGuard

from cattrs import Converter, transform_error
from lsprotocol import converters, types
from pygls.exceptions import JsonRpcException
from pygls.protocol import JsonRPCNotification, JsonRPCRequestMessage

from agentic_server.errors import to_rpc

PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS = -32700, -32600, -32602
NOT_INITIALIZED = -32002

MessageId = str | int
Message = dict[str, Any]


class ClientError(Exception):
    """The client answered a request with an error, or with something that is not an answer to it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


def decoded(body: bytes) -> object:
    """A message's JSON value. Half characters, which JSON can spell and no text can hold, become question marks.

    :raises ValueError: it is no JSON.
    """
    value = json.loads(body)
    if not _HALF_CHARACTER.search(body):
        return value
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


def plain_converter() -> Converter:
    """The protocol's types, and plain JSON values for methods that are not the protocol's."""
    converter = converters.get_converter()

    def folders(raw: list[Message]) -> list[types.WorkspaceFolder]:
        # Neovim 0.7 sends an empty thing in the place of no folder.
        return [converter.structure(folder, types.WorkspaceFolder) for folder in raw if folder]

    converter.register_structure_hook(
        types.WorkspaceFoldersChangeEvent,
        lambda raw, _: types.WorkspaceFoldersChangeEvent(folders(raw["added"]), folders(raw["removed"])),
    )
    converter.register_structure_hook(
        JsonRPCRequestMessage,
        lambda raw, _: JsonRPCRequestMessage(raw["id"], raw["method"], raw["jsonrpc"], raw.get("params")),
    )
    converter.register_structure_hook(
        JsonRPCNotification, lambda raw, _: JsonRPCNotification(raw["method"], raw["jsonrpc"], raw.get("params"))
    )
    return converter


def is_id(value: object) -> TypeGuard[MessageId]:
    """Whether a request can be known by it."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def exception_of(raised: BaseException) -> JsonRpcException:
    """What the client is told of a failure; never a traceback."""
    error = to_rpc(raised)
    return JsonRpcException(error.message, error.code, error.data)


def causes_of(error: Exception) -> str:
    """What does not fit in a message, and where, in one line."""
    return "; ".join(transform_error(error))[:300]


def client_error(error: object) -> ClientError:
    """The exception for a response's `error` member, whatever the client put there."""
    match error:
        case {"code": int(code), "message": str(message)}:
            return ClientError(code, message)
        case _:
            return ClientError(0, f"the client answered with the error {str(error)[:100]}")
