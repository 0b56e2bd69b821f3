"""Whose turn it is on a terminal where a person types."""

from __future__ import annotations

from collections.abc import Callable

from agentic.events import MAIN, Answered, Asked, EditProposed, EditResolved, Event


class OneAtATime:
    """Hands events on in their order; while a question stands, only the one that closes it.

    So nothing that other agents do is printed into the line in which somebody answers.
    """

    def __init__(self, show: Callable[[Event], None]) -> None:
        self._show = show
        self._held: list[Event] = []
        self._open = ""

    def push(self, event: Event) -> None:
        """Show the event, now or once the question before it has been answered."""
        self._held.append(event)
        while (place := self._next()) is not None:
            self._pass(self._held.pop(place))

    def flush(self) -> None:
        """Show what is held: nobody asks any more."""
        while self._held:
            self._pass(self._held.pop(0))

    def _next(self) -> int | None:
        """The place of the event that may be shown; None where all have to wait."""
        if not self._open:
            return 0 if self._held else None
        return next((place for place, event in enumerate(self._held) if _closed(event) == self._open), None)

    def _pass(self, event: Event) -> None:
        match event:
            case Asked():
                self._open = event.question
            case EditProposed(agent=agent) if agent == MAIN:
                self._open = event.item
            case _ if self._open and _closed(event) == self._open:
                self._open = ""
            case _:
                pass
        self._show(event)


def _closed(event: Event) -> str:
    """The question or proposal that this event closes; empty for any other."""
    match event:
        case Answered():
            return event.question
        case EditResolved():
            return event.item
        case _:
            return ""
