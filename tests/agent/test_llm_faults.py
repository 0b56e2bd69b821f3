"""Every way in which a server lets one down, and what the agent makes of it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.model_server import (
    ModelServer,
    Play,
    Reply,
    call_delta,
    delta,
    events,
    html,
    only,
    recorded,
    status,
    stream,
)

from agentic.errors import (
    ContextOverflow,
    DeadlineExceeded,
    EndpointUnreachable,
    ModelError,
    RequestRefused,
    ServerBusy,
    StreamBroken,
)
from agentic.events import (
    EndpointStatus,
    Failover,
    ItemWithdrawn,
    ModelEvent,
    ModelStarted,
    Origin,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from agentic.llm.endpoint import Deadlines, Endpoint
from agentic.llm.pool import Pool
from agentic.ports.model import Answer, ModelRequest

STREAMS = Path(__file__).parent / "streams"
ORIGIN: Origin = {"session_id": "s", "turn_id": "t", "agent": "main"}
QUESTION = ModelRequest(ORIGIN, [{"role": "user", "content": "Hello?"}])
GOOD = Reply("All is well.", "Hm.", [("f", {"x": 1})])
PATIENT = Deadlines(connect=10, first_token=20, silence=20, total=60)


def model_at(url: str, deadlines: Deadlines = PATIENT, attempts: int = 2) -> Pool:
    return Pool([Endpoint(url, tools="native")], deadlines, retries=attempts - 1, waits=[0.0], jitter=0.0)


class Outcome:
    """What became of a request: its events, their sum, and the error that ended it."""

    def __init__(self) -> None:
        self.events: list[ModelEvent] = []
        self.answer = Answer()
        self.error: ModelError | None = None

    def of(self, *kinds: type[ModelEvent]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]


async def ask(model: Pool) -> Outcome:
    outcome = Outcome()
    try:
        async for event in model.complete(QUESTION):
            outcome.events.append(event)
            outcome.answer.add(event)
    except ModelError as error:
        outcome.error = error
    return outcome


async def run(script: Sequence[Play | Reply], deadlines: Deadlines = PATIENT, attempts: int = 2) -> Outcome:
    async with ModelServer(script) as server:
        model = model_at(server.url, deadlines, attempts)
        outcome = await ask(model)
        await model.aclose()
        assert len(server.requests) == len(script), "another number of requests than the script foresees"
    return outcome


def recording(name: str) -> Play:
    return recorded((STREAMS / f"{name}.http").read_bytes())


def error_event(message: str) -> bytes:
    return b'data: {"error": {"message": "%b", "code": 500}}\n\n' % message.encode()


BROKEN = {
    "html with 200": html(),
    "json error with 200": stream([b'{"error": {"message": "no"}}'], content_type="application/json"),
    "empty body": stream([]),
    "empty body, recorded": recording("llama-cpp-python-err_ctx_prompt_stream"),
    "end without finish reason": events(delta(content="half"), done=False),
    "done without finish reason": events(delta(content="half")),
    "only an empty delta": events(delta(role="assistant")),
    "cut at once": only(GOOD, 0, "cut"),
    "cut in the text": only(GOOD, 4, "cut"),
    "cut in a call": only(GOOD, 7, "cut"),
    "cut inside an event": only(GOOD, 3, "cut", b'data: {"choices": [{"del'),
    "ended inside an event": only(GOOD, 3, "end", b'data: {"choices": [{"del'),
    "garbage": only(GOOD, 3, "end", b"data: \x00\x01{{{\n\n"),
    "bad utf-8": only(GOOD, 3, "end", b'data: {"choices":[{"delta":{"content":"\xff\xfe"}}]}\n\n'),
    "a list instead of a chunk": only(GOOD, 3, "end", b"data: [1, 2]\n\n"),
    "a number instead of a chunk": only(GOOD, 3, "end", b"data: 7\n\n"),
    "choices of the wrong type": only(GOOD, 3, "end", b'data: {"choices": {"delta": 1}}\n\n'),
    "content of the wrong type": only(GOOD, 3, "end", b'data: {"choices": [{"delta": {"content": 5}}]}\n\n'),
    "error object": only(GOOD, 3, "end", error_event("engine died")),
    "error object at once": stream([error_event("engine died")]),
    "flat error object": only(GOOD, 3, "end", b'data: {"object": "error", "message": "aborted", "code": 500}\n\n'),
    "error event": only(GOOD, 3, "end", b'event: error\ndata: {"message": "aborted"}\n\n'),
    "engine killed, recorded": recording("vllm-engine_killed_midstream"),
    "finish reason error": events(delta(content="half"), delta("error")),
    "finish reason abort": events(delta(content="half"), delta("abort")),
    "call without a name": events(call_delta(index=0, id="a", arguments="{}"), delta("tool_calls")),
    "not http": Play([b"220 mail.example.org ESMTP\r\n"], chunked=False, ending="cut"),
    "closed without a word": Play([], chunked=False, ending="cut"),
    "false chunk length": Play([b"zz\r\n"], only(GOOD, 0, "end").head, "cut", chunked=False),
    "shorter than announced": Play(
        [b"data: "], b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\n", "cut", False
    ),
    "half of a compressed body": Play(
        [b"\x1f\x8bnonsense"],
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_broken_stream_is_withdrawn_and_tried_again(fault: str) -> None:
    outcome = await run([BROKEN[fault], GOOD])
    assert outcome.error is None
    assert outcome.answer.text == "All is well."
    assert [call.arguments for call in outcome.answer.tool_calls] == ['{"x": 1}']
    assert [event.attempt for event in outcome.of(ModelStarted)] == [1, 2]
    (failover,) = outcome.of(Failover)
    assert failover.code == "stream_broken"
    assert failover.to == failover.endpoint


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_stream_that_stays_broken_leaves_nothing_behind(fault: str) -> None:
    outcome = await run([BROKEN[fault]] * 3, attempts=3)
    assert isinstance(outcome.error, StreamBroken)
    assert (outcome.answer.texts, outcome.answer.thoughts, outcome.answer.calls) == ({}, {}, {})
    assert outcome.answer.finish_reason == ""
    assert len(outcome.of(Failover)) == 2


async def test_each_item_that_was_begun_is_withdrawn_once_and_before_the_next_attempt() -> None:
    outcome = await run([only(GOOD, 7, "cut"), GOOD])
    failover = outcome.events.index(outcome.of(Failover)[0])
    shown = outcome.events[:failover]
    begun = {event.item for event in shown if isinstance(event, TextDelta | ThinkingDelta | ToolCallDelta)}
    withdrawn = [event.item for event in outcome.of(ItemWithdrawn)]
    assert len(begun) == 3
    assert sorted(withdrawn) == sorted(begun)
    last = [type(event) for event in shown[-4:]]
    assert last == [ItemWithdrawn, ItemWithdrawn, ItemWithdrawn, EndpointStatus]


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
async def test_a_busy_server_is_asked_again(code: int) -> None:
    outcome = await run([status(code, {"error": {"message": "later"}}), GOOD])
    assert outcome.answer.text == "All is well."
    (failover,) = outcome.of(Failover)
    assert failover.code == "server_busy"
    assert "later" in failover.reason


@pytest.mark.parametrize("code", ["429", "503", '"503"'])
async def test_a_server_that_says_in_the_stream_that_it_is_busy_is_asked_again(code: str) -> None:
    """vLLM answers 200 and then finds its queue full."""
    full = b'data: {"error": {"message": "later", "code": %b}}\n\ndata: [DONE]\n\n' % code.encode()
    outcome = await run([stream([full]), GOOD])
    assert outcome.answer.text == "All is well."
    (failover,) = outcome.of(Failover)
    assert failover.code == "server_busy"
    assert "later" in failover.reason


async def test_a_server_that_stays_busy_is_given_up() -> None:
    outcome = await run([recording("vllm-err_503_overload")] * 2)
    assert isinstance(outcome.error, ServerBusy)
    assert "currently busy" in str(outcome.error)


async def test_the_wait_that_a_server_asks_for_is_kept_or_refused_but_not_ignored() -> None:
    outcome = await run([status(429, "slow", "Retry-After: 0.05\r\n"), GOOD])
    assert 0 < outcome.of(Failover)[0].wait <= 0.05
    outcome = await run([status(429, "slow", "Retry-After: 3600\r\n")])
    assert isinstance(outcome.error, ServerBusy)
    outcome = await run([status(429, "slow", "Retry-After: tomorrow\r\n"), GOOD])
    assert outcome.error is None


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
async def test_what_is_refused_is_not_sent_again(code: int) -> None:
    outcome = await run([status(code, {"error": {"message": "no"}})])
    assert isinstance(outcome.error, RequestRefused)
    assert outcome.error.hint
    assert outcome.of(Failover) == []


@pytest.mark.parametrize(
    ("name", "error", "hint"),
    [
        ("vllm-err_model", RequestRefused, "on offer: tiny"),
        ("vllm-err_noauth", RequestRefused, "key"),
        ("vllm-noflags-tools_auto", RequestRefused, "--enable-auto-tool-choice and --tool-call-parser"),
        ("vllm-err_ctx_prompt_stream", ContextOverflow, "new session"),
        ("llama-server-err_ctx_prompt_stream", ContextOverflow, "new session"),
    ],
)
async def test_recorded_refusals_say_what_to_change(name: str, error: type[ModelError], hint: str) -> None:
    outcome = await run([recording(name)])
    assert type(outcome.error) is error
    assert outcome.error is not None
    assert hint in outcome.error.hint


@pytest.mark.parametrize(
    "answer",
    [
        status(400, {"error": {"message": "This model's maximum context length is 1024 tokens."}}),
        status(500, {"error": {"message": "request (12 tokens) exceeds the available context size (1024 tokens)"}}),
        status(413, {"error": {"message": "too long", "code": "context_length_exceeded"}}),
        status(400, {"object": "error", "message": "The input is longer than the model's context length"}),
        stream([error_event("the context size has been exceeded")]),
    ],
)
async def test_an_overflow_is_known_by_its_words_whatever_its_status(answer: Play) -> None:
    outcome = await run([answer])
    assert isinstance(outcome.error, ContextOverflow)


@pytest.mark.parametrize("name", ["vllm-err_ctx_prompt_stream", "llama-server-err_ctx_prompt_stream"])
async def test_the_window_is_corrected_from_the_refusals_words(name: str) -> None:
    async with ModelServer([recording(name)]) as server:
        model = model_at(server.url)
        await ask(model)
        await model.aclose()
    assert model.window == 4096


async def test_a_server_that_is_not_there_is_told_at_once() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    model = model_at(url, attempts=3)
    outcome = await ask(model)
    await model.aclose()
    assert isinstance(outcome.error, EndpointUnreachable)
    assert url in str(outcome.error)
    assert outcome.events == []


async def test_a_server_that_went_away_between_two_requests_is_asked_anew() -> None:
    async with ModelServer([Reply("one"), Reply("two")]) as server:
        model = model_at(server.url)
        assert (await ask(model)).answer.text == "one"
        server.hang_up()
        assert (await ask(model)).answer.text == "two"
        await model.aclose()


STALLS = {
    "no answer at all": (Play([], chunked=False, ending="stall"), "first_token"),
    "slow headers": (Play([b"HTTP/1.1 200 OK\r\n"], chunked=False, ending="stall"), "first_token"),
    "headers only": (only(GOOD, 0, "stall"), "first_token"),
    "comments only": (only(GOOD, 0, "drip"), "first_token"),
    "comments after an empty delta": (only(GOOD, 1, "drip"), "first_token"),
    "stall in the text": (only(GOOD, 4, "stall"), "silence"),
    "comments in the text": (only(GOOD, 4, "drip"), "silence"),
    "comments in a call": (only(GOOD, 7, "drip"), "silence"),
    "an error's body that never ends": (status(500, "busy", drip=True), "first_token"),
}


@pytest.mark.parametrize("fault", STALLS)
async def test_silence_ends_at_its_own_deadline_and_is_tried_again(fault: str) -> None:
    play, stage = STALLS[fault]
    async with ModelServer([play, *[GOOD] * 4]) as server:
        model = model_at(server.url, replace(PATIENT, **{stage: 0.2}), attempts=5)
        outcome = await ask(model)
        await asyncio.wait_for(server.client_closed.wait(), 10)
        await model.aclose()
    assert outcome.answer.text == "All is well."
    failover = outcome.of(Failover)[0]
    assert failover.code == "deadline_exceeded"
    assert f"`{stage.replace('first_token', 'firstToken')}`" in failover.reason


async def test_empty_deltas_are_no_sign_of_life() -> None:
    chunks = [delta(content="x"), *[delta(content="")] * 10_000]
    play = events(*chunks, ending="stall", done=False)
    outcome = await run(
        [replace(play, pace=0.01)], Deadlines(connect=5, first_token=20, silence=0.2, total=20), attempts=1
    )
    assert isinstance(outcome.error, DeadlineExceeded)
    assert "`silence`" in str(outcome.error)


async def test_a_steady_stream_may_take_longer_than_the_silence() -> None:
    outcome = await run([Reply(" ".join("word" for _ in range(30)), pace=0.05)], replace(PATIENT, silence=1.0))
    assert outcome.answer.text.count("word") == 30
    assert outcome.answer.seconds > 1.0


async def test_the_total_ends_a_steady_stream_and_is_not_tried_again() -> None:
    endless = Reply(" ".join("word" for _ in range(1000)), pace=0.01)
    outcome = await run([endless], Deadlines(connect=5, first_token=5, silence=5, total=0.3), attempts=3)
    assert isinstance(outcome.error, DeadlineExceeded)
    assert "`total`" in str(outcome.error)
    assert outcome.answer.text == ""


async def test_a_slow_reader_is_not_the_servers_silence() -> None:
    async with ModelServer([Reply("one two three", pace=0.01)]) as server:
        model = model_at(server.url, replace(PATIENT, silence=0.2), attempts=1)
        answer = Answer()
        async for event in model.complete(QUESTION):
            answer.add(event)
            await asyncio.sleep(0.3 if isinstance(event, TextDelta) else 0)
        await model.aclose()
    assert answer.text == "one two three"


async def test_a_stream_that_does_not_end_after_its_finish_reason_is_a_whole_answer() -> None:
    whole = events(delta(content="x"), delta("stop"), done=False, ending="drip")
    outcome = await run([whole])
    assert (outcome.answer.text, outcome.answer.finish_reason, outcome.error) == ("x", "stop", None)


async def test_chunks_after_the_finish_reason_do_not_hold_the_answer_back() -> None:
    chatter = [delta(role="assistant")] * 500
    async with ModelServer([replace(events(delta(content="x"), delta("stop"), *chatter), pace=0.01)]) as server:
        model = model_at(server.url)
        outcome = await ask(model)
        await asyncio.wait_for(server.client_closed.wait(), 10)
        await model.aclose()
    assert (outcome.answer.text, outcome.answer.finish_reason) == ("x", "stop")


async def test_closing_the_generator_closes_the_connection() -> None:
    async with ModelServer([only(GOOD, 4, "stall")]) as server:
        model = model_at(server.url)
        answering = model.complete(QUESTION)
        async for event in answering:
            if isinstance(event, TextDelta):
                break
        await answering.aclose()
        await asyncio.wait_for(server.client_closed.wait(), 10)
        assert server.connections_closed == 1
        await model.aclose()


@pytest.mark.parametrize("play", [only(GOOD, 4, "stall"), only(GOOD, 4, "drip"), Play([], ending="stall")])
async def test_cancelling_the_reader_closes_the_connection(play: Play) -> None:
    async with ModelServer([play]) as server:
        model = model_at(server.url)
        reading = asyncio.create_task(ask(model))
        await asyncio.wait_for(server.request_seen.wait(), 10)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.wait_for(server.client_closed.wait(), 10)
        await model.aclose()


async def test_cancelling_the_wait_between_attempts_ends_the_request() -> None:
    async with ModelServer([status(503, "busy")]) as server:
        model = Pool([Endpoint(server.url)], waits=[25.0])
        answering = model.complete(QUESTION)
        async for event in answering:
            if isinstance(event, Failover):
                break
        waiting = asyncio.ensure_future(anext(answering))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await model.aclose()
        assert len(server.requests) == 1


async def test_a_redirect_is_not_followed_with_the_prompt_and_says_where_it_leads() -> None:
    async with ModelServer([GOOD]) as other:
        target = f"{other.url}/chat/completions"
        outcome = await run([status(307, "", f"Location: {target}\r\n")])
        assert isinstance(outcome.error, RequestRefused)
        assert target in str(outcome.error)
        assert other.requests == []


async def test_events_without_data_are_passed_over() -> None:
    pieces = [b"id: 1\n\n", b"retry: 10\n\n", b": ping\n\n"]
    whole = [piece for chunk in (delta(content="a"), delta("stop", content="b")) for piece in (*pieces, _data(chunk))]
    outcome = await run([stream([*whole, b"data: [DONE]\n\n"])])
    assert outcome.error is None
    assert outcome.answer.text == "ab"


def _data(chunk: Any) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


async def test_a_kept_connection_that_closes_unanswered_costs_no_attempt() -> None:
    async with ModelServer([GOOD, recorded(b""), GOOD], compactions=None) as server:
        model = model_at(server.url)
        first, second = await ask(model), await ask(model)
        await model.aclose()
        assert len(server.requests) == 3
    assert first.answer.text == second.answer.text == "All is well."
    assert second.of(Failover) == []
