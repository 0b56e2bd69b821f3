"""The edge's own errors, and the one table from errors to JSON-RPC codes.

The message that goes out says what is so and what to do, because most clients show nothing else; `data` carries the
stable `code` and the `hint` for clients that look.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentic.errors import AgenticError

INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REQUEST_FAILED = -32803
"""LSP's code for a request that was well formed and could not be done."""


class InvalidParams(AgenticError):
    """A command or request came with parameters that do not fit."""

    code = "invalid_params"

    def __init__(self, message: str, hint: str = "", key: str = "") -> None:
        super().__init__(message, hint)
        self.key = key


class UnknownCommand(AgenticError):
    """There is no such command."""

    code = "unknown_command"


JSON_RPC_CODES: dict[type[AgenticError], int] = {
    InvalidParams: INVALID_PARAMS,
    UnknownCommand: INVALID_PARAMS,
    AgenticError: REQUEST_FAILED,
}
"""The nearest ancestor of an error decides; whatever is no `AgenticError` is an internal error."""


@dataclass(frozen=True, slots=True)
class RpcError:
    """A JSON-RPC error object."""

    code: int
    message: str
    data: dict[str, str]


def to_rpc(error: BaseException) -> RpcError:
    """The JSON-RPC error that tells a client of this failure."""
    if not isinstance(error, AgenticError):
        hint = "This is a defect of Agentic; its log has the details."
        message = f"{type(error).__name__}: {error}. {hint}"
        return RpcError(INTERNAL_ERROR, message, {"code": AgenticError.code, "hint": hint})
    code = next(JSON_RPC_CODES[ancestor] for ancestor in type(error).__mro__ if ancestor in JSON_RPC_CODES)
    data = {"code": error.code, "hint": error.hint}
    if isinstance(error, InvalidParams) and error.key:
        data["key"] = error.key
    return RpcError(code, f"{error} {error.hint}".strip(), data)
