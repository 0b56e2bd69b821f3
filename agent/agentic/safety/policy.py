"""The first of two gates: what a tool call may do in a mode. The second is the sandbox on its effect."""

from __future__ import annotations

from typing import Literal

from agentic.events import ToolKind
from agentic.safety.shell_gate import is_read_only
from agentic.task import MODES, Mode

Decision = Literal["allow", "ask", "deny"]

_TABLE: dict[ToolKind, tuple[Decision, Decision, Decision, Decision]] = {
    "edit": ("deny", "ask", "allow", "allow"),
    "delete": ("deny", "ask", "ask", "allow"),
    "move": ("deny", "ask", "ask", "allow"),
    "execute": ("deny", "ask", "ask", "ask"),
    "fetch": ("ask", "ask", "ask", "ask"),
}


def decide(tool_kind: ToolKind, mode: Mode, command: str | None = None) -> Decision:
    """Whether a call of this kind may go ahead; `command` is the shell command of an `execute`.

    | kind                       | plan  | ask   | accept-edits | auto  |
    |----------------------------|-------|-------|--------------|-------|
    | read, search, think, other | allow | allow | allow        | allow |
    | execute, only reading      | allow | allow | allow        | allow |
    | execute, anything else     | deny  | ask   | ask          | ask   |
    | edit                       | deny  | ask   | allow        | allow |
    | delete, move               | deny  | ask   | ask          | allow |
    | fetch                      | ask   | ask   | ask          | ask   |

    `other` is for tools of our own that touch nothing. Until commands run in a sandbox, auto asks for them as well.
    """
    if tool_kind not in _TABLE or (tool_kind == "execute" and command is not None and is_read_only(command)):
        return "allow"
    return _TABLE[tool_kind][MODES.index(mode)]
