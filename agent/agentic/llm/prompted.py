"""Tools for a model whose server cannot offer them: told in the system message, called and answered in plain text.

`<tool_call><function=…><parameter=…>` is the form that Qwen3-Coder was trained on. Its values are raw text between two
tags: no quotes and no escapes, which is where small models break code that they have to write as JSON. `recovery` reads
it back. What is rendered grows at its end when the conversation does; only the results of one answer share a message,
so that message grows while they come in.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, cast

from agentic.ports.model import Message, ToolSpec

RESPONSE = "<tool_response"
"""What a tool's result begins with."""


def render(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> list[Message]:
    """The conversation without `tools`, `tool_calls` and the role `tool`. Equal input gives equal bytes."""
    rendered: list[Message] = []
    names: dict[str, str] = {}
    last_role = ""
    for message in _with_tools(messages, tools):
        role = message["role"]
        if role == "tool":
            text = _response(names.get(message["tool_call_id"], ""), message["content"])
            if last_role == "tool":
                rendered[-1] = {"role": "user", "content": f"{rendered[-1]['content']}\n{text}"}
            else:
                rendered.append({"role": "user", "content": text})
        elif message.get("tool_calls"):
            names = {call["id"]: call["function"]["name"] for call in message["tool_calls"]}
            rendered.append(_without_calls(message))
        else:
            rendered.append(message)
        last_role = role
    return rendered


def render_call(name: str, arguments: Mapping[str, Any]) -> str:
    """One call in the form that the model is asked to write."""
    parameters = "".join(f"<parameter={key}>\n{_text(value)}\n</parameter>\n" for key, value in arguments.items())
    return f"<tool_call>\n<function={name}>\n{parameters}</function>\n</tool_call>"


def instructions(tools: Sequence[ToolSpec]) -> str:
    """What the end of the system message says about tools: the form of a call, the tools, one example."""
    functions = [tool["function"] for tool in tools]
    task, example = _example(functions)
    values = {"tools": "\n\n".join(map(_describe, functions)), "task": task, "example": example}
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match.group(1)], _template())


def _with_tools(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Sequence[Message]:
    if not tools:
        return messages
    if messages and messages[0]["role"] == "system":
        first = messages[0]
        return [{**first, "content": f"{first['content']}\n\n{instructions(tools)}"}, *messages[1:]]
    return [{"role": "system", "content": instructions(tools)}, *messages]


def _without_calls(message: Message) -> Message:
    """The answer with its calls as text after its words, as the model wrote it."""
    calls = (call["function"] for call in message["tool_calls"])
    texts = [render_call(call["name"], _arguments(call["arguments"])) for call in calls]
    if words := _EMPTY_FENCE.sub("", message.get("content") or "").rstrip():
        texts[0] = f"{words}\n{texts[0]}"
    plain = {key: value for key, value in message.items() if key != "tool_calls"}
    return {**plain, "content": "\n".join(texts)}


_EMPTY_FENCE = re.compile(r"^```[\w-]+\n+```(?:\n|$)", re.MULTILINE)
"""What stays of a code block that held a call; a model that sees it goes on writing them. Without a language it could
also be one block's end and another's beginning."""


def _arguments(text: str) -> dict[str, Any]:
    """:param text: JSON; what is no object gives none, as in a call that could not be read."""
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else {}


def _response(name: str, text: str) -> str:
    return f"{RESPONSE} name={name}>\n{text}\n</tool_response>"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _describe(function: Mapping[str, Any]) -> str:
    """`name(parameter: type, optional?: type)`, and below it what it does."""
    parameters: dict[str, Any] = function.get("parameters") or {}
    properties: dict[str, dict[str, Any]] = parameters.get("properties") or {}
    lines = [f"{function['name']}({_fields(parameters)})", str(function.get("description") or "")]
    lines += [f"- {name}: {about['description']}" for name, about in properties.items() if about.get("description")]
    return "\n".join(filter(None, lines))


def _fields(schema: Mapping[str, Any]) -> str:
    properties: dict[str, dict[str, Any]] = schema.get("properties") or {}
    required: Iterable[str] = schema.get("required") or ()
    return ", ".join(f"{name}{'' if name in required else '?'}: {_type(about)}" for name, about in properties.items())


def _type(schema: Mapping[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(map(_type, schema["anyOf"]))
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if "properties" in schema:
        return f"{{{_fields(schema)}}}"
    kind: str | list[str] = schema.get("type", "any")
    return kind if isinstance(kind, str) else " | ".join(kind)


def _example(functions: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """What is done in the example, and the answer that does it: an edit where one can be made."""
    if any(function["name"] == "edit_file" for function in functions):
        return "renames a variable in lib/area.py, which was read before", _EDIT
    function = functions[0]
    parameters: dict[str, Any] = function.get("parameters") or {}
    required: Iterable[str] = parameters.get("required") or ()
    return f"calls {function['name']}", render_call(function["name"], dict.fromkeys(required, "…"))


_EDIT = "I rename `w` to `width`.\n" + render_call(
    "edit_file",
    {
        "path": "lib/area.py",
        "old": '    w = box["width"]\n    return w * box["height"]',
        "new": '    width = box["width"]\n    return width * box["height"]',
    },
)


@functools.cache
def _template() -> str:
    return files("agentic.prompts").joinpath("tools_prompted.md").read_text("utf-8").removesuffix("\n")
