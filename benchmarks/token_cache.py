"""What a vLLM server would have found in its prefix cache, over the token ids of rendered prompts.

A prompt is rendered as Qwen's chat template does it and cut into o200k's tokens. The cache holds whole blocks of 16
tokens, chained from the first one, and forgets nothing; a prompt's last token is always computed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from agentic.llm import tokenizer
from benchmarks.batching_server import Served

BLOCK = 16
_START, _END = 1_000_001, 1_000_002
"""Stand for the template's special tokens, which no text can hold."""
_ANSWER_COMES = (_START, 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its rendered messages, each a run of tokens, and the answer that followed, if it is known."""

    at: int
    parts: Sequence[tuple[int, ...]]
    answer: tuple[int, ...] = ()

    @property
    def prompt(self) -> tuple[int, ...]:
        return sum(self.parts, ()) + _ANSWER_COMES


def read(served: Sequence[Served]) -> list[Asked]:
    """The requests in their order, with the time of each; its answer is taken from the conversation's next request."""
    requests = [json.loads(one.body) for one in served]
    names = [_task(request) for request in requests]
    asked: list[Asked] = []
    for place, (request, name) in enumerate(zip(requests, names, strict=True)):
        later = next((requests[n] for n in range(place + 1, len(names)) if names[n] == name), None)
        asked.append(Asked(served[place].at, list(_parts(request)), _answer(request, later)))
    return asked


@dataclass
class Endpoint:
    """One server's cache, and what it was asked for. Counts are in tokens."""

    prompt: int = 0
    hits: int = 0
    _blocks: set[int] = field(default_factory=set)

    def ask(self, asked: Asked) -> None:
        prompt = asked.prompt
        links = list(_links(prompt))
        found = next((n for n, link in enumerate(links) if link not in self._blocks), len(links))
        self.prompt += len(prompt)
        self.hits += min(found, (len(prompt) - 1) // BLOCK) * BLOCK
        self._blocks.update(_links(prompt + asked.answer))


@dataclass
class Oracle:
    """A cache that finds whatever was ever seen, wherever it stands now: only new text is computed."""

    prompt: int = 0
    hits: int = 0
    _seen: set[tuple[int, ...]] = field(default_factory=set)

    def ask(self, asked: Asked) -> None:
        for part in asked.parts:
            self.prompt += len(part)
            self.hits += len(part) if part in self._seen else 0
        self.prompt += len(_ANSWER_COMES)
        self._seen.update(asked.parts)
        self._seen.add((*_ANSWER_COMES, *asked.answer, _END))


def share(hits: Iterable[Endpoint | Oracle]) -> float:
    """The part of all prompts that was found."""
    caches = list(hits)
    return sum(one.hits for one in caches) / max(1, sum(one.prompt for one in caches))


def _links(tokens: tuple[int, ...]) -> Iterator[int]:
    link = 0
    for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
        link = hash((link, tokens[start : start + BLOCK]))
        yield link


def _task(request: dict[str, Any]) -> str:
    return next(message["content"] for message in request["messages"] if message["role"] == "user")


def _answer(request: dict[str, Any], later: dict[str, Any] | None) -> tuple[int, ...]:
    """The tokens of the answer: what the next request has behind this one's messages, or at its end."""
    if later is None:
        return ()
    answers = [message for message in later["messages"] if message["role"] == "assistant"]
    return _spoken(answers[-1])


def _parts(request: dict[str, Any]) -> Iterator[tuple[int, ...]]:
    for message in request["messages"]:
        match message["role"]:
            case "system":
                tools = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in request.get("tools", ()))
                yield _message(_tokens(f"system\n{message['content']}\n\n# Tools\n\n<tools>\n{tools}\n</tools>"))
            case "assistant":
                yield (*_ANSWER_COMES, *_spoken(message), _END)
            case "tool":
                yield _message(_tokens(f"user\n<tool_response>\n{message['content']}\n</tool_response>"))
            case role:
                yield _message(_tokens(f"{role}\n{message['content']}"))


def _spoken(message: dict[str, Any]) -> tuple[int, ...]:
    """An answer's own tokens, as the model wrote them and as the template writes them again."""
    functions = [call["function"] for call in message.get("tool_calls") or ()]
    calls = [f'{{"name": "{one["name"]}", "arguments": {one["arguments"]}}}' for one in functions]
    text = "".join([message["content"], *(f"\n<tool_call>\n{call}\n</tool_call>" for call in calls)])
    return _tokens(text)


def _message(tokens: tuple[int, ...]) -> tuple[int, ...]:
    return (_START, *tokens, _END)


@cache
def _tokens(text: str) -> tuple[int, ...]:
    return tuple(_encoding().encode_ordinary(text))


@cache
def _encoding() -> Any:
    loaded = tokenizer._load_once()
    if loaded is None:
        raise RuntimeError("The package oss-harmony, which has the vocabulary, is not installed.")
    return loaded._encoding
