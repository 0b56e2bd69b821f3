"""Answers: what is remembered of them, and what is wrong with one that calls nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from agentic.control.completion import announces_call, says_over
from agentic.control.types import Problem, Trouble, TurnState
from agentic.control.unread import holds_unread_call

EMPTY = (1, 2, 3)
"""Empty answers in a row: asked again, asked again without tools, the end."""
UNREAD = (1, 2, 3)
"""The same for answers whose calls nobody could read."""
NAMED = (1, 2, 3, 4)
"""The same for answers that announce a call and make none."""
REPEATING = (1, 2, 3)
"""The same for answers that were cut because their text repeated itself."""
TOO_LONG = (3,)
"""Answers in a row that reached their token limit in a call; each time its result says so."""
IDLE = 6
"""Answers in a row that called nothing, whatever was wrong with each: the end."""
TALK = (4, 6, 8)
"""The same text in a row while nothing new comes of the calls."""
TALK_CHARS = 20
"""A shorter text says too little to be compared."""
FAREWELLS = (6, 8, 10)
"""Answers in a row that say that all is done and call tools nevertheless: told, asked without tools, the end.

Who is done often verifies it, more than once."""


def after_answer(
    state: TurnState, *, text: str, calls: int, thinking: str = "", tools: Sequence[str] = ()
) -> TurnState:
    """The state after an answer; `calls` is their number, `tools` the names of the registered ones.

    In plan mode an answer may well end with what will be done: that is the plan.
    """
    said = " ".join((text.strip() or thinking).split())
    fingerprint = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    empty = not text.strip() and not calls
    unread = not calls and holds_unread_call(text)
    named = not calls and not unread and state["mode"] != "plan" and announces_call(text, tools)
    same = fingerprint == state["last_text"] and len(said) >= TALK_CHARS
    return _asked_anew(
        {
            **state,
            "empty": state["empty"] + 1 if empty else 0,
            "unread": state["unread"] + 1 if unread else 0,
            "named": state["named"] + 1 if named else 0,
            "idle": 0 if calls else state["idle"] + 1,
            "repeating": 0,
            "too_long": 0,
            "farewells": state["farewells"] + 1 if calls and says_over(text) else 0,
            "last_text": fingerprint,
            "same_text": state["same_text"] + 1 if same else 1,
            "answered": not calls,
        }
    )


def after_cut(state: TurnState) -> TurnState:
    """The state after an answer that was cut because its text repeated itself (see `stream_guard.py`)."""
    return _asked_anew({**state, "repeating": state["repeating"] + 1, "idle": state["idle"] + 1, "answered": True})


def after_too_long(state: TurnState) -> TurnState:
    """The state after an answer whose calls are not run, for it reached its token limit in one of them."""
    return _asked_anew({**state, "too_long": state["too_long"] + 1, "empty": 0, "answered": False})


def troubles_of_answer(state: TurnState) -> list[Trouble]:
    """What is wrong with an answer that called nothing; nothing where it is the natural end."""
    return _there(state, ("repeating", "empty", "unread", "named"))


def troubles_of_talk(state: TurnState) -> list[Trouble]:
    """What is wrong with answers that do call tools, their calls apart."""
    return _there(state, ("too_long", "talk", "farewell"))


def meant_to_call(state: TurnState) -> bool:
    """Whether the last answer called nothing but was most likely meant to."""
    return bool(state["unread"] or state["named"])


def _asked_anew(state: TurnState) -> TurnState:
    """What was set for one request ends with its answer; problems that are over are forgotten."""
    nudged = {
        problem: said
        for problem, said in state["nudged"].items()
        if problem not in _COUNTERS or _COUNTERS[problem](state)[0] >= said[1]
    }
    return {**state, "barred": not state["tools"], "tools": True, "temperature": None, "nudged": nudged}


def _there(state: TurnState, problems: tuple[Problem, ...]) -> list[Trouble]:
    found: list[Trouble] = []
    for problem in problems:
        count, limits = _COUNTERS[problem](state)
        if count >= limits[0]:
            found.append(Trouble(problem, count, sum(count >= limit for limit in limits)))
    return found


_COUNTERS: dict[str, Callable[[TurnState], tuple[int, tuple[int, ...]]]] = {
    "empty": lambda state: (state["empty"], EMPTY),
    "unread": lambda state: (state["unread"], UNREAD),
    "named": lambda state: (state["named"], NAMED),
    "repeating": lambda state: (state["repeating"], REPEATING),
    "too_long": lambda state: (state["too_long"], TOO_LONG),
    "talk": lambda state: (state["same_text"], TALK),
    "farewell": lambda state: (state["farewells"], FAREWELLS),
}
"""How often a problem has come, and its limits."""
