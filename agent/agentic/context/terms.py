"""The words of a task that are worth searching for, whatever its language and form. Pure and bounded.

What looks like code counts most: identifiers, paths, places of a stack trace, quoted texts. Of the prose, stop words
are dropped, and words that stand in every task (fix, add, file) are worth little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from agentic.context.stop_words import EXTENSIONS, STOP_WORDS, TASK_WORDS

MAX_CHARS = 20_000
"""Of a longer text the beginning and the end are read."""
MAX_NAMES = 16
MAX_PATHS = 8
MAX_PHRASES = 4
MAX_WORDS = 32


@dataclass(frozen=True, slots=True)
class Spot:
    """A line that the text names; `path` as it is written there."""

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What to search for, each in the order of the text and without repetition."""

    names: tuple[str, ...] = ()
    """Identifiers, as they are written; of a dotted one its parts."""
    paths: tuple[str, ...] = ()
    """Paths and file names, with forward slashes."""
    spots: tuple[Spot, ...] = ()
    phrases: tuple[str, ...] = ()
    """Quoted texts and messages of errors, which may stand in the code as they are."""
    words: tuple[str, ...] = ()
    """In lower case: words of the prose, and the parts of names and paths."""

    def __bool__(self) -> bool:
        return bool(self.names or self.paths or self.spots or self.phrases or self.words)


def terms_of(text: str) -> Terms:
    """What is worth searching for in a task, a question or a query."""
    text = _both_ends(text)
    spots = _spots(text)
    paths = _unique([*(spot.path for spot in spots), *_paths(text)], MAX_PATHS)
    phrases = _unique(_phrases(text), MAX_PHRASES)
    prose = _PATH.sub(_without_path, _SPOT.sub(" ", text))
    names = _unique(_names(prose), MAX_NAMES)
    words = _unique([*_parts([*names, *map(_stem_of_path, paths)]), *_words(prose)], MAX_WORDS)
    return Terms(tuple(names), tuple(paths), tuple(spots), tuple(phrases), tuple(words))


def split_name(name: str) -> list[str]:
    """The words of an identifier, in lower case: `readHTTPHeader`, `read_http_header`, `read-http-header`."""
    return [part.lower() for part in _PART.findall(name)]


@cache
def stem(word: str) -> str:
    """A word without its commonest endings, so that cancel, cancels, cancelled and cancelling are one. For English."""
    word = _undoubled(_without_ending(word))
    return word[:-1] if len(word) > 3 and word[-1] in "ey" else word


def forms(word: str) -> list[str]:
    """The forms in which code may hold an English word instead: cancel for cancelled, breakers for breaker."""
    if not word.isascii() or len(word) < 4 or weight_of(word) < 1:
        return []
    base = _without_ending(word)
    return [*dict.fromkeys((base, _undoubled(base), f"{base}e"))] if base != word else [f"{word}s"]


def weight_of(word: str) -> float:
    """What it says about a place that it holds this word of a task."""
    if word in TASK_WORDS:
        return 0.25
    return 0.6 if len(word) <= 3 else 1.0


_ENDINGS = ("ations", "ation", "ingly", "ings", "ing", "ied", "ies", "ed", "es", "ers", "er", "ly", "s")
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_TOKEN = re.compile(rf"--?{_NAME}(?:-[A-Za-z0-9]+)*|[A-Z](?:\.[A-Z])+\b|{_NAME}(?:(?:\.|::|->|#){_NAME})*(?:\(\))?")
_WORD = re.compile(
    r"[A-Za-z\u00c0-\u024f]+|[^\W\d_A-Za-z\u00c0-\u024f\u3040-\u30ff\u3400-\u9fff]+|[\u30a0-\u30ff]{2,}|[\u3400-\u9fff]{2,8}|\d{3,}"
)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z\u00c0-\u024f]+|\d{2,}|[^\W\d_A-Za-z\u00c0-\u024f]+")
_INNER = re.compile(r"[a-z0-9][A-Z]|[A-Z]{2}[a-z]")
_PATH_CHARS = r"[\w.@+\-]"
_PATH = re.compile(
    rf"(?:[A-Za-z]:)?[\\/~]?(?:{_PATH_CHARS}{{1,100}}[\\/]){{1,20}}{_PATH_CHARS}{{1,100}}|{_PATH_CHARS}{{1,100}}\.[A-Za-z][A-Za-z0-9]{{0,9}}\b"
)
_SPOT = re.compile(
    rf"(?:File \"([^\"\n]{{1,300}})\", line (\d{{1,7}}))"
    rf"|((?:[A-Za-z]:)?[\\/]?(?:{_PATH_CHARS}{{1,100}}[\\/]){{0,20}}{_PATH_CHARS}{{1,100}}\.[A-Za-z0-9]{{1,10}})(?::|\(|#L)(\d{{1,7}})"
)
_QUOTED = re.compile(
    r"\"([^\"\n]{2,200})\"|'([^'\n]{2,200})'(?!\w)|`([^`\n]{2,200})`|[«“„]\s?([^«»“”„\n]{2,200}?)\s?[»”“]|「([^」\n]{2,200})」"
)
_HEADER = re.compile(r"\b[A-Z][a-z]+(?:-[A-Z][A-Za-z]+)+\b")
_ERROR = re.compile(
    r"^\s*(?:[\w.]{1,80}(?:Error|Exception|Warning|Fault|Panic)|error(?:\[\w+\])?|fatal|panic): (.{4,200})$",
    re.MULTILINE,
)


