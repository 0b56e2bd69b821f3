"""The workspace on disk beyond the contract: modes, links, odd files, crashes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.workspaces import write

from agentic.change import ABSENT, Applied, Change, Edit, Snapshot, minimal_edits
from agentic.disk.files import version_of, write_bytes
from agentic.disk.journal import Journal, edit_intent, recover, settle_interrupted, to_its_end
from agentic.disk.search import search
from agentic.disk.workspace import DiskWorkspace
from agentic.errors import Refusal, StoreError
from agentic.ports.store import Intent, MemoryStore
from agentic.ports.workspace import MAX_FILE_BYTES
from agentic.safety.paths import Roots


async def edit(workspace: DiskWorkspace, path: str, after: str) -> Applied | Refusal:
    before = await workspace.read(path)
    assert isinstance(before, Snapshot), before
    return await workspace.apply(Change(path, before.version, before.text, minimal_edits(before.text, after)))


def tree_of(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


async def test_a_write_keeps_the_mode_and_leaves_nothing_else(tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text("one\n")
    script.chmod(0o750)
    assert isinstance(await edit(DiskWorkspace(Roots([tmp_path])), "run.sh", "two\n"), Applied)
    assert stat.S_IMODE(script.stat().st_mode) == 0o750
    assert tree_of(tmp_path) == {"run.sh": b"two\n"}


async def test_a_new_file_gets_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    await edit(DiskWorkspace(Roots([tmp_path])), "new", "x")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


async def test_a_write_through_a_link_changes_the_target_and_keeps_the_link(tmp_path: Path) -> None:
    write(tmp_path / "docs/real.md", "one\n")
    (tmp_path / "link.md").symlink_to("docs/real.md")
    applied = await edit(DiskWorkspace(Roots([tmp_path])), "link.md", "two\n")
    assert isinstance(applied, Applied)
    assert applied.path == "link.md"
    assert (tmp_path / "link.md").is_symlink()
    assert (tmp_path / "docs/real.md").read_text() == "two\n"


async def test_the_version_is_the_hash_of_the_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a", b"\xef\xbb\xbfx")
    found = await DiskWorkspace(Roots([tmp_path])).read("a")
    assert found == Snapshot("a", "x", "sha256:" + hashlib.sha256(b"\xef\xbb\xbfx").hexdigest())


async def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        workspace = DiskWorkspace(Roots([tmp_path]))
        for name, code in (("fifo", "not_a_file"), ("socket", "not_a_file"), ("zero", "outside_workspace")):
            read, written = await workspace.read(name), await workspace.apply(Change(name, "v", "", (Edit(0, 0, "x"),)))
            assert isinstance(read, Refusal)
            assert isinstance(written, Refusal)
            assert (read.code, written.code) == (code, code)
        assert await workspace.search("x", "", 5) == []
        assert await search(Roots([tmp_path]), "x", "", 5, ripgrep=False) == []
        assert await workspace.find("*", 5) == []


async def test_files_above_the_limit_are_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10_000_000_000)
    (tmp_path / "just").write_text("x" * MAX_FILE_BYTES)
    workspace = DiskWorkspace(Roots([tmp_path]))
    found = await workspace.read("sparse")
    assert isinstance(found, Refusal)
    assert found.code == "too_large"
    assert isinstance(await workspace.read("just"), Snapshot)
    grown = await edit(workspace, "just", "x" * (MAX_FILE_BYTES + 1))
    assert isinstance(grown, Refusal)
    assert grown.code == "too_large"


async def test_gits_files_can_be_read_and_not_written(tmp_path: Path) -> None:
    write(tmp_path / ".git/config", "[core]\n")
    workspace = DiskWorkspace(Roots([tmp_path]))
    for path in (".git/config", ".GIT/hooks/pre-commit", ".git/hooks/pre-commit"):
        result = await edit(workspace, path, "evil")
        assert isinstance(result, Refusal)
        assert result.code == "denied"
    assert tree_of(tmp_path) == {".git/config": b"[core]\n"}


async def test_half_a_character_is_not_written(tmp_path: Path) -> None:
    result = await edit(DiskWorkspace(Roots([tmp_path])), "a", "\ud800")
    assert isinstance(result, Refusal)
    assert result.code == "not_text"
    assert tree_of(tmp_path) == {}


async def test_below_a_file_there_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    found = await DiskWorkspace(Roots([tmp_path])).read("a/b")
    assert isinstance(found, Refusal)
    assert found.code == "not_a_file"


def test_a_full_disk_leaves_all_as_it_was(tmp_path: Path) -> None:
    """The limit on a file's size stands for the disk: the write fails in its midst."""
    (tmp_path / "a").write_text("old")
    program = (
        "import resource, signal, sys, pathlib\n"
        "from agentic.disk.files import version_of, write_bytes\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "for name, version in (('a', version_of(b'old')), ('new/deep/b', 'absent')):\n"
        "    try: write_bytes(pathlib.Path(sys.argv[1]) / name, b'x' * 5000, version)\n"
        "    except OSError as error: print(error.errno)\n"
    )
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], env={"PYTHONPATH": path}, capture_output=True, check=True
    )
    assert done.stdout.split() == [b"27", b"27"]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a"]
    assert (tmp_path / "a").read_text() == "old"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def test_a_write_against_another_version_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("theirs")
    assert not write_bytes(tmp_path / "a", b"ours", version_of(b"base"))
    assert not write_bytes(tmp_path / "a", b"ours", ABSENT)
    assert not write_bytes(tmp_path / "new/b", b"ours", version_of(b"base"))
    assert tree_of(tmp_path) == {"a": b"theirs"}
    assert not (tmp_path / "new").exists()


