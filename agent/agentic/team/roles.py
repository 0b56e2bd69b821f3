"""The roles of a council, as the user wrote them down."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from agentic.context.prompts import load, render

MAX_MEMBERS = 8
"""What each further member reads grows with their number; more are left out."""
MAX_NAME = 40
"""Characters."""
_TAKEN = "main"
"""The agent that asks."""


@dataclass(frozen=True, slots=True)
class Role:
    """Who somebody is in a council: the name under which they speak, and what they look after."""

    name: str
    text: str


def parse_roles(words: Iterable[str]) -> list[Role]:
    """The roles named by these words: a known role, the user's own by its name, or `name: what it looks after`.

    Names come out apart from each other: of two developers the second is `developer-2`.
    """
    known = _known()
    roles: dict[str, Role] = {}
    for word in words:
        name, _, text = re.sub(r"\s+", " ", word).partition(":")
        name, text = name.strip()[:MAX_NAME].strip(), text.strip()
        if name and len(roles) < MAX_MEMBERS:
            text = text or known.get(name.lower()) or render("council_role", role=name)
            unique = _apart(name.lower() if name.lower() in known else name, {*roles, _TAKEN})
            roles[unique] = Role(unique, text)
    return list(roles.values())


def _known() -> dict[str, str]:
    """The roles that come with Agentic: `name: text`, one a line."""
    pairs = (line.partition(":") for line in load("council_roles").split("\n"))
    return {name.strip(): text.strip() for name, _, text in pairs}


def _apart(name: str, taken: set[str]) -> str:
    """The name, numbered where another has it already, in whatever case."""
    lowered = {one.lower() for one in taken}
    number, unique = 1, name
    while unique.lower() in lowered:
        number += 1
        unique = f"{name}-{number}"
    return unique
