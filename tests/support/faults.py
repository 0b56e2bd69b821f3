"""Faults of servers and of the network between, chosen by a seed.

    async with FaultServer(7, whole=lambda request: Reply("All is well.")) as server:
        ...

A `Fault` makes, from the answer that a healthy server would give, what a faulty one gives instead. What an agent has to
make of it is part of the fault: see `Effect`. A `FaultServer` draws a fault for some of the requests. The same seed and
the same requests give the same faults, and a failing test is told the seed and the faults that were drawn.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from support.model_server import (
    Answer,
    Json,
    ModelServer,
    Play,
    Reply,
    delta,
    html,
    only,
    recorded,
    status,
    stream,
)

Effect = Literal["none", "broken", "busy", "stalled", "refused", "unwanted", "overflow", "spoilt"]
"""What a fault does to an attempt.

none: the answer is whole. broken, busy, stalled: it fails, and the request may be sent again. refused, overflow: it
fails, and must not be sent again. unwanted: it fails, and may only be sent to another endpoint. spoilt: what comes may
pass for an answer that nobody can know to be the wrong one.
"""
Make = Callable[[Play, random.Random], Play]

DONE = b"data: [DONE]\n\n"
PATIENCE = ("0", "1", "0.05", "-3", "1e99", "3600", "soon", "", "NaN", "Fri, 20 Nov 2026 18:00:00 GMT", "9" * 40)
"""Values of Retry-After as servers and proxies send them, and worse."""

TOO_LONG = {
    "vllm": (400, "This model's maximum context length is 4096 tokens. However, your prompt contains at least 4097."),
    "llama.cpp": (400, "request (12013 tokens) exceeds the available context size (4096 tokens), try increasing it"),
    "ik_llama.cpp": (500, "the context size has been exceeded"),
    "sglang": (400, "The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
    "lm studio": (
        400,
        "Trying to keep the first 15028 tokens when context the overflows (n_keep (15028) >= n_ctx (4096))",
    ),
    "ollama": (400, "the prompt exceeds the available context size (4096)"),
}
"""The words of each server for a prompt that does not fit, and the status that goes with them."""
OVERFLOWS: tuple[Play, ...] = (
    *(status(code, {"error": {"message": words, "code": code}}) for code, words in TOO_LONG.values()),
    *(status(code, {"object": "error", "message": words, "code": code}) for code, words in TOO_LONG.values()),
    *(status(code, {"error": words}) for code, words in TOO_LONG.values()),
    status(400, {"error": {"message": "Your input is too long.", "code": "context_length_exceeded"}}),
    status(413, {"error": {"message": "Too long.", "code": "context_length_exceeded"}}),
    stream([b'data: {"error": {"message": "Context size has been exceeded.", "code": 500}}\n\n']),
)
REFUSALS: dict[int, Json] = {
    400: {"error": {"message": "temperature must be non-negative, got -1.0.", "type": "BadRequestError", "code": 400}},
    405: {"detail": "Method Not Allowed"},
    413: {"error": {"message": "Request Entity Too Large"}},
    422: {"detail": "Unexpected fields in the request: {'frobnicate'}"},
}
UNWANTED: dict[int, Json] = {
    401: {"error": "Unauthorized"},
    403: {"error": {"message": "Forbidden"}},
    404: {"error": {"message": "The model `nope` does not exist.", "type": "NotFoundError", "code": 404}},
}
ODD_CHUNKS = (
    b"data: [1, 2]\n\n",
    b"data: 7\n\n",
    b'data: "x"\n\n',
    b'data: {"choices": {"delta": 1}}\n\n',
    b'data: {"choices": [7]}\n\n',
    b'data: {"choices": [{"delta": {"content": 5}}]}\n\n',
    b'data: {"choices": [{"delta": {"tool_calls": [{"index": "zero"}]}}]}\n\n',
    b'data: {"choices": [{"index": 0, "delta": {"con\n\n',
    b"data: \x00\x01{{{\n\n",
    b'data: {"choices":[{"delta":{"content":"\xff\xfe"}}]}\n\n',
    b"\xfe\xff\xc3\x28\n\n",
    b'data: {"error": {"message": "EngineCore encountered an issue.", "code": 500}}\n\n',
    b'data: {"object": "error", "message": "aborted", "code": 500}\n\n',
    b'event: error\ndata: {"message": "aborted"}\n\n',
    b"data: " + b"[" * 100_000 + b"\n\n",
)
"""Events that are no piece of an answer."""
HARMLESS_CHUNKS = (
    b"retry: 100\n\n",
    b"id: 7\n\n",
    b"id: 7\n: keep-alive\n\n",
    b": keep-alive\n\n",
    b"\n\n",
    b"data: {}\n\n",
    b'data: {"choices": null}\n\n',
    b'data: {"choices": []}\n\n',
    b'data: {"choices": [{}]}\n\n',
    b'data: {"choices": [{"delta": null}]}\n\n',
    b'data: {"choices": [{"delta": {"content": null, "tool_calls": null}}], "usage": null}\n\n',
    b'data: {"unknown": [1, {"a": "b"}], "choices": [{"delta": {"x": 1}}]}\n\n',
)
"""Events that say nothing."""


def whole(reply: Reply) -> Play:
    """All of a reply as one stream."""
    return only(reply, 1_000_000, "end", DONE)


def wire(play: Play) -> bytes:
    """All bytes of a play that ends as HTTP wants it."""
    framed = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in play.pieces] if play.chunked else play.pieces
    return play.head + b"".join(framed) + (b"0\r\n\r\n" if play.chunked else b"")


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong. `make` takes the whole answer, one event a piece, and dice."""

    name: str
    effect: Effect
    make: Make


