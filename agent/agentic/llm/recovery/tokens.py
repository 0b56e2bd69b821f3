"""Calls between special tokens: harmony, DeepSeek and Kimi, Mistral, Llama's python tag, Gemma, Granite."""

from __future__ import annotations

import json
import re

from agentic import json_text
from agentic.llm.recovery.bare import python_call, python_list
from agentic.llm.recovery.cursor import Cursor
from agentic.llm.recovery.toolbox import RecoveredCall, call_of, object_in
from agentic.llm.recovery.values import Calls, arguments_call, json_calls

_HEADER_REST = re.compile(
    r"\s*(?:<\|channel\|>)?\s*(?:commentary|analysis|final)?\s*(?:<\|constrain\|>)?\s*(?:json|code)?\s*(?:<\|message\|>)?\s*"
)
_HEADER_LENGTH = 100
_TO = "to=functions."
_GEMMA_STRING = re.compile(r'<\|"\|>(.*?)<\|"\|>', re.DOTALL)
_STRING_OR_KEY = re.compile(r'"(?:[^"\\]|\\.)*"|([{,]\s*)([A-Za-z_][\w-]*)(?=\s*:)', re.DOTALL)


def harmony(cursor: Cursor) -> Calls:
    """gpt-oss: `<|channel|>commentary to=functions.f <|constrain|>json<|message|>{…}<|call|>`."""
    cursor.maybe("<|end|>")
    name = ""
    if cursor.maybe("<|start|>"):
        cursor.take("assistant")
        cursor.spaces()
        name = "" if cursor.maybe("<|channel|>") else _recipient(cursor)
    else:
        cursor.take("<|channel|>")
    if not name:
        cursor.take("commentary", "analysis", "final")
        name = _recipient(cursor)
    return _harmony_call(cursor, name)


def spelled_harmony(cursor: Cursor) -> Calls:
    """The same with its first tokens lost or in the prompt: `commentary to=functions.f json{…}`, `to=functions.f …`."""
    if cursor.maybe(_TO):
        cursor.at -= len(_TO)
    else:
        cursor.maybe("assistant")
        cursor.take("commentary", "analysis")
    return _harmony_call(cursor, _recipient(cursor))


def sections(cursor: Cursor) -> Calls:
    """DeepSeek V3 and R1, DeepSeek V3.1, Kimi K2: calls within a section, each between tokens."""
    section = cursor.maybe("<|tool_calls_begin|>", "<|tool_calls_section_begin|>")
    calls: list[RecoveredCall] = []
    while True:
        cursor.spaces()
        if calls and (
            (cursor.final and cursor.at_end) or cursor.maybe("<|tool_calls_end|>", "<|tool_calls_section_end|>")
        ):
            return tuple(calls)
        if calls and not section and not cursor.looks_at("<"):
            return tuple(calls)
        cursor.take("<|tool_call_begin|>")
        calls.append(_section_call(cursor))


def mistral(cursor: Cursor) -> Calls:
    """Mistral: `[TOOL_CALLS]f[ARGS]{…}`, or a list of JSON behind the token."""
    cursor.take("[TOOL_CALLS]")
    cursor.spaces()
    if cursor.at_end:
        cursor.more()
    if cursor.looks_at("[") or cursor.looks_at("{"):
        return json_calls(cursor)
    name = cursor.name()
    if cursor.maybe("[CALL_ID]"):
        cursor.until("[ARGS]", limit=80)
    else:
        cursor.maybe("[ARGS]")
    cursor.spaces()
    return (arguments_call(cursor, name),)


def python_tag(cursor: Cursor) -> Calls:
    """Llama 3: JSON or a Python call behind `<|python_tag|>`; several are parted by semicolons."""
    cursor.take("<|python_tag|>")
    calls: Calls = ()
    while True:
        cursor.spaces()
        if cursor.at_end:
            cursor.more()
        calls += json_calls(cursor) if cursor.looks_at("{") or cursor.looks_at("[") else (python_call(cursor),)
        cursor.spaces()
        if not cursor.maybe(";"):
            return calls


def python_tokens(cursor: Cursor) -> Calls:
    """A list of Python calls between tokens: Llama 4's and LFM2's."""
    opening = cursor.take("<|python_start|>", "<|tool_call_start|>")
    cursor.spaces()
    calls = python_list(cursor)
    cursor.close(opening.replace("start", "end"))
    return calls


def tool_call_token(cursor: Cursor) -> Calls:
    """Gemma's `<|tool_call>call:f{…}<tool_call|>` and Granite's `<|tool_call|>[{…}]`."""
    if cursor.take("<|tool_call>", "<|tool_call|>") == "<|tool_call>":
        return (_gemma_call(cursor),)
    cursor.spaces()
    calls = json_calls(cursor)
    cursor.spaces()
    cursor.maybe("<|/tool_call|>")
    return calls


def _recipient(cursor: Cursor) -> str:
    cursor.spaces()
    cursor.take("to=")
    cursor.maybe("functions.")
    return cursor.name()


def _harmony_call(cursor: Cursor, name: str) -> Calls:
    start = cursor.at
    cursor.until("{", limit=_HEADER_LENGTH)
    cursor.at -= 1
    if not _HEADER_REST.fullmatch(cursor.text, start, cursor.at):
        cursor.wrong()
    call = arguments_call(cursor, name)
    cursor.maybe("<|call|>")
    return (call,)


def _section_call(cursor: Cursor) -> RecoveredCall:
    cursor.spaces()
    cursor.maybe("function<|tool_sep|>")
    name = cursor.name()
    cursor.spaces()
    cursor.take("<|tool_sep|>", "<|tool_call_argument_begin|>", "```json")
    cursor.spaces()
    cursor.maybe("```json")
    cursor.spaces()
    call = arguments_call(cursor, name)
    cursor.spaces()
    cursor.maybe("```")
    cursor.close("<|tool_call_end|>")
    return call


def _gemma_call(cursor: Cursor) -> RecoveredCall:
    cursor.take("call:")
    name = cursor.name()
    start = cursor.at
    body = cursor.until("<tool_call|>")
    text = _GEMMA_STRING.sub(lambda found: json.dumps(found.group(1)), body)
    text = _STRING_OR_KEY.sub(
        lambda found: f'{found.group(1)}"{found.group(2)}"' if found.group(2) else found.group(), text
    )
    try:
        arguments = object_in(json_text.loads(text))
    except ValueError:
        cursor.wrong()
    return cursor.wrong() if arguments is None or start == cursor.at else call_of(name, arguments)
