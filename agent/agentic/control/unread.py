"""Calls that a model wrote as text and nobody could read: with broken JSON, without their end, of no known tool."""

from __future__ import annotations

import re

_OPENINGS = (
    *(r"<tool_calls?>", r"<function=", r"<function_calls>", r"<invoke name=", r"\[TOOL_CALLS\]"),
    *(r"<[|｜](?:tool▁?_?call|python_tag|DSML)", r"<\|channel\|>commentary to="),
    r'\{\s*"(?:name|function)"\s*:\s*"[\w.-]+"\s*,\s*"(?:arguments|parameters)"\s*:',
)
_CALL = re.compile(rf"^[ \t]*(?:{'|'.join(_OPENINGS)})", re.MULTILINE)
_BLOCK = re.compile(r"^ {0,3}(```+|~~~+)[^\n]*\n(?P<body>.*?)(?:^ {0,3}\1|\Z)", re.MULTILINE | re.DOTALL)


def holds_unread_call(text: str) -> bool:
    """Whether an answer that called nothing was most likely meant to.

    A line begins as a call does, outside of code blocks; or the answer ends in a code block that does. What stands in
    other code blocks or within a line is what the answer is about.
    """
    text = text.rstrip()
    last = next((block for block in _BLOCK.finditer(text) if block.end() == len(text)), None)
    if last is not None and _CALL.match(last["body"]):
        return True
    return _CALL.search(_BLOCK.sub("", text)) is not None
