from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lsprotocol import types
from support.fake_editor import FULL, Broken, FakeEditor, Late, Mangling, No, Yes

from agentic.change import ABSENT, Applied, Change, Snapshot, minimal_edits
from agentic.disk.journal import Journal
from agentic.disk.workspace import DiskWorkspace
from agentic.errors import Refusal
from agentic.ports.store import MemoryStore
from agentic.ports.workspace import Command, Exit, Match, Output
from agentic.safety.paths import Roots
from agentic_server.editor_workspace import ClosedFiles, EditorWorkspace

TEXT = "alpha\nbeta\ngamma\n"
SETTLE = 0.05


def made(editor: FakeEditor, root: Path, closed: ClosedFiles = "auto") -> EditorWorkspace:
    roots = Roots([root])
    return EditorWorkspace(DiskWorkspace(roots), roots, editor, closed, settle=SETTLE)


def text_of(path: Path) -> str:
    return path.read_bytes().decode()


def write(path: Path, text: str) -> None:
    path.write_bytes(text.encode())


async def change_of(workspace: EditorWorkspace, path: str, after: str) -> Change:
    snapshot = await workspace.read(path)
    assert isinstance(snapshot, Snapshot)
    return Change(path, snapshot.version, snapshot.text, minimal_edits(snapshot.text, after))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text(TEXT)
    return path


async def test_the_unsaved_text_is_what_is_read(file: Path):
    editor = FakeEditor()
    editor.open(file, "unsaved\n")
    workspace = made(editor, file.parent)
    snapshot = await workspace.read("a.txt")
    assert isinstance(snapshot, Snapshot)
    assert (snapshot.text, snapshot.open, snapshot.version[:3]) == ("unsaved\n", True, "v1-")
    assert await workspace.unsaved() == ["a.txt"]


async def test_a_version_tells_texts_apart_although_the_client_counts_from_anew(file: Path):
    editor = FakeEditor()
    workspace = made(editor, file.parent)
    versions: list[str] = []
    for text in ("one", "two"):
        editor.open(file, text)
        snapshot = await workspace.read("a.txt")
        assert isinstance(snapshot, Snapshot)
        versions.append(snapshot.version)
        editor.close(file)
    assert versions[0] != versions[1]


async def test_a_file_that_is_no_text_on_disk_is_refused_although_it_is_open(tmp_path: Path):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    editor = FakeEditor()
    editor.open(tmp_path / "latin.txt", "café\n")
    refusal = await made(editor, tmp_path).read("latin.txt")
    assert isinstance(refusal, Refusal)
    assert refusal.code == "not_text"


async def test_searching_sees_unsaved_text_and_not_what_it_hides(file: Path):
    (file.parent / "b.txt").write_text("beta\n")
    (file.parent / "c.md").write_text("beta\n")
    editor = FakeEditor()
    editor.open(file, "alpha\nnew\nnew beta\n")
    workspace = made(editor, file.parent)
    both = [Match("a.txt", 3, "new beta"), Match("b.txt", 1, "beta")]
    assert await workspace.search("beta", "*.txt", 10) == both
    assert await workspace.search("beta", "*.txt", 1) == both[:1]
    assert await workspace.search("gamma", "", 10) == []
    assert await workspace.search("beta", "*.md", 10) == [Match("c.md", 1, "beta")]


async def test_a_copy_holds_what_the_user_sees(file: Path):
    """Unsaved text and documents that were never saved; what git keeps for itself is in no copy."""
    (file.parent / "b.txt").write_text("saved\n")
    (file.parent / ".git").mkdir()
    editor = FakeEditor()
    for name, text in {"a.txt": "unsaved\n", "new/c.txt": "new\n", ".git/COMMIT_EDITMSG": "wip\n"}.items():
        editor.open(file.parent / name, text)
    workspace = made(editor, file.parent)
    checkout = await workspace.check_out()
    assert not isinstance(checkout, Refusal)
    command = Command("cat a.txt b.txt new/c.txt; test ! -e .git; echo typed > b.txt")
    said = [piece async for piece in checkout.run(command)]
    assert said[-1] == Exit(0)
    assert "".join(piece.text for piece in said if isinstance(piece, Output)) == "unsaved\nsaved\nnew\n"
    assert await checkout.changes() == {"b.txt": "typed\n"}
    assert checkout.came_with("a.txt", "unsaved\n")
    await checkout.aclose()
    assert (text_of(file), text_of(file.parent / "b.txt")) == (TEXT, "saved\n")
    assert editor.text(file) == "unsaved\n"


