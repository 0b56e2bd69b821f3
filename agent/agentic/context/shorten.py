"""Single messages made shorter, and still valid for every server: ids, names and the JSON of arguments stay whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import cast

from agentic.context.marks import MIDDLE, STUB
from agentic.ports.model import Message

SHORTEST = 200
"""Texts of fewer characters are left as they are."""

_THOUGHTS = ("reasoning", "reasoning_content")
_TEXTS = ("content", *_THOUGHTS)
_LONGEST_ARGUMENTS = 80


def stubs(exchange: Sequence[Message]) -> list[Message]:
    """One line for each result of an exchange (an answer with calls, then their results): what it was."""
    calls = {call["id"]: call["function"] for call in exchange[0].get("tool_calls") or ()}
    return [{**result, "content": _stub(calls.get(result.get("tool_call_id")))} for result in exchange[1:]]


def without_reasoning(message: Message) -> Message:
    """The message without what was thought; the same object where there is nothing of it."""
    if not any(message.get(name) for name in _THOUGHTS):
        return message
    return {name: value for name, value in message.items() if name not in _THOUGHTS}


def halved(message: Message) -> Message | None:
    """The message with its longest texts, among them those in calls' arguments, cut to half; None if all are short."""
    longest = max(map(len, _texts_of(message)), default=0)
    if longest < SHORTEST:
        return None
    limit = max(SHORTEST, longest // 2)

    def cut(text: str) -> str:
        return _without_middle(text) if len(text) >= limit else text

    shorter = {**message, **{name: cut(message[name]) for name in _TEXTS if isinstance(message.get(name), str)}}
    if message.get("tool_calls"):
        shorter["tool_calls"] = [_with_arguments(call, cut) for call in message["tool_calls"]]
    return shorter if shorter != message else None


def _without_middle(text: str) -> str:
    kept = (len(text) // 2 - len(MIDDLE)) // 2
    return f"{text[:kept]}{MIDDLE}{text[-kept:]}"


def _stub(function: Message | None) -> str:
    what = "a tool" if function is None else f"{function['name']} {_clipped(function['arguments'])}"
    return f"{STUB}what {what} gave. Look again if you need it."


def _clipped(arguments: str) -> str:
    return arguments if len(arguments) <= _LONGEST_ARGUMENTS else f"{arguments[: _LONGEST_ARGUMENTS - 1]}…"


def _texts_of(message: Message) -> list[str]:
    texts = [message[name] for name in _TEXTS if isinstance(message.get(name), str)]
    for call in message.get("tool_calls") or ():
        texts += _texts_in(call["function"]["arguments"])
    return texts


def _texts_in(arguments: str) -> list[str]:
    """The texts in a call's arguments; none where they are no JSON, or too deep to be walked."""
    texts: list[str] = []
    try:
        _each_string(json.loads(arguments), lambda text: texts.append(text) or text)
    except (ValueError, RecursionError):
        return []
    return texts


def _with_arguments(call: Message, change: Callable[[str], str]) -> Message:
    """The call with the texts in its arguments changed; the same where they cannot be."""
    try:
        old = json.loads(call["function"]["arguments"])
        new = _each_string(old, change)
    except (ValueError, RecursionError):
        return call
    if new == old:
        return call
    return {**call, "function": {**call["function"], "arguments": json.dumps(new, ensure_ascii=False)}}


def _each_string(value: object, change: Callable[[str], str]) -> object:
    """The JSON value with every string in it changed; names of members are kept."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_each_string(one, change) for one in cast("list[object]", value)]
    if isinstance(value, dict):
        return {name: _each_string(one, change) for name, one in cast("dict[str, object]", value).items()}
    return value
