"""Answers that were meant to call a tool, told from those that are about calls."""

import pytest

from agentic.control.unread import holds_unread_call


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{"name": "open_file", "arguments": {"path": "a.py"}}\n</tool_call>',
        'I read it.\n\n<tool_call>\n{"name": "read_file", "arguments": {"path": "a.py}}\n</tool_call>',
        "I read it.\n<function=read_file>\n<parameter=path>\na.py",
        'Now:\n```json\n{"name": "open_file", "arguments": {"path": "a.py"}}\n```\n',
        'Now:\n```json\n{"name": "open_file", "arguments": {"path": "a.py"}',
        "```\n<tool_call>\n<function=open_file>\n</function>\n</tool_call>\n```",
        '{"name": "open_file", "parameters": {"path": "a.py"}}',
        "[TOOL_CALLS]open_file[ARGS]{}",
        "```python\nx = 1\n```\n<tool_call>\n",
    ],
)
def test_is_held(text: str) -> None:
    assert holds_unread_call(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Done. All tests pass.",
        "The model writes `<tool_call>`, and the parser reads <tool_call> from its text.",
        "This is the form:\n\n```xml\n<tool_call>\n<function=f>\n</function>\n</tool_call>\n```\n\nIt is read.",
        'package.json now begins so:\n```json\n{"name": "web", "version": "1.0.0"}\n```',
        "```python\nx = 1\n```\n",
        "~~~\n<tool_call>\n~~~\nends the example.",
    ],
)
def test_is_not_held(text: str) -> None:
    assert not holds_unread_call(text)