async def test_a_document_that_no_copy_can_hold_is_told_before_a_command_runs(file: Path):
    editor = FakeEditor()
    editor.open(file, "half a character: \ud800\n")
    refused = await made(editor, file.parent).check_out()
    assert isinstance(refused, Refusal)
    assert refused.code == "not_text"


async def test_hidden_matches_do_not_use_up_the_limit(file: Path):
    (file.parent / "a.txt").write_text("beta\n" * 50)
    (file.parent / "b.txt").write_text("beta\n")
    editor = FakeEditor()
    editor.open(file, "nothing\n")
    assert await made(editor, file.parent).search("beta", "", 1) == [Match("b.txt", 1, "beta")]


async def test_a_document_that_was_never_saved_is_found_and_listed(file: Path):
    editor = FakeEditor()
    editor.open(file.parent / "new.txt", "text")
    workspace = made(editor, file.parent)
    assert await workspace.find("*.txt", 10) == ["a.txt", "new.txt"]
    entries = await workspace.list(".")
    assert not isinstance(entries, Refusal)
    assert [(e.path, e.size) for e in entries] == [("a.txt", len(TEXT)), ("new.txt", 4)]


async def test_an_edit_of_an_open_file_is_one_versioned_minimal_edit(file: Path):
    editor = FakeEditor()
    editor.open(file)
    workspace = made(editor, file.parent)
    result = await workspace.apply(await change_of(workspace, "a.txt", "alpha\nBETA\ngamma\ndelta\n"))
    assert isinstance(result, Applied)
    assert (result.text, result.saved, result.rebased) == ("alpha\nBETA\ngamma\ndelta\n", False, False)
    assert text_of(file) == TEXT
    [edit] = editor.edits
    [only] = edit.document_changes or []
    assert isinstance(only, types.TextDocumentEdit)
    assert only.text_document.version == 1
    assert [(e.range.start.line, getattr(e, "new_text", "")) for e in only.edits] == [(1, "BETA"), (3, "delta\n")]


async def test_a_client_without_document_changes_gets_plain_changes(file: Path):
    editor = FakeEditor(replace(FULL, document_changes=False))
    editor.open(file)
    workspace = made(editor, file.parent)
    assert isinstance(await workspace.apply(await change_of(workspace, "a.txt", "x\n")), Applied)
    assert editor.edits[0].document_changes is None
    assert editor.text(file) == "x\n"


async def test_what_is_there_already_is_applied_and_nothing_is_sent(file: Path):
    editor = FakeEditor()
    editor.open(file)
    workspace = made(editor, file.parent)
    change = await change_of(workspace, "a.txt", "alpha\nalpha\nbeta\ngamma\n")
    editor.type(file, 0, "alpha\n")
    editor.report()
    assert isinstance(await workspace.apply(change), Applied)
    assert editor.edits == []


@pytest.mark.parametrize("kind", [Yes, Broken])
async def test_an_edit_that_is_not_made_is_refused_whatever_the_editor_says(file: Path, kind: type[FakeEditor]):
    editor = kind()
    editor.open(file)
    workspace = made(editor, file.parent)
    result = await workspace.apply(await change_of(workspace, "a.txt", "x\n"))
    assert isinstance(result, Refusal)
    assert result.code == "rejected"
    assert (editor.text(file), text_of(file)) == (TEXT, TEXT)


async def test_an_edit_that_is_made_is_applied_although_the_editor_denies_it(file: Path):
    editor = No()
    editor.open(file)
    workspace = made(editor, file.parent)
    assert isinstance(await workspace.apply(await change_of(workspace, "a.txt", "x\n")), Applied)


