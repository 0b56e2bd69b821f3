"""Where a model is served: addresses, deadlines, and what an endpoint said about itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

DEFAULT_WINDOW = 32_768
"""The window that is assumed, in tokens, where the server does not tell."""

WindowSource = Literal["set", "served", "slot", "runtime", "modelfile", "default", "guess"]
"""Where the figure came from: the settings; what the server serves, or one of its slots; the model as it is loaded; its
Modelfile; the server's own default; our assumption."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address as the user wrote it (`localhost:8001`, `http://host/v1`), the model asked for (empty: the server's
    first) and the key (empty: none)."""

    url: str
    model: str = ""
    key: str = field(default="", repr=False)
    window: int | None = None
    """The context window in tokens; None asks the server."""
    weight: float = 1.0
    """Its share of the work, compared with the other endpoints'."""
    max_requests: int = 8
    """Requests in flight at once; more wait."""
    tools: Literal["auto", "native", "prompted"] = "auto"
    """How tools are offered; auto: natively until the server refuses it."""

    @property
    def base_url(self) -> str:
        """The address that requests go below: with a scheme, and with `/v1` where no path was given."""
        url = self.url.strip().rstrip("/")
        url = url if "://" in url else f"http://{url}"
        return url if "/" in url.split("://", 1)[1] else f"{url}/v1"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each stage of a request may take, in seconds. Only meaningful chunks count as a sign of life.

    `connect` and `first_token` are counted for each attempt, `silence` from one chunk to the next, `total` from the
    first attempt's start.
    """

    connect: float = 5.0
    first_token: float = 300.0
    silence: float = 60.0
    total: float = 1200.0


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """What an endpoint said about itself.

    `window` in tokens. `server` is vllm, llama.cpp, ollama, sglang, lmstudio or tgi, and empty for any other.
    `slots`: the requests that a llama.cpp server works on at once; `window` is that of one of them.
    `trained_window`: the longest that the model was made for, where the server serves less.
    """

    url: str
    model: str
    window: int = DEFAULT_WINDOW
    server: str = ""
    window_source: WindowSource = "served"
    models: tuple[str, ...] = ()
    version: str = ""
    slots: int | None = None
    trained_window: int | None = None

    @property
    def window_known(self) -> bool:
        """Whether the window was set or told, not assumed."""
        return self.window_source not in ("default", "guess")
