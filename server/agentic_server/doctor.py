"""What is wrong, and what to do about it: the endpoints and this machine."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile

from agentic.errors import ModelError
from agentic.llm.endpoint import Endpoint
from agentic.llm.probe import probe
from agentic_server.model import endpoint_of
from agentic_server.protocol import Check, DoctorResult, EndpointReport
from agentic_server.settings import Settings


async def examine(settings: Settings) -> DoctorResult:
    """Look at every endpoint at once, and at what the tools need. No completion is asked for."""
    endpoints = [endpoint_of(one) for one in settings.endpoints]
    reports = await asyncio.gather(*(_endpoint(endpoint) for endpoint in endpoints))
    return DoctorResult(list(reports), [_search(), _state(settings), _python()])


async def _endpoint(endpoint: Endpoint) -> EndpointReport:
    try:
        info = await probe(endpoint)
    except ModelError as error:
        return EndpointReport(endpoint.base_url, False, problem=str(error), hint=error.hint)
    hint = "" if info.window_known else "Set the endpoint's `window`: the server does not tell its context length."
    problem = "" if info.window_known else "The context window is a guess."
    return EndpointReport(endpoint.base_url, True, info.model, info.window, info.server, problem, hint)


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
