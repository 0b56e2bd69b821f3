"""The engine without an editor: plain files, this terminal."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agentic.disk.journal import Journal
from agentic.disk.private_folder import remove_leftovers_meanwhile
from agentic.disk.workspace import DiskWorkspace
from agentic.errors import AgenticError, EndpointUnreachable, SettingsError, UnknownSession
from agentic.events import MAIN, ErrorRaised, Event, TurnFinished
from agentic.ports.store import RESUMABLE, LoggedEvent, SessionInfo, Store
from agentic.safety.paths import Roots
from agentic.task import Task, narrower, new_id
from agentic_server.feed import Feed
from agentic_server.protocol import MAX_TASK_CHARACTERS
from agentic_server.settings import Settings, load_all
from agentic_server.tasks import Begun, last_begun

if TYPE_CHECKING:
    from rich.console import Console

    from agentic.runtime import Ports, Run
    from agentic_server.terminal_asker import TerminalAsker

ENDED_BY_LIMIT = (
    "max_iterations",
    "max_time",
    "max_tokens",
    "max_budget",
    "loop",
    "no_progress",
    "context_exhausted",
)
UNREACHABLE, LIMIT, CANCELLED = 3, 4, 130


def run_task(options: argparse.Namespace, flags: Mapping[str, object]) -> int:
    """Do one task and give the exit code. :raises AgenticError:"""
    settings, folder = load_all(flags=flags), _folder(options.dir)
    # Whatever the locale, a terminal sends UTF-8.
    text = os.fsencode(" ".join(options.task)).decode("utf-8", "replace")
    if not text.strip() or len(text) > MAX_TASK_CHARACTERS:
        raise SettingsError("The task is empty or longer than 1,000,000 characters.", "Say what to do in a few words.")
    task = settings.task(text, options.session or new_id("s"), new_id("t"))
    return asyncio.run(_run(task, folder, settings, options))


def resume_task(options: argparse.Namespace, flags: Mapping[str, object]) -> int:
    """Go on with the last turn of a session, which was interrupted or failed, and give the exit code.

    :raises AgenticError: there is no such session, or its last turn came to an end.
    """
    settings, folder = load_all(flags=flags), _folder(options.dir)
    begun = asyncio.run(_begun(options.session, settings))
    task = replace(settings.task(begun.text, options.session, new_id("t")), mode=narrower(begun.mode, settings.mode))
    return asyncio.run(_run(task, folder, settings, options, resumed=True))


def _folder(given: str) -> Path:
    folder = Path(given).resolve()
    if not folder.is_dir():
        raise SettingsError(f"--dir {given} is no folder.", "Name the folder to work in.")
    if str(folder) != os.fsencode(folder).decode("utf-8", "replace"):
        raise SettingsError(f"The folder's name is not readable text: {str(folder)!r}.", "Rename it to UTF-8.")
    return folder


async def _begun(session: str, settings: Settings) -> Begun:
    """What the session's last turn began with. :raises AgenticError: it is not to be resumed."""
    from agentic.store.sqlite import SqliteStore

    store = await SqliteStore.open(settings.database())
    try:
        info = await store.session(session)
        if info.state not in RESUMABLE:
            raise AgenticError(
                f"The last turn of session {info.id} is {info.state}: there is nothing to resume.",
                f'Go on with: agentic run --session {info.id} "…"',
            )
        return last_begun(await store.events(session))
    finally:
        await store.aclose()


def doctor(flags: Mapping[str, object], *, quick: bool = False) -> int:
    """Print what was found; 1 when no endpoint can be used. `quick` asks for no completions."""
    from agentic_server.doctor import examine
    from agentic_server.doctor_view import Progress, show
    from agentic_server.terminal_screen import terminal_console

    settings, console = load_all(flags=flags), terminal_console()
    try:
        with Progress(console) as progress:
            found = asyncio.run(examine(settings, measure=not quick, tell=progress.tell))
    except KeyboardInterrupt:
        return CANCELLED
    show(found, console)
    return 0 if any(one.reachable for one in found.endpoints) else 1


def sessions(flags: Mapping[str, object]) -> int:
    """Print the sessions, the last used first."""
    from agentic_server.terminal_screen import terminal_console

    console = terminal_console()
    for info in asyncio.run(_sessions(load_all(flags=flags))):
        when = datetime.fromtimestamp(info.updated).strftime("%Y-%m-%d %H:%M")
        _print_line(console, f"{info.id}  {when}  {info.state:<11}  {info.title}")
    return 0


