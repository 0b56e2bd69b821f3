"""Settings: one schema, and five sources above its defaults.

A later source wins, key by key; `endpoints` is replaced as a whole:

1. the defaults below;
2. `initializationOptions`, either the settings themselves or under the key `agentic`;
3. `workspace/configuration`, section `agentic`;
4. the user file, TOML: `$AGENTIC_CONFIG`, else `agentic/config.toml` under `$XDG_CONFIG_HOME` (`~/.config`);
5. environment variables: `AGENTIC_` and the key in capitals, such as `AGENTIC_LIMITS_ITERATIONS`;
6. command-line flags.

A `model` or a `key` of a later source also replaces those that earlier sources gave to single endpoints. `null` means
not set. The keys `client` and `trace` belong to the editor's client and are passed over.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from agentic import task
from agentic.errors import SettingsError
from agentic.ports.code_index import CodeIndex, NoIndex
from agentic.safety.paths import Roots
from agentic.store.paths import database_path
from agentic.task import Mode
from agentic_server.settings_groups import (
    SECRET,
    Council,
    Count,
    Deadlines,
    Endpoint,
    Group,
    Key,
    Limits,
    Prices,
    Team,
)
from agentic_server.validation import Invalid, Json, convert, resolve, type_name, value_at

_NOT_OURS = ("client", "trace")
_ENVIRONMENT_NAMES = {"key": "AGENTIC_API_KEY"}


class Settings(Group, frozen=True):
    """The settings of Agentic."""

    endpoints: Annotated[
        tuple[Endpoint, ...], Meta(min_length=1, description="The model servers, at least one, the preferred first.")
    ] = (Endpoint("http://localhost:8001/v1"), Endpoint("http://localhost:8002/v1"))
    model: Annotated[str, Meta(description="The model of every endpoint that names none.")] = ""
    key: Annotated[
        Key, Meta(description="The API key of every endpoint that has none of its own, in ASCII without blanks.")
    ] = ""
    mode: Annotated[
        Mode,
        Meta(
            description="What may happen without asking. plan: nothing is changed; ask: every edit and command is asked"
            " for; accept-edits: edits are applied at once; auto: what the sandbox can hold runs unasked. A task may"
            " ask for less, never for more."
        ),
    ] = "ask"
    limits: Annotated[Limits, Meta(description="Where a turn must end.")] = Limits()
    deadlines: Annotated[Deadlines, Meta(description="How long to wait for an endpoint.")] = Deadlines()
    retries: Annotated[
        int,
        Meta(
            ge=0,
            description="How often a request is sent again after a wait, when no endpoint can take it at once: after 2,"
            " 4, 8 and then always 16 seconds.",
        ),
    ] = 4
    closed_files: Annotated[
        Literal["auto", "workspaceEdit", "disk"],
        Meta(
            description="Who writes files that no editor window shows. workspaceEdit: the editor; disk: the daemon;"
            " auto: what the client is known to do well."
        ),
    ] = "auto"
    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None,
        Meta(description="Sampling temperature, 0 to 2; not set: the server's own."),
    ] = None
    max_answer_tokens: Annotated[
        Count, Meta(description="Tokens that one answer may have; fewer where the window leaves fewer.")
    ] = task.Limits().answer_tokens
    prices: Annotated[Prices, Meta(description="What tokens cost.")] = Prices()
    team: Annotated[Team, Meta(description="When a task is cut into parts, and what each sub-agent may use.")] = Team()
    council: Annotated[Council, Meta(description="Who deliberates or competes, and when.")] = Council()
    instructions: Annotated[
        str, Meta(max_length=20_000, description="Your own standing instructions, given to the model with each task.")
    ] = ""
    index: Annotated[
        bool,
        Meta(description="Whether an index of the workspace is kept, for finding what matters for a task."),
    ] = True
    state_dir: Annotated[
        str,
        Meta(
            description="Where sessions are kept; empty: the platform's own place, on Linux `agentic` under"
            " `$XDG_STATE_HOME` (`~/.local/state`)."
        ),
    ] = ""

    def task_limits(self) -> task.Limits:
        """The limits in the agent's own words."""
        return task.Limits(**msgspec.structs.asdict(self.limits), answer_tokens=self.max_answer_tokens)

    def task(self, text: str, session: str, turn: str) -> task.Task:
        """A task within these settings, as the words that it begins with direct it."""
        return task.directed(
            task.Task(
                text,
                session,
                turn,
                mode=self.mode,
                limits=self.task_limits(),
                prices=self.task_prices(),
                team=self.team.rules(),
                council=self.council.rules(),
                instructions=self.instructions,
            )
        )

    def task_prices(self) -> task.Prices | None:
        """The prices in the agent's own words; None unless both directions are priced."""
        prices = self.prices
        if prices.prompt is None or prices.completion is None:
            return None
        return task.Prices(prices.prompt, prices.completion, prices.cached)

    def code_index(self, roots: Roots) -> CodeIndex:
        """The index of these folders, not yet started; the one that holds nothing where it is switched off."""
        if not self.index:
            return NoIndex()
        from agentic.context.index.client import open_index

        return open_index(roots.folders, self.database().parent)

    def database(self) -> Path:
        """The file that sessions are kept in."""
        return Path(self.state_dir).expanduser() / database_path().name if self.state_dir else database_path()


@dataclass(frozen=True, slots=True)
class Source:
    """Settings from one place, unchecked; `name` tells a person which. `texts`: its values are all texts."""

    name: str
    values: Json
    texts: bool = False


@dataclass(frozen=True, slots=True)
class Description:
    """One setting, for people. `default` is JSON text."""

    key: str
    type: str
    default: str
    environment: str
    text: str


