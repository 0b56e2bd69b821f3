"""The openai client, set up for servers one runs oneself: no retries, no environment, no credentials but the given."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import openai

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_NOT_TOLD: dict[str, Any] = {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}


def open_client(base_url: str, key: str, connect: float) -> openai.AsyncOpenAI:
    """A client that keeps its connections alive. `connect` is in seconds; every other deadline is the caller's.

    Proxy settings of the environment are not used for this machine's own addresses, and the environment's OpenAI
    organization and project are not told to anyone.
    """
    timeout = openai.Timeout(None, connect=connect)
    return openai.AsyncOpenAI(
        base_url=base_url,
        api_key=key or "none",
        default_headers=_NOT_TOLD,
        max_retries=0,
        timeout=timeout,
        http_client=openai.DefaultAsyncHttpxClient(
            base_url=base_url, timeout=timeout, trust_env=urlsplit(base_url).hostname not in _LOOPBACK
        ),
    )
