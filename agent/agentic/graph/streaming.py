"""One request to the model: its events passed on as they come, summed up into an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import aclosing

import msgspec

from agentic.control.stream_guard import StreamGuard
from agentic.control.triage import Classification, Splitter
from agentic.errors import ContextOverflow
from agentic.events import (
    Event,
    ItemWithdrawn,
    ModelEvent,
    ModelFinished,
    ModelStarted,
    TextDelta,
    TextFinished,
    ThinkingDelta,
    Usage,
)
from agentic.graph.compaction import make_room
from agentic.graph.turn import Turn
from agentic.items import View, origin_of
from agentic.ports.limit import within_limit
from agentic.ports.model import Answer, ModelRequest
from agentic.tools.registry import tool_specs

REPEATING = "repeating"
"""The finish reason of an answer that was cut because its text repeated itself."""
_KEPT = 2_000
"""Characters that the conversation keeps of such an answer."""


async def ask(turn: Turn, view: View | None = None, *, temperature: float | None = None, tools: bool = True) -> Answer:
    """Stream one answer and append it to the conversation; what a person sees of it goes through `view`.

    Cancelled in the middle, its texts are finished as they stand and kept in the conversation; its calls are withdrawn.
    So is an answer whose text goes round in circles: its finish reason is `REPEATING`.

    A conversation that fills the window is shortened first; and once more where the server still finds it too long.

    :raises ModelError: no answer could be had (see `ports.model.Model.complete`).
    """
    view = view or View()
    temperature = turn.temperature if temperature is None else temperature
    await make_room(turn)
    try:
        return await _stream(turn, view, temperature, tools)
    except ContextOverflow:
        await make_room(turn, refused=True)
        return await _stream(turn, view, temperature, tools)


async def _stream(turn: Turn, view: View, temperature: float | None, may_call: bool) -> Answer:
    answer, messages, guard = Answer(), turn.history.for_server, _Guard()
    room, held = await turn.window.room(turn.task.limits.answer_tokens), len(messages)
    request = ModelRequest(turn.origin, messages, tool_specs(), temperature, room, may_call)
    try:
        async with aclosing(within_limit(turn.ports.model, request, answer)) as stream:
            async for event in stream:
                answer.add(event)
                for shown in view.show(event):
                    turn.emit(shown)
                if guard.finds_repetition(event):
                    break
    finally:
        if not answer.finish_reason:
            for event in view.cut_off():
                turn.emit(event)
            if answer.text and not guard.started:
                turn.history.add_answer(answer, with_calls=False)
    if not answer.finish_reason and guard.started:
        return _cut(turn, answer, guard.started)
    turn.meter.count(answer)
    turn.window.told(answer.usage, held)
    turn.history.add_answer(answer)
    return answer


def _cut(turn: Turn, answer: Answer, started: ModelStarted) -> Answer:
    """Close an answer that was cut, and keep only its beginning: the rest would be an example to go on from."""
    finished = ModelFinished(
        **turn.origin, request=started.request, finish_reason=REPEATING, usage=Usage(), seconds=answer.seconds
    )
    turn.emit(finished)
    answer.add(finished)
    turn.meter.count(answer)
    answer.calls.clear()
    answer.thoughts.clear()
    text = answer.text[:_KEPT]
    answer.texts = {"": f"{text} […]" if text else "[…]"}
    turn.history.add_answer(answer)
    return answer


class _Guard:
    """Reads text and thinking along. `started`: the attempt in which repetition was found."""

    def __init__(self) -> None:
        self.started: ModelStarted | None = None
        self._attempt: ModelStarted | None = None
        self._text, self._thinking = StreamGuard(), StreamGuard()

    def finds_repetition(self, event: ModelEvent) -> bool:
        """Whether the answer is to be cut after this event."""
        match event:
            case ModelStarted():
                self._attempt, self._text, self._thinking = event, StreamGuard(), StreamGuard()
            case TextDelta() if self._text.feed(event.text):
                self.started = self._attempt
            case ThinkingDelta() if self._thinking.feed(event.text):
                self.started = self._attempt
            case _:
                pass
        return self.started is not None


class TriageView(View):
    """Holds the classification back from the text, and announces it as soon as it is complete; or drops it."""

    def __init__(self, announce: Callable[[Classification], Event] | None = None) -> None:
        super().__init__()
        self._announce = announce
        self._splitter = Splitter()
        self.found: Classification | None = None
        self.text = ""
        """The answer's text without the classification."""

    def show(self, event: ModelEvent) -> Iterable[Event]:
        match event:
            case TextDelta():
                return self._piece(event, self._splitter.feed(event.text))
            case TextFinished():
                held_back = TextDelta(**origin_of(event), item=event.item, text="")
                rest = list(self._piece(held_back, self._splitter.finish()))
                shown = self.open_item(event.item)
                if not isinstance(shown, TextDelta):
                    return rest
                return [*rest, *super().show(msgspec.structs.replace(event, text=shown.text))]
            case ItemWithdrawn():
                self._splitter, self.found, self.text = Splitter(), None, ""
                return super().show(event)
            case _:
                return super().show(event)

    def _piece(self, delta: TextDelta, visible: str) -> Iterable[Event]:
        events: list[Event] = []
        if self.found is None and self._splitter.found is not None:
            self.found = self._splitter.found
            events += [self._announce(self.found)] if self._announce is not None else []
        if visible:
            self.text += visible
            events += super().show(msgspec.structs.replace(delta, text=visible))
        return events
