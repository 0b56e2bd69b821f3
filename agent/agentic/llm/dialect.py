"""How one endpoint wants its requests: what differs between servers, and what a refusal teaches about it.

A conversation's messages are kept in one form; each request is brought into the endpoint's. Whatever is changed is
changed in every request in the same way, so that a prompt still only grows at its end. For that reason the reasoning of
all answers is sent back, although only the last turn's is of use: a template that wants no older reasoning leaves it
out by itself, whereas leaving it out here would change the middle of what was sent before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import msgspec

from agentic.llm.endpoint import Endpoint, EndpointInfo
from agentic.llm.prompted import RESPONSE, render
from agentic.ports.model import Message, ModelRequest


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the requests to one endpoint look like. The defaults are vLLM's."""

    tools: Literal["native", "prompted"] = "native"
    """In a field of the request, or in the system message (see `prompted`)."""
    tools_fixed: bool = False
    """The user has decided about `tools`; nothing is learned about it."""
    stream_options: bool = True
    """Whether usage can be asked for."""
    length_field: Literal["max_tokens", "max_completion_tokens", ""] = "max_tokens"
    """The name of the answer's limit; empty where none is taken."""
    temperature: bool = True
    reasoning: Literal["reasoning", "reasoning_content", ""] = "reasoning"
    """The field in which an answer's reasoning is sent back; empty where none is taken."""
    reasoning_with_text: bool = True
    """Whether an answer with calls may have both; else its reasoning is left out."""
    system: bool = True
    """Whether there is a system role; else its text begins the first user message."""
    alternating: bool = False
    """Whether user and assistant must take turns; else two user messages may follow each other."""
    stop: bool = True
    """Whether an answer can be stopped at a text; with tools in the prompt, where the model makes up results."""
    short_ids: bool = False
    """Whether calls must have ids of nine letters and digits (Mistral)."""


def for_server(info: EndpointInfo, endpoint: Endpoint) -> Dialect:
    """The dialect to begin with, from the kind of server and what the user has set."""
    return Dialect(
        tools="prompted" if endpoint.tools == "prompted" else "native",
        tools_fixed=endpoint.tools != "auto",
        reasoning="reasoning_content" if info.server in _SAYS_REASONING_CONTENT else "reasoning",
    )


def encode(request: ModelRequest, model: str, dialect: Dialect, max_tokens: int) -> bytes:
    """The request's body. Messages and tools keep their key order: the server's cache lives from their bytes.

    :param max_tokens: the answer's limit where the request sets none.
    """
    body: dict[str, Any] = {"model": model, "stream": True}
    if dialect.stream_options:
        body["stream_options"] = {"include_usage": True}
    if dialect.length_field:
        body[dialect.length_field] = request.max_tokens or max_tokens
    if request.temperature is not None and dialect.temperature:
        body["temperature"] = request.temperature
    if request.tools:
        body |= _tools_fields(request, dialect)
    body["messages"] = adapt(request, dialect)
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def adapt(request: ModelRequest, dialect: Dialect) -> Sequence[Message]:
    """The request's messages as this endpoint takes them."""
    messages = request.messages
    if dialect.tools == "prompted":
        messages = render(messages, request.tools)
    messages = [message if message.get("content") is not None else {**message, "content": ""} for message in messages]
    if not dialect.reasoning_with_text:
        messages = [_without_reasoning_beside_text(message) for message in messages]
    if dialect.reasoning != "reasoning":
        messages = [_with_reasoning_as(dialect.reasoning, message) for message in messages]
    if dialect.short_ids:
        messages = [_with_short_ids(message) for message in messages]
    if not dialect.system and messages and messages[0]["role"] == "system":
        messages = [{**messages[0], "role": "user"}, *messages[1:]]
    return _taking_turns(messages) if dialect.alternating else messages


def learn(dialect: Dialect, status: int, words: str) -> Dialect | None:
    """The dialect in which a refused request may be sent again, at once and to the same endpoint; None: not that.

    Every lesson goes one way, so that none is learned twice.

    :param status: the HTTP status of the refusal.
    :param words: what the server said.
    """
    if status not in _TEACHING:
        return None
    for subject in (_ROLES, _FIELDS, _TOOLS):
        learned = dialect
        for lesson in subject:
            learned = lesson.learned(learned, words)
        if learned != dialect:
            return learned
    return None


NATIVE_HINT = (
    "A model that was trained to call tools does it better natively: vLLM needs --enable-auto-tool-choice and"
    " --tool-call-parser for that, llama-server --jinja, Ollama a model with the tag `tools`."
)
"""For a person, where a refusal has moved the tools into the prompt."""

_MADE_UP = f"\n{RESPONSE}"
"""Small models go on after a call with the result that they expect. At the beginning of a line only: a thought or a
file may mention the tag."""
_SAYS_REASONING_CONTENT = frozenset({"llama.cpp", "sglang", "lmstudio", "deepseek"})
_TEACHING = frozenset({400, 404, 422, 500, 501})
"""OpenRouter answers 404 where no provider offers tools; llama.cpp answers 500 where a template fails."""


class _Lesson(NamedTuple):
    """What is changed, from and to which value, when a server says such words."""

    said: re.Pattern[str]
    field: str
    was: Any
    becomes: Any

    def learned(self, dialect: Dialect, words: str) -> Dialect:
        if self.field == "tools" and dialect.tools_fixed:
            return dialect
        if getattr(dialect, self.field) != self.was or not self.said.search(words):
            return dialect
        return replace(dialect, **{self.field: self.becomes})


