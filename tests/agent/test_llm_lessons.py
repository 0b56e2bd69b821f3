"""Endpoints that refuse some part of a request: it is sent again in another form, at once and to the same one."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise, repeat
from typing import Any

import pytest
from support.grammar import check
from support.model_server import Answer, Json, ModelServer, Reply, status
from support.runs import work

from agentic.errors import ModelError, RequestRefused
from agentic.events import Event, ModelEvent, ModelNotice, Origin, ToolFinished, TurnFinished
from agentic.llm.endpoint import Endpoint
from agentic.llm.pool import Pool
from agentic.llm.prompted import render_call
from agentic.ports.asker import ScriptedAsker
from agentic.ports.model import Answer as Sum
from agentic.ports.model import Message, ModelRequest
from agentic.ports.store import MemoryStore
from agentic.ports.workspace import MemoryWorkspace
from agentic.runtime import Ports, run
from agentic.task import Task
from agentic.tools.registry import tool_specs

Rule = tuple[Callable[[Json], bool], Answer]

CALL = {"id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": '{"path": "a"}'}}
CONVERSATION: list[Message] = [
    {"role": "system", "content": "You are an agent."},
    {"role": "user", "content": "Fix it."},
    {"role": "assistant", "content": "I look.", "reasoning": "hm", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "nothing"},
    {"role": "user", "content": "And that."},
]


def refusal(words: str, code: int = 400) -> Answer:
    return status(code, {"error": {"message": words, "type": "invalid_request_error", "code": code}})


def roles(body: Json) -> list[str]:
    """Of a template that does not count calls and results as turns."""
    return [m["role"] for m in body["messages"] if m["role"] in ("user", "assistant") and "tool_calls" not in m]


RULES: dict[str, Rule] = {
    "tools (vLLM)": (
        lambda body: "tools" in body,
        refusal('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
    ),
    "tools (Ollama)": (lambda body: "tools" in body, refusal("registry.ollama.ai/library/x does not support tools")),
    "tools (llama.cpp)": (lambda body: "tools" in body, refusal("tools param requires --jinja flag", 500)),
    "results": (
        lambda body: any(message["role"] == "tool" for message in body["messages"]),
        refusal("\n----\nError: Jinja Exception: Only user, system and assistant roles are supported!", 500),
    ),
    "stream_options": (
        lambda body: "stream_options" in body,
        status(422, {"detail": "Unexpected fields in the request: {'stream_options'}"}),
    ),
    "max_tokens": (
        lambda body: "max_tokens" in body,
        refusal("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."),
    ),
    "temperature": (
        lambda body: "temperature" in body,
        refusal(
            "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is."
        ),
    ),
    "reasoning": (
        lambda body: any("reasoning" in message for message in body["messages"]),
        refusal(
            "'messages.2' : for 'role:assistant' the following must be satisfied[property 'reasoning' is unsupported]"
        ),
    ),
    "system role": (lambda body: body["messages"][0]["role"] == "system", refusal("System role not supported")),
    "alternation": (
        lambda body: any(one == other for one, other in pairwise(roles(body))),
        refusal(
            "After the optional system message, conversation roles must alternate user/assistant/user/assistant/..."
        ),
    ),
    "ids": (
        lambda body: any(len(call["id"]) != 9 for m in body["messages"] for call in m.get("tool_calls", ())),
        refusal("Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9."),
    ),
}


def picky_server(*rules: Rule, answers: Iterable[Reply] = repeat(Reply("Fine."))) -> ModelServer:
    """It refuses each request by the first rule that this breaks, and answers those that break none.

    What was refused may be sent in another form: it is in nobody's cache.
    """
    good = iter(answers)

    def answer(body: Json) -> Answer:
        return next((refused for breaks, refused in rules if breaks(body)), None) or next(good)

    return ModelServer(answer, compactions=None)


@asynccontextmanager
async def pool_over(server: ModelServer, **endpoint: Any) -> AsyncIterator[Pool]:
    pool = Pool([Endpoint(server.url, **endpoint)], temperature=0.5, retries=0)
    await pool.connect()
    try:
        yield pool
    finally:
        await pool.aclose()


async def ask(pool: Pool) -> tuple[str, list[ModelEvent]]:
    request = ModelRequest(Origin(session_id="s", turn_id="t", agent="main"), CONVERSATION, tool_specs())
    events = [event async for event in pool.complete(request)]
    answer = Sum()
    for event in events:
        answer.add(event)
    return answer.text, events


def notices(events: list[Any]) -> list[ModelNotice]:
    return [event for event in events if isinstance(event, ModelNotice) and event.code == "tools_prompted"]


@pytest.mark.parametrize("rule", RULES)
async def test_what_is_refused_once_is_left_out_from_then_on(rule: str) -> None:
    """`retries=0`: sending it again in another form is no retry, and nothing is waited for."""
    async with picky_server(RULES[rule]) as server, pool_over(server) as pool:
        assert (await ask(pool))[0] == "Fine."
        assert len(server.requests) == 2
        assert (await ask(pool))[0] == "Fine."
        assert server.requests[2:] == server.requests[1:2]


async def test_one_request_can_teach_several_things() -> None:
    rules = [RULES[name] for name in ("stream_options", "max_tokens", "system role")]
    async with picky_server(*rules) as server, pool_over(server) as pool:
        assert (await ask(pool))[0] == "Fine."
        assert len(server.requests) == 4


@pytest.mark.parametrize("rule", ["tools (vLLM)", "tools (llama.cpp)"])
async def test_a_person_is_told_once_that_tools_stand_in_the_prompt(rule: str) -> None:
    async with picky_server(RULES[rule]) as server, pool_over(server) as pool:
        (notice,) = notices((await ask(pool))[1])
        assert notice.endpoint == server.url
        assert "--enable-auto-tool-choice" in notice.hint
        assert notices((await ask(pool))[1]) == []


async def test_tools_that_the_user_wants_native_stay_so() -> None:
    async with picky_server(RULES["tools (vLLM)"]) as server, pool_over(server, tools="native") as pool:
        with pytest.raises(RequestRefused, match="tool choice requires"):
            await ask(pool)
        assert len(server.requests) == 1


async def test_tools_that_the_user_wants_prompted_are_never_sent() -> None:
    async with picky_server() as server, pool_over(server, tools="prompted") as pool:
        _, events = await ask(pool)
        assert notices(events) == []
        assert "tools" not in server.requests[0]
        assert "<function=NAME>" in server.requests[0]["messages"][0]["content"]


async def test_a_server_that_refuses_whatever_comes_is_not_asked_for_ever() -> None:
    words = "Unexpected fields in the request: {'tools', 'temperature', 'max_tokens', 'max_completion_tokens'}"
    async with picky_server((lambda _: True, refusal(words))) as server, pool_over(server) as pool:
        with pytest.raises(ModelError, match="Unexpected fields"):
            await ask(pool)
        assert 1 < len(server.requests) < 6


def call(name: str, **arguments: Any) -> str:
    return render_call(name, arguments)


async def test_a_whole_turn_without_support_for_tools_edits_a_file() -> None:
    old, new = '    return "helo"\n', '    if True:\n        return "<b>hello</b>"  # "quoted" \\n\n'
    answers = [
        Reply(work("I look first.\n", plan=["read", "fix"]) + call("read_file", path="greet.py")),
        Reply(call("edit_file", path="greet.py", old=old, new=new, replace_all=False)),
        Reply("Fixed the greeting."),
    ]
    workspace = MemoryWorkspace({"greet.py": "def greet():\n" + old})
    async with picky_server(RULES["tools (Ollama)"], answers=answers) as server, pool_over(server) as pool:
        task = Task("Fix the typo.", "s", "t", "auto")
        events: list[Event] = [
            event async for event in run(task, Ports(pool, workspace, ScriptedAsker([]), MemoryStore()))
        ]
        check(events)
        last = events[-1]
        assert isinstance(last, TurnFinished)
        assert (last.stop_reason, last.summary) == ("end_turn", "Fixed the greeting.")
        assert [event.status for event in events if isinstance(event, ToolFinished)] == ["completed"] * 2
        assert workspace.files["greet.py"] == "def greet():\n" + new
        assert len(notices(events)) == 1
        assert_grows([body["messages"] for body in server.requests[1:]])


def assert_grows(prompts: list[list[Message]]) -> None:
    """Each prompt begins with the whole one before, and ends with the answer and the results."""
    for one, other in pairwise(prompts):
        assert other[: len(one)] == one
        assert [message["role"] for message in other[len(one) :]] == ["assistant", "user"]
        assert other[-1]["content"].startswith("<tool_response name=")
