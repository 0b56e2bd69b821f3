"""What travels between the editor's client and the daemon, beyond LSP.

Every command goes through `workspace/executeCommand`, takes one JSON object and answers at once with a typed result or
a JSON-RPC error whose message says what to do and whose `data` holds `{code, hint, key?}`. A turn is never a pending
request: `agentic.runTask` answers with the ids, and the rest arrives as events.

A client that declares `capabilities.experimental.agentic` gets the events as `agentic/event` notifications and the
questions as `agentic/ask` requests. For all others there are `$/progress` and `window/showMessageRequest`.
One that declares `capabilities.experimental.agentic.diagnostics` is asked for diagnostics by `agentic/diagnostics`.

Positions are LSP's, in the negotiated encoding. Ids are opaque texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec
from msgspec import Meta

from agentic.change import Outcome
from agentic.context.marks import State, What
from agentic.events import AnsweredBy, Option
from agentic.task import Domain, Mode, Route
from agentic_server.diagnostics_wire import DiagnosticsParams, DiagnosticsResult, Range
from agentic_server.doctor_wire import DoctorParams, DoctorResult
from agentic_server.errors import InvalidParams, UnknownCommand
from agentic_server.validation import Invalid, convert

P = TypeVar("P", bound=msgspec.Struct)

MAX_TASK_CHARACTERS = 1_000_000

TaskText = Annotated[
    str,
    Meta(
        pattern=r"\S",
        max_length=MAX_TASK_CHARACTERS,
        description="The user's own words: not empty, and at most 1,000,000 characters.",
    ),
]
SessionId = Annotated[str, Meta(min_length=1, description="The session, as `agentic.runTask` named it.")]
TurnId = Annotated[str, Meta(min_length=1, description="The turn, as `agentic.runTask` named it.")]


class _Wire(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    pass


class Selection(_Wire, frozen=True):
    """What is selected in a document."""

    uri: str
    range: Range


class RunTaskParams(_Wire, frozen=True):
    """A task, and what the user has before their eyes."""

    task: TaskText
    mode: Annotated[Mode | None, Meta(description="What may happen without asking; never wider than the setting.")] = (
        None
    )
    session_id: Annotated[SessionId | None, Meta(description="The session to go on with; not set: a new one.")] = None
    domain: Annotated[Domain | None, Meta(description="Decides what triage would.")] = None
    complexity: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None, Meta(description="Decides what triage would; from 0 to 1.")
    ] = None
    route: Annotated[
        Route | None, Meta(description="Decides what triage would: `reply` answers without tools, `work` uses them.")
    ] = None
    deliberate: Annotated[
        Literal["plan", "patch"] | None,
        Meta(description="plan: a council deliberates before the work begins; patch: several patches compete."),
    ] = None
    open_files: Annotated[list[str] | None, Meta(description="URIs of the documents in view.")] = None
    uri: Annotated[str | None, Meta(description="URI of the active document.")] = None
    selection: Selection | None = None


class TurnIds(_Wire, frozen=True):
    """The turn that now runs."""

    session_id: str
    turn_id: str


class CancelParams(_Wire, frozen=True):
    """Which turn to cancel; without ids, all that run."""

    session_id: SessionId | None = None
    turn_id: TurnId | None = None


class CancelResult(_Wire, frozen=True):
    """Whether anything was running; `turnFinished` confirms the end."""

    cancelled: bool


class SteerParams(_Wire, frozen=True):
    """A message for a running turn; the model reads it before its next step."""

    session_id: SessionId
    text: TaskText


class SteerResult(_Wire, frozen=True):
    """Whether a turn was running that will read it."""

    accepted: bool


class RespondParams(_Wire, frozen=True):
    """The answer to a question or a request for approval."""

    question_id: Annotated[str, Meta(min_length=1, description="`question` of the event `asked`.")]
    option: Annotated[str, Meta(description="The id of one of its options; anything else means no.")] = ""
    text: Annotated[str | None, Meta(description="Free text, where the question takes it.")] = None


class RespondResult(_Wire, frozen=True):
    """Whether the question was still open."""

    accepted: bool


class UndoTaskParams(_Wire, frozen=True):
    """Which edits to take back: those of one turn, or of the session's last turn that changed something."""

    session_id: SessionId
    turn_id: TurnId | None = None


