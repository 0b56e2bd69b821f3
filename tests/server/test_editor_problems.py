"""What the editor's language servers say, as problems; and what is so where they say nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fake_editor import FULL, FakeEditor

from agentic.disk.problems import BY as PARSERS
from agentic.disk.workspace import DiskWorkspace
from agentic.errors import Refusal
from agentic.ports.problems import Problem, Problems
from agentic.safety.paths import Roots
from agentic_server.editor_port import EditorError
from agentic_server.editor_problems import BY, MAX_OF_ONE, STALE
from agentic_server.editor_workspace import EditorWorkspace
from agentic_server.to_lsp import uri_of

PYTHON = f"syntax of Python {sys.version_info.major}.{sys.version_info.minor}"
ABLE = replace(FULL, diagnostics=True)


def said(line: int, character: int, message: str = "bad", **fields: Any) -> dict[str, Any]:
    start = {"line": line, "character": character}
    return {"range": {"start": start, "end": start}, "message": message, "data": {"x": [1]}, "tags": [1], **fields}


def item(path: Path, *diagnostics: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"uri": uri_of(str(path)), "diagnostics": list(diagnostics), **fields}


class Place:
    """A folder, an editor over it that tells diagnostics, and the workspace that they make."""

    def __init__(self, folder: Path, profile: Any = ABLE) -> None:
        self.folder = folder
        self.editor = FakeEditor(profile)
        self.asked: list[list[str]] = []
        roots = Roots([folder])
        self.workspace = EditorWorkspace(DiskWorkspace(roots), roots, self.editor, settle=0.05)

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return path

    def tells(self, *items: Any) -> None:
        def answer(uris: Sequence[str]) -> object:
            self.asked.append(list(uris))
            return {"items": list(items)}

        self.editor.told = answer

    async def problems(self, *paths: str) -> Problems:
        found = await self.workspace.problems(paths)
        assert isinstance(found, Problems), found
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(("encoding", "character"), [("utf-8", 7), ("utf-16", 5), ("utf-32", 4)])
async def test_positions_are_the_clients_and_columns_are_code_points(
    tmp_path: Path, encoding: Any, character: int
) -> None:
    place = Place(tmp_path, replace(ABLE, encoding=encoding))
    path = place.file("a.py", "x = 1\n# 😋?\n")
    place.editor.open(path)
    place.tells(item(path, said(1, character, "what?", source="pyright", code="strange", severity=2)))
    found = await place.problems("a.py")
    assert list(found.found) == [Problem("a.py", 2, "what?", "warning", "pyright strange", 5)]
    assert found.checked == {"a.py": BY}


async def test_unsaved_text_counts_for_the_place(place: Place) -> None:
    path = place.file("a.py", "x\n")
    place.editor.open(path, "one\ntwo\nthree\n")
    place.tells(item(path, said(2, 3)))
    [problem] = (await place.problems()).found
    assert (problem.line, problem.column, problem.severity, problem.source) == (3, 4, "error", BY)


async def test_a_place_that_is_not_there_is_moved_into_the_text(place: Place) -> None:
    path = place.file("a.py", "x = 1\n")
    place.tells(item(path, said(900, 900), said(0, 900)))
    assert [(p.line, p.column) for p in (await place.problems("a.py")).found] == [(2, 1), (1, 6)]


async def test_what_was_said_of_an_older_text_is_marked(place: Place) -> None:
    path = place.file("a.py", "x = 1\n")
    clean = place.file("b.py", "y = 1\n")
    for one in (path, clean):
        place.editor.open(one)
        place.editor.type(one, 0, "# ")
    place.editor.report()
    place.tells(item(path, said(0, 0, source="ruff"), version=1), item(clean, version=2))
    found = await place.problems()
    assert [problem.source for problem in found.found] == [f"ruff{STALE}"]
    assert found.checked == {"a.py": BY + STALE, "b.py": BY}


async def test_proposals_of_ours_are_no_problems(place: Place) -> None:
    path = place.file("a.py", "x = 1\n")
    place.tells(item(path, said(0, 0, source="agentic"), said(0, 1, source="agentic-lint")))
    assert [problem.source for problem in (await place.problems("a.py")).found] == ["agentic-lint"]


async def test_documents_are_asked_for_as_the_client_spells_them_and_only_those_count(place: Place) -> None:
    opened, closed = place.file("ä b.py", "x\n"), place.file("c.py", "y\n")
    place.file("d.py", "z(\n")
    place.editor.open(opened)
    spelled = place.editor.buffers[str(opened)].uri.replace("%20", " ")
    place.editor.mirror[str(opened)] = replace(place.editor.buffers[str(opened)], uri=spelled)
    place.tells(item(opened, said(0, 0)), item(closed), item(place.folder / "else.py", said(0, 0)))
    found = await place.problems("ä b.py", "./c.py")
    assert place.asked == [[spelled, uri_of(str(closed))]]
    assert [problem.path for problem in found.found] == ["ä b.py"]
    assert found.checked == {"ä b.py": BY, "c.py": BY}


async def test_nothing_outside_the_workspace_comes_in(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    place = Place(tmp_path / "in")
    outside = tmp_path / "secret.py"
    outside.write_text("x\n")
    (tmp_path / "in" / "link.py").symlink_to(outside)
    git = {"uri": "git:/in/a.py", "diagnostics": [said(0, 0)]}
    place.tells(item(outside, said(0, 0)), item(tmp_path / "in" / "link.py", said(0, 0)), git)
    assert await place.problems() == Problems()
    assert isinstance(found := await place.workspace.problems(["../secret.py"]), Refusal)
    assert found.code == "outside_workspace"


async def test_files_that_no_language_server_knows_are_parsed(place: Place) -> None:
    known = place.file("a.py", "x = 1\n")
    place.editor.open(known)
    place.editor.open(place.file("b.py", "fine = 1\n"), "broken(\n")
    place.editor.open(place.file("c.xyz", "?\n"))
    place.tells(item(known))
    found = await place.problems()
    assert [(problem.path, problem.source) for problem in found.found] == [("b.py", PYTHON)]
    assert found.checked == {"a.py": BY, "b.py": PARSERS}
    assert found.unknown == ("c.xyz",)


async def test_an_editor_that_does_not_offer_it_is_not_asked(tmp_path: Path) -> None:
    place = Place(tmp_path, FULL)
    path = place.file("a.py", "x(\n")
    place.tells(item(path))
    assert (await place.problems("a.py")).checked == {"a.py": PARSERS}
    assert place.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        EditorError("gave no answer"),
        None,
        [],
        {"items": [{"uri": 5}]},
        {"items": [{"uri": "file:///a.py", "diagnostics": [{"message": "no place"}]}]},
        {"items": [{"uri": "file:///a.py", "diagnostics": [said(0, 0, severity=9)]}]},
    ],
)
async def test_an_answer_that_is_none_leaves_the_parsers(place: Place, answer: object) -> None:
    place.file("a.py", "x(\n")
    place.editor.told = lambda _: answer
    found = await place.problems("a.py")
    assert [problem.source for problem in found.found] == [PYTHON]


async def test_thousands_of_diagnostics_are_cut_to_the_worst(place: Place) -> None:
    path = place.file("a.py", "x\n" * 10)
    many = [said(n % 10, 0, severity=4) for n in range(5000)] + [said(3, 0, "worst", severity=1)]
    place.tells(item(path, *many))
    found = (await place.problems("a.py")).found
    assert len(found) == MAX_OF_ONE
    assert found[0].message == "worst"
