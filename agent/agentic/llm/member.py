"""One endpoint of a pool: what is known of it, how it does, and what a person should be told about it."""

from __future__ import annotations

import asyncio
from collections.abc import MutableSequence
from dataclasses import dataclass
from typing import Literal

from agentic.errors import EndpointUnreachable, ModelError, ServerBusy
from agentic.events import EndpointStatus, Origin, Usage
from agentic.llm.answers import AnswerReader
from agentic.llm.attempt import EndpointClient
from agentic.llm.breaker import Breaker
from agentic.llm.clock import Clock
from agentic.llm.dialect import NATIVE_HINT, Dialect
from agentic.llm.endpoint import Deadlines, Endpoint
from agentic.llm.failures import is_unconnected, status_of, wait_told
from agentic.llm.gate import Gate, Slot
from agentic.llm.gauges import Gauges
from agentic.llm.prefix import BLOCK_SIZE, PrefixMap, PromptChain
from agentic.llm.probe import health, probe
from agentic.llm.routing import Snapshot

GAUGES_SECONDS = 2.0
"""How old the server's figures may be before they are asked for again."""

NO_GAUGES_SECONDS = 60.0
"""How long a server that told none is not asked again."""

STALE_SECONDS = 10.0
"""Figures that are older say nothing about the load."""

_NEWEST = 0.3
"""The weight of the newest figure in a running mean."""

_OVERLOADED = (429, 503)
"""Statuses with which a server says that it has too many requests."""


_CACHING = frozenset({"vllm", "sglang", "llama.cpp", "ollama"})


_RECOVERED_HINT = "A tool-call parser that fits the model is surer: `agentic doctor` names it."
_PROMOTED_HINT = "The server's reasoning parser does not fit the model: leave it out."


@dataclass(frozen=True, slots=True)
class News:
    """Something about an endpoint that a person should know, told with the next events of any request."""

    url: str
    code: str
    message: str
    hint: str = ""


