"""Commands as real processes: what they print, what they see, and that nothing outlives them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from agentic.disk.environment import child_environment, trusted_program
from agentic.disk.process import Commands
from agentic.disk.workspace import DiskWorkspace
from agentic.errors import Refusal
from agentic.ports.workspace import Command, Exit, Output
from agentic.safety.paths import Roots


@pytest.fixture
async def workspace(tmp_path: Path) -> AsyncIterator[DiskWorkspace]:
    (tmp_path / "ws" / "src").mkdir(parents=True)
    made = DiskWorkspace(Roots([tmp_path / "ws"]))
    yield made
    await made.close()


async def run(workspace: DiskWorkspace, text: str, cwd: str = ".", seconds: float = 30) -> tuple[str, str, Exit]:
    pieces = [piece async for piece in workspace.run(Command(text, cwd, seconds))]
    out, err = (
        "".join(p.text for p in pieces if isinstance(p, Output) and p.stream == s) for s in ("stdout", "stderr")
    )
    last = pieces[-1]
    assert isinstance(last, Exit), pieces
    assert all(isinstance(piece, Output) for piece in pieces[:-1])
    return out, err, last


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pids_in(folder: Path, count: int) -> list[int]:
    """The numbers that commands wrote to files named `pid*`, once there are that many."""
    texts = [file.read_text() for file in folder.glob("pid*")]
    found = [int(text) for text in texts if text.endswith("\n")]
    return found if len(found) == count else []


FAMILY = """
sleep 1000 & echo $! > pid1
setsid sh -c 'echo $$ > pid2; exec sleep 1000' &
(setsid env -i sh -c 'trap "" HUP TERM INT; echo $$ > pid3; sleep 1000; sleep 1000' &)
nohup sh -c 'sh -c "echo \\$\\$ > pid4; exec sleep 1000" & exit' >/dev/null 2>&1 </dev/null
python3 -c 'import os, time
if not os.fork():
    os.setsid()
    if not os.fork():
        os.closerange(0, 10)
        open("pid5.tmp", "w").write(f"{os.getpid()}\\n"); os.rename("pid5.tmp", "pid5")
        time.sleep(1000)'
