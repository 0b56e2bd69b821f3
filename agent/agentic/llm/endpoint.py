"""Where a model is served: addresses, deadlines, and what an endpoint said about itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

DEFAULT_WINDOW = 32_768
"""The window that is assumed, in tokens, where the server does not tell."""


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
    first_token: float = 120.0
    silence: float = 60.0
    total: float = 1200.0


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """What an endpoint said about itself. `window` in tokens, a guess unless `window_known`; `server` may be empty."""

    url: str
    model: str
    window: int = DEFAULT_WINDOW
    server: str = ""
    window_known: bool = True
    models: tuple[str, ...] = ()
