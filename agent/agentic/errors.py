"""Failures.

What the model can mend is a value: a `Refusal` with a code, what is so, and what to do next.
What it cannot mend is an exception of this small tree:

    AgenticError
     ├── SettingsError            a setting has a bad value; the message names the key
     ├── ModelError               an attempt to get an answer failed
     │    ├── EndpointUnreachable  no connection, or nothing that speaks the protocol
     │    ├── RequestRefused       400, 401, 403, 404: sending it again cannot help
     │    ├── ContextOverflow      the prompt is longer than the window
     │    │    └── ContextExhausted  and nothing more can be taken out of the conversation
     │    ├── ServerBusy           408, 429, 5xx: may be sent again
     │    ├── StreamBroken         it ended without a finish reason, or sent nonsense
     │    └── DeadlineExceeded     connect, first token, silence or total
     ├── StoreError               the log cannot be written or read
     └── UnknownSession           no such session or turn

Each carries a stable `code` (an event's and a JSON-RPC error's) and a `hint` that says what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class AgenticError(Exception):
    """The root. `str(error)` is one sentence for a person; `hint` says what to do."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SettingsError(AgenticError):
    code = "bad_setting"


class ModelError(AgenticError):
    code = "model_failed"
    retryable: ClassVar[bool] = False
    """Whether the same request may succeed when it is sent again."""


class EndpointUnreachable(ModelError):
    code = "endpoint_unreachable"
    retryable = True


class RequestRefused(ModelError):
    code = "request_refused"


class ContextOverflow(ModelError):
    code = "context_overflow"


class ContextExhausted(ContextOverflow):
    code = "context_exhausted"


class ServerBusy(ModelError):
    code = "server_busy"
    retryable = True


class StreamBroken(ModelError):
    code = "stream_broken"
    retryable = True


class DeadlineExceeded(ModelError):
    code = "deadline_exceeded"
    retryable = True


class StoreError(AgenticError):
    code = "store_failed"


class UnknownSession(AgenticError):
    code = "unknown_session"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something was not done, and the model (or the user) can mend it.

    `code` is stable snake_case: not_found, not_unique, no_op, stale, conflict, rejected, outside_workspace,
    not_text, too_large, exists, not_a_file, denied, bad_arguments, unknown_tool, plan_mode, timeout, cancelled,
    io_error, subtasks_failed.
    """

    code: str
    message: str
    next_step: str = ""

    def __str__(self) -> str:
        return f"{self.message} {self.next_step}".strip()
