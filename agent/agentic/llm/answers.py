"""One attempt's chunks, folded into events.

`AnswerReader` is fed chunks in order. It knows which items were begun, so it can finish them all or withdraw them all.
Calls that the server left in the text are recovered from it, when the answer is whole and no call came otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from agentic.errors import StreamBroken
from agentic.events import (
    ItemWithdrawn,
    ModelEvent,
    Origin,
    TextDelta,
    TextFinished,
    ThinkingDelta,
    ThinkingFinished,
    ToolCallDelta,
    Usage,
)
from agentic.llm.recovery.gate import Piece, TextGate
from agentic.llm.recovery.toolbox import RecoveredCall, Toolbox, Tools
from agentic.llm.wire import CallDelta, Chunk, Delta
from agentic.ports.model import AGAIN
from agentic.task import new_id

FAILED_REASONS = frozenset({"error", "abort"})
"""Finish reasons with which servers say that they gave up (OpenRouter, SGLang)."""

RECOVERABLE = frozenset({"stop", "tool_calls", "function_call", "eos_token", "stop_sequence", "end_turn"})
"""Finish reasons of answers that the model itself ended."""


@dataclass(slots=True)
class _Prose:
    """A stretch of text or of thinking, still growing."""

    thinking: bool
    item: str
    pieces: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class _Call:
    """A tool call; nothing of it is shown before its name is known."""

    server_id: str
    index: int | None
    item: str = ""
    name: str = ""
    arguments: str = ""
    waiting: str = ""


class AnswerReader:
    """Reads one attempt. `finish_reason` is empty until the server has said that the answer is whole.

    `taken` holds the items of calls in earlier answers and attempts; those of this one are added. `tools` are those of
    the request. `reasoning_splits`: this endpoint is known to send reasoning and text apart; where it is not, an answer
    that is nothing but reasoning becomes text at its end, and `promoted` tells so. `asked`: see `TextGate`. `recovered`
    tells that the calls come from the text. `grew` tells whether the last chunk brought something, be it held back.
    """

    def __init__(
        self,
        origin: Origin,
        taken: set[str] | None = None,
        tools: Tools = (),
        *,
        reasoning_splits: bool = True,
        asked: bool = False,
    ) -> None:
        self.recovered = False
        self.promoted = False
        self.grew = False
        self.finish_reason = ""
        self.usage = Usage()
        self.origin = origin
        self._prose: _Prose | None = None
        self._calls: list[_Call] = []
        self._items: list[str] = []
        self._taken = set[str]() if taken is None else taken
        self._toolbox = Toolbox(tools)
        self._gate = TextGate(self._toolbox, asked=asked)
        self._splits = reasoning_splits
        self._said = False
        """Text that is more than spaces was shown."""
        self._thoughts: dict[str, str] = {}
        """The finished thoughts by their items."""

    @property
    def splits(self) -> bool:
        """Whether reasoning and text have come, each as what it is."""
        return self._said and bool(self._thoughts)

    def read(self, chunk: Chunk) -> list[ModelEvent]:
        """The events of one chunk; none where it holds nothing new. :raises StreamBroken: the server gave up."""
        self.grew = False
        if chunk.usage is not None:
            self.usage = chunk.usage.to_usage()
        if not chunk.choices:
            return []
        choice = chunk.choices[0]
        if choice.finish_reason in FAILED_REASONS and not self.finish_reason:
            raise StreamBroken(f"The server ended the answer with the finish reason {choice.finish_reason}.")
        events = self._read_delta(choice.delta) if choice.delta is not None else []
        self.grew = self.grew or bool(events)
        self.finish_reason = self.finish_reason or choice.finish_reason or ""
        return events

    def finish(self) -> list[ModelEvent]:
        """The events that complete the answer's open items. :raises StreamBroken: a tool call never got its name."""
        if not all(call.name for call in self._calls):
            raise StreamBroken("The server sent a tool call without a name.")
        events = self._finish_text()
        events += [self._grow(call, "{}") for call in self._calls if not call.arguments]
        if self._calls and self.finish_reason in RECOVERABLE:
            self.finish_reason = "tool_calls"
        return events

    def withdraw(self) -> list[ModelEvent]:
        """Take back every item that was begun."""
        return [ItemWithdrawn(**self.origin, item=item) for item in self._items]

    def _read_delta(self, delta: Delta) -> list[ModelEvent]:
        events: list[ModelEvent] = []
        if thought := delta.reasoning or delta.reasoning_content:
            events += self._add_prose(thought, thinking=True)
        if delta.content:
            events += self._add_text(delta.content)
        for piece in delta.tool_calls or ():
            self.grew = True
            events += self._add_pieces(self._gate.finish(recover=False)[0])
            events += self._finish_prose()
            events += self._add_to_call(piece)
        return events

    def _add_text(self, text: str) -> list[ModelEvent]:
        """Text as far as it may be shown; behind a call that came as one, no other is looked for."""
        self.grew = True
        return self._add_prose(text, thinking=False) if self._calls else self._add_pieces(self._gate.feed(text))

    def _add_pieces(self, pieces: list[Piece]) -> list[ModelEvent]:
        events: list[ModelEvent] = []
        for kind, text in pieces:
            events += (
                self._end_unopened(text) if kind == "unopened" else self._add_prose(text, thinking=kind == "thinking")
            )
        return events

    def _end_unopened(self, rest: str) -> list[ModelEvent]:
        """Give the text that is growing as thinking: the tag that opened the thought stood in the prompt."""
        prose, events = self._prose, list[ModelEvent]()
        if prose is not None and not prose.thinking:
            self._prose = None
            self._items.remove(prose.item)
            events.append(ItemWithdrawn(**self.origin, item=prose.item))
            rest = "".join(prose.pieces) + rest
        if rest.strip():
            events += self._add_prose(rest, thinking=True)
        return [*events, *self._finish_prose()]

    def _finish_text(self) -> list[ModelEvent]:
        """What was held back of the text, and the calls in it."""
        recover = not self._calls and self.finish_reason in RECOVERABLE
        pieces, calls = self._gate.finish(recover=recover)
        events = [*self._add_pieces(pieces), *self._finish_prose()]
        if recover and not calls and not self._said and not self._splits:
            promoted, calls = self._promote()
            events += promoted
        events += self._finish_prose()
        events += [self._add_recovered(call) for call in calls]
        self.recovered = bool(calls)
        return events

    def _promote(self) -> tuple[list[ModelEvent], Sequence[RecoveredCall]]:
        """Give the thoughts as text: a reasoning parser that does not fit the model takes everything for reasoning."""
        thoughts, self._thoughts = self._thoughts, {}
        if not any(thought.strip() for thought in thoughts.values()):
            return [], ()
        self.promoted = True
        events: list[ModelEvent] = [ItemWithdrawn(**self.origin, item=item) for item in thoughts]
        self._items = [item for item in self._items if item not in thoughts]
        gate = TextGate(self._toolbox)
        first = gate.feed("".join(thoughts.values()))
        last, calls = gate.finish(recover=True)
        return [*events, *self._add_pieces([*first, *last])], calls

    def _add_recovered(self, recovered: RecoveredCall) -> ToolCallDelta:
        call = _Call("", None, item=self._begin(new_id("call")), name=recovered.name)
        self._calls.append(call)
        self._taken.add(call.item)
        return self._grow(call, recovered.arguments)

    def _add_prose(self, text: str, *, thinking: bool) -> list[ModelEvent]:
        events: list[ModelEvent] = []
        prose = self._prose
        if prose is None or prose.thinking is not thinking:
            events += self._finish_prose()
            prose = self._prose = _Prose(thinking, self._begin(new_id("think" if thinking else "text")))
        prose.pieces.append(text)
        event = ThinkingDelta if thinking else TextDelta
        events.append(event(**self.origin, item=prose.item, text=text))
        return events

    def _finish_prose(self) -> list[ModelEvent]:
        prose, self._prose = self._prose, None
        if prose is None:
            return []
        text = "".join(prose.pieces)
        if not prose.thinking:
            self._said = self._said or not text.isspace()
            return [TextFinished(**self.origin, item=prose.item, text=text)]
        self._thoughts[prose.item] = text
        return [ThinkingFinished(**self.origin, item=prose.item, text=text)]

    def _add_to_call(self, piece: CallDelta) -> list[ModelEvent]:
        name = self._name_in(piece)
        arguments = _arguments_text(piece)
        call = self._call_of(piece, name)
        if call.name:
            if name and arguments == call.arguments and _is_whole(arguments):
                return []
            return [self._grow(call, arguments)] if arguments else []
        call.waiting += arguments
        if not name:
            return []
        call.item = self._item_of(call)
        call.name = name
        self._taken.add(self._begin(call.item))
        return [self._grow(call, call.waiting)]

    def _name_in(self, piece: CallDelta) -> str:
        """The name in a piece; where it is no tool's, the one in it that is: some hold what belongs to the markup."""
        name = (piece.function.name if piece.function else None) or ""
        return (self._toolbox.find(name) or name) if name else ""

    def _item_of(self, call: _Call) -> str:
        """The server's id where it is a good one, else one of our own; both unique in the session."""
        if not call.server_id or any(other.item and other.server_id == call.server_id for other in self._calls):
            return new_id("call")
        taken = call.server_id in self._taken or self.origin["agent"] != "main"
        return new_id(call.server_id + AGAIN) if taken else call.server_id

    def _call_of(self, piece: CallDelta, name: str) -> _Call:
        """The call that a piece belongs to, or a new one."""
        call = self._known_call(piece)
        if call is None or _starts_another(piece, name, call):
            call = _Call(piece.id or "", piece.index)
            self._calls.append(call)
        return call

    def _known_call(self, piece: CallDelta) -> _Call | None:
        newest_first = reversed(self._calls)
        if piece.index is not None:
            return next((call for call in newest_first if call.index == piece.index), None)
        if piece.id:
            return next((call for call in newest_first if call.server_id == piece.id), None)
        return next(newest_first, None)

    def _grow(self, call: _Call, arguments: str) -> ToolCallDelta:
        call.arguments += arguments
        return ToolCallDelta(**self.origin, item=call.item, name=call.name, arguments=arguments)

    def _begin(self, item: str) -> str:
        self._items.append(item)
        return item


def _arguments_text(piece: CallDelta) -> str:
    arguments = piece.function.arguments if piece.function else None
    return json.dumps(arguments) if isinstance(arguments, dict) else arguments or ""


def _starts_another(piece: CallDelta, name: str, call: _Call) -> bool:
    """Whether a piece that points at a known call is the first of another one.

    Some servers repeat id and name in every piece; others give every call the index 0, or none. A name with another id
    begins another call, and so does a name after arguments that are already whole.
    """
    if not name or not call.name:
        return False
    if piece.id and call.server_id:
        return piece.id != call.server_id
    return _is_whole(call.arguments)


def _is_whole(arguments: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(arguments), dict)
    except (msgspec.DecodeError, RecursionError):
        return False
