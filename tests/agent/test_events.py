"""Every kind of event survives the wire, fits its JSON Schema, and stands in the TypeScript mirror."""

import json
import re
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.events import DELTAS, EVENT_TYPES, Event, Origin, TextDelta, decode, encode, kind_of, to_json

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs/schema/events.json").read_text("utf-8"))
MIRROR = (ROOT / "editor-client/protocol/agentic.ts").read_text("utf-8")
VALIDATORS = {
    name: jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})
    for name in SCHEMA["$defs"]
}


def ids(event_type: type[msgspec.Struct]) -> str:
    return event_type.__name__


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type, with every field of a struct varied and only the numbers that JSON has."""
    if hint is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if get_origin(hint) is dict:
        return st.dictionaries(*(values(part) for part in get_args(hint)))
    if hasattr(hint, "__struct_fields__"):
        return st.builds(hint, **{name: values(inner) for name, inner in get_type_hints(hint).items()})
    if get_origin(hint) is list:
        return st.lists(values(get_args(hint)[0]), max_size=3)
    if get_origin(hint) is UnionType:
        return st.one_of([values(part) for part in get_args(hint)])
    return st.from_type(hint)


@pytest.mark.parametrize("event_type", EVENT_TYPES, ids=ids)
def test_every_kind_round_trips_and_fits_its_schema(event_type: type[msgspec.Struct]) -> None:
    @settings(max_examples=25)
    @given(values(event_type))
    def check(event: Event) -> None:
        again = decode(encode(event))
        assert again == event
        assert type(again) is event_type
        on_the_wire = {"seq": 1, **json.loads(encode(event))}
        VALIDATORS[event_type.__name__].validate(on_the_wire)
        assert on_the_wire["kind"] == kind_of(event)

    check()


def test_the_wire_form_is_one_flat_object_with_the_origin() -> None:
    event = TextDelta(**Origin(session_id="s", turn_id="t", agent="main"), item="i", text="é\u2028")
    wanted = {"kind": "textDelta", "sessionId": "s", "turnId": "t", "agent": "main", "item": "i", "text": "é\u2028"}
    assert to_json(event) == wanted
    assert json.loads(encode(event)) == wanted


@pytest.mark.parametrize("text", ["{}", '{"kind": "nonsense"}', '{"kind": "firstToken"}', "[]", "{"])
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(text)


def test_the_schema_refuses_what_lacks_a_field_or_its_seq() -> None:
    good = {
        "kind": "firstToken",
        "seq": 1,
        "sessionId": "s",
        "turnId": "t",
        "agent": "main",
        "request": "r",
        "seconds": 1,
    }
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.validate(good)
    for name in good:
        assert not validator.is_valid({key: value for key, value in good.items() if key != name}), name


def test_kinds_and_names_agree() -> None:
    for event_type in EVENT_TYPES:
        name = event_type.__name__
        assert event_type.__struct_config__.tag == name[0].lower() + name[1:]
        assert event_type.__struct_fields__[-3:] == ("session_id", "turn_id", "agent")
        assert event_type.__doc__, f"{name} has no contract"
    assert set(DELTAS) <= set(EVENT_TYPES)


@pytest.mark.parametrize("event_type", EVENT_TYPES, ids=ids)
def test_the_mirror_has_every_kind_and_field(event_type: type[msgspec.Struct]) -> None:
    body = re.search(rf"^export interface {event_type.__name__} {{\n(.*?)^}}", MIRROR, re.DOTALL | re.MULTILINE)
    assert body is not None
    fields = re.findall(r"^  (\w+)\??: (.*);$", body[1], re.MULTILINE)
    assert dict(fields)["kind"] == json.dumps(event_type.__struct_config__.tag)
    assert {name for name, _ in fields} == {"kind", "seq", *event_type.__struct_encode_fields__}
    union = MIRROR.partition("export type Event =")[2].partition(";")[0]
    assert event_type.__name__ in re.findall(r"\| (\w+)", union)
