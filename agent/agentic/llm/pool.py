"""The model port over a pool of endpoints: each request goes where it is served best, and goes on elsewhere when that
endpoint fails.

An attempt counts only when a finish reason has come; what a failed one has shown is withdrawn. How an endpoint does is
learned from the requests it gets and from cheap probes, never from completions of our own. Probes run when requests
do: a pool that nobody uses is silent.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Literal

from msgspec import structs

from agentic.errors import ContextOverflow, EndpointUnreachable, ModelError, RequestRefused
from agentic.events import Failover, ModelEvent, ModelFinished, ModelNotice
from agentic.llm.answers import AnswerReader
from agentic.llm.asking import Asking
from agentic.llm.breaker import Breaker
from agentic.llm.clock import Clock
from agentic.llm.conversations import Conversations
from agentic.llm.course import LONGEST_WAIT, Course, Patience, Verdict
from agentic.llm.dialect import Dialect
from agentic.llm.endpoint import DEFAULT_WINDOW, Deadlines, Endpoint
from agentic.llm.failures import concerns_endpoint, is_about_answer
from agentic.llm.gate import Slot
from agentic.llm.member import Member, News
from agentic.llm.prefix import PromptChains
from agentic.llm.routing import choose
from agentic.llm.tokens import estimate_message
from agentic.ports.model import Message, ModelRequest, TokenCount, ToolSpec
from agentic.task import new_id

CHAINS = 64
"""How many conversations may be under way before their prompts are hashed anew at each request."""

WAITS = (2.0, 4.0, 8.0, 16.0)
"""Seconds between one attempt and the next where no other endpoint can take the request."""


PROBE_SECONDS = 2.0
"""How often endpoints that are out are probed while a request waits for one."""

FIRST_PROBES = 3
"""How often endpoints that are there, but do not answer in time, are asked before a turn is given up at its start."""


class Pool:
    """Answers from whichever endpoint can. `temperature` is that of requests which set none; None leaves it to the
    server. A request is sent again after up to `retries` of the `waits`, in seconds, the last of which holds for all
    that follow; each varies by the share `jitter`. Call `aclose` at the end.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        deadlines: Deadlines | None = None,
        *,
        temperature: float | None = None,
        retries: int = 4,
        waits: Sequence[float] = WAITS,
        jitter: float = 0.2,
    ) -> None:
        self._deadlines = deadlines or Deadlines()
        self._temperature = temperature
        self._patience = Patience(retries, waits, jitter, random.Random())
        self._news: deque[News] = deque(maxlen=64)
        self._members = [
            Member(endpoint, Breaker(waits, jitter, self._patience.dice), self._deadlines, self._news)
            for endpoint in endpoints
        ]
        self._conversations = Conversations()
        self._chains = PromptChains(CHAINS)
        self._probes: dict[Member, asyncio.Task[None]] = {}
        """Those that run."""
        self._readings: set[asyncio.Task[None]] = set()

    @property
    def window(self) -> int:
        """See `agentic.ports.model.Model.window`: the largest of the endpoints that can be asked."""
        known = [one for one in self._members if one.is_known]
        usable = [one for one in known if one.is_well] or known
        return max((one.client.window for one in usable), default=DEFAULT_WINDOW)

    @property
    def is_known(self) -> bool:
        """Whether an endpoint has told of itself, so that `window` is no guess."""
        return any(one.is_known for one in self._members)

    @property
    def states(self) -> dict[str, Literal["ready", "failing", "out"]]:
        """How each endpoint does, by its address and the model that the settings name there."""
        return {one.name: one.state for one in self._members}

    async def connect(self) -> None:
        """Ready when the first endpoint has answered; the others join when they do.

        :raises RequestRefused: none can be used, and one did not accept us.
        :raises EndpointUnreachable: none answers; the message names them all.
        """
        self._look_around()
        for _ in range(FIRST_PROBES):
            if self._well():
                return
            await self._probe(self._members)
            if not any(one.is_slow for one in self._members):
                break
        if not self._well():
            raise self._nobody()

    async def count(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[TokenCount]:
        """See `agentic.ports.model.Model.count`."""
        usable = self._well() or [one for one in self._members if one.is_known]
        if usable:
            return await usable[0].client.counter.count(messages, tools)
        return [TokenCount(estimate_message(one)) for one in (*messages, *tools)]

    async def complete(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """See `agentic.ports.model.Model.complete`."""
        if not any(one.is_known for one in self._members):
            await self.connect()
        asking = self._begin(request)
        while True:
            member = await self._find(asking)
            if member is not None:
                async with aclosing(self._attempt(asking, member)) as events:
                    async for event in events:
                        yield event
                if asking.course.outcome == "answered":
                    return
                if asking.course.outcome == "passed over":
                    continue
            else:
                asking.course.found_nobody()
            wait = await self._wait_before_next(asking)
            yield self._going_on(asking, member, wait)
            if wait:
                await self._pause(asking, wait)

    async def aclose(self) -> None:
        """Close the connections, those too that an answer still streams over."""
        tasks = [*self._probes.values(), *self._readings]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for member in self._members:
            await member.aclose()

    def _begin(self, request: ModelRequest) -> Asking:
        if request.temperature is None:
            request = replace(request, temperature=self._temperature)
        conversation = self._conversations.of(request.conversation)
        conversation.calls.update(_call_ids(request.messages))
        chain = self._chains.of(request.conversation, request.messages, request.tools)
        return Asking(new_id("request"), request, conversation, chain, Clock(self._deadlines), Course(self._patience))

    async def _find(self, asking: Asking) -> Member | None:
        """An endpoint for the next attempt. Where none is well, those that are out are probed first."""
        self._look_around()
        found = self._choose(asking)
        if found is None:
            await self._probe([one for one in self._members if not one.is_well and asking.course.may_ask(one.name)])
            found = self._choose(asking)
        return found

    def _choose(self, asking: Asking) -> Member | None:
        """The best endpoint of those that are well and have not failed this request."""
        able = {one.name: one for one in self._well() if asking.course.may_ask(one.name)}
        if len(able) < 2:
            return next(iter(able.values()), None)
        prompt = asking.conversation.estimate(asking.chain)
        snapshots = [one.snapshot(asking.chain) for one in able.values()]
        chosen = choose(snapshots, asking.origin["session_id"], asking.conversation.home, prompt)
        return able[chosen] if chosen is not None else None

    async def _attempt(self, asking: Asking, member: Member) -> AsyncGenerator[ModelEvent]:
        """One attempt, up to `ModelFinished` or to the withdrawal of all that it has shown; the course knows which."""
        finished = None
        if member.gate.is_full and asking.conversation.tell_waiting():
            yield asking.notice(_queued(member))
        async with self._slot(asking, member) as slot:
            if not member.is_well:
                asking.course.outcome = "passed over"
                return
            asking.conversation.home = member.name
            client, dialect, answer = member.client, member.client.dialect, asking.reader(member)
            prompt = asking.conversation.estimate(asking.chain)
            body = client.encode(asking.request, prompt)
            yield asking.started(member, prompt)
            try:
                async with aclosing(client.attempt(asking.name, body, answer, asking.clock)) as events:
                    async for event in events:
                        if isinstance(event, ModelFinished):
                            finished = event
                        else:
                            yield event
            except ModelError as error:
                self._failed(asking, member, error, slot, dialect)
        for event in self._ended(asking, member, answer, finished):
            yield event

    @asynccontextmanager
    async def _slot(self, asking: Asking, member: Member) -> AsyncGenerator[Slot]:
        """A place at an endpoint. :raises DeadlineExceeded: none was free before the whole request must be over."""
        try:
            async with member.gate.slot(asking.request.conversation, asking.clock.left()) as slot:
                yield slot
        except TimeoutError as error:
            raise asking.clock.exceeded() from error

    def _failed(self, asking: Asking, member: Member, failure: ModelError, slot: Slot, sent_in: Dialect) -> None:
        verdict: Verdict = "never"
        shorter = isinstance(failure, ContextOverflow) and self._overflowed(asking, member, failure)
        if shorter or member.learn(failure, sent_in):
            verdict = "anew"
        elif concerns_endpoint(failure):
            verdict = "elsewhere"
            member.refused(failure)
        elif failure.retryable:
            verdict = "again"
            member.failed(failure, slot)
        asking.course.failed(member.name, failure, verdict)

    def _overflowed(self, asking: Asking, member: Member, failure: ContextOverflow) -> bool:
        """Take up what the refusal tells. Whether the prompt may fit beside a shorter answer."""
        conversation, client = asking.conversation, member.client
        before = client.answer_limit(asking.request, conversation.estimate(asking.chain))
        member.correct_window(failure)
        shorter = is_about_answer(failure)
        conversation.overflowed(asking.chain, client.window - client.least_room if shorter else client.window)
        return shorter and client.answer_limit(asking.request, conversation.estimate(asking.chain)) < before

    def _ended(
        self, asking: Asking, member: Member, answer: AnswerReader, finished: ModelFinished | None
    ) -> Iterator[ModelEvent]:
        """What is told at an attempt's end."""
        if finished is None:
            yield from answer.withdraw()
        else:
            asking.course.outcome = "answered"
            member.tell_oddities(answer)
            finished = self._succeeded(asking, member, finished)
        while self._news:
            yield asking.notice(self._news.popleft())
        for one in self._members:
            if one is member or one.has_changed:
                yield one.status(asking.origin)
        if finished is not None:
            yield finished

    def _succeeded(self, asking: Asking, member: Member, finished: ModelFinished) -> ModelFinished:
        """The end of an answer; where the server does not tell what its cache held, with what it must have held."""
        usage = finished.usage
        if member.cuts_silently and asking.conversation.is_cut(asking.chain, member.name, usage.prompt):
            member.tell_cut()
        if usage.cached is None and usage.prompt is not None and member.caches_prefixes:
            cached = member.cache.expected(asking.chain, usage.prompt)
            finished = structs.replace(finished, usage=structs.replace(usage, cached=cached, computed=True))
        member.cache.remember(asking.chain, usage.completion)
        member.succeeded(asking.clock, usage)
        asking.conversation.remember(asking.chain, member.name, usage.prompt)
        return finished

    async def _wait_before_next(self, asking: Asking) -> float:
        """Seconds until the next attempt; 0 where it can be made at once. :raises ModelError: there is none."""
        course, left = asking.course, asking.clock.left()
        failure = course.failure or self._nobody()
        if course.verdict == "never":
            raise failure
        if left > 0 and (course.verdict == "anew" or await self._find(asking) is not None):
            return 0.0
        wait = self._next_wait(asking) if course.verdict == "again" else None
        if wait is None or wait > left:
            raise course.given_up(failure, asking.clock.spent()) from failure.__cause__
        return wait

    def _next_wait(self, asking: Asking) -> float | None:
        """As long as the plan says, or as the server that is back first wants it; None where it is no use."""
        hopeful = self._hopeful(asking)
        wait = asking.course.next_wait()
        if wait is None or not hopeful:
            return None
        return max(wait, min(one.held_for for one in hopeful))

    def _hopeful(self, asking: Asking) -> list[Member]:
        """The endpoints that may take the request after a wait, those first that are likely to."""
        hopeful = [
            one for one in self._members if asking.course.may_come_back(one.name) and one.held_for <= LONGEST_WAIT
        ]
        home = asking.conversation.home
        return sorted(hopeful, key=lambda one: (not one.is_well, one.name != home, one.retry_in))

    def _going_on(self, asking: Asking, member: Member | None, wait: float) -> Failover | ModelNotice:
        """That another attempt follows, after this many seconds."""
        chosen = self._choose(asking) if not wait else None
        expected = chosen or next(iter(self._hopeful(asking)), member)
        if member is None or expected is None or asking.course.failure is None:
            return asking.notice(_waiting(expected, wait))
        return asking.failover(member, expected.url, asking.course.failure, wait)

    async def _pause(self, asking: Asking, seconds: float) -> None:
        """Wait; where all are out only until one of them answers a probe."""
        now = asyncio.get_running_loop().time
        end = now() + seconds
        out = [one for one in self._members if asking.course.may_come_back(one.name)]
        if any(one.is_well for one in out):
            await asyncio.sleep(seconds)
            return
        while end > now() and not any(one.is_well for one in out):
            await asyncio.sleep(min(end - now(), PROBE_SECONDS))
            if end > now():
                await self._probe(out)

    def _well(self) -> list[Member]:
        return [one for one in self._members if one.is_well]

    def _look_around(self) -> None:
        """Probe what may be back, and read the figures of what is well; in the background."""
        for member in self._members:
            if member.is_due:
                self._probing(member)
            if member.take_gauges_turn():
                reading = asyncio.create_task(member.read_gauges())
                self._readings.add(reading)
                reading.add_done_callback(self._readings.discard)

    async def _probe(self, members: Sequence[Member]) -> None:
        """Ask those who did not forbid it, until one has answered or none has. Each answers within seconds, or not."""
        running = {self._probing(one) for one in members if not one.held_for}
        while running and not any(one.is_well for one in members):
            _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)

    def _probing(self, member: Member) -> asyncio.Task[None]:
        """The probe that runs, or a new one; it goes on when those who wait for it leave."""
        running = self._probes.get(member)
        if running is None:
            running = self._probes[member] = asyncio.create_task(member.probe())
            running.add_done_callback(lambda _: self._probes.pop(member, None))
        return running

    def _nobody(self) -> ModelError:
        """Why none can be used."""
        troubles = [one.trouble for one in self._members if one.trouble is not None]
        refused = next((trouble for trouble in troubles if isinstance(trouble, RequestRefused)), None)
        if refused is not None:
            return refused
        reasons = "; ".join(str(trouble).rstrip(".") for trouble in troubles)
        hints = {trouble.hint for trouble in troubles}
        hint = hints.pop() if len(hints) == 1 else _NOBODY_HINT
        return EndpointUnreachable(f"No model server can be used: {reasons or 'no address is set'}.", hint)


_NOBODY_HINT = "Start a model server (vllm serve …, llama-server …), or point --base-url at a running one."


def _call_ids(messages: Sequence[Message]) -> Iterator[str]:
    return (call["id"] for message in messages for call in message.get("tool_calls") or ())


def _queued(member: Member) -> News:
    message = f"As many requests as are allowed ({member.gate.limit}) are in flight at {member.url}; this one waits."
    return News(member.url, "waiting", message)


def _waiting(member: Member | None, wait: float) -> News:
    message = f"No model server can take the request; it is tried again in {wait:.0f} s."
    return News(
        member.url if member else "",
        "waiting",
        message,
        "Start a model server, or cancel the turn and resume it later.",
    )
