"""What the doctor is asked and what it answers; part of `protocol`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agentic.llm.endpoint import WindowSource

Share = Annotated[float, Meta(ge=0, le=1)]


class _Wire(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    pass


class DoctorParams(_Wire, frozen=True):
    """How far the examination goes. Measuring takes up to 20 seconds."""

    measure: Annotated[
        bool,
        Meta(description="Ask each endpoint for about fifteen small completions, to see what it can do and how fast."),
    ] = False


class Advice(_Wire, frozen=True):
    """A weakness of an endpoint, and what mends it: most often a flag of its server."""

    problem: str
    hint: str


class SpeedReport(_Wire, frozen=True):
    """The tokens per second of so many requests in flight, in sum."""

    requests: int
    tokens_per_second: float


class EndpointReport(_Wire, frozen=True):
    """What is known of an endpoint. `problem` and `hint` say why it cannot be used and what to do; `advice` what could
    be better. What was not measured, or not found out, is null, `unknown` or empty.

    `windowSource`: set: by the settings; served: by the server; slot: one slot of llama.cpp; runtime: the model as it
    is loaded; modelfile: Ollama's; default: Ollama's own; guess: ours. `tools`: how a call arrives: native; recovered:
    read out of the text; prompted: the server refuses tools, so the prompt tells them; refused; unused: the model
    answered in words. `reasoning`: the field of the thoughts, or text: in the answer's text. `hitShare`: the part of a
    prompt, sent twice, that the prefix cache held.
    """

    url: str
    reachable: bool
    model: str = ""
    window: int | None = None
    window_source: WindowSource | None = None
    server: str = ""
    version: str = ""
    slots: int | None = None
    tools: Literal["native", "recovered", "prompted", "refused", "unused", "unknown"] = "unknown"
    reasoning: Literal["reasoning", "reasoning_content", "text", "none", "unknown"] = "unknown"
    usage_in_stream: bool | None = None
    prefix_caching: bool | None = None
    hit_share: Share | None = None
    first_token_seconds: float | None = None
    speeds: list[SpeedReport] = []
    advice: list[Advice] = []
    problem: str = ""
    hint: str = ""


class Check(_Wire, frozen=True):
    """One thing that was looked at."""

    name: str
    status: Literal["ok", "warning", "failed"]
    detail: str = ""
    hint: str = ""


class DoctorResult(_Wire, frozen=True):
    """The state of the endpoints and of this machine."""

    endpoints: list[EndpointReport]
    checks: list[Check]
