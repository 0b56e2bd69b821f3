"""The o200k tokenizer: exact, from what is installed, whatever the text is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from agentic.llm.tokenizer import SLICE, Tokenizer, has_o200k, load_o200k, slices


async def loaded() -> Tokenizer:
    tokenizer = await load_o200k()
    assert tokenizer is not None
    return tokenizer


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("Hello world", 2),
        ("def add(first: int, second: int) -> int:\n    return first + second\n", 19),
        ("안녕하세요! 파일을 읽었습니다. 오류는 없습니다.\n", 12),
        ("<|endoftext|>", 7),
        ("🎉🚀🔥😀🧪🦀🐍✅❌\n", 18),
    ],
)
async def test_counts_are_those_of_o200k(text: str, tokens: int) -> None:
    assert (await loaded()).count(text) == tokens


async def test_it_is_loaded_once() -> None:
    first, second = await asyncio.gather(load_o200k(), load_o200k())
    assert first is second


@pytest.mark.parametrize("blank", [" ", "\t", "\u3000", "\n"])
@pytest.mark.parametrize("around", ["", "x"])
async def test_any_number_of_blanks_can_be_counted(blank: str, around: str) -> None:
    count = (await loaded()).count(f"{around}{blank * 1_200_000}{around}")
    assert count is not None
    assert count > 0


@given(text=st.text(alphabet=st.characters()))
async def test_any_text_can_be_counted(text: str) -> None:
    count = (await loaded()).count(text)
    assert count is not None
    assert count <= len(text.encode("utf-8", "replace")) * 3


async def test_a_long_text_is_counted_as_the_sum_of_its_lines() -> None:
    tokenizer = await loaded()
    line = "The quick brown fox jumps over the lazy dog.\n"
    one = tokenizer.count(line)
    assert one is not None
    assert tokenizer.count(line * 10_000) == one * 10_000


@given(st.lists(st.tuples(st.sampled_from(["x", "\n", "가"]), st.integers(1, 3 * SLICE)), max_size=5))
def test_slices_are_short_and_make_up_the_text(parts: list[tuple[str, int]]) -> None:
    text = "".join(letter * times for letter, times in parts)
    found = list(slices(text))
    assert "".join(found) == text
    assert all(0 < len(piece) <= SLICE for piece in found[:-1])
    assert len(found[-1]) <= SLICE


def test_slices_end_where_lines_do() -> None:
    assert [piece[-1] for piece in slices(("x" * 1000 + "\n") * 200)] == ["\n"] * 4


def test_a_panic_of_the_encoder_is_no_count() -> None:
    """A pattern that matches nothing is what a panic can be had with."""
    bytes_only = {bytes([byte]): byte for byte in range(256)}
    broken = tiktoken.Encoding("broken", pat_str=r"x*(?!\S)", mergeable_ranks=bytes_only, special_tokens={})
    assert Tokenizer(broken).count("abc") is None


@pytest.mark.parametrize(
    ("model", "is_its"),
    [
        ("gpt-oss-20b", True),
        ("openai/gpt-oss-120b", True),
        ("gpt-oss:20b", True),
        ("/models/gpt-oss-20b-mxfp4.gguf", True),
        ("C:\\models\\GPT-OSS-20B.gguf", True),
        ("gpt-4o-mini", True),
        ("openai/gpt-4.1", True),
        ("gpt-5-codex", True),
        ("o1", True),
        ("openai/o3-mini-2025-01-31", True),
        ("gpt-4", False),
        ("gpt-4-turbo", False),
        ("gpt-3.5-turbo", False),
        ("Qwen/Qwen3-Coder-30B", False),
        ("AIDC-AI/Marco-o1", False),
        ("O1-OPEN/OpenO1-Qwen-7B", False),
        ("", False),
    ],
)
def test_models_with_this_vocabulary_are_known_by_name(model: str, is_its: bool) -> None:
    assert has_o200k(model) is is_its


OFFLINE = """
import asyncio, sys
calls = []
sys.addaudithook(lambda event, _: calls.append(event) if event.startswith(("socket.connect", "socket.getaddr")) else 0)
from agentic.llm.tokenizer import load_o200k
tokenizer = asyncio.run(load_o200k())
print(tokenizer and tokenizer.count("Hello world"), calls)
"""


def run(code: str, folder: Path) -> str:
    """What a fresh interpreter prints, in which modules of `folder` hide those of the same name."""
    paths = [str(folder), *sys.path]
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys\nsys.path[:] = {paths!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
        env={"TIKTOKEN_CACHE_DIR": str(folder / "empty")},
        timeout=60,
    )
    return ran.stdout.strip()


def test_nothing_is_asked_of_the_network(tmp_path: Path) -> None:
    assert run(OFFLINE, tmp_path) == "2 []"


FAKE = """
class HarmonyEncodingName:
    HARMONY_GPT_OSS = "HarmonyGptOss"
class Encoding:
    def decode(self, tokens, errors="replace"):
        return f"word{tokens[0]}"
def load_harmony_encoding(name):
    return Encoding()
"""


@pytest.mark.parametrize(
    "module",
    [
        "raise ImportError('not installed')",
        "def load_harmony_encoding(name): ...",
        "HarmonyEncodingName = object\ndef load_harmony_encoding(name): ...",
        FAKE,
        FAKE.replace("return Encoding()", "raise RuntimeError('vocabulary is missing')"),
    ],
    ids=["absent", "older", "other", "another vocabulary", "without a vocabulary"],
)
def test_without_its_vocabulary_there_is_no_tokenizer(module: str, tmp_path: Path) -> None:
    (tmp_path / "openai_harmony.py").write_text(module, "utf-8")
    assert run(OFFLINE, tmp_path) == "None []"
