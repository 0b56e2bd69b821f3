"""The composition root: the daemon's parts, each made when it is first needed.

Nothing heavy is imported here: `initialize` is answered before the agent's libraries are loaded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from lsprotocol import types

from agentic.events import MAIN, Answered, Event, TurnFinished
from agentic.ports.store import LoggedEvent, SessionInfo
from agentic.task import Task, new_id, title_of
from agentic_server import protocol
from agentic_server.from_lsp import path_of
from agentic_server.hardened import ClientError, HardenedServer, current_command
from agentic_server.progress import Progress
from agentic_server.sessions import ActiveTurn, Sessions
from agentic_server.settings import Settings, Source, from_editor, load_all

if TYPE_CHECKING:
    from agentic.llm.pool import Pool
    from agentic.runtime import Ports
    from agentic.store.sqlite import SqliteStore
    from agentic_server.editor import Editor
    from agentic_server.review import Reviews

log = logging.getLogger(__name__)

CLIENT_SECONDS = 2.0
"""How long a request that needs no person may stay unanswered by the client."""


class Daemon:
    """One client's agent."""

    def __init__(self, server: HardenedServer, flags: Mapping[str, object]) -> None:
        self.server = server
        self._flags = flags
        self._options: object = None
        self._settings: Settings | None = None
        self._store: SqliteStore | None = None
        self._sessions: Sessions | None = None
        self._model: Pool | None = None
        self._retired: list[Pool] = []
        """Models of older settings, which running turns may still use."""
        self._opening = asyncio.Lock()
        self._replaying = asyncio.Lock()
        self._held_back: dict[str, list[LoggedEvent]] = {}
        """By session, while its older events are sent again: those that have come meanwhile."""
        server.on_stop.append(self.stop)

    @cached_property
    def editor(self) -> Editor:
        """Made with the first task: then the workspace folders are known."""
        from agentic_server.editor import open_editor

        return open_editor(self.server, self._folders(), self._settings)

    async def refresh_editor(self) -> None:
        """Take up changed workspace folders and settings, unless a turn still works with the old ones."""
        closed = (await self.settings()).closed_files
        if not self.has_editor or self.running():
            return
        if self.editor.roots.given != self._folders() or self.editor.workspace.closed_files != closed:
            await self.editor.close()
            del self.editor

    def _folders(self) -> list[str]:
        folders = [path_of(folder.uri) for folder in self.server.documents.folders.values()]
        return folders or [self.server.documents.root_path or str(Path.cwd())]

    @property
    def reviews(self) -> Reviews | None:
        """The proposals that wait for a verdict; None before the first task."""
        return self.editor.reviews if self.has_editor else None

    @property
    def has_editor(self) -> bool:
        """Whether there has been a task."""
        return "editor" in self.__dict__

    @property
    def model(self) -> Pool | None:
        """The model of the turns so far; None before the first one, and after the settings have changed."""
        return self._model

    async def settings(self) -> Settings:
        """From all sources, in their order. :raises SettingsError: a value is bad; the message names its key."""
        if self._settings is None:
            sources = [from_editor("initializationOptions", self._options), await self._configuration()]
            self._settings = load_all(sources, self._flags)
        return self._settings

    async def store(self) -> SqliteStore:
        """The log. :raises StoreError: it cannot be opened."""
        from agentic.store.sqlite import SqliteStore

        async with self._opening:
            if self._store is None:
                settings = await self.settings()
                self._store = await SqliteStore.open(settings.database())
                if self._store.notice:
                    self.tell(types.MessageType.Warning, self._store.notice)
                self._sessions = Sessions(self._store, self._ports, self._send, self._open_progress)
            return self._store

    async def known_session(self, session: str) -> SessionInfo:
        """:raises UnknownSession:"""
        return await (await self.store()).session(session)

    async def start(self, task: Task, *, resume: bool = False) -> None:
        """Start a turn.

        :raises SessionBusy:
        :raises StoreError: the log cannot be written, or another process runs a turn of the session.
        """
        store = await self.store()
        await store.open_session(task.session, title_of(task.text), self.editor.roots.names)
        if self._sessions is None:
            raise AssertionError("the store came without sessions")
        turn = self._sessions.start(task, resume=resume)
        command = current_command.get()
        if command is not None:
            turn.token = command.work_done_token
        turn.request = self.server.protocol.msg_id

    def running(self, session: str | None = None, turn: str | None = None) -> list[ActiveTurn]:
        """The running turns that have these ids."""
        return self._sessions.find(session, turn) if self._sessions else []

    async def replay(self, session: str, since: int) -> Sequence[LoggedEvent]:
        """Send a session's events after `since` again; newer ones wait until these have left."""
        store = await self.store()
        async with self._replaying:
            newer = self._held_back[session] = []
            events: Sequence[LoggedEvent] = ()
            try:
                events = await store.events(session, since)
            finally:
                del self._held_back[session]
                last = events[-1].seq if events else 0
                for event in [*events, *(event for event in newer if event.seq > last)]:
                    self._send_logged(event)
        return events

    def _send_logged(self, event: LoggedEvent) -> None:
        self.server.send_raw_notification("agentic/event", b'{"seq":%d,%b' % (event.seq, event.body[1:]))

    def tell(self, kind: types.MessageType, text: str) -> None:
        """Show the user a message."""
        self.server.window_show_message(types.ShowMessageParams(kind, text))

    def cancel_progress(self, token: str | int) -> None:
        """The user closed the progress of a turn."""
        for turn in self.running():
            if turn.token == token:
                turn.cancel()

    def cancel_request(self, request: str | int) -> None:
        """The client cancelled the request that began a turn."""
        for turn in self.running():
            if turn.request == request:
                turn.cancel()

    async def configuration_changed(self) -> None:
        """The next task reads the settings again."""
        self._settings = None
        self._retire_model()
        if not self.running():
            await self._close_retired()

    def check_mirror(self, uri: str, text: str | None) -> None:
        """What the client saved must be what we mirror; where it is not, its text counts from now on."""
        document = self.server.documents.find(uri)
        if document is not None and text is not None and document.source != text:
            log.warning("our mirror of %s had drifted from the editor's text and was set right", uri)
            document.apply_change(types.TextDocumentContentChangeWholeDocument(text))

    async def stop(self) -> None:
        """End every turn, kill every command, write everything down."""
        if self._sessions is not None:
            await self._sessions.stop_all()
        if self.has_editor:
            await self.editor.close()
        self._retire_model()
        await self._close_retired()
        if self._store is not None:
            await self._store.aclose()

    def remember_options(self, options: object) -> None:
        """What the client sent as `initializationOptions`."""
        self._options = options

    async def _configuration(self) -> Source:
        workspace = self.server.client_capabilities.workspace
        if workspace is None or not workspace.configuration:
            return Source("workspace/configuration", {})
        params = types.ConfigurationParams([types.ConfigurationItem(section="agentic")])
        try:
            found = await self.server.request(types.WORKSPACE_CONFIGURATION, params, CLIENT_SECONDS)
        except (TimeoutError, ClientError) as error:
            log.warning("the client did not answer workspace/configuration: %s", error)
            return Source("workspace/configuration", {})
        return from_editor("workspace/configuration", found[0] if found else None)

    async def _ports(self, task: Task) -> Ports:
        from agentic.runtime import Ports
        from agentic_server.model import model_of

        if self._model is None:
            self._model = model_of(await self.settings())
        store = await self.store()
        return Ports(self._model, self.editor.for_turn(store, task), self.editor.asker, store, self.editor.index)

    def _retire_model(self) -> None:
        if self._model is not None:
            self._retired.append(self._model)
            self._model = None

    async def _close_retired(self) -> None:
        while self._retired:
            await self._retired.pop().aclose()

    def _report(self, token: str | int, value: Mapping[str, object]) -> None:
        self.server.send_raw_notification(types.PROGRESS, msgspec.json.encode({"token": token, "value": value}))

    def _send(self, event: Event, logged: LoggedEvent) -> None:
        if event.session_id in self._held_back:
            self._held_back[event.session_id].append(logged)
        elif self.server.profile.events:
            self._send_logged(logged)
        if isinstance(event, Answered) and self.server.profile.asks:
            resolved = protocol.ApprovalResolved(
                event.session_id, event.turn_id, event.question, event.option, event.by
            )
            self.server.send_raw_notification("agentic/approvalResolved", msgspec.json.encode(resolved))
        if isinstance(event, TurnFinished) and event.agent == MAIN and not self.server.profile.events:
            failed = event.stop_reason == "error"
            summary = "Cancelled." if event.stop_reason == "cancelled" else event.summary or event.stop_reason
            self.tell(types.MessageType.Error if failed else types.MessageType.Info, summary)

    async def _open_progress(self, turn: ActiveTurn) -> Progress | None:
        token = turn.token
        if token is None:
            if not self.server.profile.work_done_progress:
                return None
            token = new_id("agentic")
            params = types.WorkDoneProgressCreateParams(token)
            try:
                await self.server.request(types.WINDOW_WORK_DONE_PROGRESS_CREATE, params, CLIENT_SECONDS)
            except (TimeoutError, ClientError) as error:
                log.warning("the client refused a progress: %s", error)
                return None
            turn.token = token
        return Progress(self._report, token, f"Agentic: {title_of(turn.task.text)}")