def _print_line(console: Console, text: str) -> None:
    """One line as it is, however wide the terminal."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


async def _sessions(settings: Settings) -> list[SessionInfo]:
    from agentic.store.sqlite import SqliteStore

    store = await SqliteStore.open(settings.database())
    try:
        return await store.sessions()
    finally:
        await store.aclose()


async def _run(
    task: Task, folder: Path, settings: Settings, options: argparse.Namespace, *, resumed: bool = False
) -> int:
    from agentic.runtime import resume, run
    from agentic_server.terminal_asker import TerminalAsker

    asker = TerminalAsker(sys.stdin, sys.stdout, options.yes)
    async with _ports(task, folder, settings, asker) as ports:
        if options.session and options.session not in {info.id for info in await ports.store.sessions(10_000)}:
            raise UnknownSession(f"There is no session {options.session}.", "List them with: agentic sessions")
        running = resume(task, ports) if resumed else run(task, ports)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, running.cancel)
        return await _show(running, ports.store, asker, options)


@asynccontextmanager
async def _ports(task: Task, folder: Path, settings: Settings, asker: TerminalAsker) -> AsyncGenerator[Ports]:
    from agentic.runtime import Ports
    from agentic.store.sqlite import SqliteStore
    from agentic_server.model import model_of

    store = await SqliteStore.open(settings.database())
    if store.notice:
        sys.stderr.write(f"agentic: {store.notice}\n")
    remove_leftovers_meanwhile()
    roots = Roots([folder])
    workspace = DiskWorkspace(roots).for_turn(Journal(store, task.session, task.turn))
    model, index = model_of(settings), settings.code_index(roots)
    try:
        yield Ports(model, workspace, asker, store, index)
    finally:
        await workspace.close()
        await index.aclose()
        await model.aclose()
        await store.aclose()


async def _show(running: Run, store: Store, asker: TerminalAsker, options: argparse.Namespace) -> int:
    """Show each event, as JSON or for people, and give the exit code. Nobody reads any more: the turn is cancelled."""
    output = _Output(running, asker, options)
    feed = Feed(store, output.send)
    code = 1
    async for event in running:
        feed.push(event)
        if isinstance(event, ErrorRaised) and event.agent == MAIN and event.code == EndpointUnreachable.code:
            code = UNREACHABLE
        if isinstance(event, TurnFinished) and event.agent == MAIN:
            code = _exit_code(event, code)
    feed.flush()
    output.close(code)
    return code


class _Output:
    """Where the events of a run go: to people, or as lines of JSON."""

    def __init__(self, running: Run, asker: TerminalAsker, options: argparse.Namespace) -> None:
        from agentic_server.terminal import TerminalView
        from agentic_server.terminal_order import OneAtATime

        self._running = running
        self._asker = asker
        self._view = None if options.json else TerminalView(thinking=options.thinking)
        self._order = OneAtATime(self._show)

    def send(self, event: Event, logged: LoggedEvent) -> None:
        try:
            if self._view is None:
                sys.stdout.write(f'{{"seq":{logged.seq},{logged.body[1:].decode()}\n')
                sys.stdout.flush()
            self._order.push(event)
        except (BrokenPipeError, SystemExit):  # Rich makes the second of the first.
            self._running.cancel()
            _write_to_nowhere()

    def close(self, code: int) -> None:
        """Show what is left, and how to go on after a failure."""
        self._order.flush()
        if self._view is None:
            return
        self._view.close()
        if code in (1, UNREACHABLE):
            self._view.show_line(f"Go on with: agentic resume {self._running.task.session}")

    def _show(self, event: Event) -> None:
        if self._view is not None:
            self._view.render(event)
        self._asker.shown(event)


def _write_to_nowhere() -> None:
    """Point standard output at nothing, so that what is still written, at exit too, does not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _exit_code(finished: TurnFinished, failed: int) -> int:
    if finished.stop_reason == "end_turn":
        return 0
    if finished.stop_reason == "cancelled":
        return CANCELLED
    if finished.stop_reason in ENDED_BY_LIMIT:
        return LIMIT
    return 1 if finished.files else failed
