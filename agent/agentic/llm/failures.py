"""From what the client raises to our errors, each with a hint that says what to change."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any, cast

import httpx2
import openai

from agentic.errors import (
    ContextOverflow,
    DeadlineExceeded,
    EndpointUnreachable,
    ModelError,
    RequestRefused,
    ServerBusy,
    StreamBroken,
)

CLIENT_FAILURES = (
    openai.OpenAIError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    ValueError,
    AttributeError,
    TypeError,
    KeyError,
    RecursionError,
)
"""What the client lets out of a request: its own errors and, on garbage, bare decoding and attribute errors."""

_OVERFLOW = re.compile(
    r"maximum context length|context[_ ]length[_ ]exceeded|exceed_context_size|available context size"
    r"|longer than the model's context|n_keep .* n_ctx|context size has been exceeded|keep the first \d+ tokens",
    re.IGNORECASE,
)
_WINDOW = re.compile(
    r"maximum context length (?:is|of) (\d+)|available context size \((\d+)|n_ctx[^\d]{1,4}(\d+)", re.IGNORECASE
)
_ANSWER = re.compile(
    r"requested \d+ output tokens|\d+ in the completion|max_(?:completion_)?tokens'? is too large", re.IGNORECASE
)
_PROMPT = re.compile(r"(\d+) in the messages", re.IGNORECASE)
_PAGE = re.compile(r"<!doctype html|<html", re.IGNORECASE)
_TITLE = re.compile(r"<title>([^<]*)</title>", re.IGNORECASE)
_BUSY = frozenset({408, 425, 429})
_BUSY_CODES = frozenset({"408", "425", "429", "503"})
_LONGEST_MESSAGE = 500
_SHORTEST_KEY = 8
"""Characters of what may be a secret; shorter ones are such as `none` or `EMPTY`, given to servers without keys."""


def model_error(error: Exception, url: str, models: Sequence[str] = ()) -> ModelError:
    """What went wrong at the endpoint `url`, which is known to offer `models`."""
    if isinstance(error, ModelError):
        return error
    words = message_of(error)
    if isinstance(error, openai.APIError) and _OVERFLOW.search(f"{words} {error.body}"):
        return ContextOverflow(f"The prompt does not fit the model's context window: {words}", _OVERFLOW_HINT)
    if isinstance(error, openai.APIStatusError):
        if target := error.response.headers.get("location"):
            return RequestRefused(f"{url} redirects to {target}.", "Set that address, if it is the one you mean.")
        return _status_error(error.status_code, words, url, models)
    if isinstance(error, openai.APIConnectionError):
        return _connection_error(error, url)
    if isinstance(error, openai.APIError):
        said = f"{url} reported a failure in the middle of its answer: {words}"
        return ServerBusy(said, _BUSY_HINT) if _is_busy_report(error) else StreamBroken(said, _LOG_HINT)
    if isinstance(error, httpx2.InvalidURL):
        return EndpointUnreachable(f"{url} is no web address: {words}", "Write it like http://localhost:8001/v1.")
    return StreamBroken(f"{url} sent something unreadable: {type(error).__name__}: {words}", _LOG_HINT)


def window_told(error: ModelError) -> int | None:
    """The context window in tokens, where the server's refusal names it."""
    found = _WINDOW.search(str(error)) if isinstance(error, ContextOverflow) else None
    return int(found[found.lastindex or 1]) if found else None


def is_about_answer(error: ModelError) -> bool:
    """Whether the server found the prompt and the answer's limit together too long: a lower limit may do."""
    if not isinstance(error, ContextOverflow) or _ANSWER.search(str(error)) is None:
        return False
    window, prompt = window_told(error), _PROMPT.search(str(error))
    return window is None or prompt is None or int(prompt[1]) < window


def wait_told(error: ModelError, now: float | None = None) -> float:
    """The seconds that the server asks to wait: `Retry-After`, in seconds or as a date, or `retry-after-ms`; 0 where
    it does not ask. `now` is the time of day, in seconds since 1970."""
    cause = error.__cause__
    if not isinstance(cause, openai.APIStatusError):
        return 0.0
    headers = cause.response.headers
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        seconds = _number(headers.get(name, "")) / unit
        if seconds:
            return seconds
    try:
        then = parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, then.timestamp() - (time.time() if now is None else now))
    except (ValueError, OverflowError, OSError):
        return 0.0


def status_of(error: ModelError) -> int | None:
    """The HTTP status with which the server refused; None where it did not come to that."""
    cause = error.__cause__
    return cause.status_code if isinstance(cause, openai.APIStatusError) else None


