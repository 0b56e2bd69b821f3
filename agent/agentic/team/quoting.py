"""Texts that go into others' prompts, kept to their share of the window. In the log they stay whole."""

from __future__ import annotations

from agentic.context.marks import MIDDLE

BYTES_A_TOKEN = 3
"""By which tokens are estimated; it errs high, in every language."""
MATERIAL_SHARE = 3
"""The question and its material get at most this part of the window each."""
TEXTS_SHARE = 8
"""Others' texts get at most this part of the window in one round."""
SHORTEST = 600
"""Tokens that a text of a member gets in any case: what it is asked for, and half as much again."""


def fitting(text: str, tokens: int) -> str:
    """The text, without its middle where it has more than about so many tokens."""
    size, room = len(text.encode("utf-8", "replace")), tokens * BYTES_A_TOKEN
    if size <= room:
        return text
    kept = len(text) * room // size // 2
    return text[:kept] + MIDDLE + text[len(text) - kept :]


def room_for_material(window: int) -> int:
    """Tokens."""
    return window // MATERIAL_SHARE


def room_for_text(window: int, members: int) -> int:
    """Tokens of one member's text in another's prompt."""
    return max(SHORTEST, window // (TEXTS_SHARE * max(1, members)))