def load(sources: Iterable[Source]) -> Settings:
    """Settings from sources in their order, the later one winning. :raises SettingsError: for the first bad value."""
    merged: Json = {}
    for source in sources:
        _check(source)
        merged = _merge(merged, _without_none(source.values))
    settings = convert(merged, Settings, strict=False)
    endpoints = tuple(
        msgspec.structs.replace(e, model=e.model or settings.model, key=e.key or settings.key)
        for e in settings.endpoints
    )
    return msgspec.structs.replace(settings, endpoints=endpoints)


def load_all(
    editor: Sequence[Source] = (),
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Settings from the editor's sources, the user file, the environment and flags (`{"limits.iterations": 5}`).

    :raises SettingsError: where a value is bad or the user file cannot be read.
    """
    set_flags = {key: value for key, value in (flags or {}).items() if value is not None}
    return load(
        [
            *editor,
            from_user_file(environment),
            from_environment(environment),
            Source("the command line", _nested(set_flags), texts=True),
        ]
    )


def from_editor(name: str, value: object) -> Source:
    """What an editor sent as `initializationOptions` or for the section `agentic`; `name` says which."""
    if value is None:
        return Source(name, {})
    if isinstance(value, dict) and "agentic" in value:
        return from_editor(name, cast(Json, value)["agentic"])
    if not isinstance(value, dict):
        raise SettingsError(f"The settings from {name} are no JSON object.", "Send one object with the settings.")
    return Source(name, {key: item for key, item in cast(Json, value).items() if key not in _NOT_OURS})


def from_user_file(environment: Mapping[str, str] = os.environ) -> Source:
    """The user's TOML file; no settings where there is none, unless `$AGENTIC_CONFIG` names it."""
    named = environment.get("AGENTIC_CONFIG", "")
    home = environment.get("XDG_CONFIG_HOME") or "~/.config"
    path = Path(named).expanduser() if named else Path(home).expanduser() / "agentic" / "config.toml"
    try:
        return Source(f"the file {path}", tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError as error:
        if not named:
            return Source(f"the file {path}", {})
        raise SettingsError(f"The settings file {path} is missing.", "Make it, or unset AGENTIC_CONFIG.") from error
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"The settings file {path} cannot be read: {error}.", "It must be TOML in UTF-8."
        ) from error


def from_environment(environment: Mapping[str, str] = os.environ) -> Source:
    """The variables that `describe` lists; AGENTIC_ENDPOINTS is a list of URLs with commas, AGENTIC_BASE_URL is one."""
    rows = [row for row in describe() if row.environment and environment.get(row.environment)]
    values: dict[str, object] = {row.key: environment[row.environment] for row in rows}
    urls = environment.get("AGENTIC_ENDPOINTS") or environment.get("AGENTIC_BASE_URL")
    if urls:
        values["endpoints"] = [{"url": url.strip()} for url in urls.split(",") if url.strip()]
    return Source("the environment", _nested(values), texts=True)


def describe() -> list[Description]:
    """Every setting in the order of the schema, nested ones by their path."""
    schema = msgspec.json.schema(Settings)
    return _describe(schema["$defs"]["Settings"], schema["$defs"], "")


def _describe(schema: Json, definitions: Json, prefix: str) -> list[Description]:
    rows: list[Description] = []
    for name, field in schema["properties"].items():
        found, key = resolve(field, definitions), f"{prefix}{name}"
        inner = resolve(found.get("items", {}), definitions)
        if found.get("type") == "object":
            rows += _describe(found, definitions, f"{key}.")
            continue
        default = None if "properties" in inner else found.get("default")
        shown = "" if default is None else msgspec.json.encode(default).decode()
        environment = "" if "[]" in key else _environment_name(key)
        text = found.get("description", "")
        rows.append(Description(key, type_name(field, definitions), shown, environment, text))
        if "properties" in inner:
            rows += _describe(inner, definitions, f"{key}[].")
    return rows


def _environment_name(key: str) -> str:
    words = re.sub(r"[A-Z]", lambda capital: f"_{capital.group()}", key).replace(".", "_")
    return _ENVIRONMENT_NAMES.get(key, f"AGENTIC_{words.upper()}")


def _check(source: Source) -> None:
    try:
        convert(_without_none(source.values), Settings, strict=not source.texts)
    except Invalid as error:
        value = "" if error.unknown else _shown(error.key, value_at(source.values, error.key))
        subject = f"{error.key}{f' = {value}' if value else ''}"
        raise SettingsError(f"The setting {subject} from {source.name} {error.problem}.", error.hint) from None


def _shown(key: str, value: object) -> str:
    """A value fit for an error message: never a secret, nothing that may hold one, nothing long."""
    if re.split(r"[.\]]", key)[-1] == SECRET:
        return "(hidden)"
    if isinstance(value, (dict, list)) or value is None:
        return ""
    text = re.sub(r"//[^/@\s]*@", "//(hidden)@", msgspec.json.encode(value, enc_hook=str).decode())
    return text if len(text) <= 80 else f"{text[:80]}…"


def _merge(earlier: Json, later: Json) -> Json:
    merged = earlier | later
    for key in earlier.keys() & later.keys():
        if isinstance(earlier[key], dict) and isinstance(later[key], dict):
            merged[key] = _merge(earlier[key], later[key])
    replaced = {"model", SECRET} & later.keys()
    if replaced and "endpoints" in earlier and "endpoints" not in later:
        merged["endpoints"] = [{k: v for k, v in e.items() if k not in replaced} for e in earlier["endpoints"]]
    return merged


def _without_none(values: Json) -> Json:
    return {
        key: _without_none(cast(Json, value)) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }


def _nested(values: Mapping[str, object]) -> Json:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return result
