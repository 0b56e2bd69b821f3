"""Text that repeats itself is cut while it streams; text that only looks like it is not."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.control.stream_guard import (
    COUNTED_CHARS,
    KNOWN_CHARS,
    REPEATED_CHARS,
    STRUCTURED_CHARS,
    StreamGuard,
)

WORDS = [
    "the",
    "file",
    "reads",
    "a",
    "list",
    "of",
    "open",
    "paths",
    "and",
    "writes",
    "each",
    "back",
    "with",
    "its",
    "lock",
]


def cut_at(text: str, size: int = 4) -> int | None:
    """After how many characters the stream is cut."""
    guard = StreamGuard()
    for at in range(0, len(text), size):
        if guard.feed(text[at : at + size]):
            return at + size
    return None


def prose(sentences: int, seed: int = 1) -> str:
    pick = random.Random(seed)
    return "".join(f"{' '.join(pick.choices(WORDS, k=14)).capitalize()} {n}. " for n in range(sentences))


LOOPS = {
    "a word": ("ha " * 9_000, REPEATED_CHARS),
    "a character": ("!" * 9_000, REPEATED_CHARS),
    "empty lines": ("\n" * 9_000, REPEATED_CHARS),
    "spaces": (" " * 9_000, REPEATED_CHARS),
    "a sentence": ("I will read the file. " * 900, REPEATED_CHARS),
    "a line": ("Let me check the tests again.\n" * 900, REPEATED_CHARS),
    "a paragraph": ((prose(6) + "\n\n") * 30, REPEATED_CHARS),
    "a long paragraph": ((prose(30) + "\n\n") * 30, 4 * len(prose(30)) + REPEATED_CHARS),
    "korean": ("파일을 다시 확인해 보겠습니다. " * 900, REPEATED_CHARS),
    "after an honest beginning": (prose(200) + "I will read the file. " * 900, len(prose(200)) + REPEATED_CHARS),
    "after a code block": ("```\nx = 1\n```\n" + "Again I look. " * 900, REPEATED_CHARS),
    "with counters": ("".join(f"Attempt {n} failed, so I try again. " for n in range(900)), COUNTED_CHARS * 3 // 2),
    "a sentence that grows": (
        "".join("I read" + "".join(f" and read {n}" for n in range(k)) + ".\n" for k in range(200)),
        2 * KNOWN_CHARS,
    ),
    "rounds that grow": ("".join(prose(k) + "\n" for k in range(1, 60)), 5 * KNOWN_CHARS),
    "a list": ("- look at the file\n" * 9_000, STRUCTURED_CHARS),
    "a code block": ("```python\n" + "x = 1\n" * 9_000, STRUCTURED_CHARS),
}

HONEST = {
    "prose": prose(2_000),
    "a sentence a hundred times, as the user asked": "I must not talk in class.\n" * 100,
    "numbers": ", ".join(map(str, range(9_000))),
    "a list of like items": "".join(f"- item {n} of the list is done\n" for n in range(3_000)),
    "a numbered list": "".join(f"{n}. run the tests again\n" for n in range(3_000)),
    "a table": "| case | result |\n|---|---|\n" + "".join(f"| {n} | ok |\n" for n in range(3_000)),
    "code": "```python\n" + "    self.assertEqual(0, 0)\n" * 500 + "```\n" + prose(50),
    "a matrix in a code block": "~~~\n" + "0, 0, 0, 0, 0, 0\n" * 1_000 + "~~~\n",
    "markdown in a code block": "````\n```\n" + "x\n" * 3_000 + "```\n````\n" + prose(20),
    "code without a block": "".join(f"def f{n}(x):\n    return {w}\n\n\n" for n, w in enumerate(prose(99).split())),
    "headings and rules": "".join(f"## Part {n}\n\n{prose(3, n)}\n\n---\n\n" for n in range(200)),
    "a thought that doubts": "".join(f"Wait, let me check again. {prose(2, n)}\n" for n in range(400)),
    "the same paragraph twice": (prose(20) + "\n") * 2 + prose(200, 7),
}


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("size", [1, 4, 700])
def test_a_loop_is_cut_in_time(name: str, size: int) -> None:
    text, within = LOOPS[name]
    at = cut_at(text, size)
    assert at is not None
    assert at <= within + 1_000


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("size", [3, 700])
def test_honest_text_is_not_cut(name: str, size: int) -> None:
    assert cut_at(HONEST[name], size) is None


@settings(max_examples=60, deadline=None)
@given(
    piece=st.text(min_size=1, max_size=900).filter(lambda piece: not set(piece) & set("-*+•|`~.)0123456789")),
    before=st.integers(0, 40),
    size=st.integers(1, 40),
)
def test_any_piece_over_and_over_is_cut(piece: str, before: int, size: int) -> None:
    text = prose(before)
    at = cut_at(text + piece * (3 * REPEATED_CHARS // len(piece) + 1), size)
    assert at is not None
    assert at > len(text) + REPEATED_CHARS // 2


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=3_000), size=st.integers(1, 50))
def test_a_short_text_is_never_cut(text: str, size: int) -> None:
    assert cut_at(text, size) is None
