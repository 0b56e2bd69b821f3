"""The prompt only grows at its end: the gate itself, and the runs that could break it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from support.model_server import ModelServer, Reply
from support.prompts import Prompt, as_sent, assert_append_only, on_the_wire
from support.runs import Stage, reply, work

from agentic.context.prompts import load
from agentic.control.loops import REPEATED
from agentic.events import Compacted, EditResolved, Event, RecoveryTried, Steered, TextDelta, ToolStarted
from agentic.ports.asker import ScriptedAsker
from agentic.ports.model import ModelRequest, Say, ScriptedModel
from agentic.runtime import Ports, Run, run
from agentic.task import Limits, Task
from agentic.tools.registry import tool_specs

FILES = {"a.py": "x = 1\ny = 1\n"}
READ = ("read_file", {"path": "a.py"})
EDIT = ("edit_file", {"path": "a.py", "old": "x = 1", "new": "x = 2"})

TASK = [{"role": "system", "content": "Help."}, {"role": "user", "content": "Look."}]
WENT_ON = [*TASK, {"role": "assistant", "content": "I did."}, {"role": "user", "content": "And?"}]
WENT_FAR = [*WENT_ON, {"role": "assistant", "content": "Nothing."}, {"role": "user", "content": "Sure?"}]


def prompt(messages: list[dict[str, Any]], tools: str = "[1, 2]") -> Prompt:
    body = f'{{"model": "m", "tools": {tools}, "messages": {json.dumps(messages)}, "max_tokens": {len(messages)}}}'
    return on_the_wire(body.encode())


def test_growing_branching_and_asking_again_pass() -> None:
    assert_append_only([prompt(TASK), prompt(TASK), prompt(WENT_ON), prompt(WENT_FAR), prompt(WENT_ON)])


@pytest.mark.parametrize(
    ("later", "tools"),
    [
        ([{"role": "system", "content": "Help. It is 12:01."}, *WENT_FAR[1:]], "[1, 2]"),
        (WENT_FAR, "[2, 1]"),
        (WENT_FAR, "[1,2]"),
        ([*TASK, {"content": "I did.", "role": "assistant"}, *WENT_FAR[3:]], "[1, 2]"),
        ([*TASK, {"role": "assistant", "content": "I did!"}, *WENT_FAR[3:]], "[1, 2]"),
        ([*TASK, *WENT_FAR[4:]], "[1, 2]"),
        (WENT_FAR[:3], "[1, 2]"),
    ],
    ids=["clock", "tools", "blank", "keys", "byte", "dropped", "shrunk"],
)
def test_whatever_changes_what_was_sent_is_found(later: list[dict[str, Any]], tools: str) -> None:
    with pytest.raises(AssertionError, match="goes on with none"):
        assert_append_only([prompt(TASK), prompt(WENT_ON), prompt(later, tools)])


def test_a_compaction_passes_where_it_is_named_and_leaves_the_head() -> None:
    compacted = [*TASK, *WENT_FAR[4:]]
    assert_append_only([prompt(TASK), prompt(WENT_ON), prompt(compacted)], compactions=1)
    with pytest.raises(AssertionError, match="never came"):
        assert_append_only([prompt(TASK), prompt(WENT_ON)], compactions=1)
    with pytest.raises(AssertionError, match="tools part"):
        assert_append_only([prompt(TASK), prompt(WENT_ON), prompt(compacted, "[2]")], compactions=1)


async def test_a_scripted_run_that_rewrites_its_history_is_found() -> None:
    class Forgetful(ScriptedModel):
        async def complete(self, request: ModelRequest) -> AsyncGenerator[Any]:
            async for event in super().complete(request):
                yield event
            self.requests[-1] = replace(request, messages=request.messages[-2:])

    stage = Stage(FILES)
    model = Forgetful([Say(work(), [READ]), Say("", [READ]), Say("Done.")])
    events = [
        event async for event in run(Task("x", "s", "t"), Ports(model, stage.workspace, ScriptedAsker(), stage.store))
    ]
    with pytest.raises(AssertionError, match="not append-only"):
        stage.prompts.add_run(model.requests, events)


async def test_a_session_with_all_that_can_befall_it_sends_one_growing_prompt() -> None:
    """Recovered, looping, steered, rejected, crashed, resumed, limited: one conversation, never rewritten."""
    stage = Stage(FILES, ["reject", "accept"])
    played = [
        await stage.play("Set x", [Say(work(), [READ, EDIT]), Say(""), Say("", thinking="Hm."), Say("As you wish.")]),
        await stage.play("Look", [Say(work(), [READ]), *[Say("", [READ])] * (REPEATED[-1] - 1), Say("In circles.")]),
        await stage.play("Look", [Say(work(), [("read_file", "{broken"), ("none", {})]), Say("Done.")], during=_steer),
    ]
    with pytest.raises(KeyboardInterrupt):
        await stage.play("Set x", [Say(work(), [READ]), Say("", [EDIT]), Say("Never.")], during=_stop_at_the_edit)
    played.append(await stage.play("Set x", [Say("x is 2 now.")], again=True))
    limits = Limits(iterations=2)
    played.append(await stage.play("More", [Say(work(), [READ]), Say("", [READ]), Say("Two.")], limits=limits))
    assert played[0].of(RecoveryTried)
    assert played[2].of(Steered)
    prompts = [as_sent(request) for one in played for request in one.model.requests]
    assert_append_only(prompts)
    assert len({one.tools for one in prompts}) == len({one.messages[0] for one in prompts}) == 1


async def test_a_cancelled_answer_stays_in_the_prompt_as_far_as_it_was_heard() -> None:
    class Hanging(ScriptedModel):
        async def complete(self, request: ModelRequest) -> AsyncGenerator[Any]:
            async for event in super().complete(request):
                yield event
                if isinstance(event, TextDelta):
                    await asyncio.Event().wait()

    stage = Stage(FILES)
    await stage.play("Look", [Say(work(), [READ]), Say("It sets x.")])
    model = Hanging([Say("I begin to sa")])
    running = run(Task("Say more", "s", "t2"), Ports(model, stage.workspace, ScriptedAsker(), stage.store))
    events: list[Event] = []
    async for event in running:
        events.append(event)
        if isinstance(event, TextDelta) or model.requests:
            running.cancel()
    stage.prompts.add_run(model.requests, events)
    after = await stage.play("Go on", [Say(reply("As I said."))])
    assert after.model.requests[0].messages[-2] == {"role": "assistant", "content": "I begin to sa"}


async def test_fifty_iterations_in_a_small_window_change_the_prompt_at_compactions_only() -> None:
    stage = Stage({f"{n}.py": f"# {n}\n" + "some words here\n" * 60 for n in range(50)}, window=16_384)
    reads = [Say(f"File {n}.", [("read_file", {"path": f"{n}.py"})]) for n in range(1, 50)]
    script = [Say(work(), [("read_file", {"path": "0.py"})]), *reads, Say("Fifty.")]
    played = await stage.play("Look", script)
    compactions = played.of(Compacted)
    assert 1 <= len(compactions) <= 5
    prompts = [as_sent(request) for request in played.model.requests]
    assert len(prompts) == 51
    assert_append_only(prompts, len(compactions))


def test_the_demo_recording_is_append_only() -> None:
    lines = files("agentic_server").joinpath("demo/cassette.jsonl").read_text("utf-8").splitlines()
    requests = [json.loads(line)["request"] for line in lines]
    assert_append_only([on_the_wire(json.dumps(request, ensure_ascii=False).encode()) for request in requests])


@pytest.mark.parametrize("mode", ["ask", "plan", "accept-edits"])
async def test_the_head_is_the_same_whatever_is_asked_in_whatever_mode(mode: Any) -> None:
    played = await Stage({"b.md": "#\n"}).play(f"In {mode}", [Say(reply("Yes."))], mode=mode, open_files=("b.md",))
    [request] = played.model.requests
    assert request.messages[0] == {"role": "system", "content": load("system")}
    assert as_sent(request).tools == as_sent(replace(request, tools=tool_specs())).tools


def test_the_head_holds_no_clock_and_no_path() -> None:
    head = load("system") + json.dumps(tool_specs())
    assert not re.search(r"\b(19|20)\d\d\b|\d:\d\d|today|(?<![\w.*`])/(home|tmp|usr|root|work|Users)\b|[A-Z]:\\", head)


async def test_a_server_that_is_sent_a_rewritten_prompt_fails_its_test() -> None:
    await _send(WENT_ON, WENT_FAR)
    with pytest.raises(AssertionError, match="goes on with none"):
        await _send(WENT_ON, [*TASK, WENT_FAR[-1], *WENT_FAR[2:]])


async def _send(*conversation: list[dict[str, Any]]) -> None:
    async with ModelServer([Reply("a")] * len(conversation)) as server:
        for messages in conversation:
            await _post(server, json.dumps({"messages": messages}).encode())


async def _post(server: ModelServer, body: bytes) -> None:
    address = server.url.removeprefix("http://").removesuffix("/v1")
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    async with asyncio.timeout(30):
        await reader.readuntil(b"[DONE]")
    writer.close()


def _steer(running: Run, event: Event) -> None:
    if isinstance(event, ToolStarted):
        running.steer("Be quick.")


def _stop_at_the_edit(_running: Run, event: Event) -> None:
    if isinstance(event, EditResolved):
        raise KeyboardInterrupt
