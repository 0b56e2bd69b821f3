"""What is found on disk: ignored files, globs, and searching with ripgrep and without."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.workspaces import write

from agentic.disk.glob import matcher
from agentic.disk.search import search
from agentic.disk.tree import walk
from agentic.disk.workspace import DiskWorkspace
from agentic.errors import Refusal
from agentic.ports.workspace import MAX_FILE_BYTES, Entry, Match
from agentic.safety.paths import Roots

FOREST = {
    ".gitignore": "*.log\n/build/\nnode_modules/\n!keep.log\ndocs/**\n!docs/kept.md\n# note\n\n!\n",
    "a.txt": "needle\n",
    "a.log": "needle\n",
    "keep.log": "needle\n",
    "build/x.txt": "needle\n",
    "src/build/x.txt": "needle needle\n",
    "src/.gitignore": "\ufeff*.tmp\n!a.log\n",
    "src/a.tmp": "needle\n",
    "src/a.log": "needle\n",
    "src/deep/.gitignore": "!*.tmp\n/local\n",
    "src/deep/b.tmp": "needle\n",
    "src/deep/local": "needle\n",
    "src/node_modules/x.js": "needle\n",
    "docs/a.md": "needle\n",
    "docs/kept.md": "needle\n",
    ".hidden/x": "needle\n",
    ".git/config": "needle\n",
    ".ignore": "a.txt\n",
    "crlf.txt": "one\r\nneedle\r\nend needle\r\n",
    "bom.txt": "\ufeffneedle\nx\n",
    "no-end.txt": "x\nneedle",
    "ünï/ñ é.txt": "näh needle ✂\n",
    "binary": b"needle\n\0needle\n",
    "late": b"needle\n" * 12_000 + b"\0",
    "latin": b"caf\xe9 needle\n",
    "utf16": "needle\n".encode("utf-16"),
    "long.txt": "x" * 100_000 + "needle\n",
    "long2.txt": "needle" + "y" * 100_000 + "\n",
    "big.txt": b"needle\n" + b"x" * MAX_FILE_BYTES,
    "form\x0cfeed": "needle\n",
    "feed.txt": "a\x0cb\u2028needle\n",
    "B.txt": "needle\n",
    "a-b/c": "needle\n",
    "a/c": "needle\n",
}


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forest") / "forest"
    for path, content in FOREST.items():
        write(folder / path, content)
    (folder / "link.txt").symlink_to("a.txt")
    (folder / "round").symlink_to(".")
    write(folder.parent / "outside", "needle\n")
    (folder / "out").symlink_to("../outside")
    return folder


PATTERNS = [
    "needle",
    "^needle$",
    "(?i)NEEDLE",
    "n[eä]",
    "needle ✂$",
    r"^\S+ needle ✂",
    r"\bx\b",
    "^end",
    "-x",
    "a.b",
    r"\x41",
    "",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("glob", ["", "*.txt", "src/**"])
async def test_ripgrep_and_python_find_the_same(forest: Path, pattern: str, glob: str) -> None:
    roots = Roots([forest])
    fast = await search(roots, pattern, glob, 1000)
    slow = await search(roots, pattern, glob, 1000, ripgrep=False)
    assert isinstance(fast, list)
    assert fast == slow
    assert await search(roots, pattern, glob, 3) == fast[:3] == await search(roots, pattern, glob, 3, ripgrep=False)


async def test_searching_passes_over_what_is_ignored_or_no_text(forest: Path) -> None:
    found = await search(Roots([forest]), "needle", "", 1000)
    assert isinstance(found, list)
    texts = [
        "B.txt",
        "a.txt",
        "bom.txt",
        "crlf.txt",
        "feed.txt",
        "latin",
        "long.txt",
        "long2.txt",
        "no-end.txt",
        "utf16",
    ]
    deep = [".hidden/x", "a-b/c", "a/c", "docs/kept.md", "keep.log", "src/a.log", "src/build/x.txt", "src/deep/b.tmp"]
    assert {match.path for match in found} == {*texts, *deep, "ünï/ñ é.txt"}
    assert [match for match in found if match.path == "crlf.txt"] == [
        Match("crlf.txt", 2, "needle"),
        Match("crlf.txt", 3, "end needle"),
    ]


async def test_patterns_that_only_python_knows(forest: Path) -> None:
    assert await search(Roots([forest]), r"(?<=end )needle", "", 10) == [Match("crlf.txt", 3, "end needle")]
    refused = await search(Roots([forest]), "[", "", 10)
    assert isinstance(refused, Refusal)
    assert refused.code == "bad_arguments"


async def test_finding_and_listing_pass_over_the_same(forest: Path) -> None:
    workspace = DiskWorkspace(Roots([forest]))
    found = await workspace.find("**", 1000)
    assert found == sorted(walk(forest))
    assert await workspace.find("*.{log,tmp}", 10) == ["keep.log", "src/a.log", "src/deep/b.tmp"]
    listed = await workspace.list("src/deep")
    assert listed == [Entry("src/deep/.gitignore", False, 14), Entry("src/deep/b.tmp", False, 7)]
    top = await workspace.list(".")
    assert isinstance(top, list)
    assert not {"out", ".git", "build", "a.log"} & {entry.path for entry in top}
    assert Entry("link.txt", False, 7) in top


def test_the_walk_agrees_with_git(forest: Path, tmp_path: Path) -> None:
    """Git itself is asked which files it would not ignore; names that no path may hold are left aside."""
    git = ["git", f"--git-dir={tmp_path}/repository", f"--work-tree={forest}"]
    subprocess.run([*git, "init", "-q"], check=True)
    command = [*git, "ls-files", "-z", "--others", "--exclude-per-directory=.gitignore"]
    listed = subprocess.run(command, cwd=forest, capture_output=True, check=True).stdout.decode().split("\0")
    files = {path for path in listed if path and not (forest / path).is_symlink() and "\x0c" not in path}
    assert set(walk(forest)) == files


async def test_several_folders(tmp_path: Path) -> None:
    write(tmp_path / "one/a.txt", "needle\n")
    write(tmp_path / "two/b.txt", "needle\n")
    workspace = DiskWorkspace(Roots([tmp_path / "one", tmp_path / "two"]))
    assert workspace.roots == ("one", "two")
    assert await workspace.list(".") == [Entry("one", True), Entry("two", True)]
    assert await workspace.list("two") == [Entry("two/b.txt", False, 7)]
    assert await workspace.find("*.txt", 5) == ["one/a.txt", "two/b.txt"]
    expected = [Match("one/a.txt", 1, "needle"), Match("two/b.txt", 1, "needle")]
    assert await workspace.search("needle", "", 5) == expected
    assert await search(Roots([tmp_path / "one", tmp_path / "two"]), "needle", "", 5, ripgrep=False) == expected
    assert await workspace.search("needle", "two/*", 5) == expected[1:]


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("*.py", ["a.py", "x/y/a.py"], ["a.pyc", "py"]),
        ("src/*.py", ["src/a.py"], ["src/x/a.py", "a/src/b.py"]),
        ("src/**", ["src/a", "src/x/y"], ["a/src/b"]),
        ("**/test/**/*.c", ["test/a.c", "a/test/b/c/d.c"], ["test.c"]),
        ("*.{ts,tsx}", ["a.ts", "b/a.tsx"], ["a.t"]),
        ("{a,b/{c,d}}.x", ["a.x", "b/c.x", "b/d.x"], ["c.x"]),
        ("/a", ["a"], ["b/a"]),
        ("./a/b", ["a/b"], ["b"]),
        ("[ab]?", ["ax", "c/by"], ["cx", "a"]),
        ("a{b}", ["a{b}"], ["ab"]),
    ],
)
def test_globs(glob: str, yes: list[str], no: list[str]) -> None:
    matches = matcher(glob)
    assert [path for path in [*yes, *no] if matches(path)] == yes


@given(
    st.lists(st.sampled_from(["a", "b", "**", "*", "?", "a*"]), min_size=2, max_size=6),
    st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=6),
)
def test_globs_agree_with_a_slow_reference(pattern: list[str], parts: list[str]) -> None:
    def fits(p: int, i: int) -> bool:
        if p == len(pattern):
            return i == len(parts)
        if pattern[p] == "**":
            return any(fits(p + 1, j) for j in range(i, len(parts) + 1))
        ok = (
            i < len(parts)
            and {
                "a": parts[i] == "a",
                "b": parts[i] == "b",
                "*": True,
                "?": len(parts[i]) == 1,
                "a*": parts[i][0] == "a",
            }[pattern[p]]
        )
        return ok and fits(p + 1, i + 1)

    assert matcher("/".join(pattern))("/".join(parts)) == fits(0, 0)


def test_hostile_globs_are_matched_in_bounded_time() -> None:
    path = "/".join(["a" * 200] * 30)
    assert not matcher("**/" * 25 + "x")(path)
    assert not matcher("*a" * 60 + "b")(path)
    assert not matcher("{a,b}" * 40)(path)
