"""The items of an answer, as a person sees them: each text, thought and tool call opens, grows, and is closed."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from agentic.events import (
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

_LINE_ENDS = "\r\n"


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

    def open_item(self, item: str) -> TextDelta | ThinkingDelta | ToolCallDelta | None:
        """What has been shown so far of an item that is not closed; its last piece for a tool call."""
        return self._open.get(item)

    def cut_off(self) -> Iterable[Event]:
        """The events that close what an answer without an end left open."""
        calls_last = sorted(self._open.values(), key=lambda delta: isinstance(delta, ToolCallDelta))
        return [_closing(delta) for delta in calls_last]

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


def origin_of(event: Event) -> Origin:
    """Where the event comes from, for another of the same origin."""
    return Origin(session_id=event.session_id, turn_id=event.turn_id, agent=event.agent)


def _closing(delta: TextDelta | ThinkingDelta | ToolCallDelta) -> Event:
    origin = origin_of(delta)
    match delta:
        case TextDelta():
            return TextFinished(**origin, item=delta.item, text=delta.text)
        case ThinkingDelta():
            return ThinkingFinished(**origin, item=delta.item, text=delta.text)
        case ToolCallDelta():
            return ItemWithdrawn(**origin, item=delta.item)
