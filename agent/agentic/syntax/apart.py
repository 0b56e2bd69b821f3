"""Syntax errors, found in a process of its own: the parsers are C, and some texts crash them or keep them for minutes.

Run as a program it reads a line of JSON, `[path, text]`, for each file, and answers with a line each:
`[[line, column, message], ...]`, or null where no parser reads the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence

from agentic.ports.workspace import Problem
from agentic.syntax.errors import errors_in
from agentic.syntax.parsing import may_parse, parse

SECONDS = 5.0
"""How long all files of one question may take."""
_MAX_MEMORY = 2_000_000_000
_KEPT = ("PATH", "HOME", "SYSTEMROOT", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")


def errors_apart(files: Sequence[tuple[str, str]], seconds: float = SECONDS) -> list[list[Problem] | None]:
    """`errors` for each file; None where no parser reads it, or has not come to its end. Blocking; never raises."""
    asked = [index for index, (path, text) in enumerate(files) if may_parse(path, text)]
    answers: dict[int, list[Problem] | None] = {}
    if asked:
        answers = dict(zip(asked, _ask([files[index] for index in asked], seconds), strict=True))
    return [answers.get(index) for index in range(len(files))]


def _ask(files: Sequence[tuple[str, str]], seconds: float) -> list[list[Problem] | None]:
    question = "".join(f"{json.dumps(file)}\n" for file in files)
    environment = {name: value for name, value in os.environ.items() if name in _KEPT}
    command = [sys.executable, "-P", "-X", "utf8", "-m", "agentic.syntax.apart"]
    try:
        said = subprocess.run(
            command, input=question.encode(), capture_output=True, timeout=seconds, env=environment, check=False
        ).stdout
    except subprocess.TimeoutExpired as expired:
        said = expired.stdout or b""
    except OSError:
        said = b""
    answers = [json.loads(line) for line in said.split(b"\n")[:-1]]
    answers += [None] * (len(files) - len(answers))
    return [_problems(path, answer) for (path, _), answer in zip(files, answers, strict=True)]


def main() -> None:
    """Answer every line of the standard input."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin.buffer:
        path, text = json.loads(line)
        found = errors_in(parsed) if (parsed := parse(path, text)) else None
        told = None if found is None else [(one.line, one.column, one.message) for one in found]
        sys.stdout.write(f"{json.dumps(told)}\n")
        sys.stdout.flush()


def _problems(path: str, answer: list[tuple[int, int, str]] | None) -> list[Problem] | None:
    if answer is None:
        return None
    return [Problem(path, line, message, source="syntax", column=column) for line, column, message in answer]


if __name__ == "__main__":
    main()
