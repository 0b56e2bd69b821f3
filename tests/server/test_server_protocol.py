"""Commands: what is let in, and what is answered to what is not."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.errors import AgenticError, ModelError, SettingsError, StoreError, UnknownSession
from agentic_server.errors import INTERNAL_ERROR, INVALID_PARAMS, REQUEST_FAILED, InvalidParams, UnknownCommand, to_rpc
from agentic_server.protocol import (
    COMMANDS,
    MAX_TASK_CHARACTERS,
    METHODS,
    Amend,
    CancelParams,
    DoctorParams,
    ReviewParams,
    RunTaskParams,
    TranscriptMessage,
    parse,
)

PLACE = {"line": 0, "character": 4}


def test_a_whole_task() -> None:
    selection = {"uri": "file:///a.py", "range": {"start": PLACE, "end": PLACE}}
    sent = {
        "task": "Füge x hinzu",
        "mode": "plan",
        "sessionId": "s",
        "openFiles": ["file:///a.py"],
        "selection": selection,
    }
    found = parse("agentic.runTask", [sent])
    assert isinstance(found, RunTaskParams)
    assert (found.task, found.mode, found.session_id) == ("Füge x hinzu", "plan", "s")
    assert found.selection is not None
    assert found.selection.range.end.character == 4


def test_no_arguments_are_an_empty_object() -> None:
    assert parse("agentic.doctor", None) == DoctorParams()
    assert parse("agentic.cancel", []) == CancelParams()


def test_verdicts_of_hunks() -> None:
    sent = {"itemId": "e", "hunks": {"h1": "accept", "h2": "reject", "h3": {"amend": "x"}}}
    wanted = ReviewParams("e", {"h1": "accept", "h2": "reject", "h3": Amend("x")})
    assert parse("agentic.review", [sent]) == wanted


@pytest.mark.parametrize(
    ("command", "arguments", "key", "words"),
    [
        ("agentic.runTask", ["fix it"], "", "takes one JSON object"),
        ("agentic.runTask", [{"task": "x"}, {}], "", "takes one JSON object"),
        ("agentic.runTask", None, "task", "is missing"),
        ("agentic.runTask", [{"task": ""}], "task", "not empty, and at most 1,000,000 characters"),
        ("agentic.runTask", [{"task": " \n "}], "task", "not empty, and at most 1,000,000 characters"),
        ("agentic.runTask", [{"task": "x" * (MAX_TASK_CHARACTERS + 1)}], "task", "at most 1,000,000 characters"),
        ("agentic.runTask", [{"task": 5}], "task", "expected `str`, got `int`"),
        ("agentic.runTask", [{"task": "x", "mode": "yolo"}], "mode", "`accept-edits`"),
        ("agentic.runTask", [{"task": "x", "taks": "y"}], "taks", "not known"),
        ("agentic.runTask", [{"task": "x", "complexity": 2}], "complexity", "≤ 1"),
        (
            "agentic.runTask",
            [{"task": "x", "selection": {"uri": "u", "range": {"start": {"line": -1, "character": 0}, "end": PLACE}}}],
            "selection.range.start.line",
            "≥ 0",
        ),
        ("agentic.steer", [{"sessionId": "s"}], "text", "is missing"),
        ("agentic.review", [{"itemId": "e", "hunks": {"h": "maybe"}}], "hunks[...]", "`accept`, `reject`"),
        ("agentic.sessions", [{"limit": 0}], "limit", "≥ 1"),
    ],
)
def test_what_does_not_fit_names_its_key(command: str, arguments: list[Any] | None, key: str, words: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        parse(command, arguments)
    answer = to_rpc(caught.value)
    assert answer.code == INVALID_PARAMS
    assert command in answer.message
    assert words in answer.message
    assert f"`{key}`" in answer.message or not key
    assert answer.data.get("key", "") == key
    assert answer.data["code"] == "invalid_params"


def test_a_task_of_exactly_the_limit_is_let_in() -> None:
    found = parse("agentic.runTask", [{"task": "ü" * MAX_TASK_CHARACTERS}])
    assert isinstance(found, RunTaskParams)
    assert len(found.task) == MAX_TASK_CHARACTERS


def test_an_unknown_command_names_the_known_ones() -> None:
    with pytest.raises(UnknownCommand) as caught:
        parse("agentic.ruinTask", [])
    assert "agentic.runTask" in to_rpc(caught.value).message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(COMMANDS)), st.lists(json_values, max_size=2))
def test_anything_else_is_typed_or_refused(command: str, arguments: list[Any]) -> None:
    try:
        found = parse(command, arguments)
    except InvalidParams as error:
        json.dumps(to_rpc(error).data)
    else:
        assert type(found) is COMMANDS[command].params


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [
        (UnknownSession("No session s.", "List them."), REQUEST_FAILED, "unknown_session"),
        (SettingsError("x"), REQUEST_FAILED, "bad_setting"),
        (StoreError("x"), REQUEST_FAILED, "store_failed"),
        (ModelError("x"), REQUEST_FAILED, "model_failed"),
        (AgenticError("x"), REQUEST_FAILED, "internal"),
        (ZeroDivisionError("x"), INTERNAL_ERROR, "internal"),
    ],
)
def test_errors_become_json_rpc_errors(error: Exception, code: int, name: str) -> None:
    answer = to_rpc(error)
    assert answer.code == code
    assert answer.data["code"] == name
    assert str(error) in answer.message
    assert answer.data["hint"] in answer.message


def test_wire_types_are_camel_case_and_described() -> None:
    types = {t for spec in (*COMMANDS.values(), *METHODS.values()) for t in (spec.params, spec.result) if t}
    for wire_type in types:
        assert wire_type.__doc__
        assert wire_type.__struct_config__.forbid_unknown_fields
        assert not any("_" in name for name in wire_type.__struct_encode_fields__)
    assert msgspec.to_builtins(TranscriptMessage("t", "tool", "x", tool_call_id="c"))["toolCallId"] == "c"
