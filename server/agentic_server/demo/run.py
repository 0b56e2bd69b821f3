"""`agentic demo`: the real daemon, a real client and the real tools, on answers that were recorded."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentic.change import unified_diff
from agentic.events import Asked, EditProposed, TurnFinished, decode
from agentic_server.demo.connection import Connection, Json, ServerError, server_process
from agentic_server.demo.document import Document
from agentic_server.demo.editor import Editor
from agentic_server.record import Upstream, recorder
from agentic_server.replay import ReplayServer
from agentic_server.terminal import TerminalView
from agentic_server.terminal_screen import terminal_console

if TYPE_CHECKING:
    from rich.console import Console

CASSETTE = Path(__file__).with_name("cassette.jsonl")
SAMPLE = Path(__file__).with_name("sample")
OPENED = "lighthouse/keeper.py"
TASK = "One of the tests fails. Find out why, fix it, and run the tests to show that they pass."
TYPED = "\n\nBefore winter: oil the third step.\n"
"""What the user types into the docstring of the open module and does not save."""
DAEMON = (sys.executable, "-m", "agentic_server", "serve")
LIMIT_SECONDS = 600


async def run_demo(
    console: Console | None = None, cassette: Path = CASSETTE, pause: float = 0.01, daemon: Sequence[str] = DAEMON
) -> int:
    """Show a repair from task to passing tests; 0 only if they pass and the user's unsaved line was kept."""
    view = TerminalView(console or terminal_console())
    view.show_line("The model's answers in this demo are recorded ones, served over HTTP on this machine.", "bold")
    view.show_line("The daemon, the editor's side of the protocol and the tools are real.")
    try:
        replay = ReplayServer(cassette, pause)
    except (OSError, ValueError) as error:
        view.show_line(f"The recording cannot be read: {error}", "red")
        return 1
    async with replay:
        passed = await _perform(view, replay.url, daemon)
    for problem in dict.fromkeys(replay.problems):
        view.show_line(f"The recording is stale. {problem}", "red")
    return 0 if passed and not replay.problems else 1


async def record_demo(upstream: str, out: Path, console: Console | None = None) -> int:
    """Do the demo's task with a real model server instead, and append its answers to a cassette."""
    view = TerminalView(console or terminal_console())
    async with recorder(Upstream(upstream), out) as url:
        return 0 if await _perform(view, url, DAEMON) else 1


async def _perform(view: TerminalView, url: str, daemon: Sequence[str]) -> bool:
    """Copy the sample, have it repaired and judge the result; what is left of a failure is kept to look at."""
    scratch = _prepare()
    passed = False
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            await _repair(view, scratch, url, daemon)
            passed = await _verdict(view, scratch / "project")
    except* (TimeoutError, ServerError, OSError, ValueError) as group:
        for error in group.exceptions:
            view.show_line(f"The demo broke: {error or type(error).__name__}", "red")
    if passed:
        shutil.rmtree(scratch)
    else:
        view.show_line(f"What is left of it is in {scratch}; the daemon's own words are in daemon.log there.")
    return passed