async def test_an_edit_may_be_reported_after_the_answer(file: Path):
    editor = Late()
    editor.open(file)
    roots = Roots([file.parent])
    workspace = EditorWorkspace(DiskWorkspace(roots), roots, editor, settle=30)
    applying = asyncio.create_task(workspace.apply(await change_of(workspace, "a.txt", "x\n")))
    await editor.arrived.wait()
    editor.due.set()
    assert isinstance(await applying, Applied)


async def test_an_editor_that_makes_something_else_never_gets_a_yes(file: Path):
    editor = Mangling()
    editor.open(file)
    workspace = made(editor, file.parent)
    result = await workspace.apply(await change_of(workspace, "a.txt", "x\n"))
    assert isinstance(result, Refusal)


async def test_typing_in_between_is_kept(file: Path):
    editor = FakeEditor()
    editor.open(file)
    workspace = made(editor, file.parent)
    editor.before_edit = [lambda: editor.type(file, 0, "typed ")]
    result = await workspace.apply(await change_of(workspace, "a.txt", "alpha\nbeta\nGAMMA\n"))
    assert isinstance(result, Applied)
    assert (result.text, result.rebased, len(editor.edits)) == ("typed alpha\nbeta\nGAMMA\n", True, 2)


async def test_typing_in_the_same_place_is_a_conflict_that_names_the_line(file: Path):
    editor = FakeEditor()
    editor.open(file)
    workspace = made(editor, file.parent)
    editor.before_edit = [lambda: editor.type(file, 6, "zzzz", erase=4)]
    result = await workspace.apply(await change_of(workspace, "a.txt", "alpha\nBETA\ngamma\n"))
    assert isinstance(result, Refusal)
    assert result.code == "conflict"
    assert "line 2" in result.message
    assert editor.text(file) == "alpha\nzzzz\ngamma\n"


async def test_an_open_document_wins_over_a_changed_file(file: Path):
    editor = FakeEditor()
    editor.open(file)
    workspace = made(editor, file.parent)
    write(file, "changed on disk\n")
    result = await workspace.apply(await change_of(workspace, "a.txt", "alpha\nbeta\nGAMMA\n"))
    assert isinstance(result, Applied)
    assert (result.saved, text_of(file)) == (False, "changed on disk\n")


async def test_a_closed_file_is_written_to_disk_and_one_that_the_client_saves_through_it(file: Path):
    editor = FakeEditor()
    assert isinstance(
        await made(editor, file.parent).apply(Change("n.txt", ABSENT, "", minimal_edits("", "n"))), Applied
    )
    assert (text_of(file.parent / "n.txt"), editor.edits) == ("n", [])
    saving = FakeEditor(replace(FULL, saves_closed_files=True))
    saving.after_edit = [lambda: write(file.parent / "m.txt", "m")]
    result = await made(saving, file.parent).apply(Change("m.txt", ABSENT, "", minimal_edits("", "m")))
    assert isinstance(result, Applied)
    assert (result.saved, saving.text(file.parent / "m.txt"), len(saving.edits)) == (True, "m", 1)


async def test_a_closed_file_that_the_editor_refuses_is_not_written_behind_its_back(file: Path):
    editor = Broken()
    workspace = made(editor, file.parent, "workspaceEdit")
    result = await workspace.apply(await change_of(workspace, "a.txt", "x\n"))
    assert isinstance(result, Refusal)
    assert text_of(file) == TEXT


async def test_git_files_are_not_written_although_they_are_open(tmp_path: Path):
    hook = tmp_path / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(parents=True)
    hook.write_text("true\n")
    editor = FakeEditor()
    editor.open(hook)
    result = await made(editor, tmp_path).apply(Change(".git/hooks/pre-commit", "v1", "true\n", minimal_edits("", "x")))
    assert isinstance(result, Refusal)
    assert (result.code, editor.edits) == ("denied", [])


