"""The tool `problems`, and what parsers alone can tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from toolbench import Bench

from agentic.change import ABSENT, Applied, Change, Edit, Snapshot
from agentic.disk.problems import MAX_CHARS, check
from agentic.disk.workspace import DiskWorkspace
from agentic.errors import Refusal
from agentic.ports.problems import MAX_MESSAGE, MAX_PROBLEMS, Problem, Problems, report
from agentic.safety.paths import Roots

FILES = {"a.py": "x = 1\n", "src/b.py": "y = 1\n", "src/c.py": "z = 1\n"}


async def test_problems_are_lines_and_what_is_clean_is_said() -> None:
    bench = Bench(FILES)
    bench.workspace.found = [
        Problem("src/b.py", 3, "unused", "warning", "ruff", 5),
        Problem("src/b.py", 9, "no such\n  name", "error", "pyright"),
    ]
    assert (await bench.call("problems", {})).text.split("\n") == [
        "src/b.py:9:1: error: no such name (pyright)",
        "src/b.py:3:5: warning: unused (ruff)",
        "No problems are known in a.py, src/c.py, says the double.",
    ]


@pytest.mark.parametrize("arguments", [{"paths": ["a.py"]}, {"path": "a.py"}, {"paths": "a.py"}, {"files": ["a.py"]}])
async def test_paths_in_all_their_spellings(arguments: object) -> None:
    bench = Bench(FILES)
    bench.workspace.found = [Problem("src/b.py", 1, "else")]
    assert (await bench.call("problems", arguments)).text == "No problems are known in a.py, says the double."


@pytest.mark.parametrize("folder", ["src", "./src/", "src/b.py"])
async def test_a_folder_is_all_its_files(folder: str) -> None:
    bench = Bench(FILES)
    bench.workspace.found = [Problem("a.py", 1, "else"), Problem("src/b.py", 1, "bad")]
    assert (await bench.call("problems", {"paths": [folder]})).text.split("\n")[0] == "src/b.py:1:1: error: bad"


async def test_a_plan_may_look_at_problems() -> None:
    assert (await Bench(FILES, mode="plan").call("problems", {})).code == ""


async def test_a_path_outside_is_refused(tmp_path: Path) -> None:
    workspace = DiskWorkspace(Roots([tmp_path]))
    assert isinstance(found := await workspace.problems(["../x.py"]), Refusal)
    assert found.code == "outside_workspace"
    assert isinstance(found := await workspace.problems(["none.py"]), Refusal)
    assert found.code == "not_found"


async def test_a_report_is_bounded() -> None:
    many = [Problem("a.py", line, "m" * 5000) for line in range(1, 500)]
    lines = report(Problems(many)).split("\n")
    assert len(lines) == MAX_PROBLEMS + 1
    assert max(map(len, lines)) < MAX_MESSAGE + 60
    assert lines[-1] == "[399 more are not shown: name fewer paths.]"
    clean = report(Problems((), {f"{n:03}.py": "a parser" for n in range(100)}))
    assert len(clean) < 400
    assert clean.endswith("019.py and 80 more, says a parser.")


def test_what_nobody_can_tell_is_said() -> None:
    assert report(check([_file("notes.xyz", "(")])) == (
        "Nobody here can tell of notes.xyz. Run the project's own checks on them."
    )
    assert check([_file("README.md", "# (")]).unknown == ("README.md",)
    assert check([_file("big.go", "// x\n" * 100_000)]).unknown == ("big.go",)
    assert report(check([_file("big.json", "[" + " " * MAX_CHARS + "]")])).startswith(
        "Nobody here can tell of big.json"
    )
    assert report(Problems()) == "No file is open or was changed: name the paths to look at."


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("a.py", "def f(:\n    pass\n", (1, 7)),
        ("a.py", "x = 1\n\ny = 'ä😋' +\n", (3, 11)),
        ("a.json", '{\n  "a": 1,\n}', (3, 1)),
        ("a.py", "x = 1\0", (1, 1)),
        ("a.json", "[" * 100_000, (1, 1)),
        ("a.ts", "const a: = 3;\n", (1, 8)),
        ("a.go", "package x\n\nfunc (\n", (3, 1)),
        ("tsconfig.json", '// ours\n{"a": /* b */ 1}', None),
        ("a.rs", "fn main() {}\n", None),
        ("a.py", "x = 1\n", None),
        ("a.json", "{}", None),
    ],
)
def test_parsers_tell_the_place(name: str, text: str, wanted: tuple[int, int] | None) -> None:
    found = check([_file(name, text)])
    assert list(found.checked) == [name]
    assert [(one.line, one.column) for one in found.found] == ([wanted] if wanted else [])


async def test_without_paths_the_changed_files_are_checked(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("broken(\n")
    (tmp_path / "new.json").write_text("{}")
    workspace = DiskWorkspace(Roots([tmp_path]))
    assert await workspace.problems([]) == Problems()
    snapshot = await workspace.read("new.json")
    assert isinstance(snapshot, Snapshot)
    change = Change("new.json", snapshot.version, "{}", (Edit(1, 2, ""),))
    assert isinstance(await workspace.apply(change), Applied)
    found = await workspace.problems([])
    assert isinstance(found, Problems)
    assert [problem.path for problem in found.found] == ["new.json"]
    (tmp_path / "new.json").unlink()
    assert await workspace.problems([]) == Problems()


def _file(name: str, text: str) -> Snapshot:
    assert name
    return Snapshot(name, text, "v1" if text else ABSENT)
