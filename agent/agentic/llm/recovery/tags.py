"""Calls between tags: Hermes and Qwen, Qwen3-Coder, Llama's function tag, GLM, MiniMax, Seed, DSML, lists."""

from __future__ import annotations

from collections.abc import Callable

from agentic.llm.recovery.cursor import Cursor
from agentic.llm.recovery.toolbox import RecoveredCall
from agentic.llm.recovery.values import Calls, Layout, arguments_call, json_calls, tagged_arguments

_PARAMETERS = Layout("<parameter=", ">", "</parameter>", ("</function>",))
_GLM = Layout("<arg_key>", "</arg_key>", "</arg_value>", ("</tool_call>",), "<arg_value>")
_INVOKE = Layout('<parameter name="', ">", "</parameter>", ("</invoke>",))


def tool_call(cursor: Cursor) -> Calls:
    """`<tool_call>` around JSON, around a function tag, or around GLM's name and pairs."""
    cursor.take("<tool_call>")
    cursor.spaces()
    if cursor.at_end:
        cursor.more()
    if cursor.looks_at("{") or cursor.looks_at("["):
        calls = json_calls(cursor)
        cursor.close("</tool_call>")
        return calls
    if cursor.looks_at("<"):
        calls = (_function(cursor),)
        cursor.close("</tool_call>")
        return calls
    name = cursor.name()
    cursor.maybe("</arg_value>")
    return (tagged_arguments(cursor, name, _GLM),)


def json_list(cursor: Cursor) -> Calls:
    """JSON in a tag: Qwen2.5-Coder's `<tools>`, Hunyuan's and Jamba's `<tool_calls>`, Nemotron's `<TOOLCALL>`."""
    opening = cursor.take("<tools>", "<tool_calls>", "<TOOLCALL>")
    cursor.spaces()
    calls = json_calls(cursor)
    cursor.close("</" + opening[1:])
    return calls


def function(cursor: Cursor) -> Calls:
    """A function tag of its own: Llama's with JSON in it, or Qwen3-Coder's whose opening `<tool_call>` was lost."""
    call = _function(cursor)
    cursor.spaces()
    cursor.maybe("</tool_call>")
    return (call,)


def seed(cursor: Cursor) -> Calls:
    """Seed-OSS: function tags within `<seed:tool_call>`."""
    cursor.take("<seed:tool_call>")
    return _several(cursor, "</seed:tool_call>", _function)


def minimax(cursor: Cursor) -> Calls:
    """MiniMax M2: invocations within `<minimax:tool_call>`."""
    cursor.take("<minimax:tool_call>")
    return _several(cursor, "</minimax:tool_call>", lambda inner: _invoke(inner, "<invoke", _INVOKE))


def invocations(cursor: Cursor) -> Calls:
    """Invocations within `<function_calls>`."""
    cursor.take("<function_calls>")
    return _several(cursor, "</function_calls>", lambda inner: _invoke(inner, "<invoke", _INVOKE))


def invoke(cursor: Cursor) -> Calls:
    """An invocation whose surroundings were lost."""
    call = _invoke(cursor, "<invoke", _INVOKE)
    cursor.spaces()
    cursor.maybe("</minimax:tool_call>", "</function_calls>")
    return (call,)


def dsml(cursor: Cursor) -> Calls:
    """DeepSeek V3.2 and V4: invocations in the DSML name space, whose bars may be doubled, in a tag or without."""
    start, space = cursor.at, cursor.take("<|DSML|", "<||DSML||")[1:]
    cursor.at = start
    layout = Layout(f'<{space}parameter name="', ">", f"</{space}parameter>", (f"</{space}invoke>",))
    outer = cursor.maybe(f"<{space}function_calls>", f"<{space}tool_calls>")
    if not outer:
        return (_invoke(cursor, f"<{space}invoke", layout),)
    return _several(cursor, "</" + outer[1:], lambda inner: _invoke(inner, f"<{space}invoke", layout))


def _function(cursor: Cursor) -> RecoveredCall:
    cursor.take("<function=")
    name = cursor.name()
    cursor.spaces()
    cursor.take(">")
    cursor.spaces()
    if cursor.looks_at("{"):
        call = arguments_call(cursor, name)
        cursor.close("</function>", "<function>")
        return call
    return tagged_arguments(cursor, name, _PARAMETERS)


def _invoke(cursor: Cursor, opening: str, layout: Layout) -> RecoveredCall:
    cursor.take(f'{opening} name="')
    name = cursor.name()
    cursor.take('">')
    return tagged_arguments(cursor, name, layout)


def _several(cursor: Cursor, closing: str, one: Callable[[Cursor], RecoveredCall]) -> Calls:
    """One call after another up to the closing tag."""
    calls: list[RecoveredCall] = []
    while True:
        cursor.spaces()
        if calls and ((cursor.final and cursor.at_end) or cursor.maybe(closing)):
            return tuple(calls)
        calls.append(one(cursor))
