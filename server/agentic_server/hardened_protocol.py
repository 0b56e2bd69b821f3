"""JSON-RPC as the daemon needs it, on top of pygls: everything is answered, everything is bounded, nothing is kept.

What comes in is data until it has been checked, and only the outermost object is a message.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import logging
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from typing import Any, Protocol, cast

from cattrs import Converter
from lsprotocol import types
from pygls.capabilities import ServerCapabilitiesBuilder
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams, JsonRpcRequestCancelled
from pygls.lsp.server import LanguageServer
from pygls.progress import Progress
from pygls.protocol import (
    JsonRPCNotification,
    JsonRPCRequestMessage,
    LanguageServerProtocol,
    lsp_method,
)

from agentic_server.client_profile import ClientProfile, negotiated, profile_of
from agentic_server.documents import Documents
from agentic_server.framing import FrameWriter, frame
from agentic_server.json_rpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    NOT_INITIALIZED,
    PARSE_ERROR,
    ClientError,
    Message,
    MessageId,
    causes_of,
    client_error,
    decoded,
    exception_of,
    is_id,
)
from agentic_server.to_lsp import uri_of

log = logging.getLogger(__name__)

current_command: ContextVar[types.ExecuteCommandParams | None] = ContextVar("current_command", default=None)
"""The command that this task is running; its `work_done_token` is the client's."""


class HardenedProgress(Progress):
    """Progress whose tokens are forgotten when it ends."""

    def end(self, token: types.ProgressToken, value: types.WorkDoneProgressEnd) -> None:
        super().end(token, value)
        self.tokens.pop(token, None)


class Lifecycle(Protocol):
    """What the process does as the connection begins and ends."""

    def on_initialize(self, client_process: int | None) -> None:
        """The client has said who it is."""
        ...

    async def on_shutdown(self) -> None:
        """The client has asked for an orderly end; it is answered when this returns."""
        ...

    def on_exit(self, code: int) -> None:
        """The client wants the process gone."""
        ...