class Member:
    """An endpoint, its client once it has answered, its breaker, its gate and its figures.

    `news` takes what happens to it. Times are those of the event loop.
    """

    def __init__(self, endpoint: Endpoint, breaker: Breaker, deadlines: Deadlines, news: MutableSequence[News]) -> None:
        self.endpoint = endpoint
        self.url = endpoint.base_url
        self.name = f"{self.url} {endpoint.model}".strip()
        """One address may serve several models."""
        self.breaker = breaker
        self.gate = Gate(endpoint.max_requests)
        self.cache = PrefixMap()
        self.gauges = Gauges()
        self.trouble: ModelError | None = None
        """Why it is out, if it is."""
        self._client: EndpointClient | None = None
        self._deadlines = deadlines
        self._news = news
        self._told_out = self._told_recovered = self._told_promoted = False
        self._told_state = "out"
        self._first_token: float | None = None
        self._speed: float | None = None
        self._hit_share: float | None = None
        self._gauges_due = 0.0
        self._gauges_read = 0.0

    @property
    def client(self) -> EndpointClient:
        """:raises EndpointUnreachable: it has never answered."""
        if self._client is None:
            raise EndpointUnreachable(f"{self.url} has not answered yet.")
        return self._client

    @property
    def is_known(self) -> bool:
        """Whether it has ever answered."""
        return self._client is not None

    @property
    def is_well(self) -> bool:
        """Whether a request may be sent there."""
        return self._client is not None and self.breaker.state(_now()) == "closed"

    @property
    def is_due(self) -> bool:
        """Whether it is out and may be probed."""
        return not self.is_well and self.breaker.state(_now()) != "open"

    @property
    def is_slow(self) -> bool:
        """Whether it is there, as far as one can tell, and did not answer its last probe in time."""
        return self.trouble is not None and isinstance(self.trouble.__cause__, TimeoutError)

    @property
    def state(self) -> Literal["ready", "failing", "out"]:
        if not self.is_well:
            return "out"
        return "failing" if self.breaker.failures else "ready"

    @property
    def retry_in(self) -> float:
        """Seconds until it is probed; 0 where it is well, or may be probed now."""
        return self.breaker.retry_in(_now())

    @property
    def held_for(self) -> float:
        """Seconds for which it asked to be left alone."""
        return self.breaker.held_for(_now())

    @property
    def cuts_silently(self) -> bool:
        """Whether it may drop the start of prompts that are too long, as Ollama and LM Studio do, without a word."""
        return self.client.info.server != "vllm"

    @property
    def caches_prefixes(self) -> bool:
        """Whether it is of a kind that has a prefix cache, and does not say that it is off."""
        return self.client.info.server in _CACHING and self.gauges.prefix_caching is not False

    @property
    def has_changed(self) -> bool:
        """Whether it is in another state than the last status told."""
        return self.state != self._told_state

    async def aclose(self) -> None:
        """Close the connections, those too that an answer still streams over."""
        if self._client is not None:
            await self._client.aclose()

    async def probe(self) -> None:
        """Ask whether it is there, and what it serves; costs the server nothing. Never fails."""
        try:
            info = await probe(self.endpoint)
            if self._client is not None and not await health(self.endpoint, server=info.server):
                raise EndpointUnreachable(f"{self.url} is not healthy.", "Look into the server's log.")
        except ModelError as error:
            self.trouble = error
            self.breaker.probed(_now(), answered=False)
            return
        self.trouble = None
        self.gate.limit_to(min(self.endpoint.max_requests, info.slots or self.endpoint.max_requests))
        if self._client is None:
            self._client = EndpointClient(self.endpoint, info, self._deadlines)
        else:
            self._client.renew(info)
            self.cache.forget()
        if self.breaker.probed(_now(), answered=True):
            self._tell_back()

    async def read_gauges(self) -> None:
        """Take up the server's own figures, where it offers them."""
        before, self.gauges = self.gauges, await self.client.read_gauges() or Gauges()
        self._gauges_read = _now()
        if self.gauges == Gauges():
            self._gauges_due = self._gauges_read + NO_GAUGES_SECONDS
            return
        read = self.gauges
        self._hit_share = read.hit_share_since(before) or self._hit_share
        self.cache.block_size = read.block_size or BLOCK_SIZE

    def take_gauges_turn(self) -> bool:
        """Whether the server's figures should be asked for now; says so once in a while."""
        due = self.is_well and _now() >= self._gauges_due
        if due:
            self._gauges_due = _now() + GAUGES_SECONDS
        return due

    def succeeded(self, clock: Clock, usage: Usage) -> None:
        """An answer came from there, whole."""
        self.gate.grow()
        self._first_token = _mean(self._first_token, clock.first_token)
        streaming = clock.elapsed() - (clock.first_token or 0.0)
        if usage.completion and streaming > 0:
            self._speed = _mean(self._speed, usage.completion / streaming)
        if self.breaker.succeeded():
            self._tell_back()

    def failed(self, failure: ModelError, slot: Slot) -> None:
        """A request failed there, and may be sent again."""
        if isinstance(failure, ServerBusy) and status_of(failure) in _OVERLOADED:
            slot.busy()
        if self.breaker.failed(_now(), at_once=is_unconnected(failure), hold=wait_told(failure)):
            self._tell_out(failure)

    def refused(self, failure: ModelError) -> None:
        """It does not want us; another endpoint may."""
        self.breaker.refused(_now())
        self._tell_out(failure)

    def correct_window(self, failure: ModelError) -> None:
        """Take up the context window that a refusal names."""
        if self.client.correct_window(failure):
            self.tell("window_corrected", f"{self.url} serves a window of {self.client.window} tokens, not more.")

    def learn(self, failure: ModelError, sent_in: Dialect) -> bool:
        """See `EndpointClient.learn`."""
        learned = self.client.learn(failure, sent_in)
        if learned and self.client.dialect.tools != sent_in.tools:
            self.tell("tools_prompted", f"{self.url} takes no tools; they are described in the prompt.", NATIVE_HINT)
        return learned

    def tell_oddities(self, answer: AnswerReader) -> None:
        """Once each: calls came as text, or the answer came as reasoning."""
        if answer.recovered and self.client.dialect.tools == "native" and not self._told_recovered:
            self._told_recovered = True
            self.tell(
                "calls_recovered", f"{self.url} sent a tool call as text; it was read from there.", _RECOVERED_HINT
            )
        if answer.promoted and not self._told_promoted:
            self._told_promoted = True
            self.tell("reasoning_promoted", f"{self.url} sent a whole answer as reasoning.", _PROMOTED_HINT)

    def tell_cut(self) -> None:
        """It read less of a prompt than of the shorter one before."""
        self.tell(
            "prompt_cut",
            f"{self.url} dropped the start of the prompt: its window is smaller than the {self.client.window} tokens"
            " that are assumed.",
            "Serve the model with a larger window, or set the endpoint's `window` to the one it has.",
        )

    def snapshot(self, chain: PromptChain) -> Snapshot:
        """How it stands, for a request with this prompt."""
        return Snapshot(
            self.name,
            self.client.window if self._client is not None else 0,
            self.endpoint.weight,
            self.gate.limit,
            self.gate.in_flight,
            self.gate.queued,
            self.gauges.waiting or 0 if _now() - self._gauges_read < STALE_SECONDS else 0,
            self.cache.expected(chain),
        )

    def status(self, origin: Origin) -> EndpointStatus:
        """How it does."""
        self._told_state = self.state
        return EndpointStatus(
            **origin,
            endpoint=self.url,
            model=self._client.info.model if self._client is not None else self.endpoint.model,
            state=self.state,
            in_flight=self.gate.in_flight,
            queued=self.gate.queued,
            limit=self.gate.limit,
            running=self.gauges.running,
            waiting=self.gauges.waiting,
            cache_use=self.gauges.cache_use,
            hit_share=self._hit_share,
            first_token_seconds=self._first_token,
            tokens_per_second=self._speed,
            failures=self.breaker.failures,
            retry_in=self.retry_in,
        )

    def tell(self, code: str, message: str, hint: str = "") -> None:
        """Let a person know."""
        self._news.append(News(self.url, code, message, hint))

    def _tell_out(self, failure: ModelError) -> None:
        self._told_out, self.trouble = True, failure
        self.tell("endpoint_out", f"{self.url} is left alone for {self.retry_in:.0f} s. {failure}", failure.hint)

    def _tell_back(self) -> None:
        if self._told_out:
            self._told_out = False
            self.tell("endpoint_back", f"{self.url} answers again.")


def _mean(before: float | None, newest: float | None) -> float | None:
    if before is None or newest is None:
        return before if newest is None else newest
    return before + (newest - before) * _NEWEST


def _now() -> float:
    return asyncio.get_running_loop().time()
