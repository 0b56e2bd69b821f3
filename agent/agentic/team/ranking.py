"""Who is best: proposals by the scores that members gave, patches by their checks. Pure, and the same every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentic.team.answers import MAX_SCORE, Score
from agentic.team.summaries import Results

OWN_WEIGHT = 0.5
"""What a member's score of its own proposal counts beside the others'."""

Ballots = Mapping[str, Mapping[str, Score]]
"""By who scored, then by whose proposal."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Names, best first. `scores` from 0 to 1, of those that got any; `dissent` in the members' own words."""

    names: tuple[str, ...]
    scores: Mapping[str, float]
    dissent: tuple[str, ...] = ()


def rank_proposals(names: Sequence[str], ballots: Ballots) -> Ranking:
    """By the mean of their scores, a member's own at half weight; what nobody scored comes last.

    Ties: whom more members put first, then the order of `names`.
    """
    means = {name: mean for name in names if (mean := _mean(name, ballots)) is not None}
    favourites = [_favourites(ballot) for ballot in ballots.values()]
    votes = {name: sum(name in chosen for chosen in favourites) for name in names}
    ranked = sorted(names, key=lambda name: (-means.get(name, -1.0), -votes[name]))
    scores = {name: round(means[name] / MAX_SCORE, 4) for name in ranked if name in means}
    return Ranking(tuple(ranked), scores, tuple(_dissent(ranked, ballots)) if ranked else ())


@dataclass(frozen=True, slots=True)
class Trial:
    """A patch and what the checks said. Several candidates that made the same patch are one trial."""

    names: tuple[str, ...]
    """Who made it, in order."""
    files: int
    """Changed ones; 0: nothing was changed."""
    lines: int
    """Removed and added ones."""
    finished: bool
    """Whether its maker came to an end of its own."""
    exit_code: int | None = None
    """Of the check; None: it was not run."""
    tests: Results | None = None
    """What the check's output tells of single tests."""
    problems: int | None = None
    """Errors in the changed files; None: nobody could tell."""

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def score(self) -> float:
        """From 0 to 1: a check that passes; else the part of the tests that does; unchecked, the fewer problems."""
        if not self.files:
            return 0.0
        if self.exit_code is None:
            return round(1 / (1 + (self.problems or 0)), 4)
        if self.exit_code == 0:
            return 1.0
        return round(self.tests.passed / self.tests.total, 4) if self.tests and self.tests.total else 0.0


def rank_patches(trials: Sequence[Trial]) -> list[Trial]:
    """Best first; the first difference decides.

    A patch at all; a check that passes, then one that could be run; fewer tests that could not run, then fewer that
    fail; fewer problems; finished; more tests that pass, as a patch that brings tests along is worth more than one that
    takes some away; made by more candidates; fewer lines, then files; the name. Tests count where all outputs tell.
    """
    told = all(trial.tests is not None for trial in trials if trial.files and trial.exit_code not in (0, None))
    all_told = all(trial.tests is not None for trial in trials if trial.files)

    def key(trial: Trial) -> tuple[object, ...]:
        tests = trial.tests if told and trial.exit_code != 0 else None
        return (
            not trial.files,
            trial.exit_code != 0,
            trial.exit_code is None,
            (tests.errors, tests.failed) if tests else (0, 0),
            trial.problems or 0,
            not trial.finished,
            -trial.tests.passed if all_told and trial.tests else 0,
            -len(trial.names),
            trial.lines,
            trial.files,
            trial.name,
        )

    return sorted(trials, key=key)


def _mean(name: str, ballots: Ballots) -> float | None:
    weighted = [
        (OWN_WEIGHT if voter == name else 1.0, ballot[name].value)
        for voter, ballot in ballots.items()
        if name in ballot
    ]
    weights = sum(weight for weight, _ in weighted)
    return sum(weight * value for weight, value in weighted) / weights if weights else None


def _favourites(ballot: Mapping[str, Score]) -> list[str]:
    best = max((score.value for score in ballot.values()), default=0.0)
    return [name for name, score in ballot.items() if score.value == best]


def _dissent(ranked: Sequence[str], ballots: Ballots) -> list[str]:
    """What each member says that would rather have another than the winner."""
    winner, found = ranked[0], list[str]()
    for voter, ballot in ballots.items():
        favourites = _favourites(ballot)
        if favourites and winner not in favourites:
            choice = min(favourites, key=ranked.index)
            found.append(_in_words(voter, choice, winner, ballot))
    return found


def _in_words(voter: str, choice: str, winner: str, ballot: Mapping[str, Score]) -> str:
    whose = "its own proposal" if choice == voter else f"that of {choice}"
    said = _sentence(f"{voter} prefers {whose} ({ballot[choice].value:g} of 10)", ballot[choice].reason)
    if winner not in ballot:
        return said
    return f"{said} {_sentence(f'To {winner} it gives {ballot[winner].value:g}', ballot[winner].reason)}"


def _sentence(claim: str, reason: str) -> str:
    said = f"{claim}: {reason}" if reason else claim
    return said if said.endswith((".", "!", "?", "。")) else f"{said}."
