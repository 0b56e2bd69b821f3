"""One request to the model: its events passed on as they come, summed up into an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import aclosing

import msgspec

from agentic.control.triage import Classification, Splitter
from agentic.errors import ContextOverflow
from agentic.events import (
    Compacted,
    Event,
    ItemWithdrawn,
    ModelEvent,
    Origin,
    TextDelta,
    TextFinished,
    ThinkingDelta,
    ThinkingFinished,
    ToolCallDelta,
)
from agentic.graph.turn import Turn
from agentic.ports.model import Answer, ModelRequest
from agentic.tools.registry import tool_specs

_LINE_ENDS = "\r\n"


async def ask(turn: Turn, view: View | None = None) -> Answer:
    """Stream one answer and append it to the conversation; what a person sees of it goes through `view`.

    Cancelled in the middle, its texts are finished as they stand and kept in the conversation; its calls are withdrawn.

    A conversation that fills the window is shortened first; and once more where the server still finds it too long.

    :raises ModelError: no answer could be had (see `ports.model.Model.complete`).
    """
    view = view or View()
    await _make_room(turn)
    try:
        return await _stream(turn, view)
    except ContextOverflow:
        await _make_room(turn, refused=True)
        return await _stream(turn, view)


async def _stream(turn: Turn, view: View) -> Answer:
    answer, messages = Answer(), turn.history.for_server
    room, held = await turn.window.room(turn.task.limits.answer_tokens), len(messages)
    request = ModelRequest(turn.origin, messages, tool_specs(), temperature=turn.temperature, max_tokens=room)
    try:
        async with aclosing(turn.ports.model.complete(request)) as stream:
            async for event in stream:
                answer.add(event)
                for shown in view.show(event):
                    turn.emit(shown)
    finally:
        if not answer.finish_reason:
            for event in view.cut_off():
                turn.emit(event)
            if answer.text:
                turn.history.add_answer(answer, with_calls=False)
    turn.meter.count(answer)
    turn.window.told(answer.usage, held)
    turn.history.add_answer(answer)
    return answer


async def _make_room(turn: Turn, *, refused: bool = False) -> None:
    """Shorten a conversation that leaves too little of the window for an answer. :raises ContextOverflow:"""
    shortened = await turn.window.fit(turn.task.limits.answer_tokens, refused=refused)
    if shortened is not None:
        before, after = shortened
        turn.emit(Compacted(**turn.origin, before=before, after=after))


class View:
    """What a person sees of an answer. Knows which items are open, so that each can be closed on every path."""

    def __init__(self) -> None:
        self._open: dict[str, TextDelta | ThinkingDelta | ToolCallDelta] = {}
        self._shown: set[str] = set()
        """The items of which a person has seen something, finished or not."""

    def show(self, event: ModelEvent) -> Iterable[Event]:
        """The events to pass on for one that came."""
        match event:
            case TextDelta() | ThinkingDelta():
                return self._grow(event)
            case ToolCallDelta():
                self._open[event.item] = event
                self._shown.add(event.item)
            case TextFinished() | ThinkingFinished():
                shown = self._open.pop(event.item, None)
                return (msgspec.structs.replace(event, text=event.text.lstrip(_LINE_ENDS)),) if shown else ()
            case ItemWithdrawn():
                self._open.pop(event.item, None)
                return (event,) if event.item in self._shown else ()
            case _:
                pass
        return (event,)

    def _grow(self, event: TextDelta | ThinkingDelta) -> Iterable[Event]:
        """Some servers put empty lines between a thought and the text; no item begins with one."""
        so_far = self._open.get(event.item)
        if isinstance(so_far, TextDelta | ThinkingDelta):
            self._open[event.item] = msgspec.structs.replace(event, text=so_far.text + event.text)
            return (event,)
        event = msgspec.structs.replace(event, text=event.text.lstrip(_LINE_ENDS))
        if not event.text:
            return ()
        self._open[event.item] = event
        self._shown.add(event.item)
        return (event,)

    def cut_off(self) -> Iterable[Event]:
        """The events that close what an answer without an end left open."""
        calls_last = sorted(self._open.values(), key=lambda delta: isinstance(delta, ToolCallDelta))
        return [_closing(delta) for delta in calls_last]


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
                held_back = TextDelta(**_origin(event), item=event.item, text="")
                rest = list(self._piece(held_back, self._splitter.finish()))
                shown = self._open.get(event.item)
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


def _closing(delta: TextDelta | ThinkingDelta | ToolCallDelta) -> Event:
    origin = _origin(delta)
    match delta:
        case TextDelta():
            return TextFinished(**origin, item=delta.item, text=delta.text)
        case ThinkingDelta():
            return ThinkingFinished(**origin, item=delta.item, text=delta.text)
        case ToolCallDelta():
            return ItemWithdrawn(**origin, item=delta.item)


def _origin(event: Event) -> Origin:
    return Origin(session_id=event.session_id, turn_id=event.turn_id, agent=event.agent)
