"""Private copies of a workspace: what is in them, what commands do to them, and what they leave alone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import venv
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from support.privileges import unprivileged_folder

from agentic.change import Change, Snapshot, minimal_edits
from agentic.disk.checkout import DiskCheckout, check_out
from agentic.disk.copying import CopyLimits, CopyStopped, carry_out, plan_copy
from agentic.disk.private_folder import PrivateFolder, parent_outside, remove_leftovers
from agentic.disk.workspace import DiskWorkspace
from agentic.errors import Refusal
from agentic.ports.workspace import Command, Exit, Output
from agentic.safety.paths import Roots
from agentic.team.overlay import Overlay

Copy = Callable[..., Awaitable[DiskCheckout]]


@pytest.fixture
def ws(tmp_path: Path) -> Path:
    (tmp_path / "ws").mkdir()
    return tmp_path / "ws"


@pytest.fixture
async def copy(tmp_path: Path) -> AsyncIterator[Copy]:
    """Makes copies of folders below one empty folder, which is empty again in the end."""
    made: list[DiskCheckout] = []
    parent = tmp_path / "copies"
    parent.mkdir()

    async def factory(*roots: Path) -> DiskCheckout:
        checkout = await check_out(Roots(roots), parent=parent)
        assert isinstance(checkout, DiskCheckout), checkout
        made.append(checkout)
        return checkout

    yield factory
    for checkout in made:
        await checkout.aclose()
    assert list(parent.iterdir()) == []


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """An empty folder, and no more rights than its owner has."""
    with unprivileged_folder() as folder:
        yield folder


def put(root: Path, files: dict[str, str | bytes]) -> None:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())


def tree_of(root: Path) -> dict[str, bytes | str]:
    """Everything below a folder, to compare it byte by byte; where links lead."""
    return {
        str(path.relative_to(root)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def git(root: Path, *arguments: str) -> str:
    names = ("-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main")
    command = ["git", *names, "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


async def run(checkout: DiskCheckout, text: str, cwd: str = ".") -> tuple[int, str]:
    """The exit code and all output of a command."""
    pieces = [piece async for piece in checkout.run(Command(text, cwd, seconds=60))]
    assert isinstance(pieces[-1], Exit), pieces
    return pieces[-1].code, "".join(piece.text for piece in pieces if isinstance(piece, Output))


def inner(checkout: DiskCheckout, root: Path) -> Path:
    return checkout.folder / root.name


async def test_what_is_not_ignored_is_copied_with_mode_and_time(ws: Path, copy: Copy):
    put(ws, {"a.py": "x\n", "src/run.sh": "y\n", "src/bin": b"\0\1", "big": b"\0" * 6_000_000})
    put(ws, {".gitignore": "*.log\n/out/\n", "a.log": "", "out/b": "", "src/.env": "z", "src/.gitignore": ".env\n"})
    (ws / "empty").mkdir()
    (ws / "src/run.sh").chmod(0o750)
    os.utime(ws / "a.py", ns=(1, 1_500_000_000_123_456_789))
    there = inner(await copy(ws), ws)
    assert sorted(tree_of(there)) == [".gitignore", "a.py", "big", "src/.gitignore", "src/bin", "src/run.sh"]
    assert all((there / path).read_bytes() == (ws / path).read_bytes() for path in tree_of(there))
    assert (there / "empty").is_dir()
    assert stat.S_IMODE((there / "src/run.sh").stat().st_mode) == 0o750
    assert (there / "a.py").stat().st_mtime_ns == 1_500_000_000_123_456_789


async def test_the_copy_is_private_and_outside_of_the_workspace(ws: Path):
    checkout = await check_out(Roots([ws]))
    assert isinstance(checkout, DiskCheckout)
    try:
        assert stat.S_IMODE(checkout.folder.stat().st_mode) == 0o700
        assert not checkout.folder.is_relative_to(ws)
    finally:
        await checkout.aclose()
    assert not checkout.folder.exists()


def test_a_place_for_copies_is_looked_for_outside_of_the_workspace():
    assert parent_outside([Path(tempfile.gettempdir()).resolve()]) == Path("/var/tmp")
    assert parent_outside([Path("/")]) is None


async def test_ignored_folders_of_dependencies_are_linked_to_and_outlive_the_copy(ws: Path, copy: Copy):
    put(ws, {".gitignore": "node_modules\n.venv/\n", "node_modules/x/index.js": "1", "web/.venv/lib/y": "2"})
    checkout = await copy(ws)
    assert await run(checkout, "cat node_modules/x/index.js web/.venv/lib/y") == (0, "12")
    assert await checkout.changes() == {}
    refused = await checkout.write("node_modules/x/index.js", "changed")
    assert isinstance(refused, Refusal)
    await checkout.aclose()
    assert (ws / "node_modules/x/index.js").read_text() == "1"


async def test_without_git_dependencies_are_linked_to_and_vendored_sources_copied(ws: Path, copy: Copy):
    put(ws, {"node_modules/x": "1", "vendor/y": "2"})
    there = inner(await copy(ws), ws)
    assert (there / "node_modules").readlink() == ws / "node_modules"
    assert not (there / "vendor").is_symlink()


async def test_packages_that_are_links_to_sources_lead_to_the_copied_sources(ws: Path, copy: Copy):
    put(ws, {".gitignore": "node_modules\n", "packages/own/index.js": "old", "node_modules/other/index.js": "other"})
    put(ws, {"node_modules/@scope/third/index.js": "third"})
    (ws / "node_modules/own").symlink_to("../packages/own")
    (ws / "node_modules/@scope/own").symlink_to(ws / "packages/own")
    checkout = await copy(ws)
    await checkout.write("packages/own/index.js", "new")
    read = "cd node_modules; cat own/index.js @scope/own/index.js other/index.js @scope/third/index.js"
    assert await run(checkout, read) == (0, "newnewotherthird")
    assert await run(checkout, "mkdir node_modules/x; echo 1 > node_modules/x/y; touch node_modules/other/z") == (0, "")
    assert await checkout.changes() == {}
    assert sorted(os.listdir(ws / "node_modules")) == ["@scope", "other", "own"]


async def test_editable_packages_are_taken_from_the_copy(ws: Path, copy: Copy):
    put(ws, {".gitignore": ".venv/\n", "src/ours/__init__.py": "print('old')\n", "flat/theirs.py": "print('old')\n"})
    venv.create(ws / ".venv")
    (packages,) = (ws / ".venv").glob("lib/python*/site-packages")
    (packages / "ours.pth").write_text(f"import sys\n{ws / 'src'}\n/nowhere\n")
    (packages / "__editable___theirs_finder.py").write_text(
        f"MAPPING: dict = {{'theirs': {str(ws / 'flat/theirs')!r}}}\n"
    )
    (packages / "__editable___broken_finder.py").write_text("MAPPING = {oops}\n")
    checkout = await copy(ws)
    for path in ("src/ours/__init__.py", "flat/theirs.py"):
        assert await checkout.write(path, "print('new')\n") is None
    code, said = await run(checkout, ".venv/bin/python -Bc 'import ours, theirs'")
    assert (code, said) == (0, "new\nnew\n")


async def test_commands_that_nobody_is_asked_about_find_no_sources(
    ws: Path, tmp_path: Path, copy: Copy, monkeypatch: pytest.MonkeyPatch
):
    put(ws, {".venv/lib/python3/site-packages/ours.pth": f"{ws}\n", ".gitignore": ".venv"})
    put(tmp_path, {"tools/wc": "#!/bin/sh\necho $PYTHONPATH\n"})
    (tmp_path / "tools/wc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}:{os.environ['PATH']}")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    checkout = await copy(ws)
    assert await run(checkout, "wc") == (0, "\n")
    assert await run(checkout, "wc; touch x") == (0, f"{inner(checkout, ws)}\n")


async def test_links_lead_inside_the_copy_or_to_the_same_place_outside(ws: Path, tmp_path: Path, copy: Copy):
    put(ws, {"a": "a\n", "dir/b": "b\n"})
    put(tmp_path, {"outside/c": "c\n"})
    links = {
        "relative": ("a", "a"),
        "dir/up": ("../a", "../a"),
        "absolute": (str(ws / "dir/b"), "dir/b"),
        "chain": ("absolute", "dir/b"),
        "dir/loop": ("..", ".."),
        "dangling": ("none", "none"),
        "out": ("../outside/c", str(tmp_path / "outside/c")),
        "out-folder": (str(tmp_path / "outside"), str(tmp_path / "outside")),
    }
    for name, (target, _) in links.items():
        (ws / name).symlink_to(target)
    (ws / "circle").symlink_to("circle")
    checkout = await copy(ws)
    there = inner(checkout, ws)
    assert {name: os.readlink(there / name) for name in links} == {name: wanted for name, (_, wanted) in links.items()}
    assert (there / "circle").is_symlink()
    assert sorted(os.listdir(there)) == sorted(os.listdir(ws))
    for name in ("out", "out-folder/new"):
        assert isinstance(await checkout.write(name, "x"), Refusal)
    assert await checkout.write("absolute", "new\n") is None
    assert (there / "dir/b").read_text() == "new\n"
    assert await checkout.changes() == {}
    assert tree_of(tmp_path / "outside") == {"c": b"c\n"}
    assert (ws / "dir/b").read_text() == "b\n"


async def test_pipes_and_sockets_are_left_out(ws: Path, copy: Copy, monkeypatch: pytest.MonkeyPatch):
    put(ws, {"a": ""})
    os.mkfifo(ws / "pipe")
    monkeypatch.chdir(ws)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        there = inner(await copy(ws), ws)
    assert [path.name for path in there.iterdir()] == ["a"]


async def test_what_cannot_be_read_is_left_out_and_named(unprivileged: Path):
    put(unprivileged, {"ws/a": "a", "ws/secret": "s", "ws/locked/b": "b", "ws/odd/.gitignore": "*", "ws/odd/c": "c"})
    (unprivileged / "copies").mkdir()
    for name in ("secret", "locked", "odd/.gitignore"):
        (unprivileged / "ws" / name).chmod(0)
    roots = Roots([unprivileged / "ws"])
    try:
        assert await DiskWorkspace(roots).find("**", 10) == ["a", "odd/.gitignore", "odd/c", "secret"]
        checkout = await check_out(roots, parent=unprivileged / "copies")
        assert isinstance(checkout, DiskCheckout)
        assert sorted(tree_of(checkout.folder / "ws")) == ["a", "odd/c"]
        assert sorted(checkout.left_out) == ["locked/", "odd/.gitignore", "secret"]
        (checkout.folder / "ws/odd").chmod(0o500)
        (checkout.folder / "ws/locked").chmod(0)
        await checkout.aclose()
        assert list((unprivileged / "copies").iterdir()) == []
    finally:
        (unprivileged / "ws/locked").chmod(0o700)


@pytest.mark.parametrize(
    ("limits", "words"),
    [(CopyLimits(entries=10), "more than 10 files"), (CopyLimits(bytes=9_000), "more than 9e-06 GB")],
)
async def test_a_workspace_that_is_too_large_is_refused_and_nothing_stays(
    ws: Path, tmp_path: Path, limits: CopyLimits, words: str
):
    put(ws, {f"{number}": "x" * 1000 for number in range(11)})
    (tmp_path / "copies").mkdir()
    refused = await check_out(Roots([ws]), limits, tmp_path / "copies")
    assert isinstance(refused, Refusal)
    assert refused.code == "too_large"
    assert words in refused.message
    assert list((tmp_path / "copies").iterdir()) == []


async def test_a_copy_that_cannot_be_made_is_refused(ws: Path, tmp_path: Path):
    refused = await check_out(Roots([ws]), parent=tmp_path / "none")
    assert isinstance(refused, Refusal)
    assert refused.code == "io_error"


async def test_changes_are_texts_that_commands_have_made_since_they_were_last_asked_for(ws: Path, copy: Copy):
    put(ws, dict.fromkeys(("same", "touched", "changed", "removed", "sly", "dir/deep", "turned"), "old\n"))
    put(ws, {".gitignore": "*.o\n", "image": b"\0", "gone": b"\0"})
    checkout = await copy(ws)
    assert await checkout.changes() == {}
    await run(
        checkout,
        """
        touch touched; echo new > changed; rm -r removed dir gone; echo new > dir
        echo OLD > sly.new; touch -r sly sly.new; cat sly.new > sly; touch -r same sly; rm sly.new
        echo x > made; mkdir -p p/__pycache__; echo x > p/__pycache__/x; echo x > p/x.o; printf 'a\\000' > image2
        printf 'a\\000' > image; rm turned; ln -s same turned
        """,
    )
    assert await checkout.changes() == {
        "changed": "new\n",
        "removed": None,
        "dir/deep": None,
        "dir": "new\n",
        "sly": "OLD\n",
        "made": "x\n",
    }
    assert await checkout.changes() == {}
    await run(checkout, "echo newer > changed; rm made")
    assert await checkout.changes() == {"changed": "newer\n", "made": None}
    assert (ws / "changed").read_text() == "old\n"


async def test_what_is_written_into_the_copy_is_no_change_of_a_command(ws: Path, copy: Copy):
    put(ws, {"a": "\ufeffold\n", "b": "old\n", "c": ""})
    (ws / "b").chmod(0o755)
    checkout = await copy(ws)
    for path, text in {"a": "new\n", "b": "new\n", "c": None, "new/deep": "x", "none": None}.items():
        assert await checkout.write(path, text) is None
    assert await checkout.changes() == {}
    there = inner(checkout, ws)
    assert tree_of(there) == {"a": "\ufeffnew\n".encode(), "b": b"new\n", "new/deep": b"x"}
    assert stat.S_IMODE((there / "b").stat().st_mode) == 0o755
    for path, code in {".git/hooks/x": "denied", "../x": "outside_workspace", "new": "io_error"}.items():
        refused = await checkout.write(path, "x")
        assert isinstance(refused, Refusal)
        assert refused.code == code
    half = await checkout.write("a", "\ud800")
    assert isinstance(half, Refusal)
    assert half.code == "not_text"


async def test_a_copy_knows_which_texts_it_came_with(ws: Path, copy: Copy):
    put(ws, {"a": "\ufeffone\n", "b": "two\n", "bin": b"\0"})
    checkout = await copy(ws)
    await run(checkout, "echo x > a; echo x > made; rm b")
    await checkout.changes()
    assert checkout.came_with("a", "one\n")
    assert checkout.came_with("b", "two\n")
    assert checkout.came_with("made", None)
    assert not checkout.came_with("a", "x\n")
    assert not checkout.came_with("a", None)
    assert not checkout.came_with("made", "x\n")
    await checkout.write("b", "three\n")
    assert checkout.came_with("b", "three\n")


async def test_several_roots_keep_their_names(tmp_path: Path, copy: Copy):
    put(tmp_path, {"one/src/a": "1\n", "two/src/b": "2\n"})
    (tmp_path / "one/to-two").symlink_to(tmp_path / "two/src")
    checkout = await copy(tmp_path / "one", tmp_path / "two")
    assert await run(checkout, "cat b ../../one/to-two/b; echo x > new", "two/src") == (0, "2\n2\n")
    assert await run(checkout, "pwd", str(tmp_path / "two")) == (0, f"{checkout.folder}/two\n")
    assert await checkout.write("one/src/a", "3\n") is None
    assert await checkout.changes() == {"two/src/new": "x\n"}
    assert os.readlink(checkout.folder / "one/to-two") == "../two/src"
    assert checkout.came_with("one/src/a", "3\n")


def repository(ws: Path) -> None:
    put(ws, {"a": "one\n", "b": "x\n", ".gitignore": "*.out\n", "kept.out": "k\n"})
    git(ws, "init")
    git(ws, "add", "-f", ".")
    git(ws, "commit", "-m", "first")
    git(ws, "branch", "other")
    git(ws, "tag", "v1")
    put(ws, {"b": "stashed\n"})
    git(ws, "stash")
    put(ws, {"a": "two\n"})
    git(ws, "add", "a")
    put(ws, {"a": "three\n", "untracked": "u\n", "ignored.out": "i\n"})


WRITES = """
set -e
export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e
git add -A; git commit -qm second; git checkout -q -b fresh; git stash pop -q; git stash -q; git stash drop -q
git checkout -q other; git branch -qD main; git tag -d v1; git tag v2; git config user.name somebody
git reset -q --hard v2; git commit -q --allow-empty -m third; git reflog expire --all --expire=now
git gc -q --prune=now
git worktree add -q ../elsewhere; git clean -fdxq
"""


async def test_git_works_in_the_copy_and_leaves_the_original_alone(ws: Path, copy: Copy):
    repository(ws)
    put(ws, {".git/hooks/post-commit": f"#!/bin/sh\ntouch {ws}/hook-ran\n", ".git/annex/objects/large": "x"})
    (ws / ".git/hooks/post-commit").chmod(0o755)
    asked = ("status --porcelain", "log --oneline --all", "diff", "diff --cached", "stash list", "show other:kept.out")
    wanted = [git(ws, *question.split()) for question in asked]
    before = tree_of(ws)
    checkout = await copy(ws)
    assert {"annex", "hooks"}.isdisjoint(os.listdir(inner(checkout, ws) / ".git"))
    for question, answer in zip(asked, wanted, strict=True):
        assert await run(checkout, f"git {question}") == (0, answer), question
    code, output = await run(checkout, WRITES)
    assert code == 0, output
    assert tree_of(ws) == before
    assert git(ws, "fsck", "--strict") == ""
    assert (await run(checkout, "git rev-parse --show-toplevel"))[1].strip() == str(inner(checkout, ws))


async def test_a_linked_worktree_is_copied_as_a_repository_of_its_own(ws: Path, tmp_path: Path, copy: Copy):
    repository(ws)
    git(ws, "worktree", "add", "-b", "side", str(tmp_path / "linked"))
    put(tmp_path / "linked", {"a": "linked\n"})
    wanted = [git(tmp_path / "linked", *question.split()) for question in ("status --porcelain -b", "log --oneline")]
    before = tree_of(tmp_path / "ws")
    checkout = await copy(tmp_path / "linked")
    assert (await run(checkout, "git status --porcelain -b"))[1] == wanted[0]
    assert (await run(checkout, "git log --oneline"))[1] == wanted[1]
    assert (await run(checkout, "git -c user.name=n -c user.email=e commit -qam x; git checkout -q main"))[0] == 0
    assert tree_of(tmp_path / "ws") == before


async def test_submodules_are_plain_folders_of_the_copy(ws: Path, tmp_path: Path, copy: Copy):
    put(tmp_path, {"library/code": "c\n"})
    git(tmp_path / "library", "init")
    git(tmp_path / "library", "add", ".")
    git(tmp_path / "library", "commit", "-m", "x")
    repository(ws)
    git(ws, "submodule", "add", str(tmp_path / "library"), "library")
    wanted, before = git(ws, "status", "--porcelain"), tree_of(ws)
    checkout = await copy(ws)
    assert await run(checkout, "git status --porcelain; cat library/code") == (0, f"{wanted}c\n")
    part = await copy(ws / "library")
    assert await run(
        part, "echo new >> code; git -c user.name=n -c user.email=e commit -qam y; git log --format=%s"
    ) == (
        0,
        "y\nx\n",
    )
    assert tree_of(ws) == before


async def test_a_folder_that_is_not_the_top_of_a_repository_has_none_in_its_copy(ws: Path, copy: Copy):
    repository(ws)
    put(ws, {"part/a": "x", "broken/.git": "gitdir: ../nowhere\n", "broken/a": "x"})
    for folder in ("part", "broken"):
        checkout = await copy(ws / folder)
        assert (await run(checkout, "git status"))[0] == 128
        assert [path.name for path in inner(checkout, ws / folder).iterdir()] == ["a"]


async def test_a_repository_without_a_commit_can_be_copied(ws: Path, copy: Copy):
    git(ws, "init")
    put(ws, {"a": "x"})
    code, output = await run(await copy(ws), "git status --porcelain")
    assert (code, output) == (0, "?? a\n")


async def test_closing_kills_what_runs_and_removes_the_copy(ws: Path, tmp_path: Path, copy: Copy):
    put(ws, {"a": "x"})
    checkout = await copy(ws)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    async with aclosing(checkout.run(Command(f"exec 9> {pipe}; echo started; sleep 1000 & wait"))) as said:
        assert await anext(said) == Output("stdout", "started\n")
        await checkout.aclose()
        assert os.read(reader, 1) == b"", "nobody holds the other end any more"
        assert not checkout.folder.exists()
    os.close(reader)
    (refused,) = [piece async for piece in checkout.run(Command("true"))]
    assert isinstance(refused, Refusal)
    assert isinstance(await checkout.write("a", "x"), Refusal)
    assert await checkout.changes() == {}, "what is removed with the copy was not removed by a command"
    assert not checkout.folder.exists()


async def test_a_workspace_that_is_closed_closes_its_copies(ws: Path):
    workspace = DiskWorkspace(Roots([ws]))
    checkout = await workspace.check_out()
    assert isinstance(checkout, DiskCheckout)
    await workspace.close()
    assert not checkout.folder.exists()


async def test_cancelling_stops_the_copying_and_leaves_nothing(ws: Path, tmp_path: Path):
    put(ws, {f"{number % 50}/{number}": "x" for number in range(600)})
    copies = tmp_path / "copies"
    copies.mkdir()
    copying = asyncio.create_task(check_out(Roots([ws]), parent=copies))
    async with asyncio.timeout(30):
        while not list(copies.glob("*/ws/*/*")):
            await asyncio.sleep(0.001)
    assert not copying.done()
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert list(copies.iterdir()) == []


def test_copying_stops_before_the_next_file_when_it_is_told_to(ws: Path, tmp_path: Path):
    put(ws, {"a": "x"})
    (tmp_path / "copies").mkdir()
    plans = plan_copy(Roots([ws]), tmp_path / "copies", CopyLimits(), threading.Event())
    stopped = threading.Event()
    stopped.set()
    assert not isinstance(plans, Refusal)
    for copying in (
        lambda: plan_copy(Roots([ws]), tmp_path, CopyLimits(), stopped),
        lambda: carry_out(*plans, stopped),
    ):
        with pytest.raises(CopyStopped):
            copying()


HOLD = """
import sys
from pathlib import Path
from agentic.disk.private_folder import PrivateFolder
folder = PrivateFolder.make(Path(sys.argv[1]))
(folder.path / "deep").mkdir()
(folder.path / "deep" / "file").write_text("x")
print(folder.path, flush=True)
sys.stdin.read()
"""


def test_the_copies_of_a_killed_process_are_removed_and_those_of_a_living_one_are_not(tmp_path: Path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    theirs = Path(holder.stdout.readline().decode().strip())
    ours = PrivateFolder.make(tmp_path)
    (tmp_path / "agentic-copy-file").write_text("no folder")
    (tmp_path / "agentic-copy-link").symlink_to(tmp_path / "elsewhere")
    assert remove_leftovers([tmp_path]) == []
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert (theirs / "deep/file").exists()
    assert remove_leftovers([tmp_path]) == [theirs]
    ours.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agentic-copy-file", "agentic-copy-link"]


async def test_a_view_of_files_on_the_disk_takes_up_what_its_commands_do(ws: Path):
    put(ws, {"a.txt": "one\n", "b.txt": "keep\n", ".gitignore": "*.tmp\n"})
    before = tree_of(ws)
    workspace = DiskWorkspace(Roots([ws]))
    view = Overlay(workspace)
    now = await view.read("a.txt")
    assert isinstance(now, Snapshot)
    await view.apply(Change("a.txt", now.version, now.text, minimal_edits(now.text, "two\n")))
    said = [piece async for piece in view.run(Command("cat a.txt; tr a-z A-Z < a.txt > c.txt; rm b.txt; echo > x.tmp"))]
    assert said == [Output("stdout", "two\n"), Exit(0)]
    assert {change.path: change.after for change in view.changes()} == {"a.txt": "two\n", "c.txt": "TWO\n"}
    assert [origin.path for origin in view.removed] == ["b.txt"]
    await view.aclose()
    await workspace.close()
    assert tree_of(ws) == before


async def test_what_is_written_between_two_commands_is_compiled_anew(ws: Path, copy: Copy) -> None:
    """Of the same length and within the same second: Python would take what it has compiled."""
    put(ws, {"number.py": "one = 1\n"})
    checkout = await copy(ws)
    seen: list[str] = []
    for digit in "123":
        assert await checkout.write("number.py", f"one = {digit}\n") is None
        command = Command(f"'{sys.executable}' -c 'import number; print(number.one)'")
        async with aclosing(checkout.run(command)) as said:
            seen += [piece.text.strip() async for piece in said if isinstance(piece, Output)]
    assert seen == ["1", "2", "3"]