class HardenedProtocol(LanguageServerProtocol):
    """The messages of one connection."""

    def __init__(self, server: LanguageServer, converter: Converter) -> None:
        super().__init__(server, converter)
        self.progress = HardenedProgress(self)
        self.profile = ClientProfile()
        self.output: FrameWriter | None = None
        self.lifecycle: Lifecycle | None = None
        self._initialized = False
        self._ids = itertools.count(1)
        self._outgoing: dict[MessageId, asyncio.Future[Message]] = {}
        self._builtin(types.WORKSPACE_EXECUTE_COMMAND, self._on_execute_command)
        self._builtin(types.SHUTDOWN, self._on_shutdown)
        self._builtin(types.EXIT, self._on_exit)

    # What comes in.

    def feed(self, body: bytes) -> None:
        """Handles one message, whatever it is."""
        try:
            raw = decoded(body)
        except (ValueError, RecursionError) as error:
            self._send_error(None, PARSE_ERROR, f"not JSON: {error}"[:200])
            return
        message = cast(Message, raw) if isinstance(raw, dict) else {}
        message_id = message.get("id")
        if "method" not in message and ("result" in message or "error" in message):
            self._feed_response(message)
        elif message.get("jsonrpc") != self.VERSION or not isinstance(message.get("method"), str):
            self._send_error(message_id, INVALID_REQUEST, "not a JSON-RPC 2.0 request; batches are not part of LSP")
        elif "id" not in message:
            self._feed_notification(message)
        elif is_id(message_id):
            self._feed_request(message)
        else:
            self._send_error(None, INVALID_REQUEST, "a request's id is a string or an integer")

    def _feed_request(self, message: Message) -> None:
        message_id, method = message["id"], message["method"]
        if self._shutdown:
            self._send_error(message_id, INVALID_REQUEST, "the server is shutting down")
        elif self._initialized == (method == types.INITIALIZE):
            code = INVALID_REQUEST if self._initialized else NOT_INITIALIZED
            self._send_error(message_id, code, "send `initialize` first, and once")
        else:
            try:
                request = self._structured(message, JsonRPCRequestMessage)
            except Exception as error:
                log.warning("cannot decode the request %s", method, exc_info=error)
                self._send_error(message_id, INVALID_PARAMS, f"the params do not fit {method}: {causes_of(error)}")
                return
            self._initialized = True
            self._shutdown = method == types.SHUTDOWN
            copy_context().run(self._handle_request, message_id, method, request.params)

    def _feed_notification(self, message: Message) -> None:
        method = message["method"]
        if method == types.SHUTDOWN:  # Kate sends it so, and waits for no answer.
            message = {**message, "id": 0}
        elif method != types.EXIT and (self._shutdown or not self._initialized):
            return
        try:
            notification = self._structured(message, JsonRPCNotification)
        except Exception as error:
            log.warning("cannot decode the notification %s", method, exc_info=error)
            return
        self._shutdown = self._shutdown or method == types.SHUTDOWN
        copy_context().run(self._handle_notification, method, getattr(notification, "params", None))

    def _feed_response(self, message: Message) -> None:
        message_id = message.get("id")
        answered = self._outgoing.pop(message_id, None) if is_id(message_id) else None
        if answered is not None and not answered.done():
            answered.set_result(message)
        elif answered is None:
            log.warning("an answer to a request that was not sent or is over, id %r", message_id)

    def _structured(self, message: Message, plain: type[Any]) -> Any:
        return self._converter.structure(message, self.get_message_type(message["method"]) or plain)

    # What goes out.

    def _send_data(self, data: Any) -> None:
        if self.output is not None:
            self.output.write(frame(json.dumps(data, default=self._serialize_message).encode()))

    def send_raw(self, frame_bytes: bytes) -> None:
        """Sends a frame as it is."""
        if self.output is not None:
            self.output.write(frame_bytes)

    def _send_error(self, message_id: object, code: int, text: str) -> None:
        """Answers what never reached a handler; with a null id when the message has none that can be used."""
        log.warning("refused a message: %s", text)
        valid_id = message_id if is_id(message_id) else None
        self._send_data({"jsonrpc": self.VERSION, "id": valid_id, "error": {"code": code, "message": text}})

    def _send_handler_result(self, future: Future[Any], *, msg_id: MessageId) -> None:
        """The answer of a request, however its handler ended."""
        self._request_futures.pop(msg_id, None)
        error = JsonRpcRequestCancelled("cancelled") if future.cancelled() else self._error_of(future)
        if error is None:
            try:
                self._send_response(msg_id, future.result())
                return
            except Exception as unserialisable:
                log.exception("the result of a request cannot be sent")
                error = exception_of(unserialisable)
        self._send_response(msg_id, None, error.to_response_error())

    @staticmethod
    def _error_of(future: Future[Any]) -> JsonRpcException | None:
        raised = future.exception()
        if raised is None or isinstance(raised, JsonRpcException):
            return raised
        log.error("a request failed", exc_info=raised)
        return exception_of(raised)

    def send_request(
        self,
        method: str,
        params: Any = None,
        callback: Callable[[Any], None] | None = None,
        msg_id: MessageId | None = None,
    ) -> Future[Any]:
        """pygls' own way to ask, for its `..._async` methods: without a limit, so prefer `request`."""
        future: Future[Any] = Future()
        asking = asyncio.get_running_loop().create_task(self.request(method, params, None))
        asking.add_done_callback(lambda task: _hand_over(task, future))
        future.add_done_callback(lambda done: asking.cancel() if done.cancelled() else None)
        if callback is not None:
            future.add_done_callback(lambda done: callback(done.result()))
        return future

    async def request(self, method: str, params: Any, timeout: float | None) -> Any:
        """See `HardenedServer.request`."""
        message_id = next(self._ids)
        answered: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._outgoing[message_id] = answered
        request_type: Callable[..., object] = self.get_message_type(method) or JsonRPCRequestMessage
        try:
            self._send_data(request_type(id=message_id, method=method, params=params, jsonrpc=self.VERSION))
            async with asyncio.timeout(timeout):
                message = await answered
        except (TimeoutError, asyncio.CancelledError):
            self.notify(types.CANCEL_REQUEST, types.CancelParams(message_id))
            raise
        finally:
            self._outgoing.pop(message_id, None)
        return self._result_of(message, self.get_result_type(method))

    def _result_of(self, message: Message, response_type: type[Any] | None) -> Any:
        if "error" in message:
            raise client_error(message["error"])
        if response_type is None:
            return message.get("result")
        try:
            return self._converter.structure(message, response_type).result
        except Exception as error:
            raise ClientError(INVALID_PARAMS, f"an answer that does not fit: {causes_of(error)}") from error

    # How handlers run.

    def _execute_handler(
        self,
        msg_id: MessageId,
        handler: Callable[..., Any],
        callback: Callable[[Future[Any]], None],
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        super()._execute_handler(msg_id, handler, callback, args, kwargs)
        future = self._request_futures.get(msg_id)
        if future is not None:  # Notifications and inner handlers are not answered, so nothing else would drop them.
            future.add_done_callback(lambda _: self._request_futures.pop(msg_id, None))

    async def _on_execute_command(self, params: types.ExecuteCommandParams) -> Any:
        """Runs a command in the request's own task, so that `$/cancelRequest` reaches it."""
        commands = self._commands()
        command = commands.get(params.command)
        if command is None:
            raise JsonRpcInvalidParams(f"no command {params.command!r}; there are {', '.join(sorted(commands))}")
        arguments = params.arguments or ()
        try:
            self._signature_of(command).bind(*arguments)
        except TypeError as error:
            raise JsonRpcInvalidParams(f"{params.command}: {error}") from error
        current_command.set(params)
        if getattr(command, "execute_in_thread", False):
            return await asyncio.to_thread(command, *arguments)
        result = command(*arguments)
        return await result if inspect.isawaitable(result) else result

    def _commands(self) -> dict[str, Callable[..., Any]]:
        return cast("dict[str, Callable[..., Any]]", self.fm.commands)

    def _features(self) -> dict[str, Callable[..., Any]]:
        return cast("dict[str, Callable[..., Any]]", self.fm.features)

    def _builtin(self, method: str, handler: Callable[..., Any]) -> None:
        """Puts a handler in the place of pygls' own."""
        self.fm.add_builtin_feature(method, handler)

    @staticmethod
    def _signature_of(command: Callable[..., Any]) -> inspect.Signature:
        """Of what the client passes: pygls hides the server behind a wrapper when the function wants it."""
        signature = inspect.signature(getattr(command, "func", command))
        if not hasattr(command, "func"):
            return signature
        return signature.replace(parameters=list(signature.parameters.values())[1:])

    # The life of a connection.

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(self, params: types.InitializeParams) -> Generator[Any, Any, types.InitializeResult]:
        """Opens the workspace, lets our own handler run, and announces what there is."""
        self.client_capabilities = params.capabilities
        self.profile = profile_of(params)
        root_uri = params.root_uri or (uri_of(params.root_path) if params.root_path else None)
        self._workspace = Documents(root_uri, params.workspace_folders or [], self.profile.encoding)
        self._server.process_id = params.process_id
        if self.lifecycle is not None:
            self.lifecycle.on_initialize(params.process_id)
        if (handler := self._features().get(types.INITIALIZE)) is not None:
            yield handler, (params,), None
        self.server_capabilities = self._capabilities()
        return types.InitializeResult(self.server_capabilities, self.server_info)

    def _capabilities(self) -> types.ServerCapabilities:
        handlers = {**self._features(), **cast("dict[str, Any]", self.fm.builtin_features)}
        options = cast("dict[str, Any]", self.fm.feature_options)
        sync = types.TextDocumentSyncKind.Incremental
        encoding = types.PositionEncodingKind(negotiated(self.client_capabilities))
        capabilities = ServerCapabilitiesBuilder(
            self.client_capabilities, set(handlers), options, list(self._commands()), sync, None, encoding
        ).build()
        capabilities.text_document_sync = types.TextDocumentSyncOptions(
            open_close=True, change=sync, save=types.SaveOptions(include_text=True)
        )
        capabilities.execute_command_provider = types.ExecuteCommandOptions(
            sorted(self._commands()), work_done_progress=True
        )
        capabilities.experimental = {"agentic": {"version": 1}}
        return capabilities

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> Generator[Any, Any, None]:
        """Brings the mirror up to date, all changes as one, before any handler of ours sees them."""
        cast(Documents, self.workspace).change_text_document(params)
        if (handler := self._features().get(types.TEXT_DOCUMENT_DID_CHANGE)) is not None:
            yield handler, (params,), None

    def _handle_cancel_notification(self, msg_id: MessageId) -> None:
        """Cancels the request if it still runs, and tells our own handler, for it may have begun what outlives it."""
        future = self._request_futures.pop(msg_id, None)
        if future is not None:
            future.cancel()
        if (handler := self._features().get(types.CANCEL_REQUEST)) is not None:
            handler(types.CancelParams(msg_id))

    async def _on_shutdown(self, *_: Any) -> None:
        """Ends what runs and answers when it has ended; from here on nothing but `exit` and answers is taken."""
        this = asyncio.current_task()
        running: list[Any] = list(self._request_futures.values())
        for future in running:
            if future is not this:
                future.cancel()
        if (handler := self._features().get(types.SHUTDOWN)) is not None:
            result = handler(None)
            if inspect.isawaitable(result):
                await result
        if self.lifecycle is not None:
            await self.lifecycle.on_shutdown()

    def _on_exit(self, *_: Any) -> None:
        """Ends the process: 0 after `shutdown`, 1 without."""
        if self.lifecycle is not None:
            self.lifecycle.on_exit(0 if self._shutdown else 1)


def _hand_over(task: asyncio.Task[Any], future: Future[Any]) -> None:
    if future.done():
        return
    if task.cancelled():
        future.cancel()
    elif (error := task.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(task.result())
