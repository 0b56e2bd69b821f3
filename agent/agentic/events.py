"""Events: the one vocabulary from the model to the editor.

What the model says (`ModelEvent`) is a subset of what the agent says (`Event`), so a token is never wrapped again.
Every event names its origin: session, turn and agent (`main`, or a sub-agent's name). On the wire an event is one flat
JSON object, tagged by `kind`, with the `seq` that the log gave it: per session, gapless, increasing.

The grammar of one agent's turn (`?` optional, `*` any number, `|` or; the nested turns of sub-agents are interleaved):

    turn       = turnStarted entry* turnFinished
    entry      = classified | planUpdated | iteration | phase | itemWithdrawn | notice | team
    iteration  = iterationStarted
    phase      = phaseStarted (answer | call | itemWithdrawn | retrieval | compacted | classified | planUpdated
                               | notice | team)* phaseFinished
    answer     = attempt* modelFinished?
    attempt    = modelStarted firstToken? (delta | finished | classified | itemWithdrawn)* failover?
    delta      = textDelta | thinkingDelta | toolCallDelta
    finished   = textFinished | thinkingFinished
    call       = toolStarted (toolOutput | edit | question | planUpdated | notice | team)* toolFinished
    edit       = editProposed editResolved        (of a contest: in the phase `deliberation`, its `call` is empty)
    question   = asked answered                   (the same)
    retrieval  = retrievalProgress* retrievalResult
    notice     = budgetWarning | loopDetected | recoveryTried | steered | errorRaised
    team       = subAgentStarted subAgentFinished | council | sharedUpdated
    council    = councilProposal | councilCritique | councilRevision | councilDecision

`modelNotice` and `endpointStatus` may stand anywhere in a phase. Phases do not nest: `phaseStarted` is followed by the
`phaseFinished` of the same phase. An item (one text, thought or
tool call) starts with its first delta, grows, and is finished; the finished item is authoritative; `itemWithdrawn`
removes it with all it had, be it that its attempt failed or that the call will not be run. Iterations are counted up
by one, from 1 or from where an interrupted turn stood. Every `toolStarted`, `editProposed` and `asked` is closed by its
partner on every path, cancellation included. `turnFinished` is the last event of a turn.
"""

from __future__ import annotations

import json
from typing import Any, Literal, TypedDict, get_args

import msgspec

from agentic.change import Outcome
from agentic.task import Domain, Mode, Route, StopReason

Phase = Literal[
    "triage", "context", "retrieval", "compaction", "model", "tools", "delegation", "deliberation", "reflection"
]
ToolKind = Literal["read", "edit", "delete", "move", "search", "execute", "think", "fetch", "other"]
StepStatus = Literal["pending", "in_progress", "completed", "failed"]
OptionKind = Literal["allow_once", "allow_always", "reject_once", "reject_always", "answer"]
AnsweredBy = Literal["user", "policy", "timeout", "cancelled", "client_error"]


MAIN = "main"
"""The name of the agent that the user speaks with."""


class Origin(TypedDict):
    """Where an event comes from; unpacked into every event: `TextDelta(**origin, item=…, text=…)`."""

    session_id: str
    turn_id: str
    agent: str


class PlanStep(msgspec.Struct, frozen=True, rename="camel"):
    """One step of the plan."""

    text: str
    status: StepStatus = "pending"


class Option(msgspec.Struct, frozen=True, rename="camel"):
    """One answer that a person can choose."""

    id: str
    label: str
    kind: OptionKind = "answer"


class Hunk(msgspec.Struct, frozen=True, rename="camel"):
    """One place of a proposed edit. Lines count from 1 in the text before; `end_line` is exclusive."""

    id: str
    start_line: int
    end_line: int
    diff: str


class Usage(msgspec.Struct, frozen=True, rename="camel"):
    """Tokens of one answer, as the server counts them; None where it does not tell.

    `computed`: the server does not tell `cached`; it is what its prefix cache must hold if it forgot nothing.
    """

    prompt: int | None = None
    cached: int | None = None
    completion: int | None = None
    reasoning: int | None = None
    computed: bool = False


