"""The openai client, set up for servers one runs oneself: no retries, no environment, no credentials but the given."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
from openai._streaming import ServerSentEvent, SSEDecoder

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_NOT_TOLD: dict[str, Any] = {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}


def open_client(base_url: str, key: str, connect: float) -> openai.AsyncOpenAI:
    """A client that keeps its connections alive. `connect` is in seconds; every other deadline is the caller's.

    Proxy settings of the environment are not used for this machine's own addresses, and the environment's OpenAI
    organization and project are not told to anyone. Redirects are not followed: a prompt goes where the user said.

    :raises httpx2.InvalidURL: `base_url` is no web address.
    """
    timeout = openai.Timeout(None, connect=connect)
    trust_env = _host_of(base_url) not in _LOOPBACK
    return _Client(
        base_url=base_url,
        api_key=key or "none",
        default_headers=_NOT_TOLD,
        max_retries=0,
        timeout=timeout,
        http_client=openai.DefaultAsyncHttpxClient(
            base_url=base_url,
            timeout=timeout,
            trust_env=trust_env,
            verify=_certificates(),
            follow_redirects=False,
        ),
    )


def _host_of(base_url: str) -> str | None:
    try:
        address = urlsplit(base_url)
        host, _port = address.hostname, address.port
    except ValueError as error:
        raise httpx2.InvalidURL(str(error)) from error
    return host


class _EventDecoder(SSEDecoder):
    """Passes over events without data, such as `retry:` and `id:` alone, as the standard has it."""

    def decode(self, line: str) -> ServerSentEvent | None:
        event = super().decode(line)
        return event if event is not None and event.data else None


class _Client(openai.AsyncOpenAI):
    def _make_sse_decoder(self) -> SSEDecoder:
        return _EventDecoder()


@cache
def _certificates() -> ssl.SSLContext:
    """The certificates that are trusted; those of `$SSL_CERT_FILE`, or of `$SSL_CERT_DIR`, where these can be read.

    All clients share them, as to read them holds the event loop up for 20 ms.
    """
    try:
        return httpx2.create_ssl_context()
    except OSError:
        return httpx2.create_ssl_context(trust_env=False)
