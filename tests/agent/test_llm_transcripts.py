"""Every recorded response of a real server, replayed byte for byte, against what it has to become."""

from __future__ import annotations

import json
import random

import pytest
from support.model_server import ModelServer, recorded
from support.outcomes import CALM, Outcome, ask, check, pool_at
from support.recordings import STREAMS, Recording, recordings

SLICINGS = 3
"""How often each recording is replayed, sliced at other places each time."""


async def replay(recording: Recording, slices: list[int]) -> Outcome:
    async with (
        ModelServer([recorded(recording.raw, slices)]) as server,
        pool_at(server.url, deadlines=CALM, retries=0, tools="native") as pool,
    ):
        outcome = await ask(pool)
    check(outcome)
    return outcome


@pytest.mark.parametrize("name", recordings())
async def test_a_recording_becomes_what_it_has_to_however_it_is_sliced(name: str) -> None:
    recording = recordings()[name]
    rng = random.Random(name)
    for number in range(SLICINGS):
        outcome = await replay(recording, recording.slices(rng) if number else [])
        if recording.is_answer:
            assert outcome.error is None
            assert shape(outcome) == recording.outcome
        else:
            assert type(outcome.error).__name__ == recording.outcome["error"]
            assert recording.outcome.get("says", "") in str(outcome.error)


def shape(outcome: Outcome) -> dict[str, object]:
    """The answer as the table writes it: what is empty is left out."""
    usage = outcome.answer.usage
    counts = [usage.prompt, None if usage.computed else usage.cached, usage.completion, usage.reasoning]
    whole = {**outcome.content, "usage": counts if any(count is not None for count in counts) else []}
    return {key: value for key, value in whole.items() if value}


def test_there_is_an_outcome_for_each_recording_and_a_recording_for_each_outcome() -> None:
    assert json.loads((STREAMS / "outcomes.json").read_text()).keys() == recordings().keys()
    assert len(recordings()) >= 80
    assert sum(len(recording.raw) for recording in recordings().values()) > 200_000
