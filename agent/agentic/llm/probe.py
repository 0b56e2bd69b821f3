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

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_SERVERS = {"llamacpp": "llama.cpp"}


async def probe(endpoint: Endpoint, timeout: float = 2.0) -> EndpointInfo:
    """Ask an endpoint for its models and its window, within `timeout` seconds; costs the server nothing.

    :raises EndpointUnreachable: no connection, no answer in time, or an answer that is no list of models.
    :raises RequestRefused: the key is not accepted.
    """
    from openai import AuthenticationError, PermissionDeniedError

    from agentic.llm.client import open_client
    from agentic.llm.failures import CLIENT_FAILURES, model_error

    url = endpoint.base_url
    try:
        async with asyncio.timeout(timeout), open_client(url, endpoint.key, timeout) as client:
            cards = _read_cards(await client.get("/models", cast_to=object), url)
            card = next((card for card in cards if card.id == endpoint.model), cards[0])
            window = endpoint.window or card.window or await _llama_window(client, url)
    except TimeoutError as error:
        raise EndpointUnreachable(f"{url} did not answer within {timeout:g} s.", _HINT) from error
    except (AuthenticationError, PermissionDeniedError) as error:
        raise model_error(error, url) from error
    except CLIENT_FAILURES as error:
        failure = model_error(error, url)
        raise EndpointUnreachable(str(failure), failure.hint or _HINT) from error
    return EndpointInfo(
        url=url,
        model=endpoint.model or card.id,
        window=window or DEFAULT_WINDOW,
        server=_SERVERS.get(card.owned_by or "", card.owned_by or ""),
        window_known=bool(window),
        models=tuple(card.id for card in cards),
    )


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


_HINT = "Start a model server (vllm serve …, llama-server …), or point --base-url at a running one."


class _Meta(msgspec.Struct):
    n_ctx: int | None = None


class _Card(msgspec.Struct):
    id: str
    owned_by: str | None = None
    max_model_len: int | None = None
    meta: _Meta | None = None

    @property
    def window(self) -> int | None:
        return self.max_model_len or (self.meta.n_ctx if self.meta else None)


class _Cards(msgspec.Struct):
    data: list[_Card]


class _Settings(msgspec.Struct):
    n_ctx: int | None = None


class _Properties(msgspec.Struct):
    default_generation_settings: _Settings


async def _try_probe(endpoint: Endpoint, timeout: float) -> EndpointInfo | ModelError:
    try:
        return await probe(endpoint, timeout)
    except ModelError as error:
        return error


def _read_cards(answer: Any, url: str) -> list[_Card]:
    try:
        cards = msgspec.convert(answer, _Cards).data
    except msgspec.ValidationError as error:
        raise EndpointUnreachable(f"{url}/models gave no list of models.", _WRONG_SERVER_HINT) from error
    if not cards:
        raise EndpointUnreachable(f"{url} offers no model.", "Load a model into the server.")
    return cards


_WRONG_SERVER_HINT = "Something else listens there; point --base-url at an OpenAI-compatible server, ending in /v1."


async def _llama_window(client: AsyncOpenAI, url: str) -> int | None:
    """The window of one slot of a llama.cpp server; None where there is no such server."""
    from agentic.llm.failures import CLIENT_FAILURES

    try:
        answer = await client.get(f"{url.removesuffix('/v1')}/props", cast_to=object)
        return msgspec.convert(answer, _Properties).default_generation_settings.n_ctx
    except (*CLIENT_FAILURES, msgspec.ValidationError):
        return None