"""
"""Five processes that try to outlive their command: in the background, in other sessions, orphaned, without streams."""


async def test_both_streams_and_the_exit_code_come_back(workspace: DiskWorkspace) -> None:
    assert await run(workspace, "echo out; echo err >&2; exit 3") == ("out\n", "err\n", Exit(3))
    assert await run(workspace, "kill -SEGV $$") == ("", "", Exit(-signal.SIGSEGV))
    _, err, end = await run(workspace, "nothing-of-that-name")
    assert (end, "not found" in err) == (Exit(127), True)


async def test_the_folder(workspace: DiskWorkspace, tmp_path: Path) -> None:
    assert (await run(workspace, "pwd", "src"))[0] == f"{tmp_path}/ws/src\n"
    for cwd, code in (("..", "outside_workspace"), ("/", "outside_workspace"), ("none", "not_found")):
        refused = [piece async for piece in workspace.run(Command("touch x", cwd))]
        assert len(refused) == 1
        assert isinstance(refused[0], Refusal)
        assert refused[0].code == code


@pytest.mark.parametrize("text", ["echo \0", "echo \ud800"])
async def test_what_no_process_can_be_given_is_refused(workspace: DiskWorkspace, text: str) -> None:
    (refused,) = [piece async for piece in workspace.run(Command(text))]
    assert isinstance(refused, Refusal)
    assert refused.code == "bad_arguments"


async def test_output_comes_while_the_command_runs(workspace: DiskWorkspace, tmp_path: Path) -> None:
    async with aclosing(workspace.run(Command("echo one; while [ ! -e go ]; do sleep 0.01; done; echo two"))) as said:
        assert await anext(said) == Output("stdout", "one\n")
        (tmp_path / "ws" / "go").touch()
        assert [piece async for piece in said] == [Output("stdout", "two\n"), Exit(0)]


async def test_characters_cut_in_two_are_joined_and_broken_ones_replaced(workspace: DiskWorkspace) -> None:
    text = "printf '\\303'; sleep 0.05; printf '\\251\\n'; printf 'a\\377b\\303'"
    assert await run(workspace, text) == ("é\na\ufffdb\ufffd", "", Exit(0))


async def test_nobody_answers_at_the_keyboard(workspace: DiskWorkspace) -> None:
    out, _, end = await run(workspace, "read x; echo $?; tty; echo > /dev/tty")
    assert (out, end.code != 0) == ("1\nnot a tty\n", True)


async def test_signals_have_their_usual_meaning(workspace: DiskWorkspace) -> None:
    assert (await run(workspace, "yes | head -n 1; echo ${PIPESTATUS[0]}"))[0] == "y\n141\n"


async def test_a_command_gets_no_descriptor_but_its_own(workspace: DiskWorkspace) -> None:
    out, _, _ = await run(workspace, "ls -l /proc/$$/fd; true")
    assert re.findall(r" (\d+) -> ", out) == ["0", "1", "2"]


async def test_commands_side_by_side(workspace: DiskWorkspace) -> None:
    results = await asyncio.gather(*(run(workspace, f"sleep 0.0{n}; echo {n}; exit {n}") for n in range(8)))
    assert results == [(f"{n}\n", "", Exit(n)) for n in range(8)]


async def test_no_shell_state_is_carried_on(workspace: DiskWorkspace) -> None:
    await run(workspace, "export PAGER=evil; cd src; alias ls=evil; ls() { echo evil; }; export -f ls")
    assert "evil" not in "".join((await run(workspace, "echo $PAGER; ls; pwd"))[:2])


async def test_closed_streams_do_not_end_the_command(workspace: DiskWorkspace, tmp_path: Path) -> None:
    assert await run(workspace, "exec >&- 2>&-; sleep 0.1; touch done; exit 4") == ("", "", Exit(4))
    assert (tmp_path / "ws" / "done").exists()


async def test_a_flood_of_output_is_bounded_in_memory(workspace: DiskWorkspace, tmp_path: Path) -> None:
    """The reader stops after the first piece until the writer, which counts what it got rid of, stands still."""
    total = 50_000_000
    (tmp_path / "ws" / "flood.py").write_text(
        f"import os\nn = 0\nwhile n < {total}:\n    n += os.write(1, b'x' * 65536)\n    os.pwrite(3, b'%d' % n, 0)\n"
    )
    async with aclosing(workspace.run(Command(f"exec 3>written; {sys.executable} flood.py"))) as said:
        first = await anext(said)
        assert isinstance(first, Output)
        written = tmp_path / "ws" / "written"
        seen = -1
        while (now := int(written.read_text() or 0)) != seen:
            seen = now
            await asyncio.sleep(0.2)
        assert seen < 2_000_000
        count = len(first.text)
        async for piece in said:
            count += len(piece.text) if isinstance(piece, Output) else 0
    assert count >= total


async def test_what_a_command_leaves_behind_ends_with_it(workspace: DiskWorkspace, tmp_path: Path) -> None:
    wait = "while [ $(ls pid* | grep -vc tmp) -lt 5 ]; do sleep 0.01; done; sleep 0.05; echo out"
    out, _, end = await run(workspace, FAMILY + wait)
    assert (out, end) == ("out\n", Exit(0))
    family = pids_in(tmp_path / "ws", 5)
    assert len(family) == 5
    assert not [pid for pid in family if alive(pid)]


@pytest.mark.parametrize("how", ["limit", "close", "cancel", "kill_all"])
async def test_the_whole_family_is_killed(workspace: DiskWorkspace, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "ws"
    seconds = 3 if how == "limit" else 1000
    pieces: list[Output | Exit | Refusal] = []

    async def consume() -> None:
        async with aclosing(workspace.run(Command(f"echo go\n{FAMILY}\nsleep 1000", seconds=seconds))) as said:
            async for piece in said:
                pieces.append(piece)
                if how == "close":
                    await until(lambda: bool(pids_in(folder, 5)))
                    return

    task = asyncio.create_task(consume())
    await until(lambda: bool(pids_in(folder, 5)))
    family = pids_in(folder, 5)
    if how == "cancel":
        task.cancel()
    elif how == "kill_all":
        await workspace.close()
    await asyncio.wait([task], timeout=20)
    assert task.done()
    assert task.cancelled() == (how == "cancel")
    assert not [pid for pid in family if alive(pid)]
    if how == "limit":
        assert pieces == [Output("stdout", "go\n"), Exit(-9, timed_out=True)]
    if how == "kill_all":
        assert pieces[-1] == Exit(-9)


async def test_many_that_go_on_making_others_are_killed(workspace: DiskWorkspace, tmp_path: Path) -> None:
    """Each child starts the next and dies, so that the tree is never the same for long."""
    program = "import os, sys, time\nwhile True:\n    if os.fork(): time.sleep(0.002); os._exit(0)\n    os.setsid()"
    (tmp_path / "ws" / "hare.py").write_text(program)
    python = sys.executable
    race = " ".join(f"{python} hare.py MARK-{os.getpid()} &" for _ in range(5))
    async with aclosing(workspace.run(Command(f"{race} echo go; sleep 1000"))) as said:
        await anext(said)
        await until(lambda: len(_marked()) >= 5)
    assert _marked() == []


def _marked() -> list[int]:
    return [p.pid for p in psutil.process_iter(["cmdline"]) if f"MARK-{os.getpid()}" in (p.info["cmdline"] or [])]


async def test_one_command_s_end_spares_the_others(workspace: DiskWorkspace, tmp_path: Path) -> None:
    async with aclosing(workspace.run(Command("setsid sleep 1000 & echo $! > pid1; echo go; wait"))) as said:
        await anext(said)
        await run(workspace, "setsid sleep 1000 & true")
        (pid,) = pids_in(tmp_path / "ws", 1)
        assert alive(pid)
    assert not alive(pid)


async def test_a_killed_warden_is_replaced(workspace: DiskWorkspace) -> None:
    await run(workspace, "true")
    for child in psutil.Process().children():
        if any("warden" in part for part in child.cmdline()):
            child.kill()
            child.wait(20)
    assert (await run(workspace, "echo again"))[0] == "again\n"


async def test_a_command_that_kills_its_keeper_does_not_escape(workspace: DiskWorkspace, tmp_path: Path) -> None:
    runaway = "setsid sh -c 'echo $$ > pid1; exec sleep 1000' &"
    text = f"{runaway} while [ ! -s pid1 ]; do sleep 0.01; done; kill -9 $PPID; sleep 1000"
    assert await run(workspace, text) == ("", "", Exit(-9))
    (pid,) = pids_in(tmp_path / "ws", 1)
    await until(lambda: not alive(pid))


OWNER = """
import asyncio, sys
from pathlib import Path
from agentic.disk.workspace import DiskWorkspace
from agentic.ports.workspace import Command
from agentic.safety.paths import Roots

