"""The way out of events: how many leave when, counted on a clock that the test turns."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.events import Event, Origin, PhaseStarted, TextDelta, ThinkingDelta, ToolCallDelta, ToolOutput, decode
from agentic.ports.store import LoggedEvent, MemoryStore
from agentic_server.feed import BURST, RATE, Feed, join

ORIGIN = Origin(session_id="s", turn_id="t", agent="main")


def text(value: str, item: str = "i") -> TextDelta:
    return TextDelta(**ORIGIN, item=item, text=value)


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time only passes when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now


class Stage:
    """A feed, its clock and what left it."""

    def __init__(self) -> None:
        self.loop = Clock()
        self.store = MemoryStore()
        self.sent: list[tuple[float, Event, LoggedEvent]] = []
        self.loop.run_until_complete(self.store.open_session("s", "s", []))
        self.feed = Feed(self.store, self._note)

    def play(self, events: list[tuple[float, Event]]) -> None:
        """Push each event at its time, run the timers in between, and flush at the end."""

        async def push(event: Event) -> None:
            self.feed.push(event)

        for at, event in events:
            self.turn_to(1000.0 + at)
            self.loop.run_until_complete(push(event))
        self.turn_to(self.loop.now + 1)
        self.loop.close()

    def turn_to(self, when: float) -> None:
        """Let the time pass until then, in steps of a millisecond."""
        while self.loop.now < when:
            self.loop.now = min(when, self.loop.now + 0.001)
            self.loop.run_until_complete(asyncio.sleep(0))

    def _note(self, event: Event, logged: LoggedEvent) -> None:
        self.sent.append((self.loop.now, event, logged))

    @property
    def texts(self) -> list[str]:
        return [event.text for _, event, _ in self.sent if isinstance(event, TextDelta)]


def stream(per_second: float, seconds: float) -> list[tuple[float, Event]]:
    return [(n / per_second, text(f"{n} ")) for n in range(int(per_second * seconds))]


def test_sixty_tokens_a_second_each_leave_alone_and_at_once() -> None:
    stage = Stage()
    events = stream(60, 2)
    stage.play(events)
    assert stage.texts == [f"{n} " for n in range(120)]
    assert [at - 1000.0 for at, _, _ in stage.sent] == pytest.approx([at for at, _ in events], abs=1e-9)


def test_a_thousand_tokens_a_second_leave_in_at_most_the_rate_and_a_burst() -> None:
    stage = Stage()
    stage.play(stream(1000, 2))
    assert "".join(stage.texts) == "".join(f"{n} " for n in range(2000))
    assert len(stage.sent) <= 2 * RATE + BURST + 2
    assert len(stage.sent) >= RATE


def test_no_delta_waits_longer_than_the_bucket_needs_for_a_token() -> None:
    stage = Stage()
    stage.play(stream(1000, 1))
    gaps = [b - a for (a, _, _), (b, _, _) in zip(stage.sent, stage.sent[1:], strict=False)]
    assert max(gaps) <= 2 / RATE + 0.002


def test_what_is_no_delta_is_never_delayed_and_takes_the_waiting_ones_along() -> None:
    stage = Stage()
    burst = [(0.0, text(f"{n} ")) for n in range(100)]
    stage.play([*burst, (0.0, PhaseStarted(**ORIGIN, phase="tools"))])
    assert isinstance(stage.sent[-1][1], PhaseStarted)
    assert stage.sent[-1][0] == 1000.0
    assert "".join(stage.texts) == "".join(f"{n} " for n in range(100))


def test_only_neighbours_of_the_same_kind_and_item_are_joined() -> None:
    thought = ThinkingDelta(**ORIGIN, item="i", text="t")
    call = ToolCallDelta(**ORIGIN, item="c", name="read_file", arguments='{"a')
    more = ToolCallDelta(**ORIGIN, item="c", name="", arguments='": 1}')
    out, err = (ToolOutput(**ORIGIN, item="c", stream=s, text=s) for s in ("stdout", "stderr"))
    assert join(text("a"), text("b")) == text("ab")
    assert join(call, more) == ToolCallDelta(**ORIGIN, item="c", name="read_file", arguments='{"a": 1}')
    assert join(out, out) == ToolOutput(**ORIGIN, item="c", stream="stdout", text="stdoutstdout")
    for first, second in [(text("a"), text("b", "other")), (text("a"), thought), (out, err), (call, out)]:
        assert join(first, second) is None


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.0, 0.001, 0.02, 0.3]),
        st.one_of(
            st.builds(text, st.sampled_from("abc"), st.sampled_from("ij")),
            st.builds(lambda t: ThinkingDelta(**ORIGIN, item="k", text=t), st.sampled_from("xyz")),
            st.just(PhaseStarted(**ORIGIN, phase="tools")),
        ),
    ),
    max_size=80,
)


@settings(max_examples=40, deadline=None)
@given(EVENTS)
def test_what_was_sent_is_what_the_log_holds_gapless_and_nothing_is_lost_or_moved(steps: list[Any]) -> None:
    stage = Stage()
    at, events = 0.0, list[tuple[float, Event]]()
    for pause, event in steps:
        at += pause
        events.append((at, event))
    stage.play(events)
    assert [logged.seq for _, _, logged in stage.sent] == list(range(1, len(stage.sent) + 1))
    assert [decode(logged.body) for _, _, logged in stage.sent] == [event for _, event, _ in stage.sent]
    assert pieces([event for _, event, _ in stage.sent]) == pieces([event for _, event in events])


def pieces(events: list[Event]) -> list[tuple[str, str]]:
    """Each character with its kind and item; joining changes nothing of it."""
    found: list[tuple[str, str]] = []
    for event in events:
        if isinstance(event, TextDelta | ThinkingDelta):
            found += [(f"{type(event).__name__} {event.item}", letter) for letter in event.text]
        else:
            found.append((type(event).__name__, ""))
    return found


def test_agents_that_stream_at_once_share_the_rate_and_each_text_is_whole() -> None:
    stage, names, words = Stage(), ("api", "web", "store", "tests"), [f"w{number} " for number in range(200)]
    origins = [Origin(session_id="s", turn_id="t", agent=name) for name in names]
    stage.play(
        [
            (number / 100, TextDelta(**origin, item=origin["agent"], text=word))
            for number, word in enumerate(words)
            for origin in origins
        ]
    )
    assert len(stage.sent) <= BURST + 2 * RATE + len(names)
    for name in names:
        assert "".join(e.text for _, e, _ in stage.sent if isinstance(e, TextDelta) and e.item == name) == "".join(
            words
        )