async def test_an_edit_is_written_down_before_it_is_sent(file: Path):
    store = MemoryStore()
    editor = Yes()
    editor.open(file)
    workspace = made(editor, file.parent).for_turn(Journal(store, "s", "t"))
    await workspace.apply(await change_of(workspace, "a.txt", "x\n"))
    [intent] = await store.intents("s", "t")
    assert (intent.state, intent.before, intent.after, intent.target) == ("failed", TEXT, "x\n", "a.txt")


@pytest.mark.parametrize(("kind", "state"), [(Yes, "failed"), (FakeEditor, "done")])
async def test_a_closed_file_written_by_the_editor_is_journalled(
    file: Path, kind: type[FakeEditor], state: str
) -> None:
    store = MemoryStore()
    editor = kind(replace(FULL, saves_closed_files=True))
    workspace = made(editor, file.parent).for_turn(Journal(store, "s", "t"))
    await workspace.apply(await change_of(workspace, "a.txt", "x\n"))
    [intent] = await store.intents("s", "t")
    assert (intent.state, intent.before, intent.after, intent.existed) == (state, TEXT, "x\n", True)


Typing = tuple[int, int]
scripts = st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3)), max_size=3), max_size=4)


class User:
    """Types characters that nobody else uses, so that each of them can be found again."""

    def __init__(self, editor: FakeEditor, path: Path) -> None:
        self._editor = editor
        self._path = path
        self.typed = ""

    def turn(self, typing: list[Typing]) -> Callable[[], None]:
        def type_it() -> None:
            for offset, length in typing:
                text = "".join(chr(0xE000 + len(self.typed) + i) for i in range(length))
                self.typed += text
                self._editor.type(self._path, offset, text)

        return type_it

    def others(self, text: str) -> str:
        return "".join(char for char in text if char not in self.typed)


def run(kind: type[FakeEditor], texts: tuple[str, str], turns: tuple[list[list[Typing]], list[list[Typing]]]) -> None:
    """Apply a change while the user types before their editor gets it, and before they report it.

    Among lines that repeat, a place cannot always be told from its like; but nothing may be lost or made twice.
    """
    before, after = texts

    async def scenario(path: Path) -> None:
        write(path, before)
        editor = kind()
        editor.open(path)
        user = User(editor, path)
        workspace = EditorWorkspace(DiskWorkspace(Roots([path.parent])), Roots([path.parent]), editor, settle=0.001)
        change = await change_of(workspace, "a.txt", after)
        editor.before_edit = [user.turn(typing) for typing in turns[0]]
        editor.after_edit = [user.turn(typing) for typing in turns[1]]
        result = await workspace.apply(change)
        text = editor.text(path)
        assert set(user.typed) <= set(text), "a typed character was lost"
        if isinstance(result, Applied):
            assert Counter(user.others(text)) == Counter(after)
            assert result.text == text
        elif kind is FakeEditor and not any(turns[1]):
            assert user.others(text) == before

    with TemporaryDirectory() as folder:
        asyncio.run(scenario(Path(folder).resolve() / "a.txt"))


repeating = st.lists(st.sampled_from(["a\n", "b\n", "aa b\n", "\n", "x"]), max_size=6).map("".join)
distinct = st.lists(st.sampled_from([f"{c} {c * 3}\n" for c in "abcdefgh"]), unique=True, max_size=6).map("".join)


@settings(max_examples=150, deadline=None)
@example(("a\n", "a\na\n"), [], [[(0, 1), (2, 1)]])
@given(st.sampled_from([repeating, distinct]).flatmap(lambda texts: st.tuples(texts, texts)), scripts, scripts)
def test_no_interleaving_with_an_honest_editor_loses_what_the_user_typed(
    texts: tuple[str, str], earlier: list[list[Typing]], later: list[list[Typing]]
):
    run(FakeEditor, texts, (earlier, later))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([Yes, No, Mangling]), st.tuples(repeating, repeating), scripts)
def test_no_lying_editor_gets_a_change_reported_that_is_not_there(
    kind: type[FakeEditor], texts: tuple[str, str], earlier: list[list[Typing]]
):
    if kind is not Mangling or texts[0] != texts[1]:
        run(kind, texts, (earlier, []))
