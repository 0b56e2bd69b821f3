"""The commands: one handler each, from typed params to a typed result. Short, and none of them waits for a turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from agentic.errors import AgenticError
from agentic.ports.store import RESUMABLE
from agentic.task import new_id
from agentic_server import protocol as wire
from agentic_server.tasks import last_begun, task_of

if TYPE_CHECKING:
    from agentic_server.daemon import Daemon

Handler = Callable[["Daemon", Any], Awaitable[msgspec.Struct]]


async def run_task(daemon: Daemon, params: wire.RunTaskParams) -> wire.TurnIds:
    """Start a turn; what comes of it arrives as events."""
    settings = await daemon.settings()
    await daemon.refresh_editor()
    await daemon.store()
    session = params.session_id or new_id("s")
    if params.session_id:
        await daemon.known_session(params.session_id)
    task = task_of(params, session, settings, daemon.editor)
    await daemon.start(task)
    return wire.TurnIds(session, task.turn)


async def cancel(daemon: Daemon, params: wire.CancelParams) -> wire.CancelResult:
    """Cancel running turns; `turnFinished` confirms each."""
    turns = daemon.running(params.session_id, params.turn_id)
    for turn in turns:
        turn.cancel()
    return wire.CancelResult(bool(turns))


async def steer(daemon: Daemon, params: wire.SteerParams) -> wire.SteerResult:
    """Say something to a running turn."""
    return wire.SteerResult(any(turn.steer(params.text) for turn in daemon.running(params.session_id)))


async def respond(daemon: Daemon, params: wire.RespondParams) -> wire.RespondResult:
    """Answer a question."""
    if not daemon.has_editor:
        return wire.RespondResult(False)
    return wire.RespondResult(daemon.editor.asker.answer(params.question_id, params.option, params.text or ""))


async def review(daemon: Daemon, params: wire.ReviewParams) -> wire.ReviewResult:
    """Give the verdict on a proposal."""
    reviews = daemon.reviews
    accepted = reviews is not None and reviews.decide(params.item_id, params.hunks, params.applied_by_client)
    return wire.ReviewResult(accepted)


async def resume(daemon: Daemon, params: wire.SessionParams) -> wire.TurnIds:
    """Go on with the turn that a crash interrupted, or that an error ended."""
    settings = await daemon.settings()
    await daemon.refresh_editor()
    info = await daemon.known_session(params.session_id)
    if info.state not in RESUMABLE:
        raise AgenticError(
            f"The last turn of session {info.id} is {info.state}: there is nothing to resume.",
            "Go on with agentic.runTask and this sessionId.",
        )
    begun = last_begun(await (await daemon.store()).events(info.id))
    task = task_of(wire.RunTaskParams(begun.text, begun.mode), info.id, settings, daemon.editor)
    await daemon.start(task, resume=True)
    return wire.TurnIds(info.id, task.turn)


async def fork(daemon: Daemon, params: wire.ForkParams) -> wire.ForkResult:
    """Copy a session."""
    info = await daemon.known_session(params.session_id)
    target = new_id("s")
    store = await daemon.store()
    await store.copy_session(info.id, target, f"{info.title} (fork)", params.turn_id)
    return wire.ForkResult(target)


async def sessions(daemon: Daemon, params: wire.SessionsParams) -> wire.SessionsResult:
    """List the sessions, the last used first."""
    store = await daemon.store()
    return wire.SessionsResult(
        [
            wire.SessionSummary(
                info.id, info.title, info.created, info.updated, list(info.workspace), info.turns, info.state
            )
            for info in await store.sessions(params.limit)
        ]
    )


async def transcript(daemon: Daemon, params: wire.SessionParams) -> wire.TranscriptResult:
    """Read a conversation back, whole."""
    from agentic_server.transcript import transcript_of

    info = await daemon.known_session(params.session_id)
    return await transcript_of(info, await (await daemon.store()).messages(info.id), daemon.model)


async def undo_task(daemon: Daemon, params: wire.UndoTaskParams) -> wire.UndoTaskResult:
    """Take back the edits of a turn."""
    from agentic_server.undo import undo_turn

    await daemon.known_session(params.session_id)
    if daemon.running(params.session_id):
        raise AgenticError("The session's turn is still running.", "Cancel it first.")
    return await undo_turn(await daemon.store(), daemon.editor.workspace, params.session_id, params.turn_id)


async def doctor(daemon: Daemon, params: wire.DoctorParams) -> wire.DoctorResult:
    """Examine the endpoints and this machine."""
    from agentic_server.doctor import examine

    return await examine(await daemon.settings(), measure=params.measure)


HANDLERS: dict[str, Handler] = {
    "agentic.runTask": run_task,
    "agentic.cancel": cancel,
    "agentic.steer": steer,
    "agentic.respond": respond,
    "agentic.undoTask": undo_task,
    "agentic.resume": resume,
    "agentic.fork": fork,
    "agentic.sessions": sessions,
    "agentic.transcript": transcript,
    "agentic.review": review,
    "agentic.doctor": doctor,
}


async def attach(daemon: Daemon, params: wire.AttachParams) -> wire.AttachResult:
    """Send a session's events again, after `sinceSeq`."""
    if not daemon.server.profile.events:
        raise AgenticError(
            "This client did not ask for events.", "Declare `capabilities.experimental.agentic` with `initialize`."
        )
    await daemon.known_session(params.session_id)
    events = await daemon.replay(params.session_id, params.since_seq)
    return wire.AttachResult(len(events), events[-1].seq if events else params.since_seq)