def _said(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words), re.IGNORECASE)


def _refused(name: str) -> re.Pattern[str]:
    """A sentence which says that the field `name` is not taken."""
    before = r"unsupported|unknown|unrecognized|unexpected|extra[_ ](?:forbidden|inputs|parameters|fields)"
    after = r"(?:is|are) (?:unsupported|not (?:supported|allowed|permitted))|does not support|only \S+ is allowed"
    after += r"|\s+extra inputs are not permitted"
    field = rf"(?<!\w){name}(?!\w)"
    return _said(rf"(?:{before})\b[^.]{{0,200}}?{field}", rf"{field}[^.]{{0,40}}?(?:{after})")


_NO_SYSTEM = _said("system role (?:is )?not supported", "only user and assistant roles are supported")
_TURNS = _said("roles must alternate")

_ROLES = (
    _Lesson(_NO_SYSTEM, "system", True, False),
    _Lesson(_NO_SYSTEM, "alternating", False, True),
    _Lesson(_TURNS, "alternating", False, True),
    _Lesson(_said("with a length of 9"), "short_ids", False, True),
)
"""Templates of Gemma 2 (vllm-project/guidellm#67, sgl-project/sglang#1342) and Mistral (vllm-project/vllm#6862,
mistralai/mistral-vibe#1006, microsoft/autogen#1037); ids: vllm-project/vllm#9019, anomalyco/opencode#1680."""

_FIELDS = (
    _Lesson(_refused("max_completion_tokens"), "length_field", "max_completion_tokens", ""),
    _Lesson(_refused("max_tokens"), "length_field", "max_tokens", "max_completion_tokens"),
    _Lesson(_refused("stream_options"), "stream_options", True, False),
    _Lesson(_refused("temperature"), "temperature", True, False),
    _Lesson(_refused("stop"), "stop", True, False),
    _Lesson(_refused("reasoning_content"), "reasoning", "reasoning_content", ""),
    _Lesson(_refused("reasoning"), "reasoning", "reasoning", ""),
    _Lesson(_said("reasoning_content`? .*must be passed back"), "reasoning", "reasoning", "reasoning_content"),
    _Lesson(_said("both content and thinking"), "reasoning_with_text", True, False),
    _Lesson(_refused("tools"), "tools", "native", "prompted"),
)
"""max_tokens: anomalyco/opencode#37964; stream_options: FlowiseAI/Flowise#2866, CherryHQ/cherry-studio#9214,
QuantumNous/new-api#418, modelscope/ms-agent#489; temperature: QwenLM/qwen-code#921; stop: FlowiseAI/Flowise#5046,
huggingface/smolagents#1671; reasoning: janhq/jan#8136, Kilo-Org/kilocode#10375, vercel/ai#8057; what DeepSeek wants
back: earendil-works/pi#3636; gpt-oss's template: ggml-org/llama.cpp#19702, openclaw/openclaw#6514; tools:
ggml-org/llama.cpp#10920, partITech/php-mistral#76."""

_TOOLS = (
    _Lesson(
        _said(
            "--enable-auto-tool-choice",
            "--tool-call-parser",
            r"does(?: not|n't) support (?:tool|function)",
            "no endpoints found that support tool",
            "tools param requires",
            "assistant roles are supported",
            "single tool-calls at once",
            "roles must alternate",
            "unable to generate parser",
            "jinja",
            "template ?error",
        ),
        "tools",
        "native",
        "prompted",
    ),
)
"""vLLM: langchain4j/langchain4j#3475; Ollama: ollama/ollama#11131; OpenRouter: pydantic/pydantic-ai#2896; llama.cpp
without --jinja: containers/ramalama#988, with a template that it cannot read: noonghunna/club-3090#1250, or that knows
no role for results: containers/ramalama#2425; Llama 3's template: vllm-project/vllm#25108."""


def _tools_fields(request: ModelRequest, dialect: Dialect) -> dict[str, Any]:
    if dialect.tools == "native":
        return {"tools": request.tools} if request.may_call else {"tools": request.tools, "tool_choice": "none"}
    return {"stop": [_MADE_UP]} if dialect.stop else {}


def _with_reasoning_as(field: str, message: Message) -> Message:
    if "reasoning" not in message:
        return message
    renamed = {field if key == "reasoning" else key: value for key, value in message.items()}
    renamed.pop("", None)
    return renamed


def _without_reasoning_beside_text(message: Message) -> Message:
    if not message.get("tool_calls") or not message["content"]:
        return message
    return {key: value for key, value in message.items() if key != "reasoning"}


def _with_short_ids(message: Message) -> Message:
    if "tool_call_id" in message:
        return {**message, "tool_call_id": _short(message["tool_call_id"])}
    if "tool_calls" in message:
        return {**message, "tool_calls": [{**call, "id": _short(call["id"])} for call in message["tool_calls"]]}
    return message


def _short(call_id: str) -> str:
    return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:9]


def _taking_turns(messages: Sequence[Message]) -> list[Message]:
    """Neighbours of one role made one message; a user message right after a tool's result gets an answer before it.

    Results do not count as turns in the templates that demand this.
    """
    turns: list[Message] = []
    for message in messages:
        last, role = (turns[-1] if turns else {"role": ""}), message["role"]
        if role == last["role"] != "tool":
            turns[-1] = {**last, **message, "content": "\n\n".join(filter(None, (last["content"], message["content"])))}
            continue
        if role == "user" and last["role"] == "tool":
            turns.append({"role": "assistant", "content": "Noted."})
        turns.append(message)
    return turns