class UndoneFile(_Wire, frozen=True):
    """A file after undo; `applied` means that it is as it was before the turn."""

    path: str
    outcome: Outcome
    reason: str = ""


class UndoTaskResult(_Wire, frozen=True):
    """What became of every file that the turn had changed."""

    files: list[UndoneFile]


class SessionParams(_Wire, frozen=True):
    """A session."""

    session_id: SessionId


class ForkParams(_Wire, frozen=True):
    """The session to copy, up to and with a turn; without one, all of it."""

    session_id: SessionId
    turn_id: TurnId | None = None


class ForkResult(_Wire, frozen=True):
    """The new session."""

    session_id: str


class SessionsParams(_Wire, frozen=True):
    """How many sessions to list."""

    limit: Annotated[int, Meta(ge=1, le=10_000, description="At most this many, the last used first.")] = 100


class SessionSummary(_Wire, frozen=True):
    """A conversation. Times in seconds since the epoch."""

    id: str
    title: str
    created: float
    updated: float
    workspace: list[str]
    turns: int
    state: Literal["running", "finished", "failed", "interrupted"]


class SessionsResult(_Wire, frozen=True):
    """Known sessions."""

    sessions: list[SessionSummary]


class TranscriptCall(_Wire, frozen=True):
    """A tool call; `arguments` is the JSON text that the model wrote."""

    id: str
    name: str
    arguments: str


class TranscriptMessage(_Wire, frozen=True):
    """One message, whole. `tool_call_id` names the call that a `tool` message answers."""

    turn_id: str
    role: Literal["system", "user", "assistant", "tool"]
    content: str
    reasoning: str = ""
    tool_calls: list[TranscriptCall] = []
    tool_call_id: str = ""
    tokens: int | None = None


class WindowItem(_Wire, frozen=True):
    """A part of what the server is sent. `message` is its place there, from 0, and absent for the tools; `name` is the
    tool, with the path that its call names. `state`: `cut` has lost its middle, `stub` is one line for an output."""

    role: Literal["system", "user", "assistant", "tool"]
    what: What
    tokens: int
    by: Literal["server", "tokenizer", "estimate"]
    state: State = "whole"
    name: str = ""
    message: int | None = None


class WindowShare(_Wire, frozen=True):
    """All items of one class; `share` is their part of all tokens, from 0 to 1."""

    what: What
    tokens: int
    share: float


class WindowFill(_Wire, frozen=True):
    """What fills the model's window, as the next request would be sent: after what was shortened, summed up or dropped.

    `window` is the model's in tokens, and `budget` what of it a prompt may fill before room is made; both are absent
    while no model was asked.
    """

    tokens: int
    items: list[WindowItem]
    shares: list[WindowShare]
    window: int | None = None
    budget: int | None = None


class TranscriptResult(_Wire, frozen=True):
    """The whole conversation, reasoning included; and what of it fills the model's window now."""

    session_id: str
    title: str
    messages: list[TranscriptMessage]
    window: WindowFill


class Amend(_Wire, frozen=True):
    """Take the hunk with this text in place of the proposed one."""

    amend: str


class ReviewParams(_Wire, frozen=True):
    """The verdict on a proposed edit; a hunk that is not named is rejected."""

    item_id: Annotated[str, Meta(min_length=1, description="`item` of the event `editProposed`.")]
    hunks: Annotated[dict[str, Literal["accept", "reject"] | Amend], Meta(description="By the hunk's id: its verdict.")]
    applied_by_client: Annotated[bool, Meta(description="The client's own code action has made the edit already.")] = (
        False
    )


class ReviewResult(_Wire, frozen=True):
    """Whether the proposal was still open; `editResolved` tells what became of it."""

    accepted: bool


class AskParams(_Wire, frozen=True):
    """A question to a person."""

    session_id: str
    turn_id: str
    question_id: str
    call: Annotated[str, Meta(description="The tool call that waits for the answer.")]
    title: str
    detail: str
    options: list[Option]
    free_text: bool = False
    agent: Annotated[str, Meta(description="Who asks: `main`, or a sub-agent's name.")] = "main"


