"""Estimates err high, but not wildly."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.llm.tokens import MESSAGE_OVERHEAD, estimate_messages, estimate_tokens

RANDOM = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(60))

COUNTED = {
    "code": (
        'def add(first: int, second: int) -> int:\n    """The sum of both."""\n    return first + second\n\n\n' * 20,
        520,
    ),
    "prose": (
        "The quick brown fox jumps over the lazy dog, and nobody in the whole village was surprised by it.\n" * 20,
        420,
    ),
    "json": (
        '{"id": 17, "name": "agentic", "tags": ["lsp", "editor"], "nested": {"deep": [1, 2, 3], "ok": true}}\n' * 20,
        860,
    ),
    "log": (
        "2026-11-20 21:39:54,123 INFO worker[4711] GET /api/v2/items/9f86d081884c7d65?page=3 200 17ms\n" * 20,
        920,
    ),
    "minified": (
        '!function(e,t){"object"==typeof exports?module.exports=t():e.x=t()}(this,function(){return 1});var a=[],b={};'
        * 20,
        680,
    ),
    "korean": ("안녕하세요! 파일을 읽었습니다. 오류는 없습니다.\n" * 20, 240),
    "emoji": ("🎉🚀🔥😀🧪🦀🐍✅❌\n" * 20, 360),
    "diff": ("@@ -1,7 +1,7 @@\n-    return a - b  # x\n+    return a + b\n" * 20, 560),
    "short lines": ("a\n" * 400, 800),
    "colours": ("\x1b[31mred\x1b[0m \x1b[1;32mgreen\x1b[0m\n" * 20, 440),
    "mathematics": ("𝒜𝔅ℂ𝓓∑∫∂√∞≠≤≥⊂∀∃\n" * 20, 580),
    "amharic": ("በዚህ ተግባር ውስጥ ስህተትን ማስተካከል አለብን።\n" * 20, 1160),
    "hex": (RANDOM.hex(), 2182),
    "base64": (base64.b64encode(RANDOM).decode(), 1744),
}
"""Texts with the number of tokens that o200k gives them."""


@pytest.mark.parametrize("kind", COUNTED)
def test_an_estimate_is_rarely_below_and_never_twice_the_count(kind: str) -> None:
    text, tokens = COUNTED[kind]
    assert tokens * 0.98 <= estimate_tokens(text) <= tokens * 2


def test_nothing_is_nothing() -> None:
    assert estimate_tokens("") == 0
    assert estimate_messages([]) == 0


@given(st.text(alphabet=st.characters()))
def test_any_text_can_be_counted(text: str) -> None:
    assert estimate_tokens(text) >= len(text.encode("utf-8", "replace")) / 3


def test_messages_count_all_their_strings_and_some_overhead() -> None:
    arguments = '{"path": "a.py", "content": "' + "word " * 500 + '"}'
    call = {"id": "c", "type": "function", "function": {"name": "write_file", "arguments": arguments}}
    messages = [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "content": "ok"}]
    tools = [{"type": "function", "function": {"name": "write_file", "parameters": {"required": ["path"]}}}]
    total = estimate_messages(messages, tools)
    assert total >= estimate_tokens(arguments) + 3 * MESSAGE_OVERHEAD
    assert total == sum(estimate_messages([message]) for message in [*messages, *tools])
