"""The warden: a small process that owns every command, so that none outlives the daemon or its own end.

Run as a program, on the standard library alone. On its socket it gets, for each command, one byte with three
descriptors (control, stdout, stderr) and forks a keeper. The keeper reads `{"argv", "cwd", "env"}` as a line of JSON
from control, starts the command in a session of its own, and answers `{"code": …}` or `{"error": …}` once everything
that the command started is dead: when its shell ends, or when the other end of control is closed, as it is when the
daemon dies in whatever way. Keepers adopt the orphans of their commands (Linux), which is why nothing escapes.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

_SUBREAPER = 36
_GIVE_UP_SECONDS = 2.0
"""How long to go on killing what cannot be killed, such as a program with another user's rights."""


def main() -> None:
    requests = socket.socket(fileno=int(sys.argv[1]))
    wakeup = _prepare()
    keepers: set[int] = set()
    while True:
        ready, _, _ = select.select([requests, wakeup], [], [])
        if wakeup in ready:
            _drain(wakeup)
            keepers -= {pid for pid, _ in _reap()}
            _kill_all(spare=keepers)
        if requests in ready:
            data, descriptors, _, _ = socket.recv_fds(requests, 1, 3)
            if not data:
                break
            keepers.add(_fork_keeper(requests, descriptors))
    deadline = time.monotonic() + _GIVE_UP_SECONDS
    while _has_children() and time.monotonic() < deadline:
        select.select([wakeup], [], [], 0.05)
        _reap()
    _kill_all()


def _fork_keeper(requests: socket.socket, descriptors: list[int]) -> int:
    pid = os.fork()
    if pid:
        for descriptor in descriptors:
            os.close(descriptor)
        return pid
    try:
        requests.close()
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        control, out, err = descriptors
        _keep(socket.socket(fileno=control), out, err)
    finally:
        os._exit(0)


def _keep(control: socket.socket, out: int, err: int) -> None:
    """The life of a keeper."""
    wakeup = _prepare()
    request = _read_line(control)
    if not request:
        return
    command = _start(json.loads(request), out, err)
    os.close(out)
    os.close(err)
    code: int | None = None
    while code is None:
        ready, _, _ = select.select([control, wakeup], [], [])
        _drain(wakeup)
        code = dict(_reap()).get(command)
        if control in ready:
            break
    killed = _kill_all()
    answer = {"code": code if code is not None else killed.get(command, -signal.SIGKILL)}
    with contextlib.suppress(OSError):
        control.sendall(json.dumps(answer).encode())


def _start(request: dict[str, Any], out: int, err: int) -> int:
    pid = os.fork()
    if not pid:
        _become(request, out, err)
    return pid


def _become(request: dict[str, Any], out: int, err: int) -> NoReturn:
    """Turn into the command, in its own session, with nothing of ours but the two streams."""
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        for name in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(name, signal.SIG_DFL)
        os.chdir(request["cwd"])
        os.execve(request["argv"][0], request["argv"], request["env"])
    except OSError as error:
        os.write(2, f"The command cannot be started: {error.strerror}.\n".encode())
    finally:
        os._exit(127)


def _prepare() -> int:
    """Adopt orphans, and make a descriptor that becomes readable when a child ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _ignore)
    return reader


def _ignore(_number: int, _frame: object) -> None:
    """A handler, so that the signal is written to the wakeup descriptor."""


def _kill_all(spare: set[int] | None = None) -> dict[int, int]:
    """Kill all descendants but `spare` and theirs, until none is left; returns the exit codes of our own children.

    They are stopped before they are killed, so that none can go on making others.
    """
    spare = spare or set()
    codes: dict[int, int] = {}
    deadline = time.monotonic() + _GIVE_UP_SECONDS
    while time.monotonic() < deadline:
        stopped: set[int] = set()
        while new := _descendants(os.getpid(), spare) - stopped:
            _signal(new, signal.SIGSTOP)
            stopped |= new
        _signal(stopped, signal.SIGKILL)
        codes.update(_reap())
        if not stopped and (spare or not _has_children()):
            break
        time.sleep(0.0005)
    return codes


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def _reap() -> list[tuple[int, int]]:
    """The children that have ended, with their exit codes, negative for a signal."""
    ended: list[tuple[int, int]] = []
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            ended.append((pid, os.waitstatus_to_exitcode(status)))
    return ended


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _descendants(root: int, spare: set[int]) -> set[int]:
    """Every living process below `root`, leaving out `spare` and what is below those."""
    if not _has_children():
        return set()
    children: dict[int, list[int]] = {}
    for pid, parent in _processes():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        below = [pid for pid in children.get(waiting.pop(), ()) if pid not in spare and pid not in found]
        found.update(below)
        waiting += below
    return found


def _processes() -> list[tuple[int, int]]:
    """(process, parent) of everything that runs here; zombies left out."""
    if sys.platform != "linux":
        with os.popen("/bin/ps -A -o pid=,ppid=,stat=") as listing:
            rows = [line.split() for line in listing]
        return [(int(row[0]), int(row[1])) for row in rows if not row[2].startswith("Z")]
    found: list[tuple[int, int]] = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
                if state not in (b"Z", b"X"):
                    found.append((int(name), int(parent)))
    return found


def _read_line(control: socket.socket) -> bytes:
    """The request; empty when the other end is closed before it is whole."""
    data = b""
    while not data.endswith(b"\n"):
        piece = control.recv(65536)
        if not piece:
            return b""
        data += piece
    return data


def _drain(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 4096):
            pass


if __name__ == "__main__":
    main()