class FaultServer(ModelServer):
    """A model server that gives each request the answer `healthy` makes of it, or, for the share `share`, a fault.

    A fault drawn may hold for several requests in a row, up to `longest`.
    """

    def __init__(
        self,
        seed: int,
        healthy: Callable[[Json], Reply],
        faults: Sequence[Fault] | None = None,
        share: float = 0.5,
        longest: int = 3,
    ) -> None:
        super().__init__(self._draw, compactions=None)
        self.seed = seed
        self.healthy = healthy
        self.faults = tuple(FAULTS if faults is None else faults)
        self.share = share
        self.longest = longest
        self.drawn: list[str] = []
        """The faults so far, one for each request; empty for a whole answer."""
        self._dice = random.Random(seed)
        self._fault: Fault | None = None
        self._left = 0

    @property
    def story(self) -> str:
        """What a failing test needs to be told."""
        return f"fault server with seed {self.seed}: {', '.join(name or 'whole' for name in self.drawn) or 'unused'}"

    async def __aexit__(self, kind: Any, error: Any, *rest: object) -> None:
        if isinstance(error, BaseException):
            error.add_note(self.story)
        await super().__aexit__(kind, error, *rest)

    def _draw(self, request: Json) -> Answer:
        if self._left == 0:
            self._fault = self._dice.choice(self.faults) if self._dice.random() < self.share else None
            self._left = self._dice.randint(1, self.longest) if self._fault else 1
        self._left -= 1
        answer = whole(self.healthy(request))
        self.drawn.append(self._fault.name if self._fault else "")
        return self._fault.make(answer, self._dice) if self._fault else answer


def _cut_bytes(play: Play, dice: random.Random) -> Play:
    raw = wire(play)
    return recorded(raw[: dice.randrange(_finish(play))], sorted(dice.choices(range(1, len(raw)), k=3)))


def _finish(play: Play) -> int:
    """The offset before which a cut leaves the answer without a finish reason."""
    return wire(play).index(b'"finish_reason": "')


def _without_finish(play: Play) -> list[bytes]:
    return [piece for piece in play.pieces if b'"finish_reason": "' not in piece and piece != DONE]


def _begun(play: Play, dice: random.Random) -> list[bytes]:
    """The first pieces of an answer, up to anywhere before its finish reason."""
    pieces = _without_finish(play)
    return pieces[: dice.randint(0, len(pieces) - 1)]