def _without_ending(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)]
    return word


def _undoubled(word: str) -> str:
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiou" else word


def _both_ends(text: str) -> str:
    half = MAX_CHARS // 2
    return text if len(text) <= MAX_CHARS else f"{text[:half]}\n{text[-half:]}"


def _spots(text: str) -> list[Spot]:
    """Of a Python traceback the last lines are the deepest; they come first."""
    found: list[Spot] = []
    for match in _SPOT.finditer(text):
        path = match[1] or match[3]
        found.append(Spot(path.replace("\\", "/"), int(match[2] or match[4])))
    return list(dict.fromkeys(reversed(found)))[:MAX_PATHS]


def _paths(text: str) -> Iterable[str]:
    paths = (match[0].replace("\\", "/").rstrip(".") for match in _PATH.finditer(text))
    return (path for path in paths if _is_path(path))


def _without_path(match: re.Match[str]) -> str:
    return " " if _is_path(match[0].replace("\\", "/").rstrip(".")) else match[0]


def _is_path(path: str) -> bool:
    """`and/or` is none, nor is `Roots.resolve`."""
    return path.count("/") >= 2 or _has_extension(path)


def _has_extension(path: str) -> bool:
    before, dot, extension = path.rpartition("/")[2].rpartition(".")
    return bool(dot) and extension.lower() in EXTENSIONS and before.strip(".") != ""


def _stem_of_path(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0]


def _phrases(text: str) -> Iterable[str]:
    """Texts of at least two words, and headers; a single quoted word is a name."""
    yield from _HEADER.findall(text)
    for match in [*_QUOTED.finditer(text), *_ERROR.finditer(text)]:
        phrase = next(group for group in match.groups() if group is not None).strip(" \"'`")
        if len(phrase) >= 8 and " " in phrase:
            yield phrase


def _names(text: str) -> Iterable[str]:
    quoted = {word for match in _QUOTED.finditer(text) for word in _TOKEN.findall(match[0]) if " " not in match[0]}
    for token in _TOKEN.findall(text):
        if token.startswith("-"):
            yield from [token.strip("-").replace("-", "_")] if "-" in token.strip("-") else []
        elif token in quoted or _looks_like_code(token):
            yield from (part for part in re.split(r"[^A-Za-z0-9_]+", token) if len(part) >= 2)


def _looks_like_code(token: str) -> bool:
    if token.endswith("()") or "::" in token or "->" in token:
        return True
    parts = token.split(".")
    if len(parts) > 1:
        return all(len(part) > 1 for part in parts) and not all(
            part[0].isupper() and part.isalpha() for part in parts[1:]
        )
    return "_" in token.strip("_") or bool(_INNER.search(token))


def _parts(names: Iterable[str]) -> Iterable[str]:
    """The words of names that are worth something alone, and names of several capitals whole: vLLM, TypeScript."""
    for name in names:
        parts = split_name(name)
        yield from (part for part in parts if len(part) >= 2 and part not in STOP_WORDS)
        if len(parts) == 2 and "_" not in name:
            yield name.lower()


def _words(text: str) -> Iterable[str]:
    for match in _WORD.finditer(text):
        for part in split_name(match[0]) if match[0].isascii() else [match[0].lower()]:
            if len(part) >= 2 and part not in STOP_WORDS:
                yield part


def _unique(items: Iterable[str], limit: int) -> list[str]:
    return list(dict.fromkeys(items))[:limit]
