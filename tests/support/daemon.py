"""The real daemon over real stdio, a truthful editor in front of it, and a scripted model behind it.

    async with stage(tmp_path, PLUGIN) as (daemon, model):
        model.play(Reply(reply("Hello.")))
        turn = await daemon.run("hello")
        finished = await turn.finished()

The client counts positions in code points (it offers utf-32), keeps its own documents, and reports what became of each.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from support.grammar import check
from support.model_server import Answer, Json, ModelServer, Play, Reply, status, stream
from support.raw_client import Message, RawClient, python

from agentic.events import MAIN, decode

PLAIN: Json = {
    "general": {"positionEncodings": ["utf-32"]},
    "workspace": {"applyEdit": True, "workspaceEdit": {"documentChanges": True}},
    "window": {"workDoneProgress": True},
}
"""An editor without a plugin of ours."""
PLUGIN: Json = {**PLAIN, "experimental": {"agentic": True}}
"""An editor with one: it gets events and is asked by `agentic/ask`."""
PATIENCE = 30.0
"""Seconds after which what has not come is taken never to come; far more than anything needs."""
HANG: Answer = stream([], "stall")
"""The model takes the request and says nothing."""


class Model:
    """What the model server will answer, changed from test to test: a list, or a function of the request."""

    def __init__(self) -> None:
        self._next: Callable[[Json], Answer] = _nothing
        self.server = ModelServer(self._answer)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def requests(self) -> list[Json]:
        return self.server.requests

    def play(self, *answers: Answer) -> None:
        """Answer the next requests so, and forget those that came."""
        waiting = iter(answers)
        self.play_by(lambda request: next(waiting, None) or _nothing(request))

    def play_by(self, answer: Callable[[Json], Answer]) -> None:
        """Answer each request by this function, and forget those that came."""
        self._next = answer
        self.requests.clear()
        self.server.connections.clear()
        self.server.client_closed.clear()
        self.server.request_seen.clear()

    def results(self) -> list[str]:
        """The tool results that the last request carried."""
        return [m["content"] for m in self.requests[-1]["messages"] if m["role"] == "tool"]

    def _answer(self, request: Json) -> Answer:
        return self._next(request)


def call(name: str, arguments: Json | str, text: str = "") -> Reply:
    """An answer that calls one tool."""
    return Reply(text, calls=[(name, arguments)])


def edit(path: str, old: str, new: str) -> Reply:
    return call("edit_file", {"path": path, "edits": [{"old": old, "new": new}]})


def slowly(*answers: Json | str) -> Play:
    """An answer whose text has these pieces, after which nothing comes any more."""
    chunks = [{"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in answers]
    return stream([b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks], "stall")


class Turn:
    """A turn as the client sees it."""

    def __init__(self, daemon: Daemon, ids: Json) -> None:
        self.daemon = daemon
        self.session: str = ids["sessionId"]
        self.id: str = ids["turnId"]

    @property
    def events(self) -> list[Json]:
        """Its events so far, in the order of their arrival."""
        return [event for event in self.daemon.events.get(self.session, []) if event["turnId"] == self.id]

    def of(self, kind: str) -> list[Json]:
        return [event for event in self.events if event["kind"] == kind]

    async def wait(self, kind: str, number: int = 1) -> Json:
        """The n-th event of this kind."""
        found = await self.daemon.until(lambda: self.of(kind)[number - 1 : number] or None)
        return found[0]

    async def finished(self) -> Json:
        """The last event, once it is there. The session's `seq` has no gap, and the order of its events is right."""
        ends = await self.daemon.until(lambda: [e for e in self.of("turnFinished") if e["agent"] == MAIN] or None)
        end = ends[0]
        events = self.daemon.events[self.session]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert self.events[-1] is end
        check_grammar(self.events)
        return end

    async def review(self, verdict: str = "accept", number: int = 1) -> Json:
        """Give all hunks of the n-th proposal this verdict; what became of it."""
        proposed = await self.wait("editProposed", number)
        hunks = {hunk["id"]: verdict for hunk in proposed["hunks"]}
        answer = await self.daemon.command("agentic.review", {"itemId": proposed["item"], "hunks": hunks})
        assert answer == {"accepted": True}
        return await self.wait("editResolved", number)

    async def cancel(self) -> Json:
        assert await self.daemon.command("agentic.cancel", {"turnId": self.id}) == {"cancelled": True}
        return await self.finished()


def check_grammar(events: Sequence[Json]) -> None:
    """The events as they came over the wire are well-formed turns."""
    check(decode(json.dumps({k: v for k, v in event.items() if k != "seq"}).encode()) for event in events)