async def test_edits_made_at_once_are_all_kept(tmp_path: Path) -> None:
    lines = [f"line {n}\n" for n in range(40)]
    (tmp_path / "a").write_text("".join(lines))
    workspace = DiskWorkspace(Roots([tmp_path]))
    before = await workspace.read("a")
    assert isinstance(before, Snapshot)
    changes = [before.text.replace(line, line.upper()) for line in lines]
    edits = [Change("a", before.version, before.text, minimal_edits(before.text, after)) for after in changes]
    views = [workspace, workspace.for_turn(Journal(MemoryStore(), "s", "t"))]
    await asyncio.gather(*(views[n % 2].apply(change) for n, change in enumerate(edits)))
    assert (tmp_path / "a").read_text() == "".join(lines).upper()


async def test_writes_of_a_turn_are_journalled(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\n")
    store = MemoryStore()
    workspace = DiskWorkspace(Roots([tmp_path])).for_turn(Journal(store, "s", "t"))
    assert isinstance(await edit(workspace, "a", "two\n"), Applied)
    assert isinstance(await edit(workspace, "new", "x"), Applied)
    first, second = await store.intents("s", "t")
    assert (first.target, first.before, first.after, first.existed, first.state) == (
        "a",
        "one\n",
        "two\n",
        True,
        "done",
    )
    assert (second.target, second.before, second.after, second.existed) == ("new", "", "x", False)
    assert recover(first, "two\n") == "done"
    assert recover(first, "one\n") == "redo"
    assert recover(first, None) == recover(first, "three\n") == "conflict"
    assert (recover(second, None), recover(second, "x"), recover(second, "")) == ("redo", "done", "conflict")


async def test_what_a_crash_left_open_is_settled_by_looking(tmp_path: Path) -> None:
    for name, text in (("made", "new\n"), ("not made", "old\n"), ("typed in", "mine\n")):
        (tmp_path / name).write_text(text)
    store = MemoryStore()
    for name in ("made", "not made", "typed in", "gone"):
        await store.prepare(edit_intent("s", "t", name, "old\n", "new\n"))
    await store.prepare(Intent("c", "s", "t", "command", "make"))
    await settle_interrupted(store, DiskWorkspace(Roots([tmp_path])), "s")
    states = {intent.target: intent.state for intent in await store.intents("s")}
    assert states == {"made": "done", "not made": "failed", "typed in": "failed", "gone": "failed", "make": "failed"}
    assert tree_of(tmp_path) == {"made": b"new\n", "not made": b"old\n", "typed in": b"mine\n"}


class _MeddlingStore(MemoryStore):
    """Has someone else write the file between reading and replacing it."""

    def __init__(self, place: Path, texts: list[str]) -> None:
        super().__init__()
        self.place, self.texts = place, texts

    async def prepare(self, intent: Intent) -> None:
        await super().prepare(intent)
        if self.texts:
            self.place.write_text(self.texts.pop(0))


async def test_a_write_that_loses_a_race_is_rebased_and_the_lost_intent_settled(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\ntwo\n")
    store = _MeddlingStore(tmp_path / "a", ["zero\none\ntwo\n"])
    applied = await edit(DiskWorkspace(Roots([tmp_path])).for_turn(Journal(store, "s", "t")), "a", "one\n2\n")
    assert isinstance(applied, Applied)
    assert applied.rebased
    assert tree_of(tmp_path) == {"a": b"zero\none\n2\n"}
    assert [intent.state for intent in await store.intents("s")] == ["failed", "done"]


async def test_a_file_that_never_rests_is_a_conflict(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\n")
    store = _MeddlingStore(tmp_path / "a", [f"{n}\none\n" for n in range(9)])
    result = await edit(DiskWorkspace(Roots([tmp_path])).for_turn(Journal(store, "s", "t")), "a", "one\n2\n")
    assert isinstance(result, Refusal)
    assert result.code == "conflict"
    assert {intent.state for intent in await store.intents("s")} == {"failed"}


async def test_names_that_the_system_cannot_hold_are_refused(tmp_path: Path) -> None:
    workspace = DiskWorkspace(Roots([tmp_path]))
    for name in ("x" * 300, "a/" * 3000 + "b"):
        found = await workspace.read(name)
        written = await workspace.apply(Change(name, ABSENT, "", (Edit(0, 0, "x"),)))
        assert isinstance(found, Refusal)
        assert isinstance(written, Refusal)
        assert found.code == written.code == "io_error"
    assert tree_of(tmp_path) == {}


class _BrokenStore(MemoryStore):
    async def prepare(self, intent: Intent) -> None:
        raise StoreError("the disk is full")


async def test_without_a_journal_nothing_is_written(tmp_path: Path) -> None:
    workspace = DiskWorkspace(Roots([tmp_path])).for_turn(Journal(_BrokenStore(), "s", "t"))
    with pytest.raises(StoreError):
        await edit(workspace, "a", "x")
    assert tree_of(tmp_path) == {}


class _SlowStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def prepare(self, intent: Intent) -> None:
        await super().prepare(intent)
        self.reached.set()
        await self.go_on.wait()


async def test_a_cancelled_write_goes_to_its_end_and_is_settled(tmp_path: Path) -> None:
    store = _SlowStore()
    task = asyncio.create_task(edit(DiskWorkspace(Roots([tmp_path])).for_turn(Journal(store, "s", "t")), "a", "x"))
    await store.reached.wait()
    task.cancel()
    store.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "a").read_text() == "x"
    assert [intent.state for intent in await store.intents("s")] == ["done"]


async def test_work_to_its_end_survives_being_cancelled_twice() -> None:
    reached, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        reached.set()
        await go_on.wait()
        done.set()

    task = asyncio.create_task(to_its_end(work()))
    await reached.wait()
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()


def test_intents_carry_hashes_of_whole_texts() -> None:
    assert edit_intent("s", "t", "a", None, "").before_hash == ""
    assert edit_intent("s", "t", "a", None, "").after_hash != ""
    assert edit_intent("s", "t", "a", "x", "x").before_hash == edit_intent("s", "t", "b", None, "x").after_hash


async def test_an_interrupted_edit_is_known_among_what_was_typed_since(tmp_path: Path) -> None:
    write(tmp_path / "made.txt", "typed\nONE\ntwo\n")
    write(tmp_path / "not.txt", "typed\none\ntwo\n")
    store = MemoryStore()
    for name in ("made.txt", "not.txt"):
        await store.prepare(edit_intent("s", "t", name, "one\ntwo\n", "ONE\ntwo\n"))
    await settle_interrupted(store, DiskWorkspace(Roots([tmp_path])), "s")
    states = {intent.target: intent.state for intent in await store.intents("s")}
    assert states == {"made.txt": "done", "not.txt": "failed"}
