"""Token counts without a tokenizer: estimates that err high.

Measured with o200k, prose and code need 3 to 4.6 bytes a token, which is what most of a conversation is made of;
dense punctuation and digits need less than 2, base64 1.4. Each class of bytes is charged its own price.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import cast

import msgspec

from agentic.ports.model import Message, ToolSpec

MESSAGE_OVERHEAD = 8
"""Tokens that a chat template adds to each message, at most."""

_LETTERS_A_TOKEN = 3.0
_DENSE_A_TOKEN = 1.5
_RUN_A_TOKEN = 1.3
_RUN = re.compile(rb"[A-Za-z0-9+/=_-]{64,}")
_NOT_DENSE = bytes(byte for byte in range(256) if byte >= 128 or chr(byte).isalpha() or chr(byte).isspace())


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is; rather too many than too few. Linear in its length."""
    data = text.encode("utf-8", "replace")
    runs = sum(len(run) for run in _RUN.findall(data))
    dense = len(data.translate(None, _NOT_DENSE))
    by_length = (len(data) - runs) / _LETTERS_A_TOKEN
    by_class = (len(data) - dense - runs) / _LETTERS_A_TOKEN / 1.4 + dense / _DENSE_A_TOKEN
    return math.ceil(max(by_length, by_class) + runs / _RUN_A_TOKEN)


def estimate_messages(messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
    """About how many tokens a prompt is. A sum over messages and tools, so that callers can keep each one's count."""
    return sum(map(estimate_message, messages)) + sum(map(estimate_message, tools))


def estimate_message(message: Message | ToolSpec) -> int:
    """About how many tokens one message, or the description of one tool, adds to a prompt."""
    return MESSAGE_OVERHEAD + sum(map(estimate_tokens, _strings(message)))


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