def _prepare() -> Path:
    """A scratch folder with a copy of the sample in `project`."""
    scratch = Path(tempfile.mkdtemp(prefix="agentic-demo-")).resolve()
    shutil.copytree(SAMPLE, scratch / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return scratch


async def _repair(view: TerminalView, scratch: Path, url: str, daemon: Sequence[str]) -> None:
    """Run the task in the daemon and save what it did to the open document."""
    with (scratch / "daemon.log").open("wb") as log:
        async with server_process(daemon, scratch, _environment(scratch), log) as process, asyncio.TaskGroup() as group:
            user = _Viewer(view, group)
            editor = user.editor = Editor(scratch / "project", user)
            editor.connection = Connection(process, editor.on_request, editor.on_notification)
            reading = group.create_task(editor.connection.read())
            await editor.initialize({"endpoints": [{"url": url}], "mode": "ask"})
            document = await _open_and_type(view, editor)
            await editor.execute("agentic.runTask", {"task": TASK})
            await asyncio.wait({user.finished, reading}, return_when=asyncio.FIRST_COMPLETED)
            if not user.finished.done():
                raise ServerError("The daemon ended in the middle of the task.")
            await editor.save(document)
            await editor.shut_down()


async def _open_and_type(view: TerminalView, editor: Editor) -> Document:
    """Open the module and type a line into its docstring, as a user might who has not saved yet."""
    document = await editor.open(editor.folder / OPENED)
    on_disk = document.text
    await editor.type_at(document, document.text.index('"""', 3), TYPED)
    view.show_line(f"\nThe editor has {OPENED} open, with text that is not saved:")
    view.show_diff(unified_diff(OPENED, on_disk, document.text, context=0))
    view.show_line("")
    return document


async def _verdict(view: TerminalView, project: Path) -> bool:
    """Run the sample's own tests on the saved files, and look for what the user typed."""
    view.show_line("\nThe demo saves the document and runs the sample's tests itself:", "bold")
    tests = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "unittest"),
        cwd=project,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await tests.communicate()
    view.show_line(output.decode(errors="replace").strip(), "dim")
    kept = TYPED in (project / OPENED).read_text(encoding="utf-8")
    for good, what in (
        (tests.returncode == 0, "The tests pass."),
        (kept, "The line that was not saved is still there."),
    ):
        view.show_line(f"✔ {what}" if good else f"✘ This is not so: {what}", "green" if good else "red")
    return kept and tests.returncode == 0


def _environment(scratch: Path) -> Mapping[str, str]:
    """The user's environment without their settings of Agentic; the model's stand-in is never behind a proxy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGENTIC_")}
    return kept | {
        "AGENTIC_STATE_DIR": str(scratch / "state"),
        "XDG_CONFIG_HOME": str(scratch / "config"),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


class _Viewer:
    """The user of the demo: sees every event, accepts every edit and allows every command.

    Before they allow a command they save what the agent has edited, as anyone would who wants to see it run.
    """

    editor: Editor

    def __init__(self, view: TerminalView, group: asyncio.TaskGroup) -> None:
        self.finished: asyncio.Future[TurnFinished] = asyncio.get_running_loop().create_future()
        self._view = view
        self._group = group
        self._edited: dict[str, Document] = {}
        self._asked: dict[str, asyncio.Event] = {}

    def on_event(self, event: Json) -> None:
        known = decode(json.dumps(event))
        self._view.render(known)
        if isinstance(known, EditProposed):
            self._group.create_task(self._accept(known))
        elif isinstance(known, Asked):
            self._read(known.question).set()
        elif isinstance(known, TurnFinished) and known.agent == "main" and not self.finished.done():
            self.finished.set_result(known)

    def on_edit(self, document: Document, edits: list[Json], applied: bool) -> None:
        name = document.path.name
        if applied:
            self._edited[name] = document
            self._say(f"{len(edits)} edit(s) applied to the open {name}, now version {document.version}, not saved")
        else:
            self._say(f"an edit of an older {name} than version {document.version} was refused")

    async def answer(self, question: Json) -> str:
        allowed = next((option for option in question["options"] if option["kind"] == "allow_once"), None)
        if allowed is None:
            return ""
        await self._read(question["questionId"]).wait()
        while self._edited:
            name, document = self._edited.popitem()
            await self.editor.save(document)
            self._say(f"the demo saves {name}, so that the command sees it")
        self._say(f"{question['title']}: the demo answers “{allowed['label']}”")
        return str(allowed["id"])

    def _read(self, question: str) -> asyncio.Event:
        """Set once the question has been shown, as the event that it is."""
        return self._asked.setdefault(question, asyncio.Event())

    async def _accept(self, proposal: EditProposed) -> None:
        self._say("the demo accepts every hunk")
        verdicts = {hunk.id: "accept" for hunk in proposal.hunks}
        await self.editor.execute("agentic.review", {"itemId": proposal.item, "hunks": verdicts})

    def _say(self, what: str) -> None:
        self._view.show_line(f"  [editor] {what}", style="cyan")
