"""The model that the settings describe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agentic.llm.endpoint import Deadlines, Endpoint
from agentic_server import settings as chosen

if TYPE_CHECKING:
    from agentic.llm.pool import Pool


def model_of(settings: chosen.Settings) -> Pool:
    """The endpoints of the settings; they are looked for when they are first used."""
    from agentic.llm.pool import Pool

    endpoints = [endpoint_of(one) for one in settings.endpoints]
    deadlines = Deadlines(**msgspec.structs.asdict(settings.deadlines))
    return Pool(endpoints, deadlines, temperature=settings.temperature, retries=settings.retries)


def endpoint_of(one: chosen.Endpoint) -> Endpoint:
    """An endpoint of the settings in the agent's own words."""
    return Endpoint(**msgspec.structs.asdict(one))
