"""What a tool is: a name, a description for the model, typed arguments, and one async function over the ports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar, cast

import msgspec

from agentic.errors import Refusal
from agentic.events import Event, Origin, PlanStep, ToolKind
from agentic.ports.asker import Asker
from agentic.ports.code_index import CodeIndex, NoIndex
from agentic.ports.model import ToolSpec
from agentic.ports.store import Store
from agentic.ports.team import Team
from agentic.ports.workspace import Workspace
from agentic.task import Task

Arguments = TypeVar("Arguments", bound=msgspec.Struct)


async def no_rules(path: str, room: int) -> str:
    """The rules of a workspace that has none."""
    return ""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a call may touch. One for a turn; `seen` and `plan` are the turn's own and grow with it."""

    workspace: Workspace
    asker: Asker
    store: Store
    task: Task
    origin: Origin
    emit: Callable[[Event], None]
    seen: dict[str, str]
    """Path to the version that was last shown to the model."""
    plan: list[PlanStep]
    """The plan as it now stands; `update_plan` replaces its content."""
    index: CodeIndex = field(default_factory=NoIndex)
    team: Team | None = None
    """Who works on subtasks; None for a sub-agent, which does its part alone."""
    rules: Callable[[str, int], Awaitable[str]] = no_rules
    """What the model has not been told yet of the rules for a file's folder, in at most so many characters."""
    max_chars: int = 50_000
    """Characters of a result at most, so that one result does not fill the model's window."""
    approval: Literal["ask", "allow"] = "ask"
    """What policy says of the call at hand; the door sets it, and a tool that has effects asks unless it is `allow`."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the model reads. The call failed when `code` is set. `command` and `exit_code`: what came to its end, as it
    is written in the workspace's folder.

    `path`: the file that was read or changed, whose folder may have rules.
    """

    text: str
    code: str = ""
    command: str = ""
    exit_code: int | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Tool(Generic[Arguments]):
    """`run` gets the context, the call's id (the item of its events) and validated arguments.

    What the model can mend comes back as a result with a code. `title` is one line for a person.
    """

    name: str
    kind: ToolKind
    description: str
    arguments: type[Arguments]
    run: Callable[[ToolContext, str, Arguments], Awaitable[ToolResult]]
    title: Callable[[Arguments], str]


def refused(refusal: Refusal) -> ToolResult:
    """The refusal as the model reads it."""
    return ToolResult(str(refusal), refusal.code)


def spec_of(tool: Tool[Any]) -> ToolSpec:
    """The tool in the chat completions format. Equal tools give equal bytes."""
    schema = msgspec.json.schema(tool.arguments)
    parameters = _inline(schema, schema["$defs"])
    parameters.pop("description", None)
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters},
    }


def _inline(node: Any, definitions: dict[str, Any]) -> Any:
    """The schema with its references replaced by what they stand for, without titles and defaults."""
    if isinstance(node, list):
        return [_inline(item, definitions) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    schema = cast("dict[str, Any]", node)
    if "$ref" in schema:
        return _inline(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "properties" in schema:
        schema = {**schema, "properties": {k: _inline(v, definitions) for k, v in schema["properties"].items()}}
    dropped = ("title", "default", "$defs") if "properties" not in schema else ("title", "$defs", "description")
    return {k: v if k == "properties" else _inline(v, definitions) for k, v in schema.items() if k not in dropped}
