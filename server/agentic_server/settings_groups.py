"""The groups of settings: what belongs together in the schema. `settings.py` tells where their values come from."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agentic import task
from agentic.task import CouncilUse

SECRET = "key"
"""The name of the settings whose values are never shown."""

Positive = Annotated[float, Meta(gt=0)]
Weight = Annotated[float, Meta(gt=0, le=1_000_000_000)]
Count = Annotated[int, Meta(ge=1)]
Key = Annotated[str, Meta(pattern=r"^(?!.*[^!-~])")]
"""What can stand in a header; a client that is given anything else tells all of it in its error."""
Price = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Group(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Settings that belong together. Printing them shows no secret."""

    def __repr__(self) -> str:
        values = msgspec.structs.asdict(self) | ({SECRET: "(hidden)"} if getattr(self, SECRET, "") else {})
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


class Endpoint(Group, frozen=True):
    """One OpenAI-compatible server."""

    url: Annotated[
        str,
        Meta(
            pattern=r"^https?://[^/\s@]+(/[^\s]*)?$",
            description="Base URL with http:// or https:// and without a password; ends in /v1 for most.",
        ),
    ]
    model: Annotated[str, Meta(description="The model to ask for; empty: the first that the server names.")] = ""
    key: Annotated[Key, Meta(description="The API key to send, in ASCII without blanks; empty: none.")] = ""
    window: Annotated[
        Count | None, Meta(description="The context window in tokens, where the server does not tell or tells wrong.")
    ] = None
    weight: Annotated[
        Weight, Meta(description="How much of the work it gets, compared with the others, when several are free.")
    ] = 1.0
    max_requests: Annotated[
        Count,
        Meta(description="Requests in flight at once; more wait in a fair queue. For vLLM at most --max-num-seqs."),
    ] = 8
    tools: Annotated[
        Literal["auto", "native", "prompted"],
        Meta(
            description="How tools are offered. native: by the server's tool calling; prompted: told in the prompt,"
            " for models without it; auto: native until the server refuses it."
        ),
    ] = "auto"


class Limits(Group, frozen=True):
    """Where a turn must end."""

    iterations: Annotated[Count, Meta(description="Rounds of model and tools in one turn.")] = task.Limits().iterations
    seconds: Annotated[Positive, Meta(description="Seconds that a turn may take.")] = task.Limits().seconds
    recursion: Annotated[Count, Meta(description="Steps of the control graph in one turn.")] = task.Limits().recursion
    command_seconds: Annotated[Positive, Meta(description="Seconds that one command may run.")] = (
        task.Limits().command_seconds
    )
    tool_calls: Annotated[Count, Meta(description="Tool calls in one turn, those of sub-agents included.")] = (
        task.Limits().tool_calls
    )
    tokens: Annotated[
        Count | None, Meta(description="Tokens of all prompts and answers of a turn, sub-agents and councils included.")
    ] = None
    cost: Annotated[
        Positive | None, Meta(description="What a turn may cost, in the currency of the prices, sub-agents included.")
    ] = None


class Deadlines(Group, frozen=True):
    """How long to wait for an endpoint, in seconds, before its attempt counts as failed."""

    connect: Annotated[Positive, Meta(description="Seconds to a connection.")] = 5.0
    first_token: Annotated[Positive, Meta(description="Seconds to the first token; long prompts take long.")] = 300.0
    silence: Annotated[Positive, Meta(description="Seconds between two tokens; keep-alive comments do not count.")] = (
        60.0
    )
    total: Annotated[Positive, Meta(description="Seconds for the whole answer.")] = 1200.0


class Prices(Group, frozen=True):
    """What a million tokens cost, in your currency."""

    prompt: Annotated[Price | None, Meta(description="Price of a million prompt tokens.")] = None
    completion: Annotated[Price | None, Meta(description="Price of a million answer tokens, reasoning included.")] = (
        None
    )
    cached: Annotated[
        Price | None, Meta(description="Price of a million cached prompt tokens; not set: that of the others.")
    ] = None


class Team(Group, frozen=True):
    """When a task is cut into parts, and what each sub-agent may use."""

    above: Annotated[
        Share,
        Meta(description="The complexity above which a task is cut into parts; 1: only when the model asks for it."),
    ] = task.TeamRules().above
    agents: Annotated[Count, Meta(description="Sub-agents at work at once.")] = task.TeamRules().agents
    subtasks: Annotated[int, Meta(ge=2, le=20, description="Parts that a task is cut into at most.")] = (
        task.TeamRules().subtasks
    )
    iterations: Annotated[Count, Meta(description="Rounds of model and tools of one sub-agent.")] = (
        task.TeamRules().iterations
    )
    seconds: Annotated[Positive, Meta(description="Seconds that one sub-agent may take.")] = task.TeamRules().seconds

    def rules(self) -> task.TeamRules:
        """The same in the agent's own words."""
        return task.TeamRules(**msgspec.structs.asdict(self))


class Council(Group, frozen=True):
    """Who deliberates on a plan, or competes with patches, and when."""

    roles: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...],
        Meta(
            min_length=2,
            max_length=8,
            description="The members. architect, developer, tester, devops and data are known; any other is a role of"
            " your own, as a name or as `name: what it cares for`.",
        ),
    ] = task.CouncilRules().roles
    use: Annotated[
        CouncilUse,
        Meta(
            description="asked: on request only (`/council`, `/best`); auto: also when a task is complex and triage is"
            " not sure of it."
        ),
    ] = task.CouncilRules().use
    below: Annotated[Share, Meta(description="The confidence of triage below which `auto` calls a council.")] = (
        task.CouncilRules().below
    )
    candidates: Annotated[int, Meta(ge=2, le=8, description="Competing patches of `/best`.")] = (
        task.CouncilRules().candidates
    )
    check: Annotated[
        str,
        Meta(
            description="The command that scores a patch, run in a copy of the workspace; empty: what most candidates"
            " ran themselves."
        ),
    ] = task.CouncilRules().check

    def rules(self) -> task.CouncilRules:
        """The same in the agent's own words."""
        return task.CouncilRules(**msgspec.structs.asdict(self))
