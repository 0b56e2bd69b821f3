"""The gate of the append-only prompt: what was sent once is the beginning of all that follows, byte for byte.

Every scripted run (`support.runs`) and every model server of the tests (`support.model_server`) goes through it. Only a
named compaction point may change what was sent before, and it leaves the system text and the tools as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from agentic.events import Compacted, Event, ModelStarted, PhaseStarted
from agentic.ports.model import ModelRequest


@dataclass(frozen=True)
class Prompt:
    """The bytes of the tools and of each message, as a server is sent them."""

    tools: bytes
    messages: Sequence[bytes]

    @property
    def opens(self) -> bool:
        """Whether nobody has answered yet: nothing need have been sent before."""
        return not any(b'"assistant"' in message for message in self.messages)

    def extends(self, former: Prompt) -> bool:
        return self.tools == former.tools and self.messages[: len(former.messages)] == former.messages

    def rebuilds(self, former: Prompt) -> bool:
        """Whether it is what a compaction may leave of the former one: its head is untouched."""
        return self.tools == former.tools and self.messages[:1] == former.messages[:1]

    def parting(self, former: Prompt) -> str:
        """Where the two part, for whoever has to find out why."""
        if self.tools != former.tools:
            return f"the tools part: {_difference(former.tools, self.tools)}"
        for place, (before, now) in enumerate(zip(former.messages, self.messages, strict=False)):
            if before != now:
                return f"message {place} of {len(former.messages)} parts: {_difference(before, now)}"
        return f"{len(former.messages)} messages were sent before, now only {len(self.messages)}"


class _Body(msgspec.Struct):
    messages: list[msgspec.Raw] = []
    tools: msgspec.Raw = msgspec.Raw(b"[]")


def on_the_wire(body: bytes) -> Prompt:
    """The prompt in the body of a request, its bytes as they came."""
    read = msgspec.json.decode(body, type=_Body)
    return Prompt(bytes(read.tools), [bytes(message) for message in read.messages])


def as_sent(request: ModelRequest) -> Prompt:
    """The prompt of a request that never met a wire."""
    return Prompt(_encoded(request.tools), [_encoded(message) for message in request.messages])


@dataclass
class Conversations:
    """The prompts of conversations that are known by name, in the order of their sending."""

    last: dict[tuple[str, str], Prompt] = field(default_factory=dict)

    def add_run(self, requests: Iterable[ModelRequest], events: Iterable[Event]) -> None:
        """Check a run's requests. Its events tell where it was compacted: each request has one first `ModelStarted`."""
        compacted, summaries = _compactions(events)
        for number, request in enumerate(requests):
            if number in summaries:
                self.sum_up(request.conversation, as_sent(request))
            else:
                self.add(request.conversation, as_sent(request), compacted=number in compacted)

    def add(self, conversation: tuple[str, str], prompt: Prompt, *, compacted: bool = False) -> None:
        former = self.last.get(conversation)
        if former is not None:
            kept = prompt.rebuilds(former) if compacted else prompt.extends(former)
            assert kept, f"The prompt of {conversation} is not append-only: {prompt.parting(former)}"
        self.last[conversation] = prompt

    def sum_up(self, conversation: tuple[str, str], prompt: Prompt) -> None:
        """Check a request for a summary: one message more than a beginning of the conversation, or than what may be
        left of it; the conversation itself does not go on with it."""
        former = self.last.get(conversation)
        if former is not None:
            asked_of = Prompt(prompt.tools, prompt.messages[:-1])
            known = asked_of.extends(former) or former.extends(asked_of) or asked_of.rebuilds(former)
            assert known, f"The summary of {conversation} is asked of another: {asked_of.parting(former)}"


def assert_append_only(prompts: Iterable[Prompt], compactions: int = 0) -> None:
    """Check what one server was sent, where nothing tells which conversation a prompt belongs to.

    Each prompt opens a conversation or goes on with the last prompt of one, but for this many that were compacted.
    """
    heads: list[Prompt] = []
    for number, prompt in enumerate(prompts):
        going_on = [head for head in heads if prompt.extends(head)]
        if not going_on and not prompt.opens:
            likely = _likeliest(prompt, heads)
            if likely is None:
                heads.append(prompt)
                continue
            compactions -= 1
            said = f"Prompt {number} goes on with none that was sent before: {prompt.parting(likely)}"
            assert compactions >= 0, said
            assert prompt.rebuilds(likely), said
            going_on = [likely]
        if going_on and not prompt.opens:
            heads.remove(max(going_on, key=lambda head: len(head.messages)))
        heads.append(prompt)
    assert compactions <= 0, f"{compactions} compactions were expected that never came."


def _likeliest(prompt: Prompt, heads: Sequence[Prompt]) -> Prompt | None:
    """The head that a prompt should have gone on with: of those with which it shares more than its system message, the
    one it shares most with. None where there is none: the conversation began elsewhere."""
    said = set(prompt.messages[1:])
    sharing = [head for head in heads if not said.isdisjoint(head.messages[1:])]
    return max(sharing, key=lambda head: len(said.intersection(head.messages)), default=None)


def _compactions(events: Iterable[Event]) -> tuple[set[int], set[int]]:
    """The numbers of the requests, from 0, before which the conversation was compacted; and of those for summaries."""
    compacted, summaries, sent, phases = set[int](), set[int](), 0, dict[str, str]()
    for event in events:
        if isinstance(event, PhaseStarted):
            phases[event.agent] = event.phase
        elif isinstance(event, ModelStarted) and event.attempt == 1:
            if phases.get(event.agent) == "compaction":
                summaries.add(sent)
            sent += 1
        elif isinstance(event, Compacted):
            compacted.add(sent)
    return compacted, summaries


def _difference(before: bytes, now: bytes) -> str:
    place = next((at for at, pair in enumerate(zip(before, now, strict=False)) if pair[0] != pair[1]), len(before))
    start = max(0, place - 40)
    return f"{before[start : place + 80]!r} became {now[start : place + 80]!r}"


def _encoded(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
