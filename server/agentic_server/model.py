"""The model that the settings describe."""

from __future__ import annotations

import msgspec

from agentic.llm.connect import FirstReachable
from agentic.llm.endpoint import Deadlines, Endpoint
from agentic_server.settings import Settings


def model_of(settings: Settings) -> FirstReachable:
    """The first endpoint of the settings that answers; it is looked for when it is first used."""
    endpoints = [Endpoint(one.url, one.model, one.key, one.window) for one in settings.endpoints]
    deadlines = Deadlines(**msgspec.structs.asdict(settings.deadlines))
    return FirstReachable(endpoints, deadlines, settings.temperature)
