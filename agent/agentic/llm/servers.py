"""What the kinds of model servers tell about themselves, beside the list of their models.

`questions` says what to ask a kind of server, each question how its answer is read. Nothing here talks to a server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

import msgspec

from agentic.llm.endpoint import WindowSource

Tokens = Annotated[int, msgspec.Meta(gt=0)]

OLLAMA_DEFAULT = 4096
"""The context of a model in Ollama where neither its Modelfile nor the server's environment sets one; servers with more
than 24 GiB of graphics memory take more, and do not tell before the model is loaded."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one answer says; whatever it does not say is empty. `trained`: the longest window the model was made for."""

    server: str = ""
    version: str = ""
    window: int | None = None
    source: WindowSource = "guess"
    slots: int | None = None
    trained: int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A path below the server's root. `posted`: the model's name is sent with it; `names_server`: the answer alone
    shows which kind of server it is."""

    server: str
    path: str
    read: Callable[[object, str], Told | None]
    names_server: bool = True
    posted: bool = False


class Meta(msgspec.Struct):
    """What llama.cpp adds to a model's card; `n_ctx` is the window of one slot."""

    n_ctx: Tokens | None = None
    n_ctx_train: Tokens | None = None


class Card(msgspec.Struct):
    """A model in the list of an OpenAI-compatible server."""

    id: str
    owned_by: str | None = None
    max_model_len: Tokens | None = None
    context_length: Tokens | None = None
    context_window: Tokens | None = None
    meta: Meta | None = None

    @property
    def told(self) -> Told:
        """What the card alone says."""
        server = _OWNERS.get(self.owned_by or "", "")
        meta = self.meta or Meta()
        window = self.max_model_len or meta.n_ctx or self.context_length or self.context_window
        source: WindowSource = "slot" if meta.n_ctx and window == meta.n_ctx else "served"
        return Told(server, window=window, source=source, trained=meta.n_ctx_train)


def questions(server: str) -> list[Question]:
    """What to ask this kind of server; of an unknown one, what shows its kind."""
    return [one for one in _QUESTIONS if (one.server == server if server else one.names_server)]


def merge(parts: Iterable[Told]) -> Told:
    """One account of all: of several windows the one from the best source, of the rest the first that is told."""
    whole = Told()
    for part in parts:
        if part.window and (whole.window is None or _RANK[part.source] < _RANK[whole.source]):
            whole = replace(whole, window=part.window, source=part.source)
        whole = replace(
            whole,
            server=whole.server or part.server,
            version=whole.version or part.version,
            slots=whole.slots or part.slots,
            trained=whole.trained or part.trained,
        )
    return whole


_OWNERS = {"vllm": "vllm", "llamacpp": "llama.cpp", "sglang": "sglang"}
_RANK: dict[WindowSource, int] = {
    "set": 0,
    "slot": 1,
    "runtime": 1,
    "served": 2,
    "modelfile": 3,
    "default": 4,
    "guess": 5,
}
_NUM_CTX = re.compile(r"^num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)
_Answer = TypeVar("_Answer")


class _Version(msgspec.Struct):
    version: str


class _Settings(msgspec.Struct):
    n_ctx: Tokens | None = None


class _Properties(msgspec.Struct):
    default_generation_settings: _Settings
    total_slots: Tokens | None = None
    build_info: str = ""


class _Loaded(msgspec.Struct):
    name: str = ""
    model: str = ""
    context_length: Tokens | None = None


class _AllLoaded(msgspec.Struct):
    models: list[_Loaded]


class _Shown(msgspec.Struct):
    parameters: str = ""
    model_info: dict[str, object] = {}


class _SglangInfo(msgspec.Struct):
    model_path: str
    version: str = ""
    context_length: Tokens | None = None


class _StudioModel(msgspec.Struct):
    id: str
    state: str
    loaded_context_length: Tokens | None = None
    max_context_length: Tokens | None = None


class _StudioModels(msgspec.Struct):
    data: list[_StudioModel]


class _TgiInfo(msgspec.Struct):
    model_id: str
    version: str
    max_total_tokens: Tokens


def _as(kind: type[_Answer], answer: object) -> _Answer | None:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError:
        return None


def _vllm(answer: object, _model: str) -> Told | None:
    found = _as(_Version, answer)
    return Told("vllm", found.version) if found else None


def _llama(answer: object, _model: str) -> Told | None:
    found = _as(_Properties, answer)
    if found is None:
        return None
    window = found.default_generation_settings.n_ctx
    return Told("llama.cpp", found.build_info, window, "slot", found.total_slots)


def _ollama(answer: object, _model: str) -> Told | None:
    found = _as(_Version, answer)
    return Told("ollama", found.version, OLLAMA_DEFAULT, "default") if found else None


def _ollama_loaded(answer: object, model: str) -> Told | None:
    found = _as(_AllLoaded, answer)
    names = (model, f"{model}:latest")
    loaded = next((one for one in found.models if one.name in names or one.model in names), None) if found else None
    return Told(window=loaded.context_length, source="runtime") if loaded else None


def _ollama_shown(answer: object, _model: str) -> Told | None:
    """`num_ctx` counts; `model_info.*.context_length` is what the model was trained with, not what is served."""
    found = _as(_Shown, answer)
    if found is None:
        return None
    number = _NUM_CTX.search(found.parameters)
    lengths = (value for key, value in found.model_info.items() if key.endswith(".context_length"))
    trained = next((value for value in lengths if isinstance(value, int) and value > 0), None)
    window = int(number[1]) if number else None
    return Told(window=window or None, source="modelfile", trained=trained)


def _sglang(answer: object, _model: str) -> Told | None:
    found = _as(_SglangInfo, answer)
    return Told("sglang", found.version, found.context_length, "served") if found else None


def _studio(answer: object, model: str) -> Told | None:
    found = _as(_StudioModels, answer)
    if found is None:
        return None
    card = next((one for one in found.data if one.id == model), None)
    if card is None:
        return Told("lmstudio")
    return Told("lmstudio", window=card.loaded_context_length, source="runtime", trained=card.max_context_length)


def _tgi(answer: object, _model: str) -> Told | None:
    found = _as(_TgiInfo, answer)
    return Told("tgi", found.version, found.max_total_tokens, "served") if found else None


_QUESTIONS = (
    Question("vllm", "/version", _vllm, names_server=False),
    Question("llama.cpp", "/props", _llama),
    Question("ollama", "/api/version", _ollama),
    Question("ollama", "/api/ps", _ollama_loaded, names_server=False),
    Question("ollama", "/api/show", _ollama_shown, names_server=False, posted=True),
    Question("sglang", "/server_info", _sglang),
    Question("sglang", "/get_server_info", _sglang),
    Question("lmstudio", "/api/v0/models", _studio),
    Question("tgi", "/info", _tgi),
)
