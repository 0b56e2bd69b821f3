"""Run the edit engine over a file of edit operations with known outcomes, and count what it gets right.

    python benchmarks/edit_cases.py PATH [--show]

One JSON object a line: `files_before`, `operation`, `files_after`, `error` (the engine must refuse), `class`.
Operations that the engine does not have are counted apart.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from agentic.change import ABSENT, Change, Snapshot
from agentic.edits.engine import Replacement, plan_edits, plan_write
from agentic.errors import Refusal

Case = dict[str, Any]
Files = dict[str, str]

_BLOCK = re.compile(
    r"^[<-]{5,9} ?SEARCH>?[ ]*\r?\n(?::start_line:.*\n)?(?::end_line:.*\n)?(?:-------\n)?"
    r"(.*?)^={5,9}[ ]*\r?\n(.*?)^[>+]{5,9} ?REPLACE",
    re.DOTALL | re.MULTILINE,
)


def main() -> None:
    show = "--show" in sys.argv
    counts: Counter[tuple[str, str]] = Counter()
    for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        outcome, detail = judge(case)
        counts[f"{case['operation']['tool']} {case['class']}", outcome] += 1
        if show and outcome == "wrong":
            print(f"{case['id']} [{case['operation']['tool']} {case['class']}]\n    {detail}")
    outcomes = ("right", "wrong", "not built")
    print(f"{'operation and class':<32}" + "".join(f"{name:>10}" for name in outcomes))
    for group in sorted({group for group, _ in counts}):
        print(f"{group:<32}" + "".join(f"{counts[group, name] or '':>10}" for name in outcomes))
    print(f"{'all':<32}" + "".join(f"{sum(n for (_, o), n in counts.items() if o == name):>10}" for name in outcomes))


def judge(case: Case) -> tuple[str, str]:
    """Right, wrong or not built, and what came out."""
    files = {path: text for path, text in case["files_before"].items() if isinstance(text, str)}
    result = run(case["operation"], files, set(case["files_before"]) - set(files))
    if result is None:
        return "not built", ""
    if isinstance(result, Refusal):
        return ("right" if case["error"] else "wrong"), f"refused: {result}"
    if case["error"]:
        return "wrong", f"should have refused: {case['error']!r:.200}"
    wanted = case["files_after"]
    if wanted is None:
        parts = case.get("checks", {}).get("contains_modulo_indent", [])
        text = bare("\n".join(result.values()))
        return ("right" if all(bare(part) in text for part in parts) else "wrong"), f"{result!r:.600}"
    wanted = {path: text for path, text in wanted.items() if isinstance(text, str)}
    return ("right" if result == wanted else "wrong"), f"got    {result!r:.900}\n    wanted {wanted!r:.900}"


def run(operation: Case, files: Files, unreadable: set[str]) -> Files | Refusal | None:
    """The files after, a refusal, or None where there is no such operation."""
    for path, wanted in steps(operation, files) or [("", None)]:
        if wanted is None:
            return None
        if path in unreadable:
            return Refusal("not_text", f"{path} is not UTF-8.")
        snapshot = Snapshot(path, files.get(path, ""), "1" if path in files else ABSENT)
        plan = plan_write(snapshot, wanted) if isinstance(wanted, str) else plan_edits(snapshot, wanted)
        if isinstance(plan, Refusal):
            return plan
        assert isinstance(plan, Change)
        files = {**files, path: plan.after}
    return files


def steps(operation: Case, files: Files) -> list[tuple[str, str | list[Replacement]]]:
    """What is done to which file: new content, or replacements."""
    match operation["tool"]:
        case "edit":
            return [(operation["path"], [replacement(operation)])]
        case "multi_edit":
            paths = list(dict.fromkeys(edit.get("path", operation.get("path")) for edit in operation["edits"]))
            return [
                (path, [replacement(e) for e in operation["edits"] if e.get("path", operation.get("path")) == path])
                for path in paths
            ]
        case "parallel_edits":
            return [(edit["path"], [replacement(edit)]) for edit in operation["edits"]]
        case "write":
            return [(operation["path"], operation["content"])]
        case "search_replace_text" if operation.get("text"):
            return blocks(operation, files)
        case _:
            return []


def replacement(edit: Case) -> Replacement:
    return Replacement(edit["old"], edit["new"], bool(edit.get("replace_all")))


def blocks(operation: Case, files: Files) -> list[tuple[str, str | list[Replacement]]]:
    """The search and replace blocks of an answer, by file."""
    text = operation["text"]
    found: dict[str, list[Replacement]] = {}
    path = operation.get("path") or next(iter(files), "new.txt")
    for match in _BLOCK.finditer(text):
        above = text[: match.start()].splitlines()[-2:]
        named = [line.strip(" `#:*") for line in above]
        path = operation.get("path") or next((name for name in named if name in files), path)
        found.setdefault(path, []).append(Replacement(match.group(1), match.group(2)))
    return list(found.items())


def bare(text: str) -> str:
    return "\n".join(line.strip() for line in text.split("\n"))


if __name__ == "__main__":
    main()
