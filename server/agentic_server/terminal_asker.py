"""The asker port on a terminal: questions answered by a few keys. On a pipe nobody is asked, which means no.

A question comes by one way, the event that tells what it is about by another. So the prompt waits until that event has
been shown: nobody is asked about what they cannot see.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import IO

from agentic.events import Asked, EditProposed, Event, Option
from agentic.ports.asker import HunkVerdict, Proposal, Question, Reply, Verdict
from agentic.safety.approvals import visible

NOBODY = "Nobody is there to ask; --yes allows it."
NOBODY_TO_REVIEW = "Nobody is there to ask; --yes or --mode accept-edits allows it."
CLOSED = "The input is closed."

_APPROVAL_KEYS = {"allow_once": "y", "allow_always": "a", "reject_once": "n", "reject_always": "never"}
_HUNK_ANSWERS = {"a": "accept", "y": "accept", "r": "reject", "n": "reject"} | {
    word: word for word in ("accept", "reject", "all", "none")
}


class TerminalAsker:
    """Asks whoever sits at the terminal that `stdin` and `stdout` are, one question at a time.

    With `yes` everything is allowed by policy and nobody is asked. It prints only its prompts, each once `shown` has
    been told of the event that it is about.
    """

    def __init__(self, stdin: IO[str], stdout: IO[str], yes: bool = False) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._yes = yes
        self._turn = asyncio.Lock()
        self._shown: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def shown(self, event: Event) -> None:
        """Tell that the person has this event before their eyes."""
        match event:
            case Asked():
                self._shown[event.question].set()
            case EditProposed():
                self._shown[event.item].set()
            case _:
                pass

    async def ask(self, question: Question) -> Reply:
        if self._yes:
            allowed = next((option.id for option in question.options if option.kind == "allow_once"), "")
            return Reply(allowed, by="policy")
        if not self._somebody:
            return Reply("", by="policy", text=NOBODY)
        await self._shown[question.id].wait()
        async with self._turn:
            return await self._ask(question)

    async def review(self, proposal: Proposal) -> Verdict:
        if self._yes:
            return Verdict({hunk.id: "accept" for hunk in proposal.hunks}, by="policy")
        if not self._somebody:
            return Verdict(by="policy", reason=NOBODY_TO_REVIEW)
        await self._shown[proposal.id].wait()
        async with self._turn:
            return await self._review(proposal)

    @property
    def _somebody(self) -> bool:
        return self._stdin.isatty() and self._stdout.isatty()

    async def _ask(self, question: Question) -> Reply:
        """Ask until the answer is one of the options, or free text where that is welcome."""
        keys = _keys(question.options)
        choices = ", ".join(f"[{key}] {option.label}" for key, option in keys.items())
        while True:
            line = await self._prompt(f"{question.headline} {choices}: " if choices else f"{question.headline} ")
            if line is None:
                return Reply("", by="cancelled", text=CLOSED)
            chosen = keys.get(line.lower())
            if chosen is not None:
                return Reply(chosen.id)
            if question.free_text and line:
                return Reply("", text=line)

    async def _review(self, proposal: Proposal) -> Verdict:
        """Go through the hunks one by one; `all` and `none` settle those that are left."""
        verdicts: dict[str, HunkVerdict] = {}
        rest = ""
        for number, hunk in enumerate(proposal.hunks, 1):
            where = f"{proposal.change.path}:{hunk.start_line}, hunk {number} of {len(proposal.hunks)}"
            answer = rest or await self._ask_about_hunk(where)
            if answer is None:
                return Verdict(verdicts, by="cancelled", reason=CLOSED)
            if answer in ("all", "none"):
                rest = answer
            verdicts[hunk.id] = "accept" if answer in ("accept", "all") else "reject"
        return Verdict(verdicts)

    async def _ask_about_hunk(self, where: str) -> str | None:
        """accept, reject, all or none; None at the end of the input."""
        while (line := await self._prompt(f"{where}: [a]ccept, [r]eject, all, none: ")) is not None:
            if answer := _HUNK_ANSWERS.get(line.lower()):
                return answer
        return None

    async def _prompt(self, text: str) -> str | None:
        """Ask for one line; None at the end of the input. What was typed before the question does not answer it."""
        import termios

        termios.tcflush(self._stdin.fileno(), termios.TCIFLUSH)
        self._stdout.write(visible(text))
        self._stdout.flush()
        line = b""
        while not line.endswith(b"\n"):
            data = await self._read()
            if not data:
                return None
            line += data
        return line.decode("utf-8", "replace").strip()

    async def _read(self) -> bytes:
        """What is typed next. The loop waits for it, not a thread, so that cancelling leaves nothing behind."""
        loop = asyncio.get_running_loop()
        descriptor = self._stdin.fileno()
        ready = loop.create_future()
        loop.add_reader(descriptor, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)
        try:
            return os.read(descriptor, 4096)
        except OSError:
            return b""


def _keys(options: Sequence[Option]) -> dict[str, Option]:
    """What to type for each option: a letter or word for an approval, a number for any other answer."""
    return {_APPROVAL_KEYS.get(option.kind, str(number)): option for number, option in enumerate(options, 1)}
