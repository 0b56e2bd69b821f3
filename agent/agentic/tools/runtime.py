"""The door for tool calls: from what a model wrote to a result that it can use, whatever happens."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any, get_args

import msgspec

from agentic.errors import AgenticError, Refusal
from agentic.events import ToolFinished, ToolStarted
from agentic.ports.model import ToolCall
from agentic.safety.approvals import visible
from agentic.safety.policy import decide
from agentic.text import clip
from agentic.tools.base import Tool, ToolContext, ToolResult, refused
from agentic.tools.registry import TOOLS
from agentic.tools.repair import repair

_logger = logging.getLogger(__name__)
_CANCELLED = ToolResult("The call was cancelled.", "cancelled")


@dataclass(frozen=True, slots=True)
class _Runnable:
    tool: Tool[Any]
    arguments: msgspec.Struct
    json: str


async def run_call(call: ToolCall, context: ToolContext, blocked: Refusal | None = None) -> ToolResult:
    """Run one call: repair its arguments, validate them, ask policy, run the tool. `blocked`: why it is not to be run.

    `ToolStarted` and `ToolFinished` are emitted on every path. Cancellation closes the call with `cancelled` and goes
    on; any other failure comes back as a result with a code.
    """
    runnable = _prepare(call)
    context.emit(_started(call, runnable, context))
    result = _CANCELLED
    try:
        ready = blocked or runnable
        result = refused(ready) if isinstance(ready, Refusal) else await _run(call, ready, context)
    finally:
        context.emit(
            ToolFinished(
                **context.origin,
                item=call.id,
                status="failed" if result.code else "completed",
                text=result.text,
                code=result.code,
            )
        )
    return result


def _prepare(call: ToolCall) -> _Runnable | Refusal:
    tool = TOOLS.get(call.name)
    if tool is None:
        return Refusal("unknown_tool", f"There is no tool {call.name!r}.", f"The tools are: {', '.join(TOOLS)}.")
    fields = {field.encode_name for field in msgspec.structs.fields(tool.arguments)}
    repaired = repair(call.arguments, fields)
    if isinstance(repaired, Refusal):
        return repaired
    try:
        arguments = msgspec.convert(repaired, tool.arguments, strict=False)
        return _Runnable(tool, arguments, msgspec.json.encode(arguments).decode())
    except msgspec.ValidationError as error:
        return Refusal("bad_arguments", f"The arguments of {tool.name} do not fit: {error}.", _usage(tool))
    except UnicodeEncodeError as error:
        problem = f"The arguments of {tool.name} hold half a character: {error.reason}."
        return Refusal("bad_arguments", problem, "Send the call again with whole characters.")


def _started(call: ToolCall, runnable: _Runnable | Refusal, context: ToolContext) -> ToolStarted:
    if isinstance(runnable, _Runnable):
        tool, title, arguments = runnable.tool, runnable.tool.title(runnable.arguments), runnable.json
    else:
        tool, title, arguments = TOOLS.get(call.name), call.name, call.arguments.encode("utf-8", "replace").decode()
    return ToolStarted(
        **context.origin,
        item=call.id,
        tool=call.name,
        tool_kind=tool.kind if tool else "other",
        title=visible(title),
        arguments=arguments,
    )


async def _run(call: ToolCall, runnable: _Runnable, context: ToolContext) -> ToolResult:
    tool, arguments = runnable.tool, runnable.arguments
    try:
        verdict = decide(tool.kind, context.task.mode, getattr(arguments, "command", None))
        if verdict == "deny":
            return refused(_denied(tool, context))
        result = await tool.run(replace(context, approval=verdict), call.id, arguments)
        text = clip(result.text, context.max_chars)
        return replace(result, text=await _with_rules(result.path, text, context))
    except AgenticError as error:
        _logger.warning("the tool %s failed: %s", tool.name, error)
        return refused(Refusal(error.code, str(error), error.hint))
    except Exception as error:
        _logger.exception("the tool %s broke", tool.name)
        return ToolResult(f"The tool {tool.name} broke: {type(error).__name__}: {error}. Try another way.", "internal")


async def _with_rules(path: str, text: str, context: ToolContext) -> str:
    """The result, and after it the rules for the file's folder that the model has not been told yet."""
    rules = await context.rules(path, context.max_chars // 4) if path else ""
    return f"{text}\n\n{rules}" if rules else text


def _denied(tool: Tool[Any], context: ToolContext) -> Refusal:
    if context.task.mode == "plan":
        return Refusal("plan_mode", f"{tool.name} is not run in plan mode.", "Read and describe the plan instead.")
    return Refusal("denied", f"Policy does not allow this {tool.name} call.", "Reach the goal another way.")


def _usage(tool: Tool[Any]) -> str:
    return f"Send one JSON object with: {_shape(tool.arguments)}."


def _shape(struct: type[msgspec.Struct]) -> str:
    """The names of an object's fields, and of those within where one is a list of objects."""
    names: list[str] = []
    for field in msgspec.structs.fields(struct):
        inner = next(
            (one for one in get_args(field.type) if isinstance(one, type) and issubclass(one, msgspec.Struct)), None
        )
        within = f" (a list of objects with: {_shape(inner)})" if inner else ""
        names.append(f"{field.encode_name}{'' if field.required else ' (optional)'}{within}")
    return ", ".join(names)
