"""The model that the settings describe."""

from __future__ import annotations

import msgspec

from agentic.llm.connect import FirstReachable
from agentic.llm.endpoint import Deadlines, Endpoint
from agentic_server import settings as chosen


def model_of(settings: chosen.Settings) -> FirstReachable:
    """The first endpoint of the settings that answers; it is looked for when it is first used."""
    endpoints = [endpoint_of(one) for one in settings.endpoints]
    deadlines = Deadlines(**msgspec.structs.asdict(settings.deadlines))
    return FirstReachable(endpoints, deadlines, settings.temperature)


def endpoint_of(one: chosen.Endpoint) -> Endpoint:
    """An endpoint of the settings in the agent's own words."""
    return Endpoint(**msgspec.structs.asdict(one))