def concerns_endpoint(error: ModelError) -> bool:
    """Whether the refusal is about this endpoint (a wrong key, an unknown model), and not about the request."""
    return isinstance(error, RequestRefused) and status_of(error) in (401, 403, 404)


def refusal_told(error: ModelError) -> tuple[int, str] | None:
    """The HTTP status and the server's own words, of a refusal that is no overflow."""
    cause = error.__cause__
    if not isinstance(cause, openai.APIStatusError) or isinstance(error, ContextOverflow):
        return None
    return cause.status_code, message_of(cause)


def is_unconnected(error: ModelError) -> bool:
    """Whether there was not even a connection."""
    return isinstance(error, EndpointUnreachable) or isinstance(error.__cause__, openai.APITimeoutError)


def is_unanswered(error: openai.APIConnectionError) -> bool:
    """Whether the connection was closed before anything came back over it."""
    cause = error.__cause__
    return isinstance(cause, httpx2.RemoteProtocolError) and "without sending a response" in str(cause)


def message_of(error: Exception) -> str:
    """The server's own words: `{"error": {"message"}}`, `{"error": "…"}`, `{"detail": …}`, plain text; of a web page
    only its title."""
    words: Any = error.body if isinstance(error, openai.APIError) and error.body else error
    for key in ("error", "message", "detail"):
        if isinstance(words, dict):
            words = cast("dict[str, Any]", words).get(key, words)
    text = " ".join(str(words).split())
    if _PAGE.match(text):
        title = _TITLE.search(text)
        text = f'a web page, "{title[1].strip()}"' if title else "a web page"
    return _without_key(text, error)[:_LONGEST_MESSAGE]


def _without_key(words: str, error: Exception) -> str:
    """The words without the key of the request that failed, which some servers repeat."""
    request = error.request if isinstance(error, openai.APIError) else None
    key = request.headers.get("authorization", "").removeprefix("Bearer ") if request is not None else ""
    return words.replace(key, "(hidden)") if len(key) >= _SHORTEST_KEY else words


def _is_busy_report(error: openai.APIError) -> bool:
    """Whether what is reported inside a stream is a full queue: vLLM has answered 200 by the time it looks."""
    body: Any = error.body
    code = cast("dict[str, Any]", body).get("code") if isinstance(body, dict) else None
    return str(code) in _BUSY_CODES


def _number(text: str) -> float:
    """A header's number; 0 where it is none, or not a sensible one."""
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0


_OVERFLOW_HINT = "Start a new session, or serve the model with a larger context."
_BUSY_HINT = "Wait until the server is ready, or look into its log."
_LOG_HINT = "Look into the server's log."
_CERTIFICATE_HINT = "Name the file with its authority's certificate in SSL_CERT_FILE."
_KEY_HINT = "Set the key of this endpoint, or check that it is still valid."
_TOOLS_HINT = "Start vLLM with --enable-auto-tool-choice and --tool-call-parser (hermes, openai, qwen3_xml, …)."


def _status_error(status: int, words: str, url: str, models: Sequence[str]) -> ModelError:
    said = f"{url} answered {status}: {words}"
    if status in _BUSY or status >= 500:
        return ServerBusy(said, _BUSY_HINT)
    if status in (401, 403):
        return RequestRefused(said, _KEY_HINT)
    if "--enable-auto-tool-choice" in words:
        return RequestRefused(said, _TOOLS_HINT)
    if status == 404 and models:
        return RequestRefused(said, f"Set the model to one of those on offer: {', '.join(models)}.")
    if status == 404:
        return RequestRefused(said, "Check the model's name, and that the base URL ends in /v1.")
    return RequestRefused(said, "The server does not accept this request; its message says why.")


def _connection_error(error: openai.APIConnectionError, url: str) -> ModelError:
    cause = error.__cause__
    if isinstance(error, openai.APITimeoutError):
        return DeadlineExceeded(
            f"No connection to {url} within the deadline `connect`.", "Check the address and the network."
        )
    if "CERTIFICATE_VERIFY_FAILED" in str(cause):
        return EndpointUnreachable(f"The certificate of {url} is not trusted ({cause}).", _CERTIFICATE_HINT)
    if isinstance(cause, httpx2.ConnectError | httpx2.UnsupportedProtocol | httpx2.ProxyError):
        return EndpointUnreachable(
            f"Nothing answers at {url} ({cause or error}).",
            "Start the model server, or point --base-url at a running one.",
        )
    return StreamBroken(f"The connection to {url} broke: {str(cause or error).rstrip('.')}.", _LOG_HINT)
