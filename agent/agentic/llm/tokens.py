"""Token counts without a tokenizer: estimates that err high.

Measured with o200k, prose and code need 3 to 4.6 bytes a token, which is what most of a conversation is made of;
dense punctuation and digits need less than 2, base64 1.4. Each class of bytes is charged its own price, and so are
each word and mark however short, each line's end and indentation, each switch between digits and letters, of which
hexadecimal is made, and each character of scripts and symbols that vocabularies hardly know.
"""

from __future__ import annotations

import functools
import json
import math
import re
import string
from collections.abc import Sequence
from typing import cast

import msgspec

from agentic.ports.model import Message, ToolSpec

MESSAGE_OVERHEAD = 8
"""Tokens that a chat template adds to each message, to each call in it, and to the name of a result's tool, at most."""

_TEXTS = ("content", "reasoning", "reasoning_content")
_BYTES_A_TOKEN = 3.0
_LETTERS_A_TOKEN = 4.2
_DENSE_A_TOKEN = 1.5
_RUN_A_TOKEN = 1.3
_A_RARE_ONE = 1.2
_MARGIN = 1.12
_RUN = re.compile(rb"[A-Za-z0-9+/=_-]{64,}")
_SWITCH = re.compile(rb"[0-9](?=[A-Za-z])|[A-Za-z](?=[0-9])")
_ALL = bytes(range(256))
_RARE = re.compile(rb"[\xee\xf0-\xf4]|\xe1[\x84-\xb7]|\xe2[\x81-\xbf]")
"""First bytes of what is no letter of a widespread script: emoji, drawings, mathematics, Ethiopic, Cherokee, …"""
_LETTERS = bytes(byte if chr(byte).isalpha() and byte < 128 else 32 for byte in _ALL)
_DIGITS = bytes(byte if chr(byte).isdigit() and byte < 128 else 32 for byte in _ALL)
_MARKS = bytes(byte if byte in string.punctuation.encode() else 32 for byte in _ALL)
"""These three leave of a text what they are named after, and blanks."""
_NOT_DENSE = bytes(byte for byte in _ALL if byte >= 128 or chr(byte).isalpha() or chr(byte) in " \t\r\n")


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is; rather too many than too few. Linear in its length."""
    data = text.encode("utf-8", "replace")
    runs = _RUN.findall(data)
    if runs:
        data = _RUN.sub(b"", data)
    dense = len(data.translate(None, _NOT_DENSE))
    marks = max(dense / _DENSE_A_TOKEN, _pieces(data, _DIGITS) + _pieces(data, _MARKS))
    breaks = data.count(b"\n") - data.count(b"\n\n") + data.count(b"\n  ") + data.count(b"\n\t")
    words = max((len(data) - dense) / _LETTERS_A_TOKEN, _pieces(data, _LETTERS) + breaks)
    by_class = (words + marks + len(_SWITCH.findall(data))) * _MARGIN
    rare = len(_RARE.findall(data)) * _A_RARE_ONE
    return math.ceil(max(len(data) / _BYTES_A_TOKEN, by_class) + rare + sum(map(len, runs)) / _RUN_A_TOKEN)


@functools.lru_cache(maxsize=1_000)
def _estimate_again(text: str) -> int:
    """The same for what every conversation begins with: the system text and the tools are the same for all agents."""
    return estimate_tokens(text)


def estimate_messages(messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
    """About how many tokens a prompt is. A sum over messages and tools, so that callers can keep each one's count."""
    return sum(map(estimate_message, messages)) + sum(map(estimate_message, tools))


def estimate_message(message: Message | ToolSpec) -> int:
    """About how many tokens one message, or the description of one tool, adds to a prompt."""
    estimate = _estimate_again if message.get("role", "system") == "system" else estimate_tokens
    return MESSAGE_OVERHEAD + sum(map(estimate, _strings(message)))


def text_of(message: Message | ToolSpec) -> str:
    """What of a message, or of a tool's description, a chat template puts into the prompt, as one text."""
    if "role" not in message:
        return json.dumps(message, ensure_ascii=False)
    texts = [part for name in _TEXTS for part in _strings(message.get(name))]
    for call in message.get("tool_calls") or ():
        texts += [call["function"]["name"], call["function"]["arguments"]]
    return "\n".join(texts)


def overhead_of(message: Message | ToolSpec) -> int:
    """How many tokens a chat template adds to `text_of` a message, at most."""
    return MESSAGE_OVERHEAD * (1 + len(message.get("tool_calls") or ()) + (message.get("role") == "tool"))


def _pieces(data: bytes, kept: bytes) -> int:
    """How many runs there are of what a table keeps."""
    return len(data.translate(kept).split())


def _strings(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            pairs = cast("dict[str, object]", value).items()
            return [text for name, part in pairs for text in (name, *_strings(part))]
        case list():
            return [text for part in cast("list[object]", value) for text in _strings(part)]
        case None:
            return []
        case _:
            return [msgspec.json.encode(value).decode()]
