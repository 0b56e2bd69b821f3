"""Every tool, in the order in which the model sees them. The order and the bytes never change within a session."""

from __future__ import annotations

from functools import cache
from typing import Any

from agentic.ports.model import ToolSpec
from agentic.tools.ask_user import ASK_USER
from agentic.tools.base import Tool, spec_of
from agentic.tools.delegate import DELEGATE
from agentic.tools.edit_file import EDIT_FILE
from agentic.tools.find_files import FIND_FILES
from agentic.tools.list_files import LIST_FILES
from agentic.tools.problems import PROBLEMS
from agentic.tools.read_file import READ_FILE
from agentic.tools.run_command import RUN_COMMAND
from agentic.tools.search_code import SEARCH_CODE
from agentic.tools.search_text import SEARCH_TEXT
from agentic.tools.update_plan import UPDATE_PLAN
from agentic.tools.write_file import WRITE_FILE

_ORDER: tuple[Tool[Any], ...] = (
    READ_FILE,
    LIST_FILES,
    FIND_FILES,
    SEARCH_TEXT,
    SEARCH_CODE,
    PROBLEMS,
    EDIT_FILE,
    WRITE_FILE,
    RUN_COMMAND,
    ASK_USER,
    UPDATE_PLAN,
    DELEGATE,
)

TOOLS: dict[str, Tool[Any]] = {tool.name: tool for tool in _ORDER}


@cache
def tool_specs() -> list[ToolSpec]:
    """The tools in the chat completions format; the same list each time, not to be changed."""
    return [spec_of(tool) for tool in _ORDER]