class AskResult(_Wire, frozen=True):
    """The id of the chosen option; anything that is none of them means no."""

    option: str = ""
    text: str | None = None


class ApprovalResolved(_Wire, frozen=True):
    """A question is closed, whoever closed it; take it off the screen."""

    session_id: str
    turn_id: str
    question_id: str
    option: str
    by: AnsweredBy


class AttachParams(_Wire, frozen=True):
    """Where to go on: the events after `sinceSeq` are sent again, as notifications, before any newer one."""

    session_id: SessionId
    since_seq: Annotated[int, Meta(ge=0, description="The last `seq` that arrived; 0: from the beginning.")] = 0


class AttachResult(_Wire, frozen=True):
    """How many events were sent again, and the `seq` of the last."""

    events: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A command of `workspace/executeCommand`."""

    params: type[msgspec.Struct]
    result: type[msgspec.Struct]
    description: str


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """A JSON-RPC method of ours. `params` None: any event with its `seq`; `result` None: a notification."""

    sender: Literal["client", "server"]
    params: type[msgspec.Struct] | None
    result: type[msgspec.Struct] | None
    description: str


COMMANDS: dict[str, CommandSpec] = {
    "agentic.runTask": CommandSpec(RunTaskParams, TurnIds, "Start a turn, in a new session or a known one."),
    "agentic.cancel": CommandSpec(CancelParams, CancelResult, "Cancel running turns."),
    "agentic.steer": CommandSpec(SteerParams, SteerResult, "Add a message to a running turn."),
    "agentic.respond": CommandSpec(RespondParams, RespondResult, "Answer a question or a request for approval."),
    "agentic.undoTask": CommandSpec(UndoTaskParams, UndoTaskResult, "Take back the edits of a turn."),
    "agentic.resume": CommandSpec(SessionParams, TurnIds, "Go on with a turn that was interrupted or failed."),
    "agentic.fork": CommandSpec(ForkParams, ForkResult, "Copy a session, to go on differently."),
    "agentic.sessions": CommandSpec(SessionsParams, SessionsResult, "List the sessions."),
    "agentic.transcript": CommandSpec(SessionParams, TranscriptResult, "Read a whole conversation back."),
    "agentic.review": CommandSpec(ReviewParams, ReviewResult, "Keep, reject or amend the hunks of a proposed edit."),
    "agentic.doctor": CommandSpec(DoctorParams, DoctorResult, "Examine the endpoints and this machine."),
}

METHODS: dict[str, MethodSpec] = {
    "agentic/event": MethodSpec("server", None, None, "An event of a session, with its gapless, increasing `seq`."),
    "agentic/ask": MethodSpec("server", AskParams, AskResult, "A person is needed."),
    "agentic/approvalResolved": MethodSpec("server", ApprovalResolved, None, "A question is closed, on every path."),
    "agentic/diagnostics": MethodSpec(
        "server", DiagnosticsParams, DiagnosticsResult, "What the editor's language servers say; answered within 2 s."
    ),
    "agentic/attach": MethodSpec("client", AttachParams, AttachResult, "Send the events again that were missed."),
}


def parse(command: str, arguments: Sequence[Any] | None) -> msgspec.Struct:
    """The parameters of a command from the `arguments` of `workspace/executeCommand`; none at all is an empty object.

    :raises UnknownCommand: there is no such command.
    :raises InvalidParams: they do not fit; the message names the key and what it takes.
    """
    if command not in COMMANDS:
        raise UnknownCommand(f"There is no command {command}.", f"There are {', '.join(COMMANDS)}.")
    given = list(arguments or [{}])
    if len(given) != 1 or not isinstance(given[0], dict):
        raise InvalidParams(f"{command} takes one JSON object.", "Send `arguments: [{…}]`.")
    return parse_object(command, COMMANDS[command].params, cast(object, given[0]))


def parse_object(name: str, target: type[P], value: object) -> P:
    """The parameters of the command or method `name` from a JSON object. :raises InvalidParams:"""
    try:
        return convert(value, target)
    except Invalid as error:
        subject = f"`{error.key}`" if error.key else "the object"
        raise InvalidParams(f"{name}: {subject} {error.problem}.", error.hint, error.key) from None
