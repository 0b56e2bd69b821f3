"""What is wrong, and what to do about it: the endpoints and this machine."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable

from agentic.errors import ModelError
from agentic.llm.endpoint import Endpoint, EndpointInfo
from agentic.llm.probe import probe
from agentic_server.doctor_wire import Advice, Check, DoctorResult, EndpointReport
from agentic_server.model import endpoint_of
from agentic_server.settings import Settings

MEASURING_SECONDS = 20.0
"""How long one endpoint is measured at most; all are measured at the same time."""

Tell = Callable[[str, str], None]
"""Is told an endpoint's address and what is being done there; nothing any more, when that is empty."""


async def examine(settings: Settings, *, measure: bool, tell: Tell = lambda _url, _step: None) -> DoctorResult:
    """Look at every endpoint at once, and at what the tools need.

    With `measure`, small completions are asked for, for some 20 seconds at most; without, none is.
    """
    endpoints = [endpoint_of(one) for one in settings.endpoints]
    async with asyncio.TaskGroup() as group:
        reports = [group.create_task(_endpoint(endpoint, measure, tell)) for endpoint in endpoints]
    return DoctorResult([report.result() for report in reports], [_search(), _state(settings), _python()])


async def _endpoint(endpoint: Endpoint, measure: bool, tell: Tell) -> EndpointReport:
    try:
        info = await probe(endpoint)
    except ModelError as error:
        return EndpointReport(endpoint.base_url, False, problem=str(error), hint=error.hint)
    return await _measured(endpoint, info, tell) if measure else _unmeasured(info)


def _unmeasured(info: EndpointInfo) -> EndpointReport:
    from agentic_server.doctor_advice import advise

    return EndpointReport(
        url=info.url,
        reachable=True,
        model=info.model,
        window=info.window,
        window_source=info.window_source,
        server=info.server,
        version=info.version,
        slots=info.slots,
        advice=advise(info, None),
    )


async def _measured(endpoint: Endpoint, info: EndpointInfo, tell: Tell) -> EndpointReport:
    import msgspec

    from agentic.llm.measure import measure
    from agentic_server.doctor_advice import advise
    from agentic_server.doctor_wire import SpeedReport

    found = await measure(endpoint, info, MEASURING_SECONDS, lambda step: tell(info.url, step))
    tell(info.url, "")
    advice = advise(info, found)
    if found.cut_short:
        advice.insert(0, _slow(answered=found.tools != "unknown"))
    return msgspec.structs.replace(
        _unmeasured(info),
        tools=found.tools,
        reasoning=found.reasoning,
        usage_in_stream=found.usage_in_stream,
        prefix_caching=found.prefix_caching,
        hit_share=found.hit_share,
        first_token_seconds=found.first_token_seconds,
        speeds=[SpeedReport(one.requests, one.tokens_per_second) for one in found.speeds],
        advice=advice,
        problem=" ".join(dict.fromkeys(str(problem) for problem in found.problems)),
        hint=next((problem.hint for problem in found.problems), ""),
    )


def _slow(*, answered: bool) -> Advice:
    what = "not everything could be measured" if answered else "it gave no whole answer"
    return Advice(
        f"It is slow: {what} in {MEASURING_SECONDS:g} s.",
        "It may be loading its model: try again. Else look at its load; a smaller model, or one that fits the GPU, "
        "answers sooner.",
    )


def _search() -> Check:
    if shutil.which("rg"):
        return Check("search", "ok", "ripgrep")
    return Check("search", "warning", "no ripgrep: a slower search is used", "Install ripgrep (the command rg).")


def _state(settings: Settings) -> Check:
    folder = settings.database().parent
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            return Check("sessions", "ok", str(folder))
    except OSError as error:
        why = f"{folder} cannot be written: {error.strerror}"
        return Check("sessions", "failed", why, "Set `stateDir`, or make it writable.")


def _python() -> Check:
    return Check("python", "ok", sys.version.split()[0])
