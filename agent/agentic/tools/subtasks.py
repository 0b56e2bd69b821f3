"""A task's parts as a model names them, checked and mended. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from agentic.errors import Refusal
from agentic.ports.team import Subtask
from agentic.task import TeamRules

MAX_NAME = 32
"""Characters of a name at most."""
PRIORITIES = range(1, 10)

_TAKEN = {"main", "user", "resolver"}
"""Names of others who take part."""


def check(subtasks: Sequence[Subtask], rules: TeamRules) -> list[Subtask] | Refusal:
    """The subtasks as a team can work on them: those first that others wait for, then by priority.

    Mended are names (short slugs, apart from each other), priorities out of range, and dependencies on oneself or on
    what is not there. Refuses: bad_arguments (fewer than two, more than `rules.subtasks`, a part without a text, parts
    that wait for each other).
    """
    count = len(subtasks)
    if count < 2:
        return Refusal("bad_arguments", "One part is no delegation.", "Do it yourself, with the other tools.")
    if count > rules.subtasks:
        message = f"{count} subtasks are too many: {rules.subtasks} at most."
        return Refusal("bad_arguments", message, "Join those that belong together and call delegate again.")
    empty = next((number for number, subtask in enumerate(subtasks, 1) if not subtask.text.strip()), None)
    if empty:
        message = f"Subtask {empty} ({subtasks[empty - 1].name!r}) has no text."
        return Refusal(
            "bad_arguments", message, "Say in its text what is to be done, in which files, and how to check it."
        )
    return _sorted(_mended(subtasks))


def _mended(subtasks: Sequence[Subtask]) -> list[Subtask]:
    names = _names([subtask.name for subtask in subtasks])
    known: dict[str, str] = {}
    for subtask, name in zip(subtasks, names, strict=True):
        known.setdefault(subtask.name, name)
        known.setdefault(_slug(subtask.name), name)
    return [
        msgspec.structs.replace(
            subtask,
            name=name,
            text=subtask.text.strip(),
            depends_on=_dependencies(subtask, name, known),
            priority=min(max(subtask.priority, PRIORITIES[0]), PRIORITIES[-1]),
        )
        for subtask, name in zip(subtasks, names, strict=True)
    ]


def _names(given: Iterable[str]) -> list[str]:
    """A short slug for each, all of them different."""
    names: list[str] = []
    for number, name in enumerate(given, 1):
        slug = _slug(name) or f"part-{number}"
        unique, again = slug, 2
        while unique in names or unique in _TAKEN:
            end = f"-{again}"
            unique, again = slug[: MAX_NAME - len(end)].rstrip("-") + end, again + 1
        names.append(unique)
    return names


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_NAME].strip("-")


def _dependencies(subtask: Subtask, name: str, known: Mapping[str, str]) -> list[str]:
    """The names that stand for those it waits for, without itself and without what nobody is called."""
    found = [known.get(other) or known.get(_slug(other)) for other in subtask.depends_on]
    return [other for other in dict.fromkeys(found) if other and other != name]


def _sorted(subtasks: Sequence[Subtask]) -> list[Subtask] | Refusal:
    waiting = sorted(subtasks, key=lambda subtask: subtask.priority)
    done: list[Subtask] = []
    while waiting:
        names = {subtask.name for subtask in done}
        ready = next((subtask for subtask in waiting if names.issuperset(subtask.depends_on)), None)
        if ready is None:
            cycle = " → ".join(_cycle(waiting))
            message = f"These subtasks wait for each other: {cycle}."
            return Refusal("bad_arguments", message, "Leave one of these dependencies out, or join the parts.")
        waiting.remove(ready)
        done.append(ready)
    return done


def _cycle(waiting: Sequence[Subtask]) -> list[str]:
    """A way round, its first name again at its end, among subtasks that all wait for one of them."""
    by_name = {subtask.name: subtask for subtask in waiting}
    way = [waiting[0].name]
    while way[-1] not in way[:-1]:
        way.append(next(name for name in by_name[way[-1]].depends_on if name in by_name))
    return way[way.index(way[-1]) :]