async def main():
    workspace = DiskWorkspace(Roots([sys.argv[1]]))
    async for piece in workspace.run(Command(Path(sys.argv[2]).read_text())):
        print(piece, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
async def test_no_descendant_outlives_a_killed_owner(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "ws"
    folder.mkdir()
    (tmp_path / "family.sh").write_text(f"{FAMILY}\nsleep 1000")
    command = [sys.executable, "-c", OWNER, str(folder), str(tmp_path / "family.sh")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    owner = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        await until(lambda: bool(pids_in(folder, 5)))
        everyone = psutil.Process(owner.pid).children(recursive=True)
        pids = {*pids_in(folder, 5), *(process.pid for process in everyone)}
        assert len(pids) > 7
    finally:
        owner.send_signal(number)
        await owner.wait()
    await until(lambda: not [pid for pid in pids if alive(pid)])


async def test_the_time_limit_holds_while_nobody_reads(workspace: DiskWorkspace, tmp_path: Path) -> None:
    """And what was printed until then is not lost."""
    text = "echo one; echo $$ > pid1; echo two >&2; sleep 1000"
    async with aclosing(workspace.run(Command(text, seconds=1))) as said:
        pieces = [await anext(said)]
        await until(lambda: bool(pids_in(tmp_path / "ws", 1)))
        (pid,) = pids_in(tmp_path / "ws", 1)
        await until(lambda: not alive(pid))
        pieces += [piece async for piece in said]
    assert pieces == [Output("stdout", "one\n"), Output("stderr", "two\n"), Exit(-9, timed_out=True)]


async def test_running_commands_are_listed(tmp_path: Path) -> None:
    commands = Commands(Roots([tmp_path]))
    async with aclosing(commands.run("echo go; sleep 1000", tmp_path, 1000)) as said:
        await anext(said)
        assert commands.running == ["echo go; sleep 1000"]
    assert commands.running == []
    await commands.kill_all()


def test_the_environment_is_an_allow_list_without_secrets(tmp_path: Path) -> None:
    parent = {
        "PATH": f".:/usr/bin::bin:{tmp_path}/bin:/bin",
        "HOME": "/home/x",
        "LC_ALL": "C.UTF-8",
        "LC_API_KEY": "canary",
        "OPENAI_API_KEY": "canary",
        "GITHUB_TOKEN": "canary",
        "MY_VARIABLE": "canary",
        "AGENTIC_MODEL": "canary",
        "BASH_ENV": "canary",
        "BASH_FUNC_ls%%": "canary",
        "LD_PRELOAD": "canary",
        "GIT_SSH_COMMAND": "canary",
        "RIPGREP_CONFIG_PATH": "canary",
        "SSH_AUTH_SOCK": "canary",
        "PAGER": "canary",
    }
    seen = child_environment(parent)
    assert "canary" not in seen.values()
    assert seen["PATH"] == f"/usr/bin:{tmp_path}/bin:/bin"
    assert child_environment(parent, [tmp_path])["PATH"] == "/usr/bin:/bin"
    assert {name: seen[name] for name in ("HOME", "LC_ALL", "GIT_TERMINAL_PROMPT", "TERM", "NO_COLOR", "PAGER")} == {
        "HOME": "/home/x",
        "LC_ALL": "C.UTF-8",
        "GIT_TERMINAL_PROMPT": "0",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "PAGER": "cat",
    }


async def test_a_command_sees_that_environment(workspace: DiskWorkspace) -> None:
    out, _, _ = await run(workspace, "env -0")
    names = {entry.partition("=")[0] for entry in out.split("\0") if entry}
    assert {"PATH", "GIT_EDITOR"} <= names
    assert not [name for name in names if re.search("KEY|TOKEN|SECRET|PYTEST|AGENTIC", name)]


def test_the_harness_takes_no_program_from_the_workspace(tmp_path: Path) -> None:
    fake = tmp_path / "rg"
    fake.write_text("#!/bin/sh\ntouch MARK\n")
    fake.chmod(0o755)
    program = "import pathlib, sys\nfrom agentic.disk.environment import trusted_program as find\n"
    program += "print(find('rg', [pathlib.Path(sys.argv[1])]))"
    env = {"PATH": f"{tmp_path}:.:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=tmp_path, env=env, capture_output=True, check=True
    )
    assert str(tmp_path) not in done.stdout.decode()
    assert trusted_program("sh", []) is not None


async def test_a_search_that_takes_for_ever_does_not_hold_the_loop(workspace: DiskWorkspace, tmp_path: Path) -> None:
    """Only Python understands this pattern, and it needs exponential time for this line."""
    (tmp_path / "ws" / "a").write_text("a" * 60 + "!\n")
    task = asyncio.create_task(workspace.search(r"(?=x|)(a+)+$", "", 5))
    await until(lambda: bool(_searches()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _searches() == []


def _searches() -> list[int]:
    return [child.pid for child in psutil.Process().children() if _is_search(child)]


def _is_search(process: psutil.Process) -> bool:
    try:
        return any("grep.py" in part for part in process.cmdline())
    except psutil.NoSuchProcess:
        return False
