"""What a request looks like for each kind of server, and what a refusal in a real server's words teaches."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.events import Origin
from agentic.llm.attempt import EndpointClient
from agentic.llm.dialect import Dialect, adapt, encode, for_server, learn
from agentic.llm.endpoint import Deadlines, Endpoint, EndpointInfo
from agentic.llm.prompted import render
from agentic.ports.model import Message, ModelRequest
from agentic.tools.registry import tool_specs

ORIGIN = Origin(session_id="s", turn_id="t", agent="main")
SYSTEM: Message = {"role": "system", "content": "You are an agent."}
TASK: Message = {"role": "user", "content": "Fix it."}
MORE: Message = {"role": "user", "content": "And that."}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
LOOKS: Message = {"role": "assistant", "content": "", "reasoning": "hm", "tool_calls": [CALL]}
SEEN: Message = {"role": "tool", "tool_call_id": "call_1", "content": "nothing"}
DONE: Message = {"role": "assistant", "content": "Done.", "reasoning": "so"}

NO_TOOLS = {"tools": "prompted"}
LLAMA_TEMPLATE = (
    "\n------------\nWhile executing CallExpression at line 189, column 32 in source:\n...== 0) %}↵            "
    "{{- raise_exception('After the optional system message, con...\n ^\nError: Jinja Exception: "
)

LESSONS: list[tuple[int, str, dict[str, Any]]] = [
    # langchain4j/langchain4j#3475 (vLLM)
    (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', NO_TOOLS),
    # ollama/ollama#11131, #14795
    (400, "registry.ollama.ai/library/deepseek-r1:14b does not support tools", NO_TOOLS),
    # pydantic/pydantic-ai#2896 (OpenRouter)
    (404, "No endpoints found that support tool use. To learn more about provider routing, visit …", NO_TOOLS),
    # containers/ramalama#988, ggml-org/llama.cpp#10920
    (500, "tools param requires --jinja flag", NO_TOOLS),
    (500, "Unsupported param: tools", NO_TOOLS),
    # noonghunna/club-3090#1250 (llama.cpp)
    (
        400,
        "Unable to generate parser for this template. Automatic parser generation failed: While executing …",
        NO_TOOLS,
    ),
    # containers/ramalama#2425 (llama.cpp), vllm-project/vllm#25108
    (500, LLAMA_TEMPLATE + "Only user, system and assistant roles are supported!", NO_TOOLS),
    (400, "This model only supports single tool-calls at once!", NO_TOOLS),
    # partITech/php-mistral#76
    (
        422,
        "[{'type': 'extra_forbidden', 'loc': ['body', 'tools'], 'msg': 'Extra inputs are not permitted', 'input': []}]",
        NO_TOOLS,
    ),
    # anomalyco/opencode#37964 (Azure)
    (
        400,
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        {"length_field": "max_completion_tokens"},
    ),
    # QwenLM/qwen-code#921, holoviz/lumen#1087, XCNXNXNX/dsh-portable-tavern#1
    (
        400,
        "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is"
        " supported.",
        {"temperature": False},
    ),
    (400, "invalid temperature: only 1 is allowed for this model", {"temperature": False}),
    # modelscope/ms-agent#489 (vLLM 0.4), FlowiseAI/Flowise#2866, CherryHQ/cherry-studio#9214, QuantumNous/new-api#418
    (
        400,
        "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted'}]",
        {"stream_options": False},
    ),
    (400, "Extra inputs are not permitted, field: 'stream_options'", {"stream_options": False}),
    (
        400,
        "Extra parameters ['stream_options'] are not allowed when extra-parameters is not set",
        {"stream_options": False},
    ),
    (400, "Unknown parameter: 'stream_options'.", {"stream_options": False}),
    # NVIDIA/garak#748
    (422, "body -> temperature Extra inputs are not permitted (type=extra_forbidden)", {"temperature": False}),
    # transformers serve
    (422, "Unexpected fields in the request: {'stream_options', 'tools'}", {**NO_TOOLS, "stream_options": False}),
    # vercel/ai#8057, musistudio/claude-code-router#1204 (Groq), BerriAI/litellm#30835 (Mistral)
    (400, "messages[3].reasoning: reasoning is not supported with this model", {"reasoning": ""}),
    (
        400,
        "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property 'reasoning' is"
        " unsupported)]",
        {"reasoning": ""},
    ),
    # ggml-org/llama.cpp#19702, openclaw/openclaw#6514 (gpt-oss)
    (
        500,
        LLAMA_TEMPLATE + "Cannot pass both content and thinking in an assistant message with tool calls!",
        {"reasoning_with_text": False},
    ),
    # FlowiseAI/Flowise#5046, huggingface/smolagents#1671
    (400, "Unsupported parameter: 'stop' is not supported with this model.", {"stop": False}),
    # earendil-works/pi#3636 (DeepSeek)
    (
        400,
        "The `reasoning_content` in the thinking mode must be passed back to the API.",
        {"reasoning": "reasoning_content"},
    ),
    # vllm-project/guidellm#67, sgl-project/sglang#1342 (Gemma 2)
    (400, "System role not supported", {"system": False, "alternating": True}),
    # microsoft/autogen#1037, vllm-project/vllm#6862, mistralai/mistral-vibe#1006 (Mistral)
    (400, "Conversation roles must alternate user/assistant/user/assistant/...", {"alternating": True}),
    (
        500,
        LLAMA_TEMPLATE + "After the optional system message, conversation roles must alternate user and assistant roles"
        " except for tool calls and results.",
        {"alternating": True},
    ),
    # vllm-project/vllm#9019, anomalyco/opencode#1680
    (400, "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.", {"short_ids": True}),
]


@pytest.mark.parametrize(("status", "words", "changes"), LESSONS)
def test_a_refusal_teaches_one_thing(status: int, words: str, changes: dict[str, Any]) -> None:
    assert learn(Dialect(), status, words) == replace(Dialect(), **changes)


@pytest.mark.parametrize(
    ("dialect", "words", "changes"),
    [
        (
            Dialect(reasoning="reasoning_content"),
            "messages.2.assistant.reasoning_content: property 'messages.2.assistant.reasoning_content' is unsupported",
            {"reasoning": ""},
        ),
        (
            Dialect(length_field="max_completion_tokens"),
            "Unexpected fields in the request: {'max_completion_tokens'}",
            {"length_field": ""},
        ),
        (Dialect(system=False, alternating=True), "Only user and assistant roles are supported!", NO_TOOLS),
        (Dialect(alternating=True), "Conversation roles must alternate user/assistant/user/assistant/...", NO_TOOLS),
    ],
)
def test_what_is_learned_depends_on_what_is_known(dialect: Dialect, words: str, changes: dict[str, Any]) -> None:
    assert learn(dialect, 400, words) == replace(dialect, **changes)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "max_tokens is too large: 32768. This model supports at most 16384 completion tokens"),
        (400, "Invalid value for max_tokens: must be at least 1"),
        (400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."),
        (400, "temperature must be non-negative, got -1.0."),
        (400, "reasoning_effort must be one of low, medium, high"),
        (404, "The model `x` does not exist."),
        (500, "Internal Server Error"),
        (401, "registry.ollama.ai/library/deepseek-r1:14b does not support tools"),
        (503, "tools param requires --jinja flag"),
    ],
)
def test_other_refusals_teach_nothing(status: int, words: str) -> None:
    assert learn(Dialect(), status, words) is None


@pytest.mark.parametrize("tools", ["native", "prompted"])
def test_what_the_user_has_set_about_tools_stays(tools: Any) -> None:
    dialect = for_server(EndpointInfo("u", "m"), Endpoint("u", tools=tools))
    assert dialect.tools == tools
    assert learn(dialect, 400, "x does not support tools") is None


@given(st.lists(st.sampled_from(LESSONS), min_size=40, max_size=60))
def test_nothing_is_learned_twice(refusals: list[tuple[int, str, dict[str, Any]]]) -> None:
    """Whatever a server says, in whatever order, there is an end to it."""
    dialect, past = Dialect(), [Dialect()]
    for status, words, _ in refusals:
        learned = learn(dialect, status, words)
        if learned is not None:
            assert learned not in past
            dialect = learned
            past.append(learned)
    assert len(past) <= 2 * len(fields(Dialect))


def test_servers_begin_differently() -> None:
    def field(server: str) -> str:
        return for_server(EndpointInfo("u", "m", server=server), Endpoint("u")).reasoning

    assert [field(server) for server in ("vllm", "ollama", "", "llama.cpp", "sglang")] == [
        *("reasoning", "reasoning", "reasoning"),
        *("reasoning_content", "reasoning_content"),
    ]
    assert for_server(EndpointInfo("u", "m"), Endpoint("u")) == Dialect()


async def test_an_endpoint_that_was_started_anew_is_spoken_to_as_if_it_were_new() -> None:
    """It may have got the flags that were missing."""
    info = EndpointInfo("http://localhost:1/v1", "m")
    client = EndpointClient(Endpoint(info.url), info, Deadlines())
    client.dialect = replace(client.dialect, tools="prompted")
    client.renew(info)
    assert client.dialect == Dialect()
    await client.aclose()


def request(*messages: Message, tools: bool = True, **options: Any) -> ModelRequest:
    return ModelRequest(ORIGIN, messages, tool_specs() if tools else (), **options)


def body(dialect: Dialect, asked: ModelRequest) -> dict[str, Any]:
    return json.loads(encode(asked, "tiny", dialect, 100))


def test_the_body_of_a_request_with_everything() -> None:
    told = body(Dialect(), request(SYSTEM, TASK, LOOKS, SEEN, temperature=0.0))
    assert list(told.items()) == [
        ("model", "tiny"),
        ("stream", True),
        ("stream_options", {"include_usage": True}),
        ("max_tokens", 100),
        ("temperature", 0.0),
        ("tools", tool_specs()),
        ("messages", [SYSTEM, TASK, LOOKS, SEEN]),
    ]


def test_the_body_of_a_request_with_as_little_as_there_may_be() -> None:
    plain = Dialect(
        tools="prompted", stream_options=False, length_field="", temperature=False, reasoning="", stop=False
    )
    told = body(plain, request(SYSTEM, TASK, LOOKS, SEEN, temperature=0.5, max_tokens=7))
    without = [{key: value for key, value in message.items() if key != "reasoning"} for message in (LOOKS, SEEN)]
    assert told == {"model": "tiny", "stream": True, "messages": render([SYSTEM, TASK, *without], tool_specs())}


def test_an_answer_is_stopped_where_it_makes_up_results() -> None:
    assert body(Dialect(tools="prompted"), request(TASK))["stop"] == ["\n<tool_response"]
    assert "stop" not in body(Dialect(tools="prompted"), request(TASK, tools=False))


def test_the_requests_own_limit_goes_before() -> None:
    assert (
        body(Dialect(length_field="max_completion_tokens"), request(TASK, max_tokens=7))["max_completion_tokens"] == 7
    )


def test_without_tools_there_is_no_field_for_them() -> None:
    assert "tools" not in body(Dialect(), request(TASK, tools=False))


def test_half_a_surrogate_pair_does_not_stop_a_request() -> None:
    odd: Message = {"role": "user", "content": "a\ud800b"}
    for dialect in (Dialect(), Dialect(tools="prompted")):
        assert body(dialect, request(SYSTEM, odd))["messages"][-1] == {"role": "user", "content": "a?b"}


def test_content_is_never_null() -> None:
    silent: Message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    assert adapt(request(silent), Dialect()) == [{**silent, "content": ""}]
    assert adapt(request({"role": "assistant", "tool_calls": [CALL]}), Dialect())[0]["content"] == ""


def test_reasoning_goes_back_in_the_servers_own_field() -> None:
    renamed = adapt(request(TASK, DONE), Dialect(reasoning="reasoning_content"))
    assert list(renamed[1].items()) == [("role", "assistant"), ("content", "Done."), ("reasoning_content", "so")]
    assert adapt(request(TASK, DONE), Dialect(reasoning="")) == [TASK, {"role": "assistant", "content": "Done."}]


def test_reasoning_beside_text_and_calls_is_left_out_where_a_template_fails_on_it() -> None:
    said: Message = {**LOOKS, "content": "I look."}
    bare = {key: value for key, value in said.items() if key != "reasoning"}
    told = adapt(request(said, LOOKS, DONE), Dialect(reasoning_with_text=False))
    assert told == [bare, LOOKS, DONE]


def test_a_call_and_its_result_get_the_same_short_id() -> None:
    _, calls, seen = adapt(request(TASK, LOOKS, SEEN), Dialect(short_ids=True))
    short = calls["tool_calls"][0]["id"]
    assert short == seen["tool_call_id"]
    assert len(short) == 9
    assert short.isalnum()
    assert calls["tool_calls"][0]["function"] == CALL["function"]


def test_the_system_message_begins_the_first_users() -> None:
    told = adapt(request(SYSTEM, TASK, DONE), Dialect(system=False, alternating=True))
    assert told == [{"role": "user", "content": "You are an agent.\n\nFix it."}, DONE]


def test_users_and_assistants_take_turns() -> None:
    told = adapt(request(SYSTEM, TASK, MORE, LOOKS, SEEN, MORE, DONE, DONE, TASK), Dialect(alternating=True))
    assert told == [
        SYSTEM,
        {"role": "user", "content": "Fix it.\n\nAnd that."},
        LOOKS,
        SEEN,
        {"role": "assistant", "content": "Noted."},
        MORE,
        {"role": "assistant", "content": "Done.\n\nDone.", "reasoning": "so"},
        TASK,
    ]


def test_results_in_the_prompt_take_turns_too() -> None:
    told = adapt(request(SYSTEM, TASK, LOOKS, SEEN, MORE), Dialect(tools="prompted", alternating=True))
    assert [message["role"] for message in told] == ["system", "user", "assistant", "user"]
    assert told[-1]["content"] == "<tool_response name=look>\nnothing\n</tool_response>\n\nAnd that."


dialects = st.builds(
    Dialect,
    tools=st.sampled_from(["native", "prompted"]),
    reasoning=st.sampled_from(["reasoning", "reasoning_content", ""]),
    system=st.booleans(),
    alternating=st.booleans(),
    short_ids=st.booleans(),
)
tails = st.lists(st.sampled_from([[TASK], [MORE], [DONE], [LOOKS, SEEN]]), max_size=8)


@given(dialects, tails, st.data())
def test_in_every_dialect_a_prompt_only_grows_at_its_end(
    dialect: Dialect, parts: list[list[Message]], data: st.DataObject
) -> None:
    """The last message of before may have grown: the next one of its role was put to its end."""
    messages = [SYSTEM, TASK, *(message for part in parts for message in part)]
    cut = data.draw(st.integers(2, len(messages)))
    shorter, longer = adapt(request(*messages[:cut]), dialect), adapt(request(*messages), dialect)
    assert longer[: len(shorter) - 1] == shorter[:-1]
    grown, last = longer[len(shorter) - 1], shorter[-1]
    assert grown["role"] == last["role"]
    assert grown["content"].startswith(last["content"])
