"""What each kind of server tells of itself, and where its window comes from."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from support.model_server import Json, ModelServer, Play, html, status

from agentic.llm.endpoint import Endpoint, EndpointInfo
from agentic.llm.probe import health, probe

VLLM_CARD = {
    "id": "tiny",
    "object": "model",
    "created": 1795199016,
    "owned_by": "vllm",
    "root": "/srv/model/tiny",
    "parent": None,
    "max_model_len": 4096,
    "permission": [{"id": "modelperm-a452b4c221034a60", "allow_sampling": True, "group": None}],
}
LLAMA_META = {
    "vocab_type": 2,
    "n_vocab": 2048,
    "n_ctx": 4096,
    "n_ctx_train": 32768,
    "n_params": 1049984,
    "size": 4199936,
}
LLAMA_CARD = {"id": "tiny", "aliases": ["tiny"], "created": 1795200883, "owned_by": "llamacpp", "meta": LLAMA_META}
LLAMA_PROPERTIES: Json = {
    "default_generation_settings": {"params": {"seed": 4294967295, "n_predict": -1}, "n_ctx": 4096},
    "total_slots": 2,
    "model_alias": "tiny",
    "endpoint_slots": True,
    "endpoint_metrics": True,
    "chat_template": "{%- if tools %}",
    "build_info": "b11434-0a1b2c3",
}
OLLAMA_CARD = {"id": "qwen3:8b", "object": "model", "created": 1, "owned_by": "library"}
OLLAMA_LOADED = {
    "name": "qwen3:8b",
    "model": "qwen3:8b",
    "size": 6654289920,
    "details": {"family": "qwen3", "parameter_size": "8.2B"},
    "expires_at": "2026-11-20T21:00:00Z",
    "size_vram": 6654289920,
    "context_length": 8192,
}
OLLAMA_SHOWN = {
    "parameters": 'stop                           "<|im_start|>"\nnum_ctx                        16384\ntop_k  20',
    "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960},
    "capabilities": ["completion", "tools", "thinking"],
}
SGLANG_INFO = {"model_path": "Qwen/Qwen3-8B", "version": "0.5.23", "context_length": 16384, "internal_states": [{}]}
STUDIO_MODELS = {
    "object": "list",
    "data": [
        {"id": "other", "object": "model", "type": "llm", "state": "not-loaded", "max_context_length": 32768},
        {
            "id": "tiny",
            "object": "model",
            "type": "llm",
            "state": "loaded",
            "max_context_length": 131072,
            "loaded_context_length": 4096,
        },
    ],
}
TGI_INFO = {"model_id": "tiny", "version": "3.3.0", "max_total_tokens": 8192, "max_concurrent_requests": 128}


def listed(*cards: dict[str, Any]) -> Json:
    return {"object": "list", "data": list(cards)}


async def asked(models: Json, pages: dict[str, Json | str | Play], **settings: Any) -> EndpointInfo:
    async with ModelServer([], models=models, pages=pages) as server:
        return await probe(Endpoint(server.url, **settings))


def seen(info: EndpointInfo) -> tuple[str, str, int, str]:
    return info.server, info.version, info.window, info.window_source


async def test_vllm() -> None:
    info = await asked(listed(VLLM_CARD), {"/version": {"version": "0.32.0"}})
    assert seen(info) == ("vllm", "0.32.0", 4096, "served")


async def test_llama_server_tells_the_window_of_one_slot() -> None:
    info = await asked(listed(LLAMA_CARD), {"/props": LLAMA_PROPERTIES})
    assert seen(info) == ("llama.cpp", "b11434-0a1b2c3", 4096, "slot")
    assert (info.slots, info.trained_window) == (2, 32768)


async def test_llama_server_is_known_by_its_properties() -> None:
    info = await asked(listed({"id": "renamed", "owned_by": "me"}), {"/props": LLAMA_PROPERTIES})
    assert seen(info) == ("llama.cpp", "b11434-0a1b2c3", 4096, "slot")


OLLAMA_PAGES: dict[str, Json | str | Play] = {
    "/api/version": {"version": "0.12.6"},
    "/api/ps": {"models": [OLLAMA_LOADED]},
    "/api/show": OLLAMA_SHOWN,
}


@pytest.mark.parametrize(
    ("changed", "window", "source"),
    [
        ({}, 8192, "runtime"),
        ({"/api/ps": {"models": []}}, 16384, "modelfile"),
        ({"/api/ps": {"models": [{**OLLAMA_LOADED, "name": "other", "model": "other"}]}}, 16384, "modelfile"),
        ({"/api/ps": {"models": []}, "/api/show": {**OLLAMA_SHOWN, "parameters": "num_ctx_x 5"}}, 4096, "default"),
        ({"/api/ps": status(500, "crash"), "/api/show": html()}, 4096, "default"),
    ],
)
async def test_ollama_counts_what_is_loaded_never_what_was_trained(
    changed: dict[str, Json | str | Play], window: int, source: str
) -> None:
    info = await asked(listed(OLLAMA_CARD), OLLAMA_PAGES | changed)
    assert seen(info) == ("ollama", "0.12.6", window, source)
    assert info.window_known == (source != "default")


async def test_a_model_of_ollama_without_a_tag_is_the_latest() -> None:
    loaded = {**OLLAMA_LOADED, "name": "coder:latest", "model": "coder:latest"}
    info = await asked(listed({"id": "coder"}), OLLAMA_PAGES | {"/api/ps": {"models": [loaded]}})
    assert (info.window, info.window_source, info.trained_window) == (8192, "runtime", 40960)


@pytest.mark.parametrize("path", ["/server_info", "/get_server_info"])
async def test_sglang(path: str) -> None:
    card = {"id": "tiny", "owned_by": "sglang", "max_model_len": 32768}
    assert seen(await asked(listed(card), {path: SGLANG_INFO})) == ("sglang", "0.5.23", 32768, "served")
    assert seen(await asked(listed({"id": "tiny"}), {path: SGLANG_INFO})) == ("sglang", "0.5.23", 16384, "served")


async def test_lm_studio_counts_what_is_loaded_not_what_is_possible() -> None:
    card = {"id": "tiny", "object": "model", "owned_by": "organization_owner"}
    info = await asked(listed(card), {"/api/v0/models": STUDIO_MODELS})
    assert seen(info) == ("lmstudio", "", 4096, "runtime")
    assert info.trained_window == 131072


async def test_lm_studio_does_not_tell_the_window_of_a_model_that_is_not_loaded() -> None:
    info = await asked(listed({"id": "other"}), {"/api/v0/models": STUDIO_MODELS})
    assert seen(info) == ("lmstudio", "", 32768, "guess")


async def test_text_generation_inference() -> None:
    info = await asked(listed({"id": "tiny", "owned_by": "tiny"}), {"/info": TGI_INFO})
    assert seen(info) == ("tgi", "3.3.0", 8192, "served")


@pytest.mark.parametrize("key", ["context_length", "context_window"])
async def test_hosted_services_tell_their_window_in_the_list(key: str) -> None:
    assert seen(await asked(listed({"id": "tiny", key: 65536}), {})) == ("", "", 65536, "served")


@pytest.mark.parametrize("answer", [{"version": 5}, html(), "text", status(500, "crash"), status(200, {}, drip=True)])
async def test_details_that_make_no_sense_are_left_out(answer: Json | str | Play) -> None:
    paths = ["/version", "/props", "/api/version", "/server_info", "/get_server_info", "/api/v0/models", "/info"]
    for card in ({"id": "tiny"}, VLLM_CARD):
        info = await asked(listed(card), dict.fromkeys(paths, answer))
        assert info.version == ""
        assert info.window == card.get("max_model_len", 32768)


@pytest.mark.parametrize("window", [0, -1, "many", None, True])
async def test_a_window_that_is_none_is_not_believed(window: object) -> None:
    async with ModelServer(
        [], models=listed({"id": "tiny"}), props={"default_generation_settings": {"n_ctx": window}}
    ) as s:
        info = await probe(Endpoint(s.url))
    assert (info.window, info.window_source) == (32768, "guess")


async def test_a_window_that_is_set_wins() -> None:
    info = await asked(listed(LLAMA_CARD), {"/props": LLAMA_PROPERTIES}, window=2048)
    assert (info.window, info.window_source, info.trained_window) == (2048, "set", 32768)


async def test_no_more_is_asked_than_the_kind_of_server_needs() -> None:
    async with ModelServer([], models=listed(OLLAMA_CARD), pages=OLLAMA_PAGES) as server:
        await probe(Endpoint(server.url))
        paths = server.paths
    assert paths[0] == "/v1/models"
    assert len(paths) == len(set(paths)) <= 9


@pytest.mark.parametrize(
    ("server", "path"),
    [("vllm", "/health"), ("llama.cpp", "/health"), ("sglang", "/health"), ("ollama", "/"), ("", "/v1/models")],
)
async def test_health_is_one_request(server: str, path: str) -> None:
    async with ModelServer([], pages={"/": "Ollama is running", "/health": ""}) as model:
        assert await health(Endpoint(model.url), server=server)
        assert model.paths == [path]


@pytest.mark.parametrize("answer", [status(503, {"error": {"message": "Loading model"}}), status(200, {}, drip=True)])
async def test_a_server_that_is_not_ready_is_not_healthy(answer: Play) -> None:
    async with ModelServer([], pages={"/health": answer}) as model:
        assert not await health(Endpoint(model.url), 0.3, server="vllm")


async def test_nothing_is_not_healthy() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        assert not await health(Endpoint(f"127.0.0.1:{listener.getsockname()[1]}"))


async def test_health_can_be_cancelled() -> None:
    async with ModelServer([], pages={"/health": status(200, {}, drip=True)}) as model:
        task = asyncio.create_task(health(Endpoint(model.url), 60, server="vllm"))
        while not model.paths:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_the_model_asked_for_is_the_one_that_is_shown() -> None:
    bodies: list[str] = []
    async with ModelServer([], models=listed(OLLAMA_CARD, {"id": "other:1b"}), pages=OLLAMA_PAGES) as server:
        info = await probe(Endpoint(server.url, model="other:1b"))
        bodies = [json.dumps(headers) for headers in server.headers]
    assert (info.model, info.window_source) == ("other:1b", "modelfile")
    assert any("application/json" in body for body in bodies)
