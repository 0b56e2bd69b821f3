"""A pool of endpoints: no turn is lost while one of them lives."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest
from support.model_server import ModelServer, Play, Reply, delta, events, only, status
from support.outcomes import BRISK, Outcome, ask, check, question

from agentic.errors import ContextOverflow, EndpointUnreachable, RequestRefused, ServerBusy
from agentic.events import (
    EndpointStatus,
    Failover,
    ItemWithdrawn,
    ModelFinished,
    ModelNotice,
    ModelStarted,
    TextDelta,
)
from agentic.llm.endpoint import Deadlines, Endpoint
from agentic.llm.pool import Pool
from agentic.ports.model import ModelRequest

GOOD = Reply("All is well.", "Hm.", [("f", {"x": 1})])
BUSY = status(503, {"error": {"message": "busy"}})
CUT = only(GOOD, 4, "cut")
SHORT_WAITS = (0.02, 0.04, 0.08, 0.16)


def serving(answer: Play | Reply | Callable[[Any], Play | Reply], **settings: Any) -> ModelServer:
    """A server that gives the same answer to everyone."""
    return ModelServer(answer if callable(answer) else lambda _: answer, compactions=None, **settings)


def served(window: int = 8192, owner: str = "vllm", name: str = "tiny") -> dict[str, Any]:
    return {"object": "list", "data": [{"id": name, "owned_by": owner, "max_model_len": window}]}


@asynccontextmanager
async def pool_of(
    *servers: ModelServer | Endpoint, deadlines: Deadlines = BRISK, retries: int = 4, all_known: bool = True
) -> AsyncGenerator[Pool]:
    """A pool over these servers, which knows them all, with short waits."""
    endpoints = [one if isinstance(one, Endpoint) else Endpoint(one.url) for one in servers]
    pool = Pool(endpoints, deadlines, retries=retries, waits=SHORT_WAITS, jitter=0.0)
    try:
        if all_known:
            await know_all(pool)
        yield pool
    finally:
        await pool.aclose()


async def know_all(pool: Pool) -> None:
    await pool.connect()
    async with asyncio.timeout(20):
        while set(pool.states.values()) != {"ready"}:
            await asyncio.sleep(0.001)


async def session_at(pool: Pool, server: ModelServer) -> str:
    """A session whose conversations go to this server."""
    for number in range(100):
        outcome = await ask(pool, question(session=f"at-{number}"))
        if outcome.of(ModelStarted)[0].endpoint == server.url:
            return f"at-{number}"
    raise AssertionError("no session goes there")


async def settle() -> None:
    """Let the ends of connections arrive."""
    for _ in range(20):
        await asyncio.sleep(0)


def waits_of(outcome: Outcome) -> list[float]:
    return [event.wait for event in outcome.of(Failover)]


def codes_of(outcome: Outcome) -> list[str]:
    return [event.code for event in outcome.of(ModelNotice)]


def words_of(outcome: Outcome) -> str:
    assert outcome.error is None, outcome.error
    check(outcome)
    return outcome.answer.text


class Switch:
    """A script that answers well until it is told otherwise."""

    def __init__(self, answer: Play | Reply = GOOD) -> None:
        self.answer = answer

    def __call__(self, _: Any) -> Play | Reply:
        return self.answer


async def test_an_endpoint_that_is_killed_in_mid_answer_is_replaced_by_the_other() -> None:
    script = Switch(Reply("From one."))
    async with serving(script) as one, serving(Reply("From two.")) as two, pool_of(one, two) as pool:
        session = await session_at(pool, one)
        script.answer = CUT
        outcome = await ask(pool, question(session=session))
    assert words_of(outcome) == "From two."
    assert outcome.of(ItemWithdrawn)
    (failover,) = outcome.of(Failover)
    assert (failover.endpoint, failover.to, failover.wait) == (one.url, two.url, 0.0)
    assert (failover.code, failover.request) == ("stream_broken", outcome.of(ModelStarted)[0].request)
    assert [event.endpoint for event in outcome.of(ModelStarted)] == [one.url, two.url]


async def test_a_process_that_dies_takes_no_turn_with_it() -> None:
    slow = Reply("word " * 40, pace=0.01)
    async with serving(slow) as one, serving(slow) as two, pool_of(one, two) as pool:
        where: dict[str, str] = {}
        begun = asyncio.Event()

        async def turn(number: int) -> Outcome:
            outcome, request = Outcome(), question(session=f"s{number}")
            async with aclosing(pool.complete(request)) as stream:
                async for event in stream:
                    outcome.events.append(event)
                    outcome.answer.add(event)
                    if isinstance(event, TextDelta):
                        where.setdefault(event.session_id, outcome.of(ModelStarted)[0].endpoint)
                    if len(where) == 6:
                        begun.set()
            return outcome

        turns = [asyncio.create_task(turn(number)) for number in range(6)]
        await asyncio.wait_for(begun.wait(), 20)
        one.die()
        outcomes = await asyncio.gather(*turns)
    assert set(where.values()) == {one.url, two.url}
    for outcome in outcomes:
        assert words_of(outcome).split() == ["word"] * 40
        started = [event.endpoint for event in outcome.of(ModelStarted)]
        assert started == ([two.url] if started[0] == two.url else [one.url, two.url])


async def test_when_all_are_gone_the_waits_are_told_and_the_failure_has_a_name() -> None:
    async with serving(GOOD) as one, serving(GOOD) as two, pool_of(one, two, retries=3) as pool:
        one.die()
        two.die()
        outcome = await ask(pool)
        assert isinstance(outcome.error, EndpointUnreachable)
        assert "Tried 2 times" in str(outcome.error)
        assert "resume" in outcome.error.hint
        check(outcome)
        assert waits_of(outcome) == [0.0, SHORT_WAITS[0]]
        assert codes_of(outcome) == ["endpoint_out", "endpoint_out", "waiting", "waiting"]
        assert set(pool.states.values()) == {"out"}
        with pytest.raises(EndpointUnreachable, match="(?s)No model server can be used.*" + two.url):
            await pool.connect()
        await two.listen_again()
        again = await ask(pool)
    assert words_of(again) == "All is well."
    assert again.of(ModelStarted)[0].endpoint == two.url
    assert "endpoint_back" in codes_of(again)


async def test_a_turn_that_waits_goes_on_when_one_is_back() -> None:
    async with serving(GOOD) as one, serving(GOOD) as two, pool_of(one, two) as pool:
        one.die()
        two.die()
        outcome = Outcome()
        async for event in pool.complete(question()):
            outcome.events.append(event)
            outcome.answer.add(event)
            if isinstance(event, Failover) and event.wait:
                await two.listen_again()
        assert words_of(outcome) == "All is well."
        assert outcome.of(ModelFinished)


async def test_a_burst_of_busy_answers_is_waited_out() -> None:
    answers = iter([BUSY, BUSY, BUSY])
    async with serving(lambda _: next(answers, GOOD)) as server, pool_of(server) as pool:
        outcome = await ask(pool)
        assert words_of(outcome) == "All is well."
        assert waits_of(outcome) == list(SHORT_WAITS[:3])
        assert pool.states == {server.url: "ready"}
        assert "endpoint_out" in codes_of(outcome)


async def test_the_plan_of_waits_is_kept_to_its_end() -> None:
    async with serving(BUSY) as server, pool_of(server, retries=6) as pool:
        outcome = await ask(pool)
        assert isinstance(outcome.error, ServerBusy)
        assert waits_of(outcome) == [*SHORT_WAITS, SHORT_WAITS[-1], SHORT_WAITS[-1]]
        assert len(server.requests) == 7
        assert "Tried 7 times" in str(outcome.error)
        check(outcome)


async def test_a_wait_varies_by_its_jitter() -> None:
    async with serving(BUSY) as server:
        pool = Pool([Endpoint(server.url)], BRISK, retries=1, waits=[0.05], jitter=0.4)
        waits = [waits_of(await ask(pool, question(session=f"s{number}"))) for number in range(4)]
        await pool.aclose()
    told = [wait for one in waits for wait in one]
    assert len(set(told)) == 4
    assert all(0.03 <= wait <= 0.07 for wait in told)


@pytest.mark.parametrize("header", ["Retry-After: 0.3", "retry-after-ms: 300"])
async def test_a_wait_that_the_server_asks_for_is_kept_when_it_is_longer(header: str) -> None:
    answers = iter([status(429, "slow down", f"{header}\r\n")])
    async with serving(lambda _: next(answers, GOOD)) as server, pool_of(server) as pool:
        outcome = await ask(pool)
    assert words_of(outcome) == "All is well."
    (wait,) = waits_of(outcome)
    assert SHORT_WAITS[0] < wait <= 0.3


async def test_a_date_to_come_back_at_is_understood_and_one_too_far_is_told_at_once() -> None:
    async with (
        serving(status(429, "no", f"Retry-After: {formatdate(2**31 - 1, usegmt=True)}\r\n")) as server,
        pool_of(server) as pool,
    ):
        outcome = await ask(pool)
        assert isinstance(outcome.error, ServerBusy)
        assert len(server.requests) == 1
        assert codes_of(outcome) == ["endpoint_out"]
        assert outcome.of(EndpointStatus)[-1].retry_in > 200


@pytest.mark.parametrize("words", ["soon", "-5", "nan", "inf", "Mon, 99 Foo", ""])
async def test_a_senseless_wait_is_no_wait(words: str) -> None:
    answers = iter([status(429, "no", f"Retry-After: {words}\r\n")])
    async with serving(lambda _: next(answers, GOOD)) as server, pool_of(server) as pool:
        outcome = await ask(pool)
    assert words_of(outcome) == "All is well."
    assert waits_of(outcome) == [SHORT_WAITS[0]]


async def test_a_hanging_endpoint_does_not_hold_a_turn_that_another_can_serve() -> None:
    script = Switch()
    deadlines = replace(BRISK, first_token=0.3)
    async with serving(script) as one, serving(GOOD) as two, pool_of(one, two, deadlines=deadlines) as pool:
        session = await session_at(pool, one)
        script.answer = Play([], ending="stall")
        outcome = await ask(pool, question(session=session))
        assert words_of(outcome) == "All is well."
        assert [event.code for event in outcome.of(Failover)] == ["deadline_exceeded"]
        await asyncio.wait_for(one.client_closed.wait(), 10)


async def test_an_endpoint_that_stays_silent_is_asked_twice_and_no_more() -> None:
    silent = Play([], ending="stall")
    async with serving(silent) as server, pool_of(server, deadlines=replace(BRISK, first_token=0.1)) as pool:
        outcome = await ask(pool)
        assert outcome.error is not None
        assert outcome.error.code == "deadline_exceeded"
        assert len(server.requests) == 2


async def test_one_that_refuses_us_is_left_out_and_the_other_goes_on() -> None:
    script = Switch()
    async with serving(script) as one, serving(GOOD) as two, pool_of(one, two) as pool:
        session = await session_at(pool, one)
        seen = len(one.requests)
        script.answer = status(401, {"error": "Unauthorized"})
        for number in range(3):
            outcome = await ask(pool, question(session=session))
            assert words_of(outcome) == "All is well."
            assert waits_of(outcome) == ([0.0] if number == 0 else [])
        assert len(one.requests) == seen + 1
        assert pool.states[one.url] == "out"


async def test_where_all_refuse_us_that_is_the_error() -> None:
    refused = status(404, {"error": {"message": "no such model"}})
    async with serving(refused) as one, serving(refused) as two, pool_of(one, two) as pool:
        outcome = await ask(pool)
        assert isinstance(outcome.error, RequestRefused)
        assert len(one.requests) == len(two.requests) == 1
        check(outcome)


@pytest.mark.parametrize("code", [400, 422])
async def test_what_is_wrong_with_the_request_is_sent_nowhere_else(code: int) -> None:
    refused = status(code, {"error": {"message": "you are wrong"}})
    async with serving(refused) as one, serving(refused) as two, pool_of(one, two) as pool:
        outcome = await ask(pool)
        assert isinstance(outcome.error, RequestRefused)
        assert len(one.requests) + len(two.requests) == 1
        assert outcome.of(Failover) == []
        assert set(pool.states.values()) == {"ready"}


async def test_an_overflow_is_sent_nowhere_else_and_corrects_the_window() -> None:
    words = "This model's maximum context length is 4096 tokens. However, your prompt contains at least 4097."
    async with serving(status(400, {"error": {"message": words}})) as server, pool_of(server) as pool:
        assert pool.window == 8192
        outcome = await ask(pool)
        assert isinstance(outcome.error, ContextOverflow)
        assert pool.window == 4096
        assert codes_of(outcome) == ["window_corrected"]
        assert len(server.requests) == 1


async def test_what_overflowed_at_a_small_endpoint_goes_to_a_large_one() -> None:
    words = "This model's maximum context length is 4096 tokens."
    script = Switch()
    async with (
        serving(script, models=served(16_384)) as small,
        serving(GOOD, models=served(16_384)) as large,
        pool_of(small, large) as pool,
    ):
        session = await session_at(pool, small)
        script.answer = status(400, {"error": {"message": words}})
        assert isinstance((await ask(pool, question(session=session))).error, ContextOverflow)
        again = await ask(pool, question(session=session))
        assert words_of(again) == "All is well."
        assert again.of(ModelStarted)[0].endpoint == large.url


async def test_an_endpoint_that_is_out_comes_back_by_a_probe_and_not_by_a_completion() -> None:
    async with serving(GOOD) as one, serving(GOOD) as two, pool_of(one, two) as pool:
        session = await session_at(pool, one)
        one.die()
        await settle()
        lost = await ask(pool, question(session=session))
        assert codes_of(lost) == ["endpoint_out"]
        seen, probes = len(one.requests), len(one.paths)
        await one.listen_again()
        back: list[str] = []
        async with asyncio.timeout(20):
            while "endpoint_back" not in back:
                back += codes_of(await ask(pool, question(session=session)))
        assert len(one.requests) == seen
        assert len(one.paths) > probes
        assert pool.states == {one.url: "ready", two.url: "ready"}


async def test_a_conversation_stays_and_new_ones_spread() -> None:
    async with serving(GOOD) as one, serving(GOOD) as two, pool_of(one, two) as pool:
        asked: Counter[str] = Counter()
        for number in range(24):
            homes: set[str] = set()
            messages = [{"role": "system", "content": f"You are number {number}."}]
            for text in ("one", "two", "three"):
                messages = [*messages, {"role": "user", "content": text}]
                request = ModelRequest({"session_id": f"s{number}", "turn_id": "t", "agent": "main"}, messages)
                homes.add((await ask(pool, request)).of(ModelStarted)[0].endpoint)
            assert len(homes) == 1
            asked[homes.pop()] += 1
    assert min(asked[one.url], asked[two.url]) >= 4


async def test_sub_agents_share_an_endpoint_until_it_is_full() -> None:
    slow = Reply("word " * 5, delay=0.2)
    head = {"role": "system", "content": "You are one of many. " * 50}

    def part(agent: str) -> ModelRequest:
        origin = {"session_id": "s", "turn_id": "t", "agent": agent}
        return ModelRequest(origin, [head, {"role": "user", "content": f"Do the part of {agent}."}])

    async with serving(slow) as one, serving(slow) as two:
        endpoints = [Endpoint(server.url, max_requests=3) for server in (one, two)]
        async with pool_of(*endpoints) as pool:
            first = (await ask(pool, part("main"))).of(ModelStarted)[0].endpoint
            outcomes = await asyncio.gather(*[ask(pool, part(f"agent-{number}")) for number in range(6)])
            at = Counter(outcome.of(ModelStarted)[0].endpoint for outcome in outcomes)
    assert at == {first: 3, ({one.url, two.url} - {first}).pop(): 3}


async def test_requests_that_wait_at_the_server_send_new_ones_elsewhere() -> None:
    metrics = 'vllm:num_requests_running{engine="0"} 3.0\nvllm:num_requests_waiting{engine="0"} %d.0\n'
    pages = {"/metrics": metrics % 0}
    async with serving(GOOD, pages=pages) as one, serving(GOOD) as two, pool_of(one, two) as pool:
        session, waiting = await session_at(pool, one), None
        one.pages["/metrics"] = metrics % 5
        async with asyncio.timeout(20):
            while waiting != 5:
                told = (await ask(pool, question(session=session))).of(EndpointStatus)[0]
                waiting = told.waiting
                await asyncio.sleep(0.02)
        assert (told.endpoint, told.running) == (one.url, 3)
        homes = Counter[str]()
        for number in range(12):
            homes[(await ask(pool, question(session=f"n{number}"))).of(ModelStarted)[0].endpoint] += 1
        assert homes == {two.url: 12}


async def test_no_more_requests_are_in_flight_than_the_limit() -> None:
    now = highest = 0
    async with serving(Reply("ok", delay=0.01)) as server, pool_of(Endpoint(server.url, max_requests=3)) as pool:

        async def one(number: int) -> Outcome:
            nonlocal now, highest
            outcome = Outcome()
            async for event in pool.complete(question(session=f"s{number}")):
                outcome.events.append(event)
                if isinstance(event, ModelStarted):
                    now += 1
                    highest = max(highest, now)
                if isinstance(event, EndpointStatus):
                    now -= 1
            return outcome

        outcomes = await asyncio.gather(*[one(number) for number in range(20)])
    assert highest == 3
    assert all(outcome.of(ModelFinished) for outcome in outcomes)
    assert sum(codes_of(outcome) == ["waiting"] for outcome in outcomes) == 17


async def test_cancelling_closes_the_connection_and_frees_the_place() -> None:
    script = Switch(Play([], ending="stall"))
    async with serving(script) as server, pool_of(Endpoint(server.url, max_requests=1)) as pool:
        stuck = asyncio.create_task(ask(pool, question(session="stuck")))
        await asyncio.wait_for(server.request_seen.wait(), 20)
        waiting = asyncio.create_task(ask(pool, question(session="waiting")))
        await asyncio.sleep(0)
        script.answer = GOOD
        stuck.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stuck
        await asyncio.wait_for(server.client_closed.wait(), 20)
        assert words_of(await waiting) == "All is well."
        assert pool.states == {server.url: "ready"}


async def test_a_prompt_that_the_server_cut_in_silence_is_told() -> None:
    prompts = iter([5000, 6000, 2050])

    def script(_: Any) -> Reply:
        return Reply("ok", usage={"prompt_tokens": next(prompts), "completion_tokens": 1})

    async with serving(script, models=served(owner="library")) as server, pool_of(server) as pool:
        messages, told = [{"role": "system", "content": "x"}], list[list[str]]()
        for text in ("one", "two", "three"):
            messages = [*messages, {"role": "user", "content": text}]
            told.append(codes_of(await ask(pool, ModelRequest(question().origin, messages))))
    assert told == [[], [], ["prompt_cut"]]


async def test_one_that_was_down_at_the_start_joins_later_without_a_word() -> None:
    async with serving(GOOD) as one, serving(GOOD) as two:
        two.die()
        async with pool_of(one, two, all_known=False) as pool:
            assert words_of(await ask(pool)) == "All is well."
            await two.listen_again()
            notices: list[str] = []
            async with asyncio.timeout(20):
                while pool.states[two.url] != "ready":
                    notices += codes_of(await ask(pool))
    assert notices == []


async def test_the_window_is_the_largest_of_those_that_can_be_asked() -> None:
    async with (
        serving(GOOD, models=served(4096)) as small,
        serving(GOOD, models=served(32_768)) as large,
        pool_of(small, large, retries=0) as pool,
    ):
        assert pool.window == 32_768
        session = await session_at(pool, large)
        large.die()
        await settle()
        assert words_of(await ask(pool, question(session=session))) == "All is well."
        assert pool.window == 4096


async def test_the_status_tells_how_an_endpoint_does() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 40, "prompt_tokens_details": {"cached_tokens": 90}}
    async with serving(Reply("one two three", usage=usage, pace=0.005)) as server, pool_of(server) as pool:
        (told,) = (await ask(pool)).of(EndpointStatus)
    assert (told.endpoint, told.model, told.state) == (server.url, "tiny", "ready")
    assert (told.in_flight, told.queued, told.limit, told.failures, told.retry_in) == (0, 0, 8, 0, 0.0)
    assert told.first_token_seconds is not None
    assert told.tokens_per_second is not None
    assert told.tokens_per_second > 0


async def test_a_busy_server_is_sent_fewer_requests_at_once() -> None:
    answers = iter([BUSY])
    async with serving(lambda _: next(answers, GOOD)) as server, pool_of(Endpoint(server.url, max_requests=6)) as pool:
        limits = [event.limit for event in (await ask(pool)).of(EndpointStatus)]
    assert limits == [4, 4]


FAULTS: list[Callable[[random.Random], Play | Reply]] = [
    lambda dice: only(GOOD, dice.randint(0, 7), "cut"),
    lambda _: BUSY,
    lambda _: status(500, "crashed"),
    lambda dice: status(429, "slow", f"Retry-After: {dice.random() / 20:.3f}\r\n"),
    lambda _: events(delta(content="half"), done=False),
    lambda _: events(delta(content="half"), delta("error")),
    lambda dice: only(GOOD, dice.randint(0, 7), "stall"),
]


@pytest.mark.parametrize("seed", range(3))
async def test_no_turn_is_lost_and_nothing_is_shown_twice_under_random_faults(seed: int) -> None:
    dice = random.Random(seed)

    def script(_: Any) -> Play | Reply:
        return dice.choice(FAULTS)(dice) if dice.random() < 0.25 else replace(GOOD, pace=0.001)

    deadlines = Deadlines(connect=5, first_token=2.0, silence=1.0, total=60)
    async with (
        serving(script) as one,
        serving(script) as two,
        pool_of(one, two, deadlines=deadlines, retries=12) as pool,
    ):

        async def conversation(number: int) -> list[Outcome]:
            messages: list[dict[str, Any]] = [{"role": "user", "content": f"I am {number}."}]
            outcomes: list[Outcome] = []
            for turn in range(3):
                request = ModelRequest({"session_id": f"s{number}", "turn_id": f"t{turn}", "agent": "main"}, messages)
                outcomes.append(await ask(pool, request))
                messages = [*messages, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "On."}]
            return outcomes

        whole = await asyncio.gather(*[conversation(number) for number in range(50)])
    outcomes = [outcome for some in whole for outcome in some]
    for outcome in outcomes:
        assert words_of(outcome) == "All is well."
        assert [call.arguments for call in outcome.answer.tool_calls] == ['{"x": 1}']
    assert sum(len(outcome.of(Failover)) for outcome in outcomes) > 10
    items = [item for outcome in outcomes for item in outcome.answer.texts]
    assert len(items) == len(set(items)) == 150


async def test_one_address_may_serve_two_models() -> None:
    def answer(request: dict[str, Any]) -> Play | Reply:
        return status(404, {"detail": "gone"}) if request["model"] == "big" else Reply("Small, but here.")

    async with ModelServer(answer) as server:
        models = [Endpoint(server.url, "big", weight=1e9), Endpoint(server.url, "small", weight=1e-9)]
        async with pool_of(*models) as pool:
            outcome = await ask(pool, question())
    assert outcome.answer.text == "Small, but here."
    assert [event.model for event in outcome.of(ModelStarted)] == ["big", "small"]


async def test_odd_answers_are_told_once_for_each_kind() -> None:
    call = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
    script = [Reply(call), Reply(call), Reply(thinking="All of it is in here."), Reply("Fine.")]
    async with ModelServer(script, compactions=None) as server, pool_of(server) as pool:
        request = replace(question(), tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}])
        outcomes = [await ask(pool, request) for _ in script]
    told = [codes_of(outcome) for outcome in outcomes]
    assert told == [["calls_recovered"], [], ["reasoning_promoted"], []]
    assert [len(outcome.answer.calls) for outcome in outcomes] == [1, 1, 0, 0]
    assert outcomes[2].answer.text == "All of it is in here."
