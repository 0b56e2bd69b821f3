"""What a chat completions server streams, as far as it is read here.

Servers differ: every field may be missing or null, and unknown ones are ignored. `read_chunk` says what cannot be read.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agentic.errors import StreamBroken
from agentic.events import Usage


class FunctionDelta(msgspec.Struct):
    """A piece of a call. Some servers give the arguments as an object instead of JSON text."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallDelta(msgspec.Struct):
    """A piece of a call and which call it belongs to: by index, by id, or by neither."""

    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class Delta(msgspec.Struct):
    """What is new. Reasoning comes as `reasoning` (vLLM, Ollama) or `reasoning_content` (llama.cpp, SGLang)."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[CallDelta] | None = None


class Choice(msgspec.Struct):
    """One of the answers; only the first is read."""

    delta: Delta | None = None
    finish_reason: str | None = None


class PromptDetails(msgspec.Struct):
    """How much of the prompt was already in the server's cache."""

    cached_tokens: int | None = None


class CompletionDetails(msgspec.Struct):
    """How much of the answer was reasoning."""

    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """Token counts: in a chunk of their own, in the finish chunk, or in every chunk."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None

    def to_usage(self) -> Usage:
        """The counts as our events carry them."""
        prompt, completion = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            prompt=self.prompt_tokens,
            cached=prompt.cached_tokens if prompt else None,
            completion=self.completion_tokens,
            reasoning=completion.reasoning_tokens if completion else None,
        )


class Chunk(msgspec.Struct):
    """One event of the stream. `object` is "error" and `message` is set where SGLang reports a failure in it."""

    choices: list[Choice] | None = None
    usage: WireUsage | None = None
    object: str | None = None
    message: Any = None


def read_chunk(data: object) -> Chunk:
    """The chunk in a decoded JSON value. :raises StreamBroken: where it is none, or an error report."""
    try:
        chunk = msgspec.convert(data, Chunk)
    except msgspec.ValidationError as error:
        raise StreamBroken(f"The server sent something that is no chat completion chunk: {error}.", _HINT) from error
    if chunk.object == "error" or (chunk.choices is None and chunk.message):
        raise StreamBroken(f"The server reported a failure in the stream: {chunk.message}.", _HINT)
    return chunk


_HINT = "Look into the server's log."
