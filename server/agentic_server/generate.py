"""Writes what is derived from the types: JSON Schemas, the TypeScript mirror and the reference pages.

`python -m agentic_server.generate` in a checkout writes them; with `--check` it only tells which are stale.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from agentic.events import EVENT_TYPES
from agentic_server import reference, typescript
from agentic_server.protocol import COMMANDS, METHODS
from agentic_server.settings import Settings
from agentic_server.validation import Json

ROOT = Path(__file__).parents[2]
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SEQ: Json = {"description": "The event's place in its session, gapless.", "type": "integer", "minimum": 1}


def events_schema() -> Json:
    """The JSON Schema of one event on the wire, `seq` included."""
    references, definitions = msgspec.json.schema_components(EVENT_TYPES)
    for reference_ in references:
        event = definitions[reference_["$ref"].rpartition("/")[2]]
        event["properties"] = {"kind": event["properties"].pop("kind"), "seq": _SEQ, **event["properties"]}
        event["required"] = ["kind", "seq", *(name for name in event["required"] if name != "kind")]
    return {"$schema": _DIALECT, "title": "Event", "oneOf": list(references), "$defs": definitions}


def settings_schema() -> Json:
    """The JSON Schema of the settings, as an editor or a user file gives them."""
    return {"$schema": _DIALECT, **msgspec.json.schema(Settings)}


def commands_schema() -> Json:
    """The JSON Schemas of parameters and results of every command and method."""
    types = _wire_types()
    references, definitions = msgspec.json.schema_components(types)
    found = dict(zip(types, references, strict=True))
    commands = {
        name: {"description": spec.description, "params": found[spec.params], "result": found[spec.result]}
        for name, spec in COMMANDS.items()
    }
    methods = {
        name: {"description": spec.description, "sender": spec.sender}
        | ({"params": found[spec.params]} if spec.params else {})
        | ({"result": found[spec.result]} if spec.result else {})
        for name, spec in METHODS.items()
    }
    return {"$schema": _DIALECT, "commands": commands, "methods": methods, "$defs": definitions}


def files() -> dict[str, str]:
    """Every generated file by its path in the checkout."""
    events, settings, commands = events_schema(), settings_schema(), commands_schema()
    return {
        "docs/schema/events.json": _json(events),
        "docs/schema/settings.json": _json(settings),
        "docs/schema/commands.json": _json(commands),
        "docs/events.md": reference.events_page(events),
        "docs/configuration.md": reference.configuration_page(),
        "docs/protocol.md": reference.protocol_page(commands),
        "editor-client/protocol/agentic.ts": typescript.mirror(events, commands),
    }


def stale(root: Path = ROOT) -> list[str]:
    """The generated files that are missing or differ."""
    return [name for name, text in files().items() if _read(root / name) != text]


def write(root: Path = ROOT) -> list[str]:
    """Write the files that are stale, and tell which."""
    names = stale(root)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files()[name].encode())
    return names


def main(arguments: list[str]) -> int:
    """The command line: 0 when all is well, 1 for stale files, 2 for words that mean nothing."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m agentic_server.generate [--check]\n")
        return 2
    if not arguments:
        sys.stdout.writelines(f"wrote {name}\n" for name in write())
        return 0
    names = stale()
    sys.stderr.writelines(f"{name} is stale: run `make generate`\n" for name in names)
    return 1 if names else 0


def _wire_types() -> list[type[Any]]:
    types: list[type[Any] | None] = []
    for spec in (*COMMANDS.values(), *METHODS.values()):
        types += (spec.params, spec.result)
    return list(dict.fromkeys(found for found in types if found is not None))


def _json(value: Json) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _read(path: Path) -> str | None:
    return path.read_bytes().decode() if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