class Shared(msgspec.Struct, frozen=True, rename="camel"):
    """One thing that agents of a turn know together, and which of them it comes from."""

    kind: Literal["fact", "decision", "file", "step"]
    text: str
    by: str


class Metrics(msgspec.Struct, frozen=True, rename="camel"):
    """The figures of a turn. Times in seconds; `tokens_per_second` over the time after each first token.

    `hit_share`: the part of the prompts, 0 to 1, that the servers' prefix caches held; computed where they do not tell.
    """

    seconds: float = 0.0
    iterations: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    first_token_seconds: float | None = None
    tokens_per_second: float | None = None
    hit_share: float | None = None
    cost: float | None = None


class _Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind"):
    session_id: str
    turn_id: str
    agent: str


class TurnStarted(_Event, frozen=True, tag="turnStarted"):
    """Opens a turn."""

    text: str
    mode: Mode


class TurnFinished(_Event, frozen=True, tag="turnFinished"):
    """Closes a turn; nothing of it follows. `summary` is for a person; `files` are those the turn changed."""

    stop_reason: StopReason
    summary: str
    metrics: Metrics
    files: list[str] = []


class Classified(_Event, frozen=True, tag="classified"):
    """Triage's verdict, after the user's overrides. `complexity` and `confidence` go from 0 to 1."""

    domain: Domain
    confidence: float
    complexity: float
    language: str
    route: Route
    by: Literal["model", "heuristic", "user"] = "model"


class PlanUpdated(_Event, frozen=True, tag="planUpdated"):
    """The whole plan as it now stands."""

    steps: list[PlanStep]


class IterationStarted(_Event, frozen=True, tag="iterationStarted"):
    """One more round of model and tools; counts from 1."""

    number: int
    limit: int


class PhaseStarted(_Event, frozen=True, tag="phaseStarted"):
    """A stretch of work begins."""

    phase: Phase


class PhaseFinished(_Event, frozen=True, tag="phaseFinished"):
    """The phase ends; on every path."""

    phase: Phase
    seconds: float


class RetrievalProgress(_Event, frozen=True, tag="retrievalProgress"):
    """The search for context goes on."""

    done: int
    total: int | None = None


class RetrievalResult(_Event, frozen=True, tag="retrievalResult"):
    """Snippets were found and offered."""

    paths: list[str]
    tokens: int


class Compacted(_Event, frozen=True, tag="compacted"):
    """Old turns were made shorter. Token counts are estimates unless `exact`.

    `by`: outputs (tool outputs shrank), summary (the model summed old turns up), dropped (old exchanges are gone).
    """

    before: int
    after: int
    exact: bool = False
    by: Literal["outputs", "summary", "dropped"] = "outputs"


class ModelStarted(_Event, frozen=True, tag="modelStarted"):
    """A request leaves for an endpoint; `attempt` counts from 1. `prompt_tokens` is an estimate."""

    request: str
    endpoint: str
    model: str
    attempt: int
    prompt_tokens: int


class FirstToken(_Event, frozen=True, tag="firstToken"):
    """The first meaningful chunk arrived this many seconds after the request left."""

    request: str
    seconds: float


class TextDelta(_Event, frozen=True, tag="textDelta"):
    """A piece of an answer's text."""

    item: str
    text: str


class ThinkingDelta(_Event, frozen=True, tag="thinkingDelta"):
    """A piece of the model's reasoning."""

    item: str
    text: str


class ToolCallDelta(_Event, frozen=True, tag="toolCallDelta"):
    """A piece of a tool call: the whole name with the first one, then more of the arguments' JSON text."""

    item: str
    name: str
    arguments: str


class TextFinished(_Event, frozen=True, tag="textFinished"):
    """The whole text of an item."""

    item: str
    text: str


class ThinkingFinished(_Event, frozen=True, tag="thinkingFinished"):
    """The whole reasoning of an item."""

    item: str
    text: str


