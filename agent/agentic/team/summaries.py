"""What test runners print at their end, and which of an agent's commands is a run of tests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Results:
    """How many tests passed and failed; `errors` counts what could not even be run."""

    passed: int = 0
    failed: int = 0
    errors: int = 0

    @property
    def total(self) -> int:
        return self.passed + self.failed + self.errors

    def __add__(self, other: Results) -> Results:
        return Results(self.passed + other.passed, self.failed + other.failed, self.errors + other.errors)


def read_tests(output: str) -> Results | None:
    """The sum of the summaries in the output of pytest, unittest, Jest, Vitest, go or cargo; None where there is none.

    The runner whose summary comes first in this order is believed; several summaries of one runner are added up.
    """
    lines = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", output).replace("\r\n", "\n").split("\n")
    for read in (_pytest, _jest, _cargo, _go, _unittest):
        whole = sum((results for line in lines if (results := read(line)) is not None), Results())
        if whole.total > 0:
            return replace(whole, passed=max(0, whole.passed))
    return None


def usual_check(commands: Iterable[Sequence[str]]) -> str:
    """The command that most agents ran, each counted once, if it runs tests; else the one that any two ran.

    Commands that only look are left out. Ties: the shorter, then by the alphabet. Empty where there is none.
    """
    counts: dict[str, int] = {}
    for ran in commands:
        for command in {one.strip() for one in ran}:
            if command and not _LOOKS.match(command):
                counts[command] = counts.get(command, 0) + 1
    tests = {command: count for command, count in counts.items() if runs_tests(command)}
    usable = tests or {command: count for command, count in counts.items() if count > 1}
    return min(usable, key=lambda command: (-usable[command], len(command), command), default="")


def runs_tests(command: str) -> bool:
    """Whether a shell command runs tests, going by its words."""
    return _RUNS_TESTS.search(command) is not None


_RUNS_TESTS = re.compile(
    r"\b(?:pytest|unittest|tox|nox|jest|vitest|mocha|ctest|rspec|phpunit)\b"
    r"|\b(?:npm|pnpm|yarn|bun|deno)\s+(?:run\s+)?test\b"
    r"|\b(?:go|cargo|dotnet|mvn|mix|swift|zig\s+build)\s+(?:nextest\s+run|test)\b"
    r"|\b(?:make|just|gradle|gradlew)\s+(?:\S+\s+)*(?:test|check)\b"
)
_LOOKS = re.compile(r"(?:ls|cat|head|tail|find|grep|rg|pwd|echo|wc|tree|which|git\s+(?:status|diff|log|show))\b")

_WORDS = re.compile(r"(\d+) (passed|failed|errors?|xfailed|xpassed|skipped|deselected|warnings?|subtests passed)\b")


def _pytest(line: str) -> Results | None:
    """`=== 2 failed, 10 passed, 1 error in 0.30s ===`, with -q without the signs."""
    if not re.search(r"\bin \d+(?:\.\d+)?s\b", line) or line.lstrip().startswith("test result"):
        return None
    found = {word.rstrip("s"): int(number) for number, word in _WORDS.findall(line)}
    return Results(found.get("passed", 0), found.get("failed", 0), found.get("error", 0)) if found else None


def _jest(line: str) -> Results | None:
    """`Tests:       1 failed, 5 passed, 6 total`; Vitest: `Tests  1 failed | 5 passed (6)`."""
    match = re.match(r"\s*Tests:?\s+(\d+ .*)", line)
    if not match:
        return None
    found = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed)\b", match[1])}
    return Results(found.get("passed", 0), found.get("failed", 0))


def _cargo(line: str) -> Results | None:
    """`test result: FAILED. 3 passed; 1 failed; 0 ignored; …`"""
    match = re.match(r"\s*test result: \w+\. (\d+) passed; (\d+) failed", line)
    return Results(int(match[1]), int(match[2])) if match else None


def _go(line: str) -> Results | None:
    """`--- FAIL: TestName (0.00s)`, `ok  \\tpackage\\t0.01s`, `FAIL\\tpackage [build failed]`."""
    if re.match(r"FAIL\t.*\[(?:build|setup) failed\]", line):
        return Results(errors=1)
    match = re.match(r"\s*--- (PASS|FAIL): ", line)
    if match:
        return Results(passed=int(match[1] == "PASS"), failed=int(match[1] == "FAIL"))
    return Results(passed=1) if re.match(r"ok\s+\t?\S+\s+(?:\d|\(cached\))", line) else None


def _unittest(line: str) -> Results | None:
    """`Ran 5 tests in 0.001s`, and what of these did not pass: `FAILED (failures=1, errors=2)`."""
    if match := re.match(r"Ran (\d+) tests? in ", line):
        return Results(passed=int(match[1]))
    if not line.startswith("FAILED ("):
        return None
    found = {word: int(number) for word, number in re.findall(r"\b(failures|errors)=(\d+)", line)}
    failed, errors = found.get("failures", 0), found.get("errors", 0)
    return Results(-failed - errors, failed, errors)
