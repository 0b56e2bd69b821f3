"""The conversation: append only, logged whole, repaired and compacted only in what the server is sent.

The list that `for_server` returns only ever grows at its end, so that a server's prefix cache holds all but the tail.
The one exception are compaction points, each of which is logged, so that a later turn sends the same bytes again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from agentic import json_text
from agentic.ports.model import Answer, Message
from agentic.ports.store import MessageLog

COMPACTION = "compaction"
"""The role of a logged compaction point: no message, but what became of those before it."""

INTERRUPTED = "Interrupted: it is not known whether this call took effect. Look before you repeat it."


class History:
    """One session's messages, the system message first."""

    def __init__(self, store: MessageLog, session: str, turn: str, system: str) -> None:
        self._store = store
        self._session = session
        self._turn = turn
        self._messages: list[Message] = [{"role": "system", "content": system}]

    @property
    def for_server(self) -> Sequence[Message]:
        """The messages as they are sent."""
        return self._messages

    def holds(self, text: str) -> bool:
        """Whether a message says this."""
        return any(text in (message.get("content") or "") for message in self._messages)

    async def load(self) -> None:
        """Take up what the log holds of the session. A call without a result gets one that says so."""
        past = [message for _, message in await self._store.messages(self._session)]
        self._messages = as_sent(self._messages, past)

    def add_user(self, text: str) -> None:
        self._append({"role": "user", "content": text})

    def add_answer(self, answer: Answer, *, with_calls: bool = True) -> None:
        """Append what the model said; `with_calls=False` leaves out calls that will never run."""
        message: Message = {"role": "assistant", "content": answer.text}
        if answer.thinking:
            message["reasoning"] = answer.thinking
        if with_calls and answer.calls:
            message["tool_calls"] = [
                {"id": call.server_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in answer.tool_calls
            ]
        self._append(message)

    def add_result(self, call_id: str, text: str) -> None:
        self._append({"role": "tool", "tool_call_id": call_id, "content": text})

    def compact(self, messages: Sequence[Message]) -> None:
        """Send these instead from now on: some of the present messages themselves, and new ones in others' places."""
        places = {id(message): place for place, message in enumerate(self._messages)}
        view = [places.get(id(message), message) for message in messages]
        self._store.add_message(self._session, self._turn, {"role": COMPACTION, "view": view})
        self._messages = list(messages)

    def _append(self, message: Message) -> None:
        self._store.add_message(self._session, self._turn, message)
        self._messages.append(_for_server(message))


def as_sent(head: Sequence[Message], logged: Iterable[Message]) -> list[Message]:
    """What a server is sent of a logged conversation that begins with `head`: after its compaction points, and with a
    result for every call."""
    messages = list(head)
    for message in logged:
        if message["role"] == COMPACTION:
            messages = _rebuilt(messages, message["view"])
            continue
        if message["role"] != "tool":
            _close_calls(messages)
        messages.append(_for_server(message))
    _close_calls(messages)
    return messages


def open_calls(messages: Sequence[Message]) -> list[str]:
    """The ids of calls in the last answer that have no result yet."""
    answered: set[str] = set()
    for message in reversed(messages):
        if message["role"] == "tool":
            answered.add(message["tool_call_id"])
        else:
            calls: Iterable[Message] = message.get("tool_calls") or ()
            return [call["id"] for call in calls if call["id"] not in answered]
    return []


def _close_calls(messages: list[Message]) -> None:
    missing = open_calls(messages)
    messages += [{"role": "tool", "tool_call_id": call_id, "content": INTERRUPTED} for call_id in missing]


def _rebuilt(messages: Sequence[Message], view: Sequence[int | Message]) -> list[Message]:
    """The messages after a compaction point; a number stands for the message that was at that place."""
    return [messages[one] if isinstance(one, int) else one for one in view]


def _for_server(message: Message) -> Message:
    """The message with arguments that parse: some servers fail on every later request once one call's do not."""
    if "tool_calls" not in message:
        return message
    calls: list[Message] = [
        {**call, "function": {**call["function"], "arguments": _json_object(call["function"]["arguments"])}}
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


def _json_object(arguments: str) -> str:
    """The text where it is JSON's, else as the tool read it; an empty object where it could not."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except (ValueError, RecursionError):
        pass
    try:
        mended = json_text.loads(arguments, fenced=True)
    except ValueError:
        return "{}"
    return json_text.dumps(mended) if isinstance(mended, dict) else "{}"