def _inserted(events: Sequence[bytes], count: int = 1) -> Make:
    """The answer with some of these events among its own, all before the finish reason."""

    def make(play: Play, dice: random.Random) -> Play:
        pieces = list(play.pieces)
        for _ in range(count):
            pieces.insert(dice.randint(0, len(_without_finish(play)) - 1), dice.choice(events))
        return replace(play, pieces=pieces)

    return make


def _with_odd_end(play: Play, dice: random.Random) -> Play:
    """An odd event behind the finish reason, where it can do no harm."""
    return replace(play, pieces=[*play.pieces[:-1], dice.choice([*ODD_CHUNKS, _gave_up(dice)]), DONE])


def _ending(ending: Literal["end", "cut", "reset", "stall", "drip"]) -> Make:
    return lambda play, dice: replace(play, pieces=_begun(play, dice), ending=ending)


def _constant(play: Play) -> Make:
    return lambda _play, _dice: play


def _chosen(plays: Sequence[Play]) -> Make:
    return lambda _play, dice: dice.choice(plays)


def _rearranged(play: Play, dice: random.Random) -> Play:
    """Some pieces twice, or in another order."""
    pieces = list(play.pieces)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(pieces))
        if dice.random() < 0.5:
            pieces.insert(place, dice.choice(pieces))
        else:
            pieces.append(pieces.pop(place))
    return replace(play, pieces=pieces)


def _mutated(play: Play, dice: random.Random) -> Play:
    """Some bytes of the whole response replaced, removed or added."""
    raw = bytearray(wire(play))
    for _ in range(dice.randint(1, 8)):
        start = dice.randrange(len(raw))
        raw[start : start + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 3))
    return recorded(bytes(raw))


def _random_bytes(play: Play, dice: random.Random) -> Play:
    body = dice.randbytes(dice.randint(0, 400))
    return recorded(body) if dice.random() < 0.3 else replace(play, pieces=[body] if body else [])


def _random_json(play: Play, dice: random.Random) -> Play:
    values = [json.dumps(_value(dice, 4)).encode() for _ in range(dice.randint(1, 8))]
    return replace(play, pieces=[*(b"data: %b\n\n" % value for value in values), DONE])


WORDS = ("choices", "delta", "content", "tool_calls", "index", "id", "function", "name", "arguments", "finish_reason")
WORDS += (
    "usage",
    "prompt_tokens",
    "prompt_tokens_details",
    "reasoning",
    "reasoning_content",
    "error",
    "message",
    "object",
    "x",
)


def _value(dice: random.Random, depth: int) -> Any:
    """A JSON value that uses the words of the protocol."""
    if depth == 0 or dice.random() < 0.2:
        return dice.choice([None, True, 0, -1, 10**30, 1.5, "", "stop", "error", "x" * 50, "\ud800", "\u2028", [], {}])
    if dice.random() < 0.4:
        return [_value(dice, depth - 1) for _ in range(dice.randint(0, 3))]
    return {dice.choice(WORDS): _value(dice, depth - 1) for _ in range(dice.randint(0, 4))}


def _compressed(play: Play, dice: random.Random, part: float = 1.0) -> Play:
    body = gzip.compress(b"".join(play.pieces))
    body = body[: int(len(body) * part)]
    head = play.head.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    middle = dice.randrange(1, len(body))
    return replace(play, head=head, pieces=[body[:middle], body[middle:]])


def _retry_after(_: Play, dice: random.Random) -> Play:
    return status(429, {"error": {"message": "slow down"}}, f"Retry-After: {dice.choice(PATIENCE)}\r\n")


def _long_line(play: Play, dice: random.Random) -> Play:
    """One delta of many bytes, and then it breaks."""
    return replace(play, pieces=[long_delta(dice.choice([70_000, 300_000]))], ending="cut")


def long_delta(size: int) -> bytes:
    """An event whose text has so many characters."""
    return b"data: " + json.dumps(delta(content="x" * size)).encode() + b"\n\n"


def _redirect(_: Play, dice: random.Random) -> Play:
    """To itself, and to where nobody listens."""
    place = dice.choice(["/v1/chat/completions", "http://127.0.0.1:9/v1/chat/completions", "", "://", "mailto:x@y"])
    return status(dice.choice([301, 302, 303, 307, 308]), "", f"Location: {place}\r\n")


