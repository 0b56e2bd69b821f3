"""The daemon as pytest-lsp's client sees it: an editor that knows LSP and nothing of ours."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient
from support.daemon import HANG, Model, call, edit, environment
from support.model_server import Reply
from support.runs import reply, work

pytestmark = pytest.mark.filterwarnings("ignore:Unknown progress token")
"""pytest-lsp knows only tokens that the server made; this one came with the command, as the protocol allows."""
TOKEN = "pytest"
PATIENCE = 30.0


T = TypeVar("T")
Progress = types.WorkDoneProgressBegin | types.WorkDoneProgressReport | types.WorkDoneProgressEnd


class Editor:
    """The client, its user's answer to every question, and what they were asked."""

    def __init__(self, client: LanguageClient, model: Model, workspace: Path) -> None:
        self.client = client
        self.model = model
        self.workspace = workspace
        self.answer: str | None = None
        self.asked: list[types.ShowMessageRequestParams] = []

        @client.feature(types.WINDOW_SHOW_MESSAGE_REQUEST)
        async def ask(params: types.ShowMessageRequestParams) -> types.MessageActionItem | None:
            self.asked.append(params)
            return next((action for action in params.actions or () if action.title == self.answer), None)

    async def run(self, task: str) -> None:
        """Start a task whose progress comes on `TOKEN`."""
        params = types.ExecuteCommandParams("agentic.runTask", [{"task": task}], work_done_token=TOKEN)
        await asyncio.wait_for(self.client.workspace_execute_command_async(params), PATIENCE)

    async def finished(self) -> str:
        """What the user is told at the end."""
        messages = self.client.messages
        return (await self._until(types.WINDOW_SHOW_MESSAGE, lambda: messages[-1] if messages else None)).message

    async def progress(self) -> list[Progress]:
        """The whole progress; it ends soon after the turn does."""

        def whole() -> list[Progress] | None:
            reports = list(self.client.progress_reports.get(TOKEN, []))
            return reports if reports and isinstance(reports[-1], types.WorkDoneProgressEnd) else None

        return await self._until(types.PROGRESS, whole)

    async def _until(self, method: str, find: Callable[[], T | None]) -> T:
        """What `find` finds, once it is there; it is looked for after each notification of this method."""
        async with asyncio.timeout(PATIENCE):
            while (found := find()) is None:
                await self.client.protocol.wait_for_notification_async(method)
            return found


@pytest.fixture
async def editor(tmp_path: Path) -> AsyncIterator[Editor]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    command = [sys.executable, "-m", "agentic_server", "serve"]
    config = ClientServerConfig(server_command=command, server_env={**os.environ, **environment(tmp_path)})
    model = Model()
    async with model.server:
        client = await config.start()
        assert isinstance(client, LanguageClient)
        editor = Editor(client, model, workspace)
        params = types.InitializeParams(
            capabilities=types.ClientCapabilities(),
            root_uri=workspace.as_uri(),
            initialization_options={"endpoints": [{"url": model.url}]},
        )
        await client.initialize_session(params)
        yield editor
        await client.shutdown_session()
        await client.stop()


async def test_a_task_reports_its_progress_and_tells_its_end(editor: Editor) -> None:
    editor.model.play(Reply(reply("Hello to you.")))
    await editor.run("hello")
    assert await editor.finished() == "Hello to you."
    begin, *reports, end = await editor.progress()
    assert isinstance(begin, types.WorkDoneProgressBegin)
    assert (begin.title, begin.cancellable) == ("Agentic: hello", True)
    assert all(isinstance(report, types.WorkDoneProgressReport) for report in reports)
    assert end.message == "end_turn: Hello to you."


@pytest.mark.parametrize(("answer", "text"), [("Apply", "b\n"), ("Reject", "a\n"), (None, "a\n")])
async def test_an_edit_is_made_only_after_a_yes(editor: Editor, answer: str | None, text: str) -> None:
    path = editor.workspace / "a.py"
    path.write_text("a\n")
    editor.answer = answer
    editor.model.play(edit("a.py", "a", "b"), Reply("Done."))
    await editor.run("edit a.py")
    assert await editor.finished() == "Done."
    assert path.read_text() == text
    [asked] = editor.asked
    assert [action.title for action in asked.actions or ()] == ["Apply", "Reject"]
    assert "-a\n+b" in asked.message


async def test_a_command_runs_after_a_yes_and_its_output_reaches_the_model(editor: Editor) -> None:
    editor.answer = "Allow"
    editor.model.play(
        call("run_command", {"command": "echo from the command > made; cat made"}, work()), Reply("Done.")
    )
    await editor.run("run it")
    assert await editor.finished() == "Done."
    assert editor.model.results() == ["from the command\n[exit code 0]"]
    assert (editor.workspace / "made").read_text() == "from the command\n"


async def test_cancelling_the_progress_cancels_the_task(editor: Editor) -> None:
    editor.model.play(HANG)
    await editor.run("work on a.py")
    await asyncio.wait_for(editor.model.server.request_seen.wait(), PATIENCE)
    editor.client.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(TOKEN))
    assert await editor.finished() == "Cancelled."
    assert (await editor.progress())[-1].message == "cancelled"
    await asyncio.wait_for(editor.model.server.client_closed.wait(), PATIENCE)
