"""OpenAI's o200k tokenizer, without a download.

tiktoken fetches its vocabularies when they are first used. Here the ranks come out of the package oss-harmony, which
has them built in, and go into tiktoken directly, so that nothing can reach for the network. Where that package is not
installed, or holds another vocabulary, there is no tokenizer.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import threading
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiktoken import Encoding

SLICE = 65_536
"""The most characters that are encoded at once; on about a million blanks in a row tiktoken's regex panics."""

_O200K = re.compile(
    r"gpt-oss|(?:^|/)(?:chatgpt-4o|gpt-4o|gpt-4\.[15]|gpt-5|o[134](?:-(?:mini|pro|preview|deep-research|\d{4}).*)?$)",
    re.IGNORECASE,
)
_RANKS = 199_998
_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
"""Of the vocabulary in tiktoken's own file format, as tiktoken demands it."""

_CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_PATTERN = "|".join(
    (
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)

_loading = threading.Lock()


class Tokenizer:
    """Counts tokens. May be used from several threads at once."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding

    def count(self, text: str) -> int | None:
        """How many tokens a text is, special tokens read as plain text; None where it cannot be encoded.

        Long texts are cut, which can make a difference of a few tokens a cut. Takes about 0.1 s a megabyte, without
        holding the interpreter's lock: give long texts to a thread.
        """
        try:
            return sum(len(self._encoding.encode_ordinary(piece)) for piece in slices(text))
        except BaseException as error:
            if _is_panic(error):
                return None
            raise


def has_o200k(model: str) -> bool:
    """Whether a model, by its name, reads o200k: gpt-oss, gpt-4o, gpt-4.1, gpt-5 and the o series."""
    return _O200K.search(model) is not None


async def load_o200k() -> Tokenizer | None:
    """The tokenizer, or None where it cannot be had. The first call takes half a second and 80 MB, in a thread."""
    return await asyncio.to_thread(_load_once)


def slices(text: str) -> Iterator[str]:
    """A text in pieces of at most `SLICE` characters, cut at line ends where there are any."""
    start = 0
    while len(text) - start > SLICE:
        end = text.rfind("\n", start, start + SLICE) + 1 or start + SLICE
        yield text[start:end]
        start = end
    yield text[start:]


def _load_once() -> Tokenizer | None:
    with _loading:
        return _load()


@cache
def _load() -> Tokenizer | None:
    try:
        import tiktoken

        tokens = _vocabulary()
    except (ImportError, AttributeError, TypeError, RuntimeError, ValueError):
        return None
    if _digest(tokens) != _SHA256:
        return None
    ranks = {token: rank for rank, token in enumerate(tokens)}
    return Tokenizer(tiktoken.Encoding("o200k", pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={}))


def _vocabulary() -> list[bytes]:
    """The tokens in the order of their ranks. :raises RuntimeError: the package has no such vocabulary."""
    from openai_harmony import HarmonyEncodingName, load_harmony_encoding

    harmony = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
    texts = (harmony.decode([rank], errors="surrogateescape") for rank in range(_RANKS))
    return [text.encode("utf-8", "surrogateescape") for text in texts]


def _digest(tokens: list[bytes]) -> str:
    """The hash of the file that tiktoken would have fetched: each token in base64 with its rank, one a line."""
    lines = (b"%b %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens))
    return hashlib.sha256(b"".join(lines)).hexdigest()


def _is_panic(error: BaseException) -> bool:
    """Whether Rust panicked, which reaches Python as an exception of a class that cannot be imported."""
    return type(error).__name__ == "PanicException"
