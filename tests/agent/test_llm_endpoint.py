"""Finding a model server, and saying clearly why there is none."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from support.model_server import ModelServer, Play, html, status

from agentic.errors import EndpointUnreachable, RequestRefused
from agentic.llm.endpoint import Endpoint
from agentic.llm.probe import first_reachable, health, probe


@pytest.fixture
def refusing() -> str:
    """An address where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def cards(**card: object) -> dict[str, object]:
    return {"object": "list", "data": [{"id": "tiny", **card}]}


@pytest.mark.parametrize(
    ("written", "base"),
    [
        ("localhost:8001", "http://localhost:8001/v1"),
        ("http://localhost:8001", "http://localhost:8001/v1"),
        (" http://localhost:8001/v1/ ", "http://localhost:8001/v1"),
        ("https://example.org/api/v1", "https://example.org/api/v1"),
    ],
)
def test_addresses_are_completed(written: str, base: str) -> None:
    assert Endpoint(written).base_url == base


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(Endpoint("localhost:1", key="secret"))


async def test_vllm_tells_its_window() -> None:
    async with ModelServer([], models=cards(owned_by="vllm", max_model_len=4096)) as server:
        info = await probe(Endpoint(server.url))
    assert (info.url, info.model, info.window, info.server, info.window_known) == (
        server.url,
        "tiny",
        4096,
        "vllm",
        True,
    )
    assert server.paths == ["/v1/models", "/version"]


async def test_llama_server_tells_its_window_in_its_metadata() -> None:
    models = cards(owned_by="llamacpp", meta={"n_ctx": 2048, "n_ctx_train": 32768})
    async with ModelServer([], models=models) as server:
        info = await probe(Endpoint(server.url))
    assert (info.window, info.server) == (2048, "llama.cpp")


async def test_older_llama_servers_tell_their_window_in_their_properties() -> None:
    props: dict[str, Any] = {"default_generation_settings": {"n_ctx": 1024, "params": {}}, "total_slots": 2}
    async with ModelServer([], models=cards(owned_by="llamacpp", meta=None), props=props) as server:
        assert (await probe(Endpoint(server.url))).window == 1024


async def test_an_unknown_window_is_said_to_be_a_guess() -> None:
    async with ModelServer([], models=cards()) as server:
        info = await probe(Endpoint(server.url))
    assert (info.window, info.window_known) == (32768, False)


async def test_the_model_asked_for_is_found_among_several() -> None:
    models = {"data": [{"id": "small", "max_model_len": 1}, {"id": "big", "max_model_len": 2}]}
    async with ModelServer([], models=models) as server:
        big = await probe(Endpoint(server.url, model="big"))
        other = await probe(Endpoint(server.url, model="unlisted"))
    assert (big.model, big.window, big.models) == ("big", 2, ("small", "big"))
    assert other.model == "unlisted"


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (html(), "list of models"),
        (status(200, "plain text"), "list of models"),
        (status(200, {"object": "list"}), "list of models"),
        (status(200, {"data": []}), "no model"),
        (status(404, {"detail": "Not Found"}), "404"),
        (status(503, {"error": {"message": "Loading model"}}), "Loading model"),
        (status(200, {}, drip=True), "within"),
    ],
)
async def test_what_is_no_model_server_is_unreachable_with_a_reason(models: Play, words: str) -> None:
    async with ModelServer([], models=models) as server:
        with pytest.raises(EndpointUnreachable, match=words) as caught:
            await probe(Endpoint(server.url), timeout=0.5)
    assert server.url in str(caught.value)
    assert caught.value.hint


async def test_a_wrong_key_is_refused() -> None:
    async with ModelServer([], models=status(401, {"error": "Unauthorized"})) as server:
        with pytest.raises(RequestRefused, match="Unauthorized") as caught:
            await probe(Endpoint(server.url, key="wrong"))
    assert "key" in caught.value.hint
    assert server.headers[0]["authorization"] == "Bearer wrong"


async def test_only_the_given_key_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "private")
    async with ModelServer([]) as server:
        await probe(Endpoint(server.url))
    assert "private" not in str(server.headers)


async def test_a_proxy_is_not_asked_for_this_machines_own_addresses(
    monkeypatch: pytest.MonkeyPatch, refusing: str
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, refusing)
    async with ModelServer([]) as server:
        assert (await probe(Endpoint(server.url))).model == "tiny"
        assert await health(Endpoint(server.url))


async def test_the_first_of_the_list_that_answers_is_taken(refusing: str) -> None:
    async with ModelServer([]) as slow, ModelServer([]) as fast:
        slow.models = status(200, cards())
        endpoints = [Endpoint(refusing), Endpoint(slow.url), Endpoint(fast.url)]
        endpoint, info = await first_reachable(endpoints)
    assert endpoint == endpoints[1]
    assert info.url == slow.url


async def test_an_answer_does_not_wait_for_those_behind_it(silent: str) -> None:
    async with ModelServer([]) as server:
        endpoint, _ = await asyncio.wait_for(first_reachable([Endpoint(server.url), Endpoint(silent)], 60), 30)
    assert endpoint.url == server.url


async def test_none_reachable_is_one_sentence_that_names_all(refusing: str, silent: str) -> None:
    async with ModelServer([], models=html()) as server:
        addresses = [refusing, silent, server.url]
        with pytest.raises(EndpointUnreachable) as caught:
            await first_reachable([Endpoint(address) for address in addresses], timeout=0.3)
    assert all(address in str(caught.value) for address in addresses)
    assert "--base-url" in caught.value.hint


async def test_a_refused_key_is_told_when_nothing_else_answers(refusing: str) -> None:
    async with ModelServer([], models=status(401, {"error": "Unauthorized"})) as server:
        with pytest.raises(RequestRefused):
            await first_reachable([Endpoint(refusing), Endpoint(server.url)])


async def test_a_name_that_does_not_resolve_and_a_senseless_address_are_unreachable() -> None:
    for address in ("http://no-such-host.invalid:8001/v1", "http://[half:1/v1", "ftp://localhost/v1"):
        with pytest.raises(EndpointUnreachable):
            await probe(Endpoint(address))