def _slow(play: Play, dice: random.Random) -> Play:
    return replace(play, delay=dice.uniform(0, 0.02), pace=dice.uniform(0, 0.005))


def _in_drops(play: Play, dice: random.Random) -> Play:
    """A few bytes at a time."""
    raw = wire(play)
    return recorded(raw, range(dice.randint(1, 7), len(raw), dice.randint(7, 60)))


def _drop_of_headers(play: Play, dice: random.Random) -> Play:
    return recorded(play.head[: dice.randrange(len(play.head))])


def _silent_after(play: Play, dice: random.Random) -> Play:
    """Headers and then nothing, or part of the headers."""
    part = dice.choice([b"", play.head[: dice.randrange(len(play.head))], play.head])
    return Play([part] if part else [], chunked=False, ending="stall")


_ODD_HEADS = (
    b"220 mail.example.org ESMTP\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\ndata: ",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\n\x1f\x8bnonse",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    b"HTTP/9.9 999 Odd\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: x\n\n",
    b"",
)

FAULTS: tuple[Fault, ...] = (
    Fault("cut at any byte", "broken", _cut_bytes),
    Fault("cut between events", "broken", _ending("cut")),
    Fault("reset", "broken", _ending("reset")),
    Fault("ended in the middle", "broken", _ending("end")),
    Fault("no finish reason", "broken", lambda play, _: replace(play, pieces=[*_without_finish(play), DONE])),
    Fault("no [DONE]", "none", lambda play, _: replace(play, pieces=play.pieces[:-1])),
    Fault("web page", "broken", _constant(html())),
    Fault("json error with 200", "broken", _constant(stream([b'{"error": "no"}'], content_type="application/json"))),
    Fault("empty 200", "broken", _constant(stream([]))),
    Fault("headers cut", "broken", _drop_of_headers),
    Fault("odd http", "broken", _chosen([recorded(head) for head in _ODD_HEADS])),
    Fault("odd event", "broken", _inserted(ODD_CHUNKS)),
    Fault("harmless events", "none", _inserted(HARMLESS_CHUNKS, 4)),
    Fault("odd end", "none", _with_odd_end),
    Fault("gave up", "broken", lambda play, dice: replace(play, pieces=[*_begun(play, dice), _gave_up(dice)])),
    Fault("rearranged", "spoilt", _rearranged),
    Fault("mutated", "spoilt", _mutated),
    Fault("random bytes", "spoilt", _random_bytes),
    Fault("random json", "spoilt", _random_json),
    Fault("compressed", "none", _compressed),
    Fault("half compressed", "broken", lambda play, dice: _compressed(play, dice, 0.5)),
    Fault("slow", "none", _slow),
    Fault("in drops", "none", _in_drops),
    Fault("other type", "none", lambda play, _: replace(play, head=play.head.replace(b"event-stream", b"plain"))),
    Fault("long line", "broken", _long_line),
    Fault("comments only", "stalled", _ending("drip")),
    Fault("stall", "stalled", _ending("stall")),
    Fault("never answers", "stalled", _silent_after),
    Fault("endless error", "stalled", _constant(status(500, "busy", drip=True))),
    Fault(
        "busy", "busy", _chosen([status(code, {"error": {"message": "x"}}) for code in (408, 425, 500, 502, 503, 504)])
    ),
    Fault("busy in html", "busy", _constant(status(502, "<html>Bad Gateway</html>"))),
    Fault("retry after", "busy", _retry_after),
    Fault("redirect", "spoilt", _redirect),
    Fault("overflow", "overflow", _chosen(OVERFLOWS)),
    Fault("refused", "refused", _chosen([status(code, body) for code, body in REFUSALS.items()])),
    Fault("unwanted", "unwanted", _chosen([status(code, body) for code, body in UNWANTED.items()])),
)


def _gave_up(dice: random.Random) -> bytes:
    return b"data: " + json.dumps(delta(dice.choice(["error", "abort"]))).encode() + b"\n\n"


def faults(*effects: Effect) -> list[Fault]:
    """Those with one of these effects."""
    return [fault for fault in FAULTS if fault.effect in effects]
