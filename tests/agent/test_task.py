"""A task as the words that it begins with direct it."""

import pytest

from agentic.task import Task, directed


def told(text: str) -> Task:
    return directed(Task(text, "s", "t"))


@pytest.mark.parametrize(
    ("text", "rest", "deliberate"),
    [
        ("/council How should we cache?", "How should we cache?", "plan"),
        ("  /best make it faster", "make it faster", "patch"),
        ("/best 4 make it faster", "make it faster", "patch"),
    ],
)
def test_a_council_is_asked_for(text: str, rest: str, deliberate: str) -> None:
    assert (told(text).text, told(text).deliberate) == (rest, deliberate)


@pytest.mark.parametrize(("text", "candidates"), [("/best x", 3), ("/best 4 x", 4), ("/best 1 x", 2), ("/best 9 x", 8)])
def test_so_many_patches_compete(text: str, candidates: int) -> None:
    assert told(text).council.candidates == candidates


def test_a_team_is_asked_for_or_forbidden() -> None:
    assert (told("/team build it").overrides.complexity, told("/team build it").overrides.route) == (1.0, "work")
    alone = told("/solo build it")
    assert (alone.text, alone.team.above, alone.council.use) == ("build it", 1.0, "asked")


@pytest.mark.parametrize("text", ["/councils x", "/council", "/usr/bin is full", "use /best here", "", "/", "/Best x"])
def test_other_words_are_left_as_they_are(text: str) -> None:
    assert told(text) == Task(text, "s", "t")