class ItemWithdrawn(_Event, frozen=True, tag="itemWithdrawn"):
    """The item never was: its attempt failed. Remove what was shown of it."""

    item: str


class Failover(_Event, frozen=True, tag="failover"):
    """An attempt failed and another follows, at `to`, after `wait` seconds."""

    request: str
    endpoint: str
    to: str
    code: str
    reason: str
    wait: float = 0.0


class ModelFinished(_Event, frozen=True, tag="modelFinished"):
    """The answer is complete: a finish reason has come."""

    request: str
    finish_reason: str
    usage: Usage
    seconds: float


class ModelNotice(_Event, frozen=True, tag="modelNotice"):
    """Something about the model or its server that a person should know; the work goes on.

    `code`: tools_prompted, calls_recovered, reasoning_promoted, prompt_cut, window_corrected, endpoint_out,
    endpoint_back, waiting.
    """

    request: str
    endpoint: str
    code: str
    message: str
    hint: str = ""


class EndpointStatus(_Event, frozen=True, tag="endpointStatus"):
    """How an endpoint does, told after each request to it and when its state changes; None where it is not known.

    `in_flight`, `queued` and `limit` count our own requests; `running`, `waiting`, `cache_use` (0 to 1) and
    `hit_share` (0 to 1) are the server's figures. `first_token_seconds` and `tokens_per_second` are running means.
    """

    endpoint: str
    model: str
    state: Literal["ready", "failing", "out"]
    in_flight: int
    queued: int
    limit: int
    running: int | None = None
    waiting: int | None = None
    cache_use: float | None = None
    hit_share: float | None = None
    first_token_seconds: float | None = None
    tokens_per_second: float | None = None
    failures: int = 0
    retry_in: float = 0.0


class ToolStarted(_Event, frozen=True, tag="toolStarted"):
    """A tool call begins; `item` is the item of its `toolCallDelta`s. `arguments` is the JSON text that runs."""

    item: str
    tool: str
    tool_kind: ToolKind
    title: str
    arguments: str


class ToolOutput(_Event, frozen=True, tag="toolOutput"):
    """A running tool printed something."""

    item: str
    stream: Literal["stdout", "stderr"]
    text: str


class ToolFinished(_Event, frozen=True, tag="toolFinished"):
    """A tool call ended. `text` is what the model reads; `code` is a refusal's code, or empty."""

    item: str
    status: Literal["completed", "failed"]
    text: str
    code: str = ""


class EditProposed(_Event, frozen=True, tag="editProposed"):
    """A change is about to be made to `path`; `item` names the proposal. Not yet applied.

    Of a sub-agent it is made to its own view of the workspace and needs no verdict: what comes of all of them together
    is proposed by the main agent.
    """

    item: str
    call: str
    path: str
    version: str
    creates: bool
    diff: str
    hunks: list[Hunk]


class EditResolved(_Event, frozen=True, tag="editResolved"):
    """What became of a proposal. `hunks` gives each hunk's verdict where the user gave one."""

    item: str
    outcome: Outcome
    path: str
    reason: str = ""
    version: str = ""
    saved: bool = True
    hunks: dict[str, Literal["accept", "reject", "amend"]] = {}


class Asked(_Event, frozen=True, tag="asked"):
    """A person is needed. `binding` is the hash of what the answer will be good for (empty for a plain question)."""

    question: str
    call: str
    title: str
    detail: str
    options: list[Option]
    free_text: bool = False
    binding: str = ""


class Answered(_Event, frozen=True, tag="answered"):
    """The question is closed, on every path. `option` is empty when nobody answered, which means no."""

    question: str
    option: str
    by: AnsweredBy
    text: str = ""


class SubAgentStarted(_Event, frozen=True, tag="subAgentStarted"):
    """Another agent begins: a sub-agent with a part of the task, or a member of a council. Its own events follow,
    under its name, from its `turnStarted` to its `turnFinished`."""

    name: str
    text: str
    priority: int
    depends_on: list[str] = []
    role: Literal["worker", "resolver", "member", "candidate"] = "worker"