class Daemon(RawClient):
    """The client of a daemon: an editor with documents, which applies every edit that fits and says so."""

    def __init__(self, workspace: Path) -> None:
        super().__init__()
        self.workspace = workspace
        self.events: dict[str, list[Json]] = {}
        self.documents: dict[str, tuple[int, str]] = {}
        """By URI: version and text, as the user sees it."""
        self.edits: list[Json] = []
        self.handlers["workspace/applyEdit"] = self._apply_edit
        self.handlers["window/workDoneProgress/create"] = lambda _: None
        self._tokens = itertools.count(1)

    def file(self, name: str, text: str | bytes = "") -> Path:
        """A file of the workspace with this content."""
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def open(self, name: str, text: str) -> str:
        """Open a document, saved or not; its URI."""
        uri = self.uri(name)
        self.documents[uri] = (1, text)
        item = {"uri": uri, "languageId": "python", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})
        return uri

    def uri(self, name: str) -> str:
        return (self.workspace / name).as_uri()

    def text(self, name: str) -> str:
        """What the user sees."""
        return self.documents[self.uri(name)][1]

    def type(self, name: str, text: str) -> None:
        """The user replaces the whole text."""
        self._set(self.uri(name), text)

    async def run(self, task: str, **params: Any) -> Turn:
        """Start a task."""
        return Turn(self, await self.command("agentic.runTask", {"task": task, **params}))

    async def until(self, find: Callable[[], Any]) -> Any:
        """What `find` finds, once it is not None; looked for at each message."""
        return await self._wait(find, PATIENCE)

    async def wait_asked(self, method: str, number: int = 1) -> Message:
        """The daemon's n-th request of this method."""
        return (await self.until(lambda: self._requests_of(method)[number - 1 : number] or None))[0]

    def forget(self) -> None:
        """Forget what came, for the next test with the same process."""
        for seen in (self.notifications, self.requests, self.responses, self.edits):
            seen.clear()
        self.handlers.pop("agentic/ask", None)
        self.handlers.pop("window/showMessageRequest", None)

    def _requests_of(self, method: str) -> list[Message]:
        return [message for message in self.requests if message["method"] == method]

    async def _receive(self, message: Message) -> None:
        if message.get("method") == "agentic/event":
            event = message["params"]
            self.events.setdefault(event["sessionId"], []).append(event)
        await super()._receive(message)

    def _apply_edit(self, params: Json) -> Json:
        self.edits.append(params)
        for change in params["edit"]["documentChanges"]:
            document = change["textDocument"]
            version, text = self.documents[document["uri"]]
            if document["version"] not in (None, version):
                return {"applied": False, "failureReason": "the document has changed"}
            self._set(document["uri"], apply_text_edits(text, change["edits"]))
        return {"applied": True}

    def _set(self, uri: str, text: str) -> None:
        version = self.documents[uri][0] + 1
        self.documents[uri] = (version, text)
        changed = {"textDocument": {"uri": uri, "version": version}, "contentChanges": [{"text": text}]}
        self.notify("textDocument/didChange", changed)


def apply_text_edits(text: str, edits: Sequence[Json]) -> str:
    """LSP's text edits on a text, positions in code points."""
    starts = [0, *(found.end() for found in re.finditer(r"\r\n|\r|\n", text))]

    def offset(position: Json) -> int:
        return starts[position["line"]] + position["character"]

    for one in sorted(edits, key=lambda e: offset(e["range"]["start"]), reverse=True):
        text = text[: offset(one["range"]["start"])] + one["newText"] + text[offset(one["range"]["end"]) :]
    return text


def environment(folder: Path) -> dict[str, str]:
    """Where a daemon of this folder keeps its things, temporary ones too; nothing of the user's own."""
    (folder / "temporary").mkdir(exist_ok=True)
    clean = {name: "" for name in os.environ if name.startswith("AGENTIC_")}
    places = {"AGENTIC_STATE_DIR": "state", "XDG_CONFIG_HOME": "config", "TMPDIR": "temporary"}
    return clean | {name: str(folder / place) for name, place in places.items()}


@asynccontextmanager
async def started(
    folder: Path, url: str, capabilities: Json = PLUGIN, options: Json | None = None, **initialize: Any
) -> AsyncGenerator[Daemon]:
    """A daemon that works in `folder/workspace` with a model at `url`; it is killed at the end."""
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    daemon = Daemon(workspace)
    await daemon.start(*python("-m", "agentic_server", "serve"), env=environment(folder), cwd=workspace)
    try:
        params = {"endpoints": [{"url": url}], **(options or {})}
        root = {"rootUri": workspace.as_uri(), "initializationOptions": params, **initialize}
        await daemon.initialize(capabilities, **root)
        yield daemon
    finally:
        await daemon.kill()


@asynccontextmanager
async def stage(
    folder: Path, capabilities: Json = PLUGIN, options: Json | None = None
) -> AsyncGenerator[tuple[Daemon, Model]]:
    """A daemon and its model."""
    model = Model()
    async with model.server, started(folder, model.url, capabilities, options) as daemon:
        yield daemon, model


def descendants(pid: int) -> list[psutil.Process]:
    """The processes that this one has started, and those that they have."""
    return psutil.Process(pid).children(recursive=True)


def named(pid: int, name: str) -> list[psutil.Process]:
    """Those of its descendants that run this program now; any of them may vanish meanwhile."""
    found: list[psutil.Process] = []
    for process in descendants(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [process] if process.name() == name else []
    return found


async def gone(processes: Sequence[psutil.Process]) -> bool:
    """Whether all of them end; waits for it."""
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, PATIENCE)
    return not alive


def _nothing(_request: Json) -> Answer:
    return status(400, {"error": {"message": "the test's script has no answer to this request"}})
