"""The question who serves a model at an address; it costs the server nothing.

Importing this is cheap; the client is loaded when something is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from agentic.errors import EndpointUnreachable, ModelError, RequestRefused
from agentic.llm.endpoint import DEFAULT_WINDOW, Endpoint, EndpointInfo
from agentic.llm.servers import Card, Question, Told, merge, questions

if TYPE_CHECKING:
    from openai import AsyncOpenAI

DETAIL_SECONDS = 1.0
"""How long is waited for what goes beyond the list of models."""


async def probe(endpoint: Endpoint, timeout: float = 2.0) -> EndpointInfo:
    """Ask an endpoint for its models, its window and what it is, within `timeout` seconds.

    What is missing beside the list of models is left out without a word.

    :raises EndpointUnreachable: no connection, no answer in time, or an answer that is no list of models.
    :raises RequestRefused: the key is not accepted.
    """
    from openai import AuthenticationError, PermissionDeniedError

    from agentic.llm.client import open_client
    from agentic.llm.failures import CLIENT_FAILURES, model_error

    url = endpoint.base_url
    end = asyncio.get_running_loop().time() + timeout
    try:
        async with open_client(url, endpoint.key, timeout) as client:
            async with asyncio.timeout_at(end):
                cards = _read_cards(await client.get("/models", cast_to=object), url)
            card = next((card for card in cards if card.id == endpoint.model), cards[0])
            told = await _Details(client, url, endpoint.model or card.id, end).gather(card.told)
    except TimeoutError as error:
        raise EndpointUnreachable(f"{url} did not answer within {timeout:g} s.", _HINT) from error
    except (AuthenticationError, PermissionDeniedError) as error:
        raise model_error(error, url) from error
    except CLIENT_FAILURES as error:
        failure = model_error(error, url)
        raise EndpointUnreachable(str(failure), failure.hint or _HINT) from error
    return _info(endpoint, endpoint.model or card.id, told, tuple(card.id for card in cards))


async def first_reachable(endpoints: Sequence[Endpoint], timeout: float = 2.0) -> tuple[Endpoint, EndpointInfo]:
    """Ask all endpoints at once and take the first of the list that answers, within `timeout` seconds.

    :raises RequestRefused: none can be used, and one did not accept the key.
    :raises EndpointUnreachable: none answers; the message names them all.
    """
    failures: list[ModelError] = []
    async with asyncio.TaskGroup() as group:
        probes = [group.create_task(_try_probe(endpoint, timeout)) for endpoint in endpoints]
        for endpoint, task in zip(endpoints, probes, strict=True):
            outcome = await task
            if isinstance(outcome, EndpointInfo):
                for other in probes:
                    other.cancel()
                return endpoint, outcome
            failures.append(outcome)
    refused = next((failure for failure in failures if isinstance(failure, RequestRefused)), None)
    if refused is not None:
        raise refused
    reasons = "; ".join(str(failure).rstrip(".") for failure in failures)
    raise EndpointUnreachable(f"No model server can be used: {reasons or 'no address is set'}.", _HINT)


async def health(endpoint: Endpoint, timeout: float = 1.0, *, server: str = "") -> bool:
    """Whether the endpoint says, within `timeout` seconds, that it can serve; `server` is its kind where it is known.

    One small request: GET /health, the root of Ollama, or the list of models.
    """
    from agentic.llm.client import open_client
    from agentic.llm.failures import CLIENT_FAILURES

    url = endpoint.base_url
    path = _HEALTH.get(server)
    address = f"{url}/models" if path is None else f"{root_of(url)}{path}"
    try:
        async with asyncio.timeout(timeout), open_client(url, endpoint.key, timeout) as client:
            await client.get(address, cast_to=str)
    except (TimeoutError, *CLIENT_FAILURES):
        return False
    return True


def root_of(base_url: str) -> str:
    """The address below which a server has what is not OpenAI's."""
    return base_url.removesuffix("/v1")


_HINT = "Start a model server (vllm serve …, llama-server …), or point --base-url at a running one."
_WRONG_SERVER_HINT = "Something else listens there; point --base-url at an OpenAI-compatible server, ending in /v1."
_HEALTH = {"vllm": "/health", "llama.cpp": "/health", "sglang": "/health", "tgi": "/health", "ollama": "/"}


class _Cards(msgspec.Struct):
    data: list[Card]


async def _try_probe(endpoint: Endpoint, timeout: float) -> EndpointInfo | ModelError:
    try:
        return await probe(endpoint, timeout)
    except ModelError as error:
        return error


def _info(endpoint: Endpoint, model: str, told: Told, models: tuple[str, ...]) -> EndpointInfo:
    if endpoint.window:
        told = merge([Told(window=endpoint.window, source="set"), told])
    return EndpointInfo(
        url=endpoint.base_url,
        model=model,
        window=told.window or DEFAULT_WINDOW,
        server=told.server,
        window_source=told.source,
        models=models,
        version=told.version,
        slots=told.slots,
        trained_window=told.trained,
    )


def _read_cards(answer: Any, url: str) -> list[Card]:
    try:
        cards = msgspec.convert(answer, _Cards).data
    except msgspec.ValidationError as error:
        raise EndpointUnreachable(f"{url}/models gave no list of models.", _WRONG_SERVER_HINT) from error
    if not cards:
        raise EndpointUnreachable(f"{url} offers no model.", "Load a model into the server.")
    return cards


class _Details:
    """What a server tells beside the list of its models, as far as it does so before `end` (loop time)."""

    def __init__(self, client: AsyncOpenAI, url: str, model: str, end: float) -> None:
        self._client = client
        self._root = root_of(url)
        self._model = model
        self._end = min(end, asyncio.get_running_loop().time() + DETAIL_SECONDS)

    async def gather(self, told: Told) -> Told:
        """`told` and more: a server of unknown kind is asked for its kind first, then for what its kind tells."""
        first = questions(told.server)
        told = merge([told, *await self._ask(first)])
        second = [one for one in questions(told.server) if one not in first] if told.server else []
        return merge([told, *await self._ask(second)])

    async def _ask(self, asked: Sequence[Question]) -> list[Told]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._answer(question)) for question in asked]
        return [told for task in tasks if (told := task.result()) is not None]

    async def _answer(self, question: Question) -> Told | None:
        from agentic.llm.failures import CLIENT_FAILURES

        address = f"{self._root}{question.path}"
        try:
            async with asyncio.timeout_at(self._end):
                if question.posted:
                    answer = await self._client.post(address, cast_to=object, body={"model": self._model})
                else:
                    answer = await self._client.get(address, cast_to=object)
        except (TimeoutError, *CLIENT_FAILURES):
            return None
        return question.read(answer, self._model)
