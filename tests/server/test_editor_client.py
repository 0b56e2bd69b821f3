"""The editor's side over a real connection to a real process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.raw_client import RawClient

SERVER = Path(__file__).parent.parent / "support" / "editor_server.py"
CAPABILITIES: dict[str, Any] = {
    "workspace": {"applyEdit": True, "workspaceEdit": {"documentChanges": True}},
    "textDocument": {"codeAction": {}, "publishDiagnostics": {}},
}


class Editor:
    """A raw client with one document, whose text it reports whole."""

    def __init__(self, client: RawClient, file: Path) -> None:
        self.client = client
        self.uri = file.as_uri().replace("a.txt", "%61.txt")
        self.version = 1
        client.notify("textDocument/didOpen", {"textDocument": self._item("😋 one\n")})

    def report(self, text: str) -> None:
        self.version += 1
        document = {"uri": self.uri, "version": self.version}
        self.client.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})

    def on_edit(self, act: Callable[[Any], bool]) -> None:
        def answer(params: Any) -> Any:
            return {"applied": act(params["edit"]["documentChanges"])}

        self.client.handlers["workspace/applyEdit"] = answer

    def _item(self, text: str) -> dict[str, Any]:
        return {"uri": self.uri, "languageId": "text", "version": 1, "text": text}


@asynccontextmanager
async def editor_in(folder: Path, capabilities: dict[str, Any] = CAPABILITIES) -> AsyncGenerator[Editor]:
    file = folder / "a.txt"
    file.write_text("😋 one\n")
    async with RawClient.started(sys.executable, str(SERVER), str(folder)) as client:
        await client.initialize(capabilities)
        yield Editor(client, file)


async def test_an_edit_reaches_the_document_as_the_client_spells_it(tmp_path: Path) -> None:
    async with editor_in(tmp_path) as editor:
        seen: list[Any] = []

        def act(changes: Any) -> bool:
            seen.extend(changes)
            editor.report("😋 two\n")
            return True

        editor.on_edit(act)
        assert await editor.client.command("test.apply", "a.txt", "😋 two\n") == ["applied", "😋 two\n"]
        [change] = seen
        assert change["textDocument"] == {"uri": editor.uri, "version": 1}
        [edit] = change["edits"]
        assert edit["range"] == {"start": {"line": 0, "character": 3}, "end": {"line": 0, "character": 6}}


async def test_a_yes_without_a_change_is_a_refusal(tmp_path: Path) -> None:
    async with editor_in(tmp_path) as editor:
        editor.on_edit(lambda _: True)
        [code, _] = await editor.client.command("test.apply", "a.txt", "two\n")
        assert code == "rejected"


async def test_a_client_without_handlers_is_a_refusal_with_its_words(tmp_path: Path) -> None:
    async with editor_in(tmp_path) as editor:
        [code, _] = await editor.client.command("test.apply", "a.txt", "two\n")
        assert code == "rejected"
        assert await editor.client.command("test.ask") == ["", "client_error"]


async def test_a_question_is_answered_by_its_label(tmp_path: Path) -> None:
    async with editor_in(tmp_path) as editor:
        editor.client.handlers["window/showMessageRequest"] = lambda params: params["actions"][0]
        assert await editor.client.command("test.ask") == ["allow_once", "user"]
    async with editor_in(tmp_path, {"experimental": {"agentic": True}}) as editor:
        editor.client.handlers["agentic/ask"] = lambda params: {"option": params["options"][1]["id"]}
        assert await editor.client.command("test.ask") == ["reject_once", "user"]


async def test_a_proposal_is_decided_by_a_quick_fix(tmp_path: Path) -> None:
    async with editor_in(tmp_path) as editor, asyncio.TaskGroup() as group:
        client = editor.client
        reviewing = group.create_task(client.command("test.review", "a.txt", "😋 two\n"))
        published = (await client.wait_for_method("textDocument/publishDiagnostics"))["params"]
        assert published["uri"] == editor.uri
        [diagnostic] = published["diagnostics"]
        where = {"textDocument": {"uri": editor.uri}, "range": diagnostic["range"]}
        hover = await client.request("textDocument/hover", {**where, "position": {"line": 0, "character": 0}})
        assert "```diff" in hover["contents"]["value"]
        actions = await client.request("textDocument/codeAction", {**where, "context": {"diagnostics": [diagnostic]}})
        accept = next(action for action in actions if action["title"] == "Agentic: accept this change")
        assert accept["edit"]["documentChanges"][0]["textDocument"]["version"] == 1
        editor.report("😋 two\n")
        await client.command("agentic.review", *accept["command"]["arguments"])
        assert await reviewing == {"h0": "accept"}
        await client.wait_for(
            lambda m: m["method"] == "textDocument/publishDiagnostics" and not m["params"]["diagnostics"]
        )