class SubAgentFinished(_Event, frozen=True, tag="subAgentFinished"):
    """A sub-agent ended. `files` are those that it edited in its view."""

    name: str
    stop_reason: StopReason
    summary: str
    files: list[str] = []


class SharedUpdated(_Event, frozen=True, tag="sharedUpdated"):
    """What the agents of this turn now know together, whole, in the order in which it came."""

    items: list[Shared]


class CouncilProposal(_Event, frozen=True, tag="councilProposal"):
    """A member of a council proposes."""

    council: str
    role: str
    text: str


class CouncilCritique(_Event, frozen=True, tag="councilCritique"):
    """A member criticises another's proposal."""

    council: str
    role: str
    about: str
    text: str


class CouncilRevision(_Event, frozen=True, tag="councilRevision"):
    """A member revises their proposal."""

    council: str
    role: str
    text: str


class CouncilDecision(_Event, frozen=True, tag="councilDecision"):
    """The council's ranking, best first, with the dissent it recorded; `scores` from 0 to 1 by role or candidate."""

    council: str
    ranking: list[str]
    reason: str
    dissent: list[str] = []
    scores: dict[str, float] = {}


class BudgetWarning(_Event, frozen=True, tag="budgetWarning"):
    """A limit is near (`used` of `limit`, in the budget's own unit)."""

    budget: Literal["iterations", "seconds", "tokens", "tool_calls", "cost", "window"]
    used: float
    limit: float


class LoopDetected(_Event, frozen=True, tag="loopDetected"):
    """The model repeats itself."""

    pattern: str
    count: int


class RecoveryTried(_Event, frozen=True, tag="recoveryTried"):
    """The model was given another chance, with these words."""

    problem: str
    strength: int
    text: str


class Steered(_Event, frozen=True, tag="steered"):
    """The user added a message to a running turn."""

    text: str


class ErrorRaised(_Event, frozen=True, tag="errorRaised"):
    """Something failed that a person should know of; `hint` says what to do."""

    code: str
    message: str
    hint: str = ""


ModelEvent = (
    ModelStarted
    | FirstToken
    | TextDelta
    | ThinkingDelta
    | ToolCallDelta
    | TextFinished
    | ThinkingFinished
    | ItemWithdrawn
    | Failover
    | ModelNotice
    | EndpointStatus
    | ModelFinished
)
"""What a model port yields: `ModelFinished` comes last, or a `ModelError` after every item has been withdrawn."""

Event = (
    TurnStarted
    | TurnFinished
    | Classified
    | PlanUpdated
    | IterationStarted
    | PhaseStarted
    | PhaseFinished
    | RetrievalProgress
    | RetrievalResult
    | Compacted
    | ModelEvent
    | ToolStarted
    | ToolOutput
    | ToolFinished
    | EditProposed
    | EditResolved
    | Asked
    | Answered
    | SubAgentStarted
    | SubAgentFinished
    | SharedUpdated
    | CouncilProposal
    | CouncilCritique
    | CouncilRevision
    | CouncilDecision
    | BudgetWarning
    | LoopDetected
    | RecoveryTried
    | Steered
    | ErrorRaised
)

EVENT_TYPES: tuple[type[msgspec.Struct], ...] = get_args(Event)
DELTAS = (TextDelta, ThinkingDelta, ToolCallDelta, ToolOutput)
"""Events that may be joined with the next of their item when the reader is slower than the writer."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def kind_of(event: Event) -> str:
    """The event's `kind` on the wire."""
    return str(event.__struct_config__.tag)


def encode(event: Event) -> bytes:
    """The event as a JSON object, without `seq`; a question mark stands for half a character."""
    try:
        return _encoder.encode(event)
    except UnicodeEncodeError:
        return json.dumps(to_json(event), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def decode(data: bytes | str) -> Event:
    """The event back from its JSON. Raises `msgspec.ValidationError` where it is none."""
    return _decoder.decode(data)


def to_json(event: Event) -> dict[str, Any]:
    """The event as plain JSON values."""
    return msgspec.to_builtins(event)
