"""Models for several agents: who speaks is read off the request, as no server is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from support.model_server import Answer, Json, status

_NAMES = (
    r"\[agentic\] You are (\S+), one of several agents",
    r"# Your role: (\S+)",
    r"Others work on the same task .*\n(Look first .*)",
    r"\[agentic\] (Several) agents worked on one task",
)


def speaker(request: Json) -> str:
    """The agent that sent this: a sub-agent's or member's name, a candidate's emphasis, `resolver`, or `main`."""
    said = [str(message["content"]) for message in request["messages"] if message["role"] == "user"]
    for pattern in _NAMES:
        if found := re.search(pattern, "\n".join(said[:2])):
            return "resolver" if found[1] == "Several" else found[1]
    return "main"


class Cast:
    """Answers each agent by a script of its own. Which answer is next follows from the request alone, so that a turn
    that is taken up again finds its place.

    `all_there` is set once so many agents beside the main one have asked.
    """

    def __init__(self, scripts: Mapping[str, Sequence[Answer]], together: int = 1) -> None:
        self.scripts = dict(scripts)
        self.together = together
        self.all_there = asyncio.Event()
        self.asked: list[str] = []
        """Who asked, in the order of the requests."""

    def __call__(self, request: Json) -> Answer:
        name = speaker(request)
        self.asked.append(name)
        if len(set(self.asked) - {"main"}) >= self.together:
            self.all_there.set()
        answers = self.scripts.get(name, ())
        number = sum(message["role"] == "assistant" for message in request["messages"])
        if number < len(answers):
            return answers[number]
        return status(400, {"error": {"message": f"the script has no answer number {number} for {name}"}})

    def hold(self) -> None:
        """Hold every agent's first answer back until all are there."""
        for name, (first, *rest) in self.scripts.items():
            if name != "main":
                self.scripts[name] = [replace(first, when=self.all_there), *rest]
